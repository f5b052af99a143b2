"""Reads image files of any common kind: as 8-bit RGB, or as masks of 0 and 1; an error names the file that is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image

from anomaly_clustering.data.decoding import Needed
from anomaly_clustering.data.opening import (
    MALFORMED,
    UnreadableImageError,
    check_form,
    opened,
    orientation,
    raw_mode,
    read_header,
)
from anomaly_clustering.data.walk import image_files

MIN_SIDE = 8
LOSSY = frozenset({".jpg", ".jpeg", ".jfif", ".webp"})
# Bits of a value in files of 16-bit images.
FULL_BITS = 16
FLOATS = "holds floating-point pixels; save it with 8 or 16 bits a channel"
# What brings an image upright, by EXIF's number of how it lies.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Where Pillow keeps how an image lies.
TELL_TURNS = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")


def read_image(path: Path, bits: int = FULL_BITS, needed: Needed | None = None) -> Image.Image:
    """Read the first frame of an image file as 8-bit RGB, turned upright by its EXIF tag.

    Of values of 16 bits the upper 8 of those that the camera filled are kept, by one scale for all files, so that
    brightness stays comparable. Where the image is transparent it shows white.

    Args:
        path: a PNG, JPEG, BMP, TIFF or WebP file.
        bits: of a value that the camera filled in a file of 16 bits, 8 to 16; files of 8 bits are read as they are.
        needed: tells how many of its pixels are needed, see `decode`; by default all.

    Returns:
        An image of mode RGB.

    Raises:
        UnreadableImageError: the file is missing, damaged, not to be read or no image, has fewer than 8 pixels a side
            or too many in all, holds floating-point pixels, or a value that takes more than `bits`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "deep.png"
        ...     Image.new("I;16", (16, 12), 4095).save(path)
        ...     image, dark = read_image(path, bits=12), read_image(path)
        >>> image.mode, image.size, image.getpixel((0, 0)), dark.getpixel((0, 0))
        ('RGB', (16, 12), (255, 255, 255), (15, 15, 15))
    """
    name = repr(str(path))
    image = decode(path, needed=needed)
    rgb = as_rgb(image, name, bits)
    if bits == FULL_BITS or not read_header(path).sixteen_bit_colours:
        return rgb
    scaled = Image.fromarray(_eight_bits(_sixteen_bit_colours(path, image), bits, name))
    if image.mode == "RGBA":
        scaled.putalpha(_upright(image).getchannel("A"))
    return as_rgb(scaled, name)


def highest_value(path: Path) -> int:
    """The highest value of an image of 16 bits.

    Args:
        path: of its file.

    Raises:
        UnreadableImageError: the file is missing, damaged or no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("I;16", (16, 12), 4095).save(Path(folder) / "deep.png")
        ...     highest_value(Path(folder) / "deep.png")
        4095
    """
    image = decode(path)
    if read_header(path).sixteen_bit_colours:
        return int(_sixteen_bit_colours(path, image).max())
    return int(np.asarray(image).max())


def _sixteen_bit_colours(path: Path, image: Image.Image) -> Integer[np.ndarray, "height width 3"]:
    """Pillow keeps the upper byte of a colour, and the lower one where the order of the two is told the other way."""
    upper, lower = (np.asarray(_upright(one)).astype(np.int64) for one in (image, decode(path, swap_bytes=True)))
    colours = upper[..., :3] * 256 + lower[..., :3]
    # What cannot be seen may have any value.
    return np.where(upper[..., 3:] == 0, 0, colours) if image.mode == "RGBA" else colours


def _eight_bits(values: Integer[np.ndarray, "..."], bits: int, name: str) -> UInt8[np.ndarray, "..."]:
    """The upper 8 of `bits` bits: each of 256 levels stands for as many values."""
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= 2**bits:
        raise UnreadableImageError(
            f"{name} holds the value {lowest if lowest < 0 else highest}, but {bits}-bit images are read here, with "
            f"values from 0 to {2**bits - 1}: give images of one camera, and its bits (--bits) where they are clustered"
        )
    return (values >> (bits - 8)).astype(np.uint8)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever Pillow finds wrong with an image that is already open is said by the image's name.

    Args:
        name: what an error message calls the image.

    Raises:
        UnreadableImageError: the image is damaged, closed, or of a kind that Pillow does not convert.

    Example:
        >>> with reading("one"):
        ...     Image.new("La", (8, 8)).convert("RGB")
        Traceback (most recent call last):
        anomaly_clustering.data.opening.UnreadableImageError: one cannot be read: conversion from La to ...
    """
    try:
        yield
    except UnreadableImageError:
        raise
    except (AssertionError, AttributeError):
        # What Pillow says where it has pixels still to read, and no file to read them from.
        raise UnreadableImageError(
            f"{name} cannot be read: its file is closed; load it before, or give a path"
        ) from None
    except (OSError, *MALFORMED) as error:
        raise UnreadableImageError(f"{name} cannot be read: {error}") from None


def as_rgb(image: Image.Image, name: str, bits: int = FULL_BITS) -> Image.Image:
    """Convert an image that is already open as `read_image` would.

    Args:
        image: an image of Pillow, of any mode.
        name: what an error message calls the image.
        bits: of a value, where the image has grey values of 16 bits.

    Returns:
        An image of mode RGB.

    Raises:
        UnreadableImageError: the image is damaged, closed, of a mode that Pillow does not convert, has fewer than 8
            pixels a side, floating-point pixels, or a value that takes more than `bits`.

    Example:
        >>> as_rgb(Image.new("RGBA", (8, 8), (250, 10, 20, 0)), "clear glass").getpixel((0, 0))
        (255, 255, 255)
    """
    with reading(name):
        image = _upright(image)
        if min(image.size) < MIN_SIDE:
            raise UnreadableImageError(
                f"{name} has {image.width}x{image.height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed"
            )
        if image.mode == "F":
            raise UnreadableImageError(f"{name} {FLOATS}")
        if image.mode.startswith("I"):
            image = Image.fromarray(_eight_bits(np.asarray(image).astype(np.int64), bits, name))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """`ImageOps.exif_transpose` writes EXIF anew, which fails on values that a camera wrote as another type."""
    image.load()
    turn = TURNS.get(orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    for told in TELL_TURNS:
        # It would be turned once more.
        turned.info.pop(told, None)
    return turned


def read_mask(path: Path, size: tuple[int, int]) -> Float[np.ndarray, "height width"]:
    """Read a mask: 1 where a pixel is marked, else 0.

    A mask of two levels marks by the brighter one, whatever it is: 1 beside 0, red beside black, a palette's second
    colour. Of more levels those above half of the full range mark, or, where there are none, all but the darkest, as
    where levels are numbers of types; 1 everywhere marks all. In formats that lose, whose noise could be a level, half
    of the range is always the limit. In files of 16 bits the range is that of the bits which the highest value needs,
    see `bits_for`. Where one colour is everywhere, and an alpha channel differs, the levels are those of that channel.

    Args:
        path: an image file, whose colours are turned into grey first; or a folder of some, where a pixel is marked that
            one of them marks.
        size: (width, height) of the image that the mask belongs to, in pixels.

    Returns:
        float32 [height, width] of 0 and 1. Noise that a lossy format left near black or white is gone.

    Raises:
        UnreadableImageError: the mask is missing or damaged, holds floating-point pixels, or its size is not `size`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mask = Image.new("L", (16, 12), 9)
        ...     mask.paste(250, (0, 0, 3, 4))
        ...     mask.save(Path(folder) / "mask.png")
        ...     print(read_mask(Path(folder) / "mask.png", (16, 12)).sum())
        12.0
    """
    if path.is_dir():
        parts = [read_mask(part, size) for part in image_files(path)]
        if not parts:
            raise UnreadableImageError(f"{str(path)!r} holds no masks")
        return np.maximum.reduce(parts)
    mask = _upright(decode(path))
    if mask.mode == "F":
        raise UnreadableImageError(f"mask {str(path)!r} {FLOATS}")
    if mask.size != size:
        raise UnreadableImageError(
            f"mask {str(path)!r} has {mask.width}x{mask.height} pixels, but its image {size[0]}x{size[1]}"
        )
    levels = _levels(mask)
    darkest, brightest = levels.min(), levels.max()
    lossless = path.suffix.lower() not in LOSSY
    if lossless and darkest == brightest == 1:
        return np.ones(levels.shape, np.float32)
    full = 2 ** (bits_for(int(brightest)) if mask.mode.startswith("I") else 8) - 1
    two_levels = darkest < brightest and bool(((levels == darkest) | (levels == brightest)).all())
    by_darkest = lossless and (two_levels or brightest <= full / 2)
    threshold = darkest if by_darkest else full / 2
    return (levels > threshold).astype(np.float32)


def _levels(mask: Image.Image) -> Integer[np.ndarray, "height width"]:
    """Of brightness, or, where that is the same everywhere, of the alpha channel if that is not."""
    levels = np.asarray(mask if mask.mode.startswith("I") else mask.convert("L"))
    if "A" in mask.getbands() and levels.min() == levels.max():
        alpha = np.asarray(mask.getchannel("A"))
        return levels if alpha.min() == alpha.max() else alpha
    return levels


def bits_for(value: int) -> int:
    """How many bits a camera has that gives a value: 8, 10, 12, 14 or 16.

    Args:
        value: the highest that was seen.

    Example:
        >>> bits_for(255), bits_for(4000), bits_for(65535)
        (8, 12, 16)
    """
    return next((bits for bits in (8, 10, 12, 14) if value < 2**bits), FULL_BITS)


def decode(path: Path, *, swap_bytes: bool = False, needed: Needed | None = None) -> Image.Image:
    """Read the first frame of an image file as it was saved: its mode, its values, not turned upright.

    Args:
        path: a PNG, JPEG, BMP, TIFF or WebP file.
        swap_bytes: of colours of 16 bits give the lower 8, in place of the upper ones.
        needed: tells how many pixels are needed, by the width and height of the file; of a JPEG file a half, a quarter
            or an eighth a side is then decoded, if that is as many or more. By default all pixels are.

    Returns:
        The image, loaded; the file is closed.

    Raises:
        UnreadableImageError: the file is missing, damaged, not to be read, too large or no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (16, 12)).save(Path(folder) / "grey.png")
        ...     print(decode(Path(folder) / "grey.png").mode)
        L
    """
    with opened(path) as image:
        check_form(image, repr(str(path)))
        grey_with_alpha = raw_mode(image).startswith("LA;16")
        if swap_bytes:
            image.tile = [_swapped(tile) for tile in image.tile]  # type: ignore[attr-defined]
        if needed is not None:
            width, height = needed(*image.size)
            image.draft(None, (max(width, MIN_SIDE), max(height, MIN_SIDE)))
        image.load()
        if image.mode == "LAB":
            raise UnreadableImageError(f"{str(path)!r} has the colours of LAB, which are not read; save it as RGB")
        if swap_bytes and grey_with_alpha:
            _, lower, alpha, _ = image.split()
            return Image.merge("RGBA", (lower, lower, lower, alpha))
        return image


def _swapped(tile: tuple) -> tuple:
    """A part of an image, whose values of 16 bits are read with their bytes in the other order."""
    raw, *rest = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    native = {"little": "B", "big": "L"}[sys.byteorder]
    # Pillow has no other order of grey with alpha: there the two bytes of both are read as if they were four colours.
    other = "RGBA" if raw.startswith("LA") else raw[:-1] + {"L": "B", "B": "L", "N": native}[raw[-1]]
    swapped = (*tile[:3], (other, *rest) if isinstance(tile[3], tuple) else other)
    # From version 11 on Pillow's parts have names.
    return tile._make(swapped) if hasattr(tile, "_make") else swapped
