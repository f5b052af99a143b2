"""Reads image files of any common kind: as 8-bit RGB, or as masks of 0 and 1; an error names the file that is wrong."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from anomaly_clustering.files import is_marked

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp"})
MIN_SIDE = 8
LOSSY = frozenset({".jpg", ".jpeg", ".jfif", ".webp"})
# Thumbnails of network drives, deleted files, what archives of macOS bring along.
SYSTEM_FOLDERS = frozenset({"@eadir", "#recycle", "$recycle.bin", "system volume information", "__macosx"})
# EXIF's orientations of images that lie on their side.
SIDEWAYS = (5, 6, 7, 8)


class UnreadableImageError(ValueError):
    """A file cannot be used as an image; the message names the file and says why.

    Example:
        >>> try:
        ...     read_image(Path("absent.png"))
        ... except UnreadableImageError as error:
        ...     print(error)
        'absent.png' does not exist
    """


def image_files(folder: Path, extensions: Collection[str] = EXTENSIONS) -> list[Path]:
    """List all image files below a folder, also through links, sorted by path.

    Args:
        folder: where to look; hidden files and folders in it are passed over.
        extensions: lower-case endings of the files to list; capitals in a file's name do not matter.

    Returns:
        Paths that begin with `folder`, in the same order on every file system.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     print([path.name for path in image_files(Path(folder))])
        ['a.jpg', 'b.PNG']
    """
    return [path for path in files_below(folder) if path.suffix.lower() in extensions]


def files_below(folder: Path) -> list[Path]:
    """List all files below a folder, of whatever kind, also through links, each once and sorted by path.

    Args:
        folder: where to look. Hidden files and folders in it are passed over, and so are folders with thumbnails,
            deleted files or what this program wrote, see `why_left_out`. A file that can also be reached by a link is
            listed under its own path.

    Returns:
        Paths that begin with `folder`, in the same order on every file system.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.jpg", ".hidden.png", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     (Path(folder) / "latest").symlink_to(folder)
        ...     print([path.name for path in files_below(Path(folder))])
        ['a.jpg', 'notes.txt']
    """
    found: dict[Path, Path] = {}  # By where the file really is.
    links: list[Path] = []
    seen: set[Path] = set()
    # What is reached by a link waits until all else is known; a link may lead to a folder that is there anyway.
    waiting = [folder]
    while waiting:
        start = waiting.pop(0)
        for place, folders, names in os.walk(start):
            here = Path(place)
            real = here.resolve()
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            shown = sorted(name for name in folders if not name.startswith(".") and not why_left_out(here / name))
            waiting += [here / name for name in shown if (here / name).is_symlink()]
            folders[:] = [name for name in shown if not (here / name).is_symlink()]
            files = [here / name for name in sorted(names) if not name.startswith(".")]
            links += [file for file in files if file.is_symlink()]
            for file in files:
                if not file.is_symlink():
                    found.setdefault(real / file.name, file)
    for link in sorted(links):
        found.setdefault(link.resolve(), link)
    return sorted(path for path in found.values() if path.is_file())


def folders_left_out(folder: Path) -> dict[Path, str]:
    """Find the folders below a folder that `files_below` passes over although they are not hidden.

    Args:
        folder: where to look; links are not followed.

    Returns:
        Why each is left out, by path, sorted.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "scratch" / "@eaDir").mkdir(parents=True)
        ...     list(folders_left_out(Path(folder)).values())
        ['where systems keep thumbnails and deleted files']
    """
    found: dict[Path, str] = {}
    for place, folders, _ in os.walk(folder):
        reasons = {name: why_left_out(Path(place) / name) for name in folders if not name.startswith(".")}
        found |= {Path(place) / name: reason for name, reason in reasons.items() if reason}
        folders[:] = [name for name, reason in reasons.items() if not reason]
    return dict(sorted(found.items()))


def why_left_out(folder: Path) -> str:
    """Why the files in a folder are no photographs; empty where they may be some.

    Args:
        folder: below the one that the user gave.

    Example:
        >>> why_left_out(Path("photos/__MACOSX")), why_left_out(Path("photos/scratch"))
        ('where systems keep thumbnails and deleted files', '')
    """
    if folder.name.lower() in SYSTEM_FOLDERS:
        return "where systems keep thumbnails and deleted files"
    return "which this program wrote" if is_marked(folder) else ""


def read_image(path: Path) -> Image.Image:
    """Read the first frame of an image file as 8-bit RGB, turned upright by its EXIF tag.

    16-bit grey is scaled by its full range, so that brightness stays comparable from file to file. Where the image is
    transparent it shows white.

    Args:
        path: an image file of any kind that Pillow reads.

    Returns:
        An image of mode RGB.

    Raises:
        UnreadableImageError: the file is missing, damaged or no image, has fewer than 8 pixels a side, or holds
            floating-point pixels.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "deep.png"
        ...     Image.new("I;16", (16, 12), 65535).save(path)
        ...     image = read_image(path)
        >>> image.mode, image.size, image.getpixel((0, 0))
        ('RGB', (16, 12), (255, 255, 255))
    """
    return as_rgb(decode(path), repr(str(path)))


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
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadableImageError(f"{str(path)!r} is not an image that can be read: {error}") from None
    return (height, width) if turned else (width, height)


def as_rgb(image: Image.Image, name: str) -> Image.Image:
    """Convert an image that is already open as `read_image` would.

    Args:
        image: an image of Pillow, of any mode.
        name: what an error message calls the image.

    Returns:
        An image of mode RGB.

    Raises:
        UnreadableImageError: the image has fewer than 8 pixels a side, or floating-point pixels.

    Example:
        >>> as_rgb(Image.new("RGBA", (8, 8), (250, 10, 20, 0)), "clear glass").getpixel((0, 0))
        (255, 255, 255)
    """
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
    """Read a mask: 1 where a pixel is marked, else 0.

    A mask of two levels marks by the brighter one, whatever it is: 1 beside 0, red beside black, a palette's second
    colour. Of more levels those above half of the full range mark, and so it is in formats that lose, whose noise could
    be a second level.

    Args:
        path: an image file; colours are turned into grey first.
        size: (width, height) of the image that the mask belongs to, in pixels.

    Returns:
        float32 [height, width] of 0 and 1. Noise that a lossy format left near black or white is gone.

    Raises:
        UnreadableImageError: the mask is missing or damaged, or its size is not `size`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mask = Image.new("L", (16, 12), 9)
        ...     mask.paste(250, (0, 0, 3, 4))
        ...     mask.save(Path(folder) / "mask.png")
        ...     print(read_mask(Path(folder) / "mask.png", (16, 12)).sum())
        12.0
    """
    mask = ImageOps.exif_transpose(decode(path))
    if mask.size != size:
        raise UnreadableImageError(
            f"mask {str(path)!r} has {mask.width}x{mask.height} pixels, but its image {size[0]}x{size[1]}"
        )
    full = 65535 if mask.mode.startswith("I") else 255
    levels = np.asarray(mask if mask.mode.startswith("I") else mask.convert("L"))
    darkest, brightest = levels.min(), levels.max()
    two_levels = darkest < brightest and bool(((levels == darkest) | (levels == brightest)).all())
    threshold = darkest if two_levels and path.suffix.lower() not in LOSSY else full / 2
    return (levels > threshold).astype(np.float32)


def decode(path: Path) -> Image.Image:
    """Read the first frame of an image file as it was saved: its mode, its values, not turned upright.

    Args:
        path: an image file of any kind that Pillow reads.

    Returns:
        The image, loaded; the file is closed.

    Raises:
        UnreadableImageError: the file is missing, damaged or no image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (16, 12)).save(Path(folder) / "grey.png")
        ...     print(decode(Path(folder) / "grey.png").mode)
        L
    """
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
