"""A file in; it, opened as an image of one of the promised kinds and no other, or what is wrong with it, out."""

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

# What Pillow may take a file for, whatever its name: among all others are formats that start programs (PostScript).
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp"})
# Of a TIFF pages are counted no further; only the first one is read.
MOST_PAGES = 1000
# EXIF's orientations of images that lie on their side.
SIDEWAYS = (5, 6, 7, 8)
# What Pillow raises, besides OSError, where a file or its EXIF is not as it should be.
MALFORMED = (SyntaxError, ValueError, TypeError, LookupError, struct.error)
# How Pillow calls colours of 16 bits, of which it keeps the upper 8: grey ones too, where there is an alpha channel.
COLOURS_OF_16_BITS = re.compile(r"(RGBA?|RGBX|LA);16[BLN]")
# Tags of TIFF: what the values mean, and whether all of one colour stand before those of the next.
MEANING, PLANES = ExifTags.Base.PhotometricInterpretation, ExifTags.Base.PlanarConfiguration
# How images begin, for messages: those that are read, and others.
PROMISED = frozenset({"a PNG image", "a JPEG image", "a BMP image", "a TIFF image", "a WebP image"})
BEGINNINGS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"II+\0": "a TIFF image",
    b"MM\0+": "a TIFF image",
    b"GIF8": "a GIF image",
    b"%!PS": "PostScript",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"8BPS": "a Photoshop image",
    b"<svg": "an SVG drawing",
}
# Pillow warns from half of the limit on, and at it we say what is wrong. Filters of the user's program come first.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, append=True)


class UnreadableImageError(ValueError):
    """A file cannot be used as an image; the message names the file and says why.

    Example:
        >>> try:
        ...     read_header(Path("absent.png"))
        ... except UnreadableImageError as error:
        ...     print(error)
        'absent.png' does not exist
    """


class Header(NamedTuple):
    """What a file says of its image before its pixels are read.

    Attributes:
        pixels: how many.
        bands: values of a pixel.
        pages: how many images the file holds, of which the first is read; of a TIFF counted up to 1001.
        sixteen_bits: whether values have more than 8 bits.
        sixteen_bit_colours: whether they are red, green and blue, or grey with an alpha channel.
        kind: the format, as Pillow calls it.
    """

    pixels: int
    bands: int
    pages: int
    sixteen_bits: bool
    sixteen_bit_colours: bool
    kind: str


def read_header(path: Path) -> Header:
    """Read what a file says of its image before its pixels.

    Args:
        path: an image file.

    Raises:
        UnreadableImageError: the file is missing, damaged or no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pages = [Image.new("I;16", (16, 12)) for _ in range(6)]
        ...     pages[0].save(Path(folder) / "a.tif", save_all=True, append_images=pages[1:])
        ...     header = read_header(Path(folder) / "a.tif")
        >>> header.pages, header.sixteen_bits, header.sixteen_bit_colours
        (6, True, False)
    """
    with opened(path) as image:
        colours = bool(COLOURS_OF_16_BITS.fullmatch(raw_mode(image)))
        header = Header(
            pixels=image.width * image.height,
            bands=len(image.getbands()),
            pages=1,
            sixteen_bits=colours or image.mode.startswith("I"),
            sixteen_bit_colours=colours,
            kind=image.format or "",
        )
        # Last, since it turns to other pages.
        return header._replace(pages=_pages(image))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image in pixels, upright as `read_image` gives it, without reading its pixels.

    Args:
        path: an image file.

    Returns:
        Width and height.

    Raises:
        UnreadableImageError: no image.

    Example:
        >>> import tempfile
        >>> exif = Image.Exif()
        >>> exif[ExifTags.Base.Orientation] = 6  # turn it by 90 degrees to see it upright
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (20, 10)).save(Path(folder) / "a.jpg", exif=exif)
        ...     image_size(Path(folder) / "a.jpg")
        (10, 20)
    """
    with opened(path) as image:
        # Newer Pillow gives that of a TIFF as if it were turned already.
        tags = getattr(image, "tag_v2", {})
        width = tags.get(ExifTags.Base.ImageWidth, image.width)
        height = tags.get(ExifTags.Base.ImageLength, image.height)
        return (height, width) if orientation(image) in SIDEWAYS else (width, height)


def orientation(image: Image.Image) -> int:
    """How an image lies, by its EXIF.

    Args:
        image: as it was opened or loaded.

    Returns:
        1 to 8, as EXIF numbers them; 1, upright, where it tells none, or none that can be read: cameras and programs
        write EXIF that is malformed beside pixels that are sound.

    Example:
        >>> orientation(Image.new("L", (20, 10)))
        1
    """
    try:
        told = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MALFORMED:
        return 1
    return int(told) if told in range(1, 9) else 1


def small_jpeg(data: bytes, most: int) -> Image.Image | None:
    """A picture that this program has made, from where it was kept.

    Args:
        data: the bytes of a JPEG file.
        most: pixels that it may have a side; a larger one is not decoded.

    Returns:
        It in RGB; None for what is damaged, larger or none.

    Example:
        >>> buffer = BytesIO()
        >>> Image.new("L", (20, 10)).save(buffer, "JPEG")
        >>> small_jpeg(buffer.getvalue(), 20).size, small_jpeg(buffer.getvalue(), 10), small_jpeg(b"", 10)
        ((20, 10), None, None)
    """
    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as image:
            return image.convert("RGB") if max(image.size) <= most else None
    except (OSError, *MALFORMED, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, open; what goes wrong with it is said by its name."""
    name = repr(str(path))
    try:
        # By its path Pillow would map a TIFF into memory, and garble one of grey that lies on its side.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            yield image
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        kind = looks_like(path)
        if kind in PROMISED:
            raise UnreadableImageError(f"{name} is damaged: it begins as {kind}, but holds none") from None
        found = f": by its content it is {kind}; save it as PNG" if kind else ""
        raise UnreadableImageError(f"{name} is not an image that can be read{found}") from None
    except FileNotFoundError:
        raise UnreadableImageError(f"{name} does not exist") from None
    except (IsADirectoryError, PermissionError):
        if path.is_dir():  # Windows says of one that it may not be read.
            raise UnreadableImageError(f"{name} is a folder, where an image is read: name the images in it") from None
        raise UnreadableImageError(f"{name} may not be read: you lack the permission") from None
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        size = f"{int(pixels[1]) / 1e6:.0f} megapixels" if pixels else "too many pixels"
        raise UnreadableImageError(
            f"{name} has {size}, more than the {most} megapixels that are read; scale it down, or cut it into tiles "
            "and cluster these"
        ) from None
    except Image.DecompressionBombWarning:
        most = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UnreadableImageError(
            f"{name} has more than {most} megapixels, which this program refuses by its filter of Pillow's "
            "DecompressionBombWarning; scale it down, or let these images pass"
        ) from None
    except (OSError, *MALFORMED) as error:
        raise UnreadableImageError(f"{name} is damaged: {error}") from None


def looks_like(path: Path) -> str:
    """What kind of image a file is by its first bytes, whatever it is called; empty where it is none that we know.

    Args:
        path: a file that is there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (16, 12)).save(Path(folder) / "grey", "GIF")
        ...     looks_like(Path(folder) / "grey")
        'a GIF image'
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return ""
    if start[4:8] == b"ftyp":
        return {b"heic": "a HEIC image", b"mif1": "a HEIC image", b"avif": "an AVIF image"}.get(start[8:12], "")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP image"
    # Two letters may begin a text, and four bytes of such a file are not in use.
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "a BMP image"
    return next((kind for beginning, kind in BEGINNINGS.items() if start.startswith(beginning)), "")


def _pages(image: Image.Image) -> int:
    """How many, up to a limit, where they have to be looked for one by one."""
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1)
    page = 0
    # A page that cannot be read is not looked at in any case.
    with suppress(EOFError, OSError, *MALFORMED):
        while page < MOST_PAGES:
            page += 1
            image.seek(page)
        page += 1
    return page


def check_form(image: Image.Image, name: str) -> None:
    """Check that values of 16 bits do not lie in a file in a form that Pillow reads amiss.

    Args:
        image: open, and not loaded yet.
        name: what an error message calls it.

    Raises:
        UnreadableImageError: they do.

    Example:
        >>> check_form(Image.new("L", (16, 12)), "one")
    """
    tags = getattr(image, "tag_v2", {})
    if max(tags.get(ExifTags.Base.BitsPerSample, (8,))) <= 8:
        return
    if raw_mode(image).startswith("RGBa"):
        raise UnreadableImageError(
            f"{name} has colours of 16 bits that are multiplied by its alpha channel; save it without that channel"
        )
    if image.mode.startswith("RGB") and tags.get(PLANES) == 2:
        raise UnreadableImageError(
            f"{name} has colours of 16 bits in one plane for each (PlanarConfiguration 2); save it with 1, or as PNG"
        )
    if image.mode.startswith("I") and tags.get(MEANING) == 0:
        raise UnreadableImageError(
            f"{name} has grey values of more than 8 bits of which 0 is white (WhiteIsZero); save it with 0 as black"
        )


def raw_mode(image: Image.Image) -> str:
    """How the values lie in the file, as Pillow calls it.

    Args:
        image: open, and not loaded yet.

    Returns:
        Such as 'RGB;16B'; empty for what is loaded.

    Example:
        >>> raw_mode(Image.new("L", (16, 12)))
        ''
    """
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) else ""
