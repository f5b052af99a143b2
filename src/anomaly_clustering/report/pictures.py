"""An image -> its thumbnail, the heat of its patches -> its heat map, as a page holds them in itself."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from anomaly_clustering.report.palette import COLOURS, LEVELS

# What the network sees by default, so a lens shows as much as it had.
THUMBNAIL_SIDE = 256
# Rows and columns of the heat from which the page draws the mean of a cluster; of more images than FEW they are half.
COARSE_SIDE, FEW = 16, 5_000
# Units of an SVG, of which its lines are whole numbers, and how these look: light with a dark rim, on any product.
SVG_SIDE = 1000
LINE = (
    "path{fill:none;stroke:#fff;stroke-width:5;stroke-linejoin:round}.b{stroke:#000;stroke-opacity:.6;stroke-width:11}"
)

# Corners of a region, each from 0 (left, top) to 1 (right, bottom).
Outline = Sequence[tuple[float, float]]


class Shown(NamedTuple):
    """A photograph and its heat map, as the page shows them.

    Attributes:
        photo: address of the thumbnail, or of the sheet that it is in.
        heat: address of the heat map, or of the sheet that it is in.
        ratio: width of the image over its height.
        cell: column and row in the sheets; None where the addresses are of the pictures alone.

    Example:
        >>> Shown("thumbnails/0.jpg", "thumbnails/0.svg", 1.5, (7, 0)).ratio
        1.5
    """

    photo: str
    heat: str
    ratio: float
    cell: tuple[int, int] | None = None


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


def in_page(image: Image.Image, heat: Float[np.ndarray, "h w"], outlines: Sequence[Outline] = ()) -> Shown:
    """The pictures of an image, each of them as an address that holds it.

    Args:
        image: in any mode and size.
        heat: of its patches [H, W], from 0 (usual) to 1.
        outlines: corners of each region in which it shows a defect.

    Example:
        >>> in_page(Image.new("RGB", (512, 256)), np.zeros((2, 2))).heat[:22]
        'data:image/png;base64,'
    """
    small = thumbnail(image)
    photo = _address("jpeg", encoded(small, "JPEG"))
    if outlines:
        drawn = _address("svg+xml", outlined(heat, outlines).encode())
    else:
        drawn = _address("png", encoded(heat_map(heat), "PNG"))
    return Shown(photo, drawn, small.width / small.height)


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


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
    image = Image.fromarray(np.round(heat * (LEVELS - 1)).astype(np.uint8))
    image.putpalette(np.round(COLOURS * 255).astype(np.uint8).tobytes(), "RGBA")
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
    drawn = lined([(corners, (0.0, 0.0)) for corners in outlines])
    return svg(heat_map(heat), (float(SVG_SIDE), float(SVG_SIDE)), drawn)


def lined(outlines: Sequence[tuple[Outline, tuple[float, float]]]) -> str:
    """Lines around regions, for an SVG: light ones with a dark rim.

    Args:
        outlines: corners of each, from 0 to 1 of its image, and where this begins in the SVG (left, top).

    Example:
        >>> lined([])
        ''
    """
    lines = "".join(
        f"M{'L'.join(f'{round(left + SVG_SIDE * x)} {round(top + SVG_SIDE * y)}' for x, y in corners)}Z"
        for corners, (left, top) in outlines
    )
    return f'<path class="b" d="{lines}"/><path d="{lines}"/>' if lines else ""


def svg(image: Image.Image, size: tuple[float, float], drawn: str) -> str:
    """A picture with something drawn over it, as an SVG that is stretched to whatever box it is put into.

    Args:
        image: stretched over all of it.
        size: its width and height in units of an SVG.
        drawn: elements of the SVG.

    Example:
        >>> svg(Image.new("L", (1, 1)), (10.0, 5.0), "")[:49]
        '<svg xmlns="http://www.w3.org/2000/svg" width="10'
    """
    width, height = (f"{side:.7g}" for side in size)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"><style>{LINE}</style>'
        f'<image width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="{_address("png", encoded(image, "PNG"))}"/>{drawn}</svg>'
    )


def coarse(heat: Float[np.ndarray, "n h w"]) -> Levels:
    """Heat on a grid of 16 x 16 patches, in 255 levels; of more than 5,000 images on one of 8 x 8.

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
    side = COARSE_SIDE if len(heat) <= FEW else COARSE_SIDE // 2
    grids = np.empty((len(heat), side, side), dtype=np.uint8)
    for grid, one in zip(grids, heat, strict=True):
        small = Image.fromarray(one.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
        grid[:] = np.round(255 * np.asarray(small).clip(0, 1))
    return Levels(side, b64encode(grids.tobytes()).decode())


def encoded(image: Image.Image, kind: Literal["JPEG", "PNG"]) -> bytes:
    """The bytes of a file of a picture.

    Args:
        image: to encode.
        kind: of file.

    Example:
        >>> encoded(Image.new("L", (1, 1)), "PNG")[1:4]
        b'PNG'
    """
    buffer = BytesIO()
    image.save(buffer, kind, optimize=True, quality=80)  # PNG has no quality and ignores it.
    return buffer.getvalue()
