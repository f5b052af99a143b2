"""An image -> its thumbnail, a grid of patch weights -> its heat map; both as `data:` addresses a page can hold."""

from base64 import b64encode
from io import BytesIO
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from PIL import Image

THUMBNAIL_SIDE = 192
HEAT_LEVELS = 64
# Weights are softmax outputs in float32: an excess over the mean smaller than this share of it is noise.
SMALLEST_EXCESS = 1e-3


class Thumbnail(NamedTuple):
    uri: str
    ratio: float  # width over height


def thumbnail(image: Image.Image) -> Thumbnail:
    """A JPEG of the whole image, its long side at most 192 pixels, its aspect kept."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return Thumbnail(_data_uri(small, "JPEG"), small.width / small.height)


def heat_map(weights: Float[np.ndarray, "h w"]) -> str:
    """A PNG of one pixel a patch: (w - mean) / (max - mean), clipped at 0, as colour and as opacity.

    The mean is the weight of every patch of an image in which nothing stands out, so what weighs no more than that is
    transparent, and so is the whole map of an image with uniform weights.
    """
    # A palette takes a quarter of the bytes of RGBA pixels, and 64 levels are more than the eye tells apart here.
    image = Image.fromarray(np.round(excess(weights) * (HEAT_LEVELS - 1)).astype(np.uint8))
    image.putpalette(_palette(), "RGBA")
    return _data_uri(image, "PNG")


def excess(weights: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """(w - mean) / (max - mean), clipped at 0; all 0 where nothing stands out."""
    above = np.clip(weights - weights.mean(), 0, None)
    if above.max() <= SMALLEST_EXCESS * weights.mean():
        above = np.zeros_like(weights)
    return above / (above.max() or 1)


def _palette() -> bytes:
    level = np.linspace(0, 1, HEAT_LEVELS)
    rgba = colormaps["inferno"](0.3 + 0.65 * level)  # The darkest third would read as a shadow in the image.
    rgba[:, 3] = 0.9 * np.sqrt(level)
    return np.round(rgba * 255).astype(np.uint8).tobytes()


def _data_uri(image: Image.Image, kind: Literal["JPEG", "PNG"]) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, optimize=True, quality=80)  # PNG has no quality and ignores it.
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
