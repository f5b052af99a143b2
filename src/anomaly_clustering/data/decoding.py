"""How large an image is to be shown in; how many pixels of its file are decoded for that, out.

A photograph of 12 megapixels that a network sees in 256 x 256 is decoded in a third of the time at a quarter of its
size, which JPEG files allow. At least twice what is shown is decoded, so that resizing still averages pixels.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from anomaly_clustering.data.kept_size import Aspect, kept_size
from anomaly_clustering.system.choices import check_choice

# All pixels of a file, as the tables of the paper take them; or, of JPEG files, an eighth, a quarter or a half of them
# a side, where that is enough.
Decoding = Literal["exact", "reduced"]
# Width and height of an image in pixels -> those that are needed of it.
Needed = Callable[[int, int], tuple[int, int]]
MARGIN = 2


def needed_for(decoding: Decoding, side: int, aspect: Aspect = "square") -> Needed | None:
    """What is needed of images that a network sees.

    Args:
        decoding: 'exact', or 'reduced'.
        side: in pixels, of the square to which images are resized, or which has as many pixels as they get.
        aspect: 'square' or 'keep', see `kept_size`.

    Returns:
        A function from the size of an image to what is needed of it; None where all pixels are.

    Raises:
        ValueError: there is no such decoding or aspect.

    Example:
        >>> needed = needed_for("reduced", 256)
        >>> needed(4000, 3000), needed_for("exact", 256)
        ((512, 512), None)
    """
    check_choice("aspect", aspect, Aspect)
    if check_choice("decoding", decoding, Decoding) == "exact":
        return None
    return partial(_as_a_square if aspect == "square" else _with_its_aspect, side=side)


def needed_within(width: int, height: int, *, side: int) -> tuple[int, int]:
    """What is needed of an image that is shown in a square, its long side as that of the square.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        side: of the square in pixels.

    Returns:
        Width and height in pixels.

    Example:
        >>> needed_within(4000, 3000, side=256)
        (512, 384)
    """
    scale = MARGIN * side / max(width, height)
    return round(scale * width), round(scale * height)


def _as_a_square(width: int, height: int, *, side: int) -> tuple[int, int]:
    return MARGIN * side, MARGIN * side


def _with_its_aspect(width: int, height: int, *, side: int) -> tuple[int, int]:
    rows, columns = kept_size(width, height, side)
    return MARGIN * columns, MARGIN * rows
