"""A folder of anomaly maps that any other detector wrote in; the map of each image, and its values, out.

A map is a PNG of 8 or 16 bits, a TIFF (of floats too) or a NPY file of one channel. It covers its whole image, in any
resolution; higher means more anomalous, on any scale.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from anomaly_clustering.data.images import UnreadableImageError, decode, image_files

EXTENSIONS = frozenset({".npy", ".png", ".tif", ".tiff"})


def match_maps(images: Sequence[Path], folder: Path) -> list[Path]:
    """The map of each image: the file below `folder` whose path ends most like that of the image.

    Extensions aside, the tail that the paths have in common must tell the image from all the others: its name where all
    names differ, else the folders before it too. So flat folders fit as well as those that mirror the images:

        CATEGORY/test/TYPE/000.tiff                                         MVTec AD's evaluation
        results/MODEL/DATASET/CATEGORY/run/images/TYPE/000.png              anomalib 0
        results/MODEL/DATASET/CATEGORY/latest/images/test/TYPE/000.png      anomalib 1 and 2

    Raises:
        FileNotFoundError: the folder is missing, or an image has no map.
        ValueError: the folder holds no maps, or several fit an image alike.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is not a folder of anomaly maps")
    # The same file may be there twice: anomalib's 'latest' is a link to the last run.
    files = {path.resolve(): path for path in image_files(folder, EXTENSIONS)}.values()
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
    """The name without its extension, the folder and the name, and so on up to the whole path."""
    parts = path.absolute().with_suffix("").parts
    return [parts[start:] for start in reversed(range(len(parts)))]


def read_map(path: Path) -> Float[np.ndarray, "height width"]:
    """The values of an anomaly map, as they were written.

    Raises:
        UnreadableImageError: the file is damaged, holds colours or anything else that is not one map, or a value that
            is NaN or infinite.
    """
    values = _load(path) if path.suffix.lower() == ".npy" else _pixels(path)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableImageError(f"anomaly map {str(path)!r} holds values that are NaN or infinite")
    return values


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableImageError(f"anomaly map {str(path)!r} cannot be read: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise UnreadableImageError(f"anomaly map {str(path)!r} is not an array of real numbers")
    height, width = array.shape[-2:] if array.ndim >= 2 else (0, 0)
    if array.size == 0 or array.size != height * width:
        raise UnreadableImageError(f"anomaly map {str(path)!r} must be of shape [H, W] or [1, H, W], got {array.shape}")
    return array.reshape(height, width)


def _pixels(path: Path) -> np.ndarray:
    image = decode(path)
    if image.mode not in ("1", "L", "F") and not image.mode.startswith("I"):
        raise UnreadableImageError(
            f"anomaly map {str(path)!r} is a picture in colours ({image.mode}), and colours are not scores; save the "
            "values themselves with one channel, as .npy, .tif or .png"
        )
    return np.asarray(image)
