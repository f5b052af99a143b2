"""Pixels of an image, as NumPy or PyTorch hold them, in; an image of Pillow with 8 bits a value out."""

import numpy as np
from PIL import Image
from torch import Tensor

# What resizing in floats may go beyond black and white by; a step of 8 bits is 400 times as much.
BEYOND = 1e-5


def image_of_pixels(pixels: np.ndarray | Tensor, name: str) -> Image.Image:
    """Turn the pixels of one image into an image, so that it is the same in all forms.

    Channels come last in arrays, as OpenCV, scikit-image and Pillow have them, and first in tensors, as torchvision has
    them.

    Args:
        pixels: array [H, W], [H, W, 1] or [H, W, 3], or tensor [3, H, W] or [1, H, W]; of 8 unsigned bits, or floats in
            [0, 1].
        name: what an error message calls the image.

    Returns:
        An image of mode RGB or L.

    Raises:
        ValueError: another shape, another type of number, or a value that is not between 0 and 1.

    Example:
        >>> image = image_of_pixels(np.array([[[0.0, 0.5, 1.0]]]), "image 0")
        >>> image.mode, image.getpixel((0, 0))
        ('RGB', (0, 128, 255))
    """
    values = _of_tensor(pixels, name) if isinstance(pixels, Tensor) else _of_array(pixels, name)
    if values.dtype.kind == "f":
        if not (values.min() >= -BEYOND and values.max() <= 1 + BEYOND):
            raise ValueError(f"{name} must hold values from 0 to 1, got {values.min():.7g} to {values.max():.7g}")
        values = np.rint(values.clip(0, 1).astype(np.float32) * 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise ValueError(
            f"{name} must be of uint8, or floats from 0 to 1, got {values.dtype}; divide whole numbers by the highest "
            "value that the camera can give"
        )
    return Image.fromarray(values)


def _of_tensor(pixels: Tensor, name: str) -> np.ndarray:
    if pixels.ndim != 3 or len(pixels) not in (1, 3) or not pixels.numel():
        raise ValueError(f"{name} must have the shape [3, height, width] or [1, height, width], got {[*pixels.shape]}")
    pixels = pixels.detach().cpu()
    # NumPy does not know bfloat16.
    values: np.ndarray = (pixels.float() if pixels.is_floating_point() else pixels).permute(1, 2, 0).numpy()
    return values[..., 0] if len(pixels) == 1 else np.ascontiguousarray(values)


def _of_array(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.ndim not in (2, 3) or not pixels.size or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise ValueError(
            f"{name} must have the shape [height, width, 3] or [height, width], got {[*pixels.shape]}; in arrays "
            "channels come last"
        )
    return np.ascontiguousarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
