"""An image -> its thumbnail, the heat of its patches -> its heat map; in the page, or, if there are many, beside it."""

from base64 import b64encode
from collections.abc import Sequence
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
# Rows and columns of the heat from which the page draws the mean of a cluster.
COARSE_SIDE = 16
# Units of an SVG, of which its lines are whole numbers, and how these look: light with a dark rim, on any product.
SVG_SIDE = 1000
LINE = (
    "path{fill:none;stroke:#fff;stroke-width:5;stroke-linejoin:round}.b{stroke:#000;stroke-opacity:.6;stroke-width:11}"
)

# Corners of a region, each from 0 (left, top) to 1 (right, bottom).
Outline = Sequence[tuple[float, float]]


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
    """Heat [N, side, side] in 255 levels, as bytes that a page can hold.

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
        return Picture(self._uri(f"{index}.jpg", "jpeg", _encoded(small, "JPEG")), small.width / small.height)

    def heat(self, index: int, heat: Float[np.ndarray, "h w"], outlines: Sequence[Outline] = ()) -> str:
        """Make the heat map of an image.

        Args:
            index: of the image in the page, which names its file.
            heat: of its patches [H, W], from 0 (usual) to 1.
            outlines: corners of each region in which it shows a defect.

        Returns:
            The address of the heat map, or the map itself as a `data:` URL.
        """
        if outlines:
            return self._uri(f"{index}.svg", "svg+xml", outlined(heat, outlines).encode())
        return self._uri(f"{index}.png", "png", _encoded(heat_map(heat), "PNG"))

    def _uri(self, name: str, kind: str, encoded: bytes) -> str:
        if not self.beside:
            return f"data:image/{kind};base64,{b64encode(encoded).decode()}"
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


def heat_map(heat: Float[np.ndarray, "h w"]) -> Image.Image:
    """One pixel a patch: its heat as colour and as opacity; what is usual is transparent.

    Args:
        heat: of the patches of one image [H, W], from 0 (usual) to 1.

    Returns:
        An image of W x H pixels with a palette, whose colours have an opacity each.

    Example:
        >>> np.asarray(heat_map(np.array([[0.0, 0.0, 1.0]])).convert("RGBA"))[..., 3].tolist()
        [[0, 0, 230]]
    """
    # A palette takes a quarter of the bytes of RGBA pixels, and 64 levels are more than the eye tells apart here.
    image = Image.fromarray(np.round(heat * (HEAT_LEVELS - 1)).astype(np.uint8))
    image.putpalette(np.round(_COLOURS * 255).astype(np.uint8).tobytes(), "RGBA")
    return image


def outlined(heat: Float[np.ndarray, "h w"], outlines: Sequence[Outline]) -> str:
    """The heat map of an image with lines around regions, as an SVG, whose lines are sharp at any size.

    Args:
        heat: of the patches of the image [H, W], from 0 (usual) to 1.
        outlines: corners of each region, from 0 (left, top) to 1 (right, bottom).

    Returns:
        The text of the SVG.

    Example:
        >>> outlined(np.zeros((2, 2)), [[(0.0, 0.0), (0.5, 0.0), (0.5, 0.25)]]).partition("<path ")[2]
        'class="b" d="M0 0L500 0L500 250Z"/><path d="M0 0L500 0L500 250Z"/></svg>'
    """
    png = b64encode(_encoded(heat_map(heat), "PNG")).decode()
    lines = "".join(
        f"M{'L'.join(f'{round(SVG_SIDE * x)} {round(SVG_SIDE * y)}' for x, y in corners)}Z" for corners in outlines
    )
    drawn = f'<path class="b" d="{lines}"/><path d="{lines}"/>' if lines else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SVG_SIDE}" height="{SVG_SIDE}" '
        f'viewBox="0 0 {SVG_SIDE} {SVG_SIDE}" preserveAspectRatio="none"><style>{LINE}</style>'
        f'<image width="{SVG_SIDE}" height="{SVG_SIDE}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{png}"/>{drawn}</svg>'
    )


def coarse(heat: Float[np.ndarray, "n h w"]) -> Levels:
    """Heat on a grid of 16 x 16 patches, in 255 levels.

    Args:
        heat: of the patches of each image [N, H, W], from 0 to 1.

    Returns:
        The levels, of which 255 is a heat of 1.

    Example:
        >>> from base64 import b64decode
        >>> levels = coarse(np.array([[[0.2, 1.0], [0.0, 0.0]]]))
        >>> levels.side, max(b64decode(levels.base64))
        (16, 255)
    """
    size = (COARSE_SIDE, COARSE_SIDE)
    grids = np.stack(
        [np.asarray(Image.fromarray(h.astype(np.float32)).resize(size, Image.Resampling.BOX)) for h in heat]
    )
    return Levels(COARSE_SIDE, b64encode(np.round(255 * grids.clip(0, 1)).astype(np.uint8).tobytes()).decode())


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
