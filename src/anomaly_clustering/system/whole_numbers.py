"""A whole number that a user gave, of whatever type, in; an int, or an error under the number's own name, out."""

from numbers import Integral

# Of sides of images in pixels: a convolution needs some, and memory that a network takes grows with their square.
SMALLEST_SIDE, LARGEST_SIDE = 32, 4096
# What NumPy's and scikit-learn's generators take.
LARGEST_SEED = 2**32 - 1


def image_side(value: object) -> int:
    """Check the size in pixels to which images are resized.

    Args:
        value: what was given as `image_size`.

    Returns:
        The number as an int.

    Raises:
        ValueError: the value is no whole number from 32 to 4096.

    Example:
        >>> image_side(60_000)
        Traceback (most recent call last):
        ValueError: image_size must be at most 4096, got 60000
    """
    side = whole_number("image_size", value, least=SMALLEST_SIDE)
    if side > LARGEST_SIDE:
        raise ValueError(f"image_size must be at most {LARGEST_SIDE}, got {side}")
    return side


def seed_number(name: str, value: object) -> int:
    """Check the seed of a generator.

    Args:
        name: by which the user gave it.
        value: what was given.

    Returns:
        The number as an int.

    Raises:
        ValueError: the value is no whole number from 0 to 2**32 - 1.

    Example:
        >>> seed_number("random_state", 2**32)
        Traceback (most recent call last):
        ValueError: random_state must be at most 4294967295, got 4294967296
    """
    seed = whole_number(name, value, least=0)
    if seed > LARGEST_SEED:
        raise ValueError(f"{name} must be at most {LARGEST_SEED}, got {seed}")
    return seed


def whole_number(name: str, value: object, *, least: int) -> int:
    """Check a whole number: NumPy's count, as scikit-learn's grids give them; fractions, text and truth values do not.

    Args:
        name: by which the user gave it.
        value: what was given.
        least: that is allowed.

    Returns:
        The number as an int, which every library takes.

    Raises:
        ValueError: the value is no whole number, or below the least.

    Example:
        >>> import numpy as np
        >>> whole_number("batch_size", np.int16(8), least=1)
        8
        >>> whole_number("batch_size", "8", least=1)
        Traceback (most recent call last):
        ValueError: batch_size must be a whole number, got '8'
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)
