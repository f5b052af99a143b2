"""Finds and reads the anomaly maps that another detector wrote, one for each image.

A map is a PNG of 8 or 16 bits, a TIFF (of floats too) or a NPY file of one channel. It covers its whole image, in any
resolution; higher means more anomalous, on any scale.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from anomaly_clustering.data.images import decode
from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.data.walk import image_files
from anomaly_clustering.system.files import real_path

EXTENSIONS = frozenset({".npy", ".png", ".tif", ".tiff"})

# As of an image.
MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**27)


class UnreadableMapError(ValueError):
    """A file cannot be used as an anomaly map; the message names the file and says why."""


def match_maps(images: Sequence[Path], folder: Path) -> list[Path]:
    """Find the map of each image: the file below a folder whose path ends most like the path of the image.

    Both paths are compared from their ends, without extensions. What they have in common must tell the image from all
    the others: the name of the file where all names differ, else the folders before it too. So flat folders fit as well
    as those that mirror the images:

        CATEGORY/test/TYPE/000.tiff                                         MVTec AD's evaluation
        results/MODEL/DATASET/CATEGORY/run/images/TYPE/000.png              anomalib 0
        results/MODEL/DATASET/CATEGORY/latest/images/test/TYPE/000.png      anomalib 1 and 2

    Args:
        images: the images to cluster.
        folder: holds the maps, one for each image, as files of the kinds above; others may lie beside them.

    Returns:
        The maps in the order of the images.

    Raises:
        FileNotFoundError: the folder is missing, or an image has no map.
        ValueError: the folder holds no maps, or several fit an image alike.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("good_0.npy", "crack_0.npy"):
        ...         (Path(folder) / name).touch()
        ...     maps = match_maps([Path("photos/crack/crack_0.png"), Path("photos/good/good_0.png")], Path(folder))
        >>> [path.name for path in maps]
        ['crack_0.npy', 'good_0.npy']
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is not a folder of anomaly maps")
    # The same file may be there twice: anomalib's 'latest' is a link to the last run.
    files = {real_path(path): path for path in image_files(folder, EXTENSIONS)}.values()
    if not files:
        raise ValueError(f"{str(folder)!r} holds no anomaly maps ({', '.join(sorted(EXTENSIONS))})")
    ending_in: defaultdict[tuple[str, ...], list[Path]] = defaultdict(list)
    for file in files:
        for tail in _tails(file):
            ending_in[tail].append(file)
    images_ending_in = Counter(tail for image in images for tail in _tails(image))
    matched = []
    for image in images:
        telling = [tail for tail in _tails(image) if images_ending_in[tail] == 1]
        if not telling:
            raise ValueError(f"another image differs from {str(image)!r} in its extension only; rename one of them")
        fitting = [ending_in[tail] for tail in telling if tail in ending_in]
        if not fitting:
            raise FileNotFoundError(
                f"the anomaly map of {str(image)!r} is missing: no file in {str(folder)!r} ends in "
                f"{'/'.join(telling[0])!r} ({', '.join(sorted(EXTENSIONS))})"
            )
        longest = fitting[-1]
        if len(longest) > 1:
            raise ValueError(
                f"{len(longest)} anomaly maps fit {str(image)!r} alike, such as {str(longest[0])!r} and "
                f"{str(longest[1])!r}; give the folder of one category and run"
            )
        matched.append(longest[0])
    return matched


def _tails(path: Path) -> list[tuple[str, ...]]:
    """List all ends of a path without its extension, from the name alone up to the whole path."""
    parts = path.absolute().with_suffix("").parts
    return [parts[start:] for start in reversed(range(len(parts)))]


def read_map(path: Path) -> Float[np.ndarray, "height width"]:
    """Read the values of an anomaly map as they were written.

    Args:
        path: a NPY file of shape [H, W] or [1, H, W], or a PNG or TIFF of one channel.

    Returns:
        float32 [H, W], on the detector's own scale; higher is more anomalous.

    Raises:
        UnreadableMapError: the file is damaged, holds colours or anything else that is not one map, or a value that
            is NaN or infinite.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/0.npy", [[[0.5, 2.0]]])
        ...     print(read_map(Path(folder) / "0.npy"))
        [[0.5 2. ]]
    """
    values = _load(path) if path.suffix.lower() == ".npy" else _pixels(path)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableMapError(f"anomaly map {str(path)!r} holds values that are NaN or infinite")
    return values


def _load(path: Path) -> np.ndarray:
    try:
        # Not into memory yet: the file may say that it holds far more than it does.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # The header is read by Python's own parser, which fails in any way.
        raise UnreadableMapError(f"anomaly map {str(path)!r} cannot be read: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise UnreadableMapError(f"anomaly map {str(path)!r} is not an array of real numbers")
    height, width = array.shape[-2:] if array.ndim >= 2 else (0, 0)
    if array.size == 0 or array.size != height * width:
        raise UnreadableMapError(f"anomaly map {str(path)!r} must be of shape [H, W] or [1, H, W], got {array.shape}")
    if array.size > MOST_PIXELS:
        raise UnreadableMapError(
            f"anomaly map {str(path)!r} has {array.size / 1e6:.0f} megapixels, more than the {MOST_PIXELS / 1e6:.0f} "
            "that are read; scale it down"
        )
    return array.reshape(height, width)


def _pixels(path: Path) -> np.ndarray:
    try:
        image = decode(path)
    except UnreadableImageError as error:
        raise UnreadableMapError(f"anomaly map {error}") from None
    if image.mode not in ("1", "L", "F") and not image.mode.startswith("I"):
        raise UnreadableMapError(
            f"anomaly map {str(path)!r} is a picture in colours ({image.mode}), and colours are not scores; save the "
            "values themselves with one channel, as .npy, .tif or .png"
        )
    return np.asarray(image)
