"""Image files of any common kind in; RGB images and masks out, or an error that names the file."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp"})
MIN_SIDE = 8


class UnreadableImageError(ValueError):
    """A file that cannot be used as an image; the message names it and says why."""


def image_files(folder: Path, extensions: Collection[str] = EXTENSIONS) -> list[Path]:
    """All image files below a folder, also through links, in an order that does not depend on the file system.

    Hidden files and folders are left out.
    """
    return [path for path in files_below(folder) if path.suffix.lower() in extensions]


def files_below(folder: Path) -> list[Path]:
    """As `image_files`, of any kind."""
    found: list[Path] = []
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place)
        # A link may lead back to where it is.
        folders[:] = [name for name in folders if not name.startswith(".") and (here / name).resolve() not in seen]
        seen |= {(here / name).resolve() for name in folders}
        found += [here / name for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def read_image(path: Path) -> Image.Image:
    """The first frame of an image file as 8-bit RGB, turned upright by its EXIF tag.

    16-bit grey is scaled by its full range, so brightness stays comparable from file to file; transparent pixels show
    white.

    Raises:
        UnreadableImageError: no image, damaged, of fewer than 8 pixels a side, or of floating-point pixels.
    """
    return as_rgb(decode(path), repr(str(path)))


def as_rgb(image: Image.Image, name: str) -> Image.Image:
    """An image of Pillow as `read_image` gives it; `name` is for the error message."""
    image = ImageOps.exif_transpose(image)
    if min(image.size) < MIN_SIDE:
        raise UnreadableImageError(
            f"{name} has {image.width}x{image.height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed"
        )
    if image.mode == "F":
        raise UnreadableImageError(f"{name} holds floating-point pixels; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, dtype=np.float64) / 257, 0, 255)
        image = Image.fromarray(np.rint(grey).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def read_mask(path: Path, size: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """1 where the mask of an image of `size` (width, height) is set, that is brighter than half, else 0.

    Raises:
        UnreadableImageError: the mask is damaged, or its size is not that of its image.
    """
    mask = ImageOps.exif_transpose(decode(path))
    if mask.size != size:
        raise UnreadableImageError(
            f"mask {str(path)!r} has {mask.width}x{mask.height} pixels, but its image {size[0]}x{size[1]}"
        )
    full = 65535 if mask.mode.startswith("I") else 255
    levels = np.asarray(mask if mask.mode.startswith("I") else mask.convert("L"))
    return (levels > full / 2).astype(np.float32)


def decode(path: Path) -> Image.Image:
    """The first frame of an image file as it was saved, or an `UnreadableImageError`."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except UnidentifiedImageError:
        raise UnreadableImageError(f"{str(path)!r} is not an image that can be read") from None
    except FileNotFoundError:
        raise UnreadableImageError(f"{str(path)!r} does not exist") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"{str(path)!r} is damaged: {error}") from None
