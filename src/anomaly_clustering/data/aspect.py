"""An image in; it, on as many pixels as a square has but of its own aspect, and batches of images of any sizes, out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.transforms import v2

# Every image a square, as in the paper; or as many pixels of each image's own aspect.
Aspect = Literal["square", "keep"]
# Sides are in sixteenths of the square's, and in eighths unless the short side is less than half of it: so images share
# a few sizes, and what divides the square divides them.
PARTS = 16
# So much may the number of pixels differ from the square's.
TOLERANCE = 1 / 8
_ALLOWED = [
    (rows, columns)
    for rows in range(1, 2 * PARTS**2)
    for columns in range(1, 2 * PARTS**2)
    if abs(rows * columns - PARTS**2) <= TOLERANCE * PARTS**2
    and (min(rows, columns) < PARTS / 2 or rows % 2 == columns % 2 == 0)
]


def check_aspect(aspect: str) -> None:
    """Check how images are resized.

    Args:
        aspect: 'square' or 'keep'.

    Raises:
        ValueError: it is neither.
    """
    if aspect not in get_args(Aspect):
        raise ValueError(f"aspect must be one of {get_args(Aspect)}, got {aspect!r}")


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

    rows, columns = min(_ALLOWED, key=misfit)
    return round(side * rows / PARTS), round(side * columns / PARTS)


def resized_keeping_aspect(image: Image.Image, side: int) -> Float[Tensor, "4 height width"]:
    """Resize an image to `kept_size`.

    Args:
        image: of Pillow, of mode RGB.
        side: of the square in pixels that has as many.

    Returns:
        Red, green and blue in [0, 1], and a fourth channel of ones: where the image is, on whatever canvas it comes.

    Example:
        >>> resized_keeping_aspect(Image.new("RGB", (80, 30)), 64).shape
        torch.Size([4, 40, 104])
    """
    size = kept_size(*image.size, side)
    resized = v2.functional.resize(image, [*size], interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    pixels = v2.functional.to_dtype(v2.functional.pil_to_tensor(resized), torch.float32, scale=True)
    return torch.cat([pixels, torch.ones(1, *size)])


def as_batch(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Samples as a batch; images of several sizes stand in the upper left of one canvas, around them zeros.

    Args:
        samples: each with an `image` [C, height, width].

    Returns:
        A batch as PyTorch makes it.

    Example:
        >>> batch = as_batch([{"image": torch.ones(4, 2, 3)}, {"image": torch.ones(4, 3, 1)}])
        >>> batch["image"].shape, batch["image"][1, 3].tolist()
        (torch.Size([2, 4, 3, 3]), [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    """
    height, width = (max(sample["image"].shape[axis] for sample in samples) for axis in (1, 2))
    if all(sample["image"].shape[1:] == (height, width) for sample in samples):
        return default_collate([*samples])
    canvases = (
        F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
        for image in (sample["image"] for sample in samples)
    )
    return default_collate([{**sample, "image": image} for sample, image in zip(samples, canvases, strict=True)])
