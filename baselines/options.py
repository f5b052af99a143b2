"""Options of a method in; an error that names the first one that cannot be, out.

Choices and truth values are known by the annotations of the method; what numbers may be, by names that methods share.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from anomaly_clustering.system.whole_numbers import LARGEST_SEED


class Rule(NamedTuple):
    """What a number, or several, may be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def _reals(values: Any, count: int) -> bool:
    return isinstance(values, Sequence) and len(values) == count and all(map(_real, values))


def _are_weights(values: Any) -> bool:
    return _reals(values, 4) and min(values) >= 0 and max(values) > 0


def _is_range(values: Any) -> bool:
    return _reals(values, 2) and 0 < values[0] <= values[1]


COUNT = Rule("a whole number, at least 1", lambda value: _whole(value) and value >= 1)
COUNT_OR_ZERO = Rule("a whole number, at least 0", lambda value: _whole(value) and value >= 0)
SEED = Rule(
    f"a whole number from 0 to {LARGEST_SEED}, as scikit-learn has it",
    lambda value: _whole(value) and 0 <= value <= LARGEST_SEED,
)
POSITIVE = Rule("a number above 0", lambda value: _real(value) and value > 0)
NOT_NEGATIVE = Rule("a number, at least 0", lambda value: _real(value) and value >= 0)
SHARE = Rule("a share above 0 and at most 1", lambda value: _real(value) and 0 < value <= 1)
PROBABILITY = Rule("a number from 0 to 1", lambda value: _real(value) and 0 <= value <= 1)
BELOW_ONE = Rule("a number, at least 0 and below 1", lambda value: _real(value) and 0 <= value < 1)
CLUSTERS = Rule("a whole number, at least 2, or None", lambda value: value is None or (_whole(value) and value >= 2))
POSITIVE_OR_NONE = Rule("a number above 0, or None", lambda value: value is None or (_real(value) and value > 0))
WEIGHTS = Rule("four numbers, at least 0 and not all 0", _are_weights)
RANGE = Rule("two numbers above 0, the first at most the second", _is_range)

RULES: dict[Rule, tuple[str, ...]] = {
    COUNT: (
        *("batch_size", "selflabel_batch_size", "step_size", "passes", "repeats", "head_b_epochs", "neighbours"),
        *("heads", "sub_heads", "overclustering", "crop", "input_size"),
    ),
    COUNT_OR_ZERO: ("scan_epochs", "selflabel_epochs", "warmup_epochs", "head_a_epochs", "cached_views"),
    SEED: ("seed",),
    POSITIVE: ("lr", "selflabel_lr", "temperature", "epsilon", "beta", "width"),
    NOT_NEGATIVE: ("weight_decay", "selflabel_weight_decay", "entropy_weight", "lamb", "rotation"),
    BELOW_ONE: ("momentum", "marginal_momentum", "ema_decay"),
    PROBABILITY: ("threshold",),
    CLUSTERS: ("num_clusters",),
    POSITIVE_OR_NONE: ("tau",),
    WEIGHTS: ("weights",),
    RANGE: ("scale",),
}
BY_NAME = {name: rule for rule, names in RULES.items() for name in names}


def check_options(method: type, options: Mapping[str, Any], **own: Rule) -> None:
    """Refuse what trains to nothing, or ends hours later in an error that does not name the option.

    Args:
        method: whose `__init__` has these options.
        options: by name.
        own: rules of options that mean something else in this method than in others.

    Raises:
        ValueError: an option is not one of the values that it is annotated with, or not what its rule says.

    Example:
        >>> class Method:
        ...     def __init__(self, train: Literal["heads", "all"] = "all", heads: int | Literal["auto"] = 1):
        ...         pass
        >>> check_options(Method, {"train": "all", "heads": "auto"})
        >>> check_options(Method, {"train": "all", "heads": 0})
        Traceback (most recent call last):
            ...
        ValueError: heads must be a whole number, at least 1, or 'auto', got 0
    """
    rules, hints = {**BY_NAME, **own}, get_type_hints(method.__init__)  # type: ignore[misc]
    for name in inspect.signature(method).parameters:
        value, choices = options[name], _choices(hints[name])
        rule = rules.get(name)
        if value in choices or (rule.holds(value) if rule else not choices):
            continue
        allowed = ", or ".join([rule.words, *map(repr, choices)]) if rule else f"one of {choices}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a `Literal`, or of one among other types, and truth values."""
    if hint is bool:
        return (True, False)
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(value for part in get_args(hint) for value in _choices(part))
