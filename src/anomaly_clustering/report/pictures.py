"""An image -> its thumbnail, a grid of patch weights -> its heat map; in the page, or, if there are many, beside it."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from PIL import Image

# What the network sees by default, so a lens shows as much as it had.
THUMBNAIL_SIDE = 256
# More images than that make a page slow to open.
MOST_IN_PAGE = 500
THUMBNAILS = "thumbnails"
HEAT_LEVELS = 64
# Weights are softmax outputs in float32: an excess over the mean smaller than this share of it is noise.
SMALLEST_EXCESS = 1e-3
# Rows and columns of the weights from which the page draws the mean of a cluster.
COARSE_SIDE = 16


class Picture(NamedTuple):
    """A thumbnail, as the page shows it.

    Attributes:
        uri: its address, relative to the page, or the picture itself as a `data:` URL.
        ratio: its width over its height.

    Example:
        >>> Picture("thumbnails/0.jpg", 1.5).ratio
        1.5
    """

    uri: str
    ratio: float


class Levels(NamedTuple):
    """Weights [N, side, side] in 255 levels, as bytes that a page can hold.

    Attributes:
        side: rows and columns of the grid.
        base64: one byte a patch, row by row.

    Example:
        >>> from base64 import b64decode
        >>> list(b64decode(Levels(1, "/w==").base64))
        [255]
    """

    side: int
    base64: str


class Pictures:
    """Makes the pictures of a page of `count` images, and puts them where the page finds them.

    Args:
        folder: of the page.
        count: images of the page; up to 500 the page holds the pictures itself, beyond they are files beside it.

    Example:
        >>> Pictures(Path("run"), count=2).photo(0, Image.new("RGB", (512, 256))).ratio
        2.0
    """

    def __init__(self, folder: Path, *, count: int):
        self.folder = folder / THUMBNAILS
        self.beside = count > MOST_IN_PAGE
        if self.beside:
            self.folder.mkdir(parents=True, exist_ok=True)

    def photo(self, index: int, image: Image.Image) -> Picture:
        """Make the thumbnail of an image.

        Args:
            index: of the image in the page, which names its file.
            image: in any mode and size.

        Returns:
            The thumbnail, as the page shows it.
        """
        small = thumbnail(image)
        return Picture(self._uri(index, small, "JPEG"), small.width / small.height)

    def heat(self, index: int, weights: Float[np.ndarray, "h w"]) -> str:
        """Make the heat map of an image.

        Args:
            index: of the image in the page, which names its file.
            weights: of its patches [H, W].

        Returns:
            The address of the heat map, or the map itself as a `data:` URL.
        """
        return self._uri(index, heat_map(weights), "PNG")

    def _uri(self, index: int, image: Image.Image, kind: Literal["JPEG", "PNG"]) -> str:
        encoded = _encoded(image, kind)
        if not self.beside:
            return f"data:image/{kind.lower()};base64,{b64encode(encoded).decode()}"
        name = f"{index}.{'jpg' if kind == 'JPEG' else 'png'}"
        (self.folder / name).write_bytes(encoded)
        return f"{THUMBNAILS}/{name}"


def thumbnail(image: Image.Image) -> Image.Image:
    """The whole image, its long side at most 256 pixels, its aspect kept.

    Args:
        image: in any mode and size; one that is smaller keeps its size.

    Returns:
        A copy in RGB.

    Example:
        >>> thumbnail(Image.new("L", (512, 256))).size
        (256, 128)
    """
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return small


def heat_map(weights: Float[np.ndarray, "h w"]) -> Image.Image:
    """One pixel a patch: (w - mean) / (max - mean), clipped at 0, as colour and as opacity.

    The mean is the weight of every patch of an image in which nothing stands out, so what weighs no more than that is
    transparent, and so is the whole map of an image with uniform weights.

    Args:
        weights: of the patches of one image [H, W].

    Returns:
        An image of W x H pixels with a palette, whose colours have an opacity each.

    Example:
        >>> np.asarray(heat_map(np.array([[0.1, 0.1, 0.8]])).convert("RGBA"))[..., 3].tolist()
        [[0, 0, 230]]
    """
    # A palette takes a quarter of the bytes of RGBA pixels, and 64 levels are more than the eye tells apart here.
    image = Image.fromarray(np.round(excess(weights) * (HEAT_LEVELS - 1)).astype(np.uint8))
    image.putpalette(np.round(_COLOURS * 255).astype(np.uint8).tobytes(), "RGBA")
    return image


def excess(weights: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """How far weights are above their mean: (w - mean) / (max - mean), clipped at 0; all 0 where nothing stands out.

    Args:
        weights: of the patches of one image [H, W].

    Returns:
        Numbers from 0 to 1 [H, W].

    Example:
        >>> excess(np.array([[0.0, 0.4, 0.6]])).round(2).tolist()
        [[0.0, 0.25, 1.0]]
    """
    above = np.clip(weights - weights.mean(), 0, None)
    if above.max() <= SMALLEST_EXCESS * weights.mean():
        above = np.zeros_like(weights)
    return above / (above.max() or 1)


def coarse(weights: Float[np.ndarray, "n h w"]) -> tuple[Levels, list[float]]:
    """Weights on a grid of 16 x 16 patches, in 255 levels.

    Args:
        weights: of the patches of each image [N, H, W], the largest of an image above 0.

    Returns:
        The levels, and for each image the weight of one level, by which its levels are to be multiplied.

    Example:
        >>> levels, scale = coarse(np.array([[[0.25, 0.75], [0.0, 0.0]]]))
        >>> levels.side, scale
        (16, [0.002941])
    """
    size = (COARSE_SIDE, COARSE_SIDE)
    grids = np.stack(
        [np.asarray(Image.fromarray(w.astype(np.float32)).resize(size, Image.Resampling.BOX)) for w in weights]
    )
    scale = grids.max((1, 2)) / 255
    levels = np.round(grids / scale[:, None, None]).astype(np.uint8)
    return Levels(COARSE_SIDE, b64encode(levels.tobytes()).decode()), [float(f"{value:.4g}") for value in scale]


def _colours() -> Float[np.ndarray, "levels 4"]:
    level = np.linspace(0, 1, HEAT_LEVELS)
    rgba = colormaps["inferno"](0.3 + 0.65 * level)  # The darkest third would read as a shadow in the image.
    rgba[:, 3] = 0.9 * np.sqrt(level)
    return rgba


_COLOURS = _colours()
# The same for the page's own drawings, as CSS.
PALETTE = [f"rgb({' '.join(str(round(255 * c)) for c in rgb)} / {alpha:.2f})" for *rgb, alpha in _COLOURS.tolist()]


def _encoded(image: Image.Image, kind: Literal["JPEG", "PNG"]) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, optimize=True, quality=80)  # PNG has no quality and ignores it.
    return buffer.getvalue()
