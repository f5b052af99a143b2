"""Images, and heat maps over them, in; pictures of many images at a glance out: contact sheets and overlays."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from anomaly_clustering.report.palette import coloured

FRAME = 0.04  # of the side of an image


def overlay(image: Image.Image, heat: Float[np.ndarray, "h w"]) -> Image.Image:
    """The image with its heat map over it, as in the report: what is usual is left as it is.

    Args:
        image: in any mode and size.
        heat: of its patches [H, W], from 0 (usual) to 1.

    Returns:
        An RGB image of the same size.

    Example:
        >>> grey, heat = Image.new("L", (2, 2), 128), np.array([[0.0, 0.0], [0.0, 1.0]])
        >>> overlay(grey, heat).getpixel((0, 0)), overlay(grey, heat).getpixel((1, 1))
        ((128, 128, 128), (230, 228, 118))
    """
    large = Image.fromarray(heat.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    rgba = coloured(np.clip(np.asarray(large), 0, 1))
    colours, opacity = rgba[..., :3] * 255, rgba[..., 3:]
    blended = np.asarray(image.convert("RGB")) * (1 - opacity) + colours * opacity
    return Image.fromarray(np.round(blended).astype(np.uint8))


def contact_sheet(
    images: Sequence[Image.Image], *, columns: int, side: int = 96, frames: Sequence[str | None] | None = None
) -> Image.Image:
    """Images in rows, each scaled to fit a square.

    Args:
        images: in any mode and size.
        columns: images in a row.
        side: of the square in pixels.
        frames: for each image the colour of a frame around it, or None.

    Returns:
        One RGB image, white where no image is.

    Example:
        >>> contact_sheet([Image.new("L", (8, 8))] * 3, columns=2, side=10).size
        (20, 20)
    """
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for position, image in enumerate(images):
        colour = frames[position] if frames else None
        width = max(2, round(FRAME * side))
        tile = ImageOps.pad(image.convert("RGB"), (side - 2 * width, side - 2 * width), color="white")
        tile = ImageOps.expand(tile, width, colour or "white")
        sheet.paste(tile, (position % columns * side, position // columns * side))
    return sheet
