"""An image in; it, on as many pixels as a square has but of its own aspect, and batches of images of any sizes, out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.transforms import v2

from anomaly_clustering.data.kept_size import kept_size


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
    return torch.cat([pixels, pixels.new_ones(1, *size)])


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
    if any(sample["image"].shape[1:] != (height, width) for sample in samples):
        canvases = (
            F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
            for image in (sample["image"] for sample in samples)
        )
        samples = [{**sample, "image": image} for sample, image in zip(samples, canvases, strict=True)]
    # Whatever device a program makes its tensors on: a process that reads images may use no GPU.
    with torch.device("cpu"):
        return default_collate([*samples])
