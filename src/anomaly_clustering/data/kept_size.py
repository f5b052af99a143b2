"""The size of an image in; the size nearest to its aspect that has as many pixels as a square, out."""

import math
from functools import cache
from typing import Literal

# Every image a square, as in the paper; or as many pixels of each image's own aspect.
Aspect = Literal["square", "keep"]
# Sides are in sixteenths of the square's, and in eighths unless the short side is less than half of it: so images share
# a few sizes, and what divides the square divides them.
PARTS = 16
# So much may the number of pixels differ from the square's.
TOLERANCE = 1 / 8


def kept_size(width: int, height: int, side: int) -> tuple[int, int]:
    """The size nearest to the aspect of an image that has as many pixels as a square, up to an eighth.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        side: of the square in pixels.

    Returns:
        Height and width in pixels, each a number of sixteenths of the side. A square stays the square. The aspect is
        off by an eighth at most up to 16 to 1, and by a third up to 72 to 1.

    Example:
        >>> kept_size(500, 500, 256), kept_size(800, 300, 256), kept_size(300, 800, 256)
        ((256, 256), (160, 416), (416, 160))
    """

    def misfit(size: tuple[int, int]) -> tuple[float, int]:
        rows, columns = size
        return round(abs(math.log(columns * height / (rows * width))), 9), abs(rows * columns - PARTS**2)

    rows, columns = min(_allowed(), key=misfit)
    return round(side * rows / PARTS), round(side * columns / PARTS)


@cache
def _allowed() -> list[tuple[int, int]]:
    """Rows and columns of sixteenths of the square's side."""
    sides = range(1, 2 * PARTS**2)
    return [
        (rows, columns)
        for rows in sides
        for columns in sides
        if abs(rows * columns - PARTS**2) <= TOLERANCE * PARTS**2
        and (min(rows, columns) < PARTS / 2 or rows % 2 == columns % 2 == 0)
    ]
