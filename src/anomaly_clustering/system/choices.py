"""What a user gave for an option that has a few values, and these values, in; it, or an error that lists them, out."""

from typing import Any, TypeVar, get_args

T = TypeVar("T")


def check_choice(name: str, value: T, choices: Any) -> T:
    """Check that a value is one of those that an option has, since any other would pass for the last of them.

    Args:
        name: of the option, by which the user gave it.
        value: what was given.
        choices: a `Literal` of the values.

    Returns:
        The value.

    Raises:
        ValueError: it is none of them.

    Example:
        >>> from typing import Literal
        >>> check_choice("split", "Random", Literal["differnet", "random"])
        Traceback (most recent call last):
            ...
        ValueError: split must be one of ('differnet', 'random'), got 'Random'
    """
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {get_args(choices)}, got {value!r}")
    return value
