"""A path that somebody wrote, and images, in; those that it can be of, and how far its folders agree, out."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from anomaly_clustering.data.common_folders import common_folders

Parts = tuple[str, ...]


class Fit(NamedTuple):
    """Images that a path can be of.

    Attributes:
        images: none, one, or several that it fits equally well.
        agreement: how many folders are called alike in both, going up from the image folder; -1 where there is no
            image, and more than any path has where the two contradict each other nowhere.
    """

    images: Sequence[Path]
    agreement: int


NOTHING, WHOLE = Fit([], -1), 1 << 30


def finder(images: Sequence[Path], places: Sequence[Path], folder: Path | None = None) -> Callable[[str], Fit]:
    """Tell which images a path is of.

    It is of the image that it leads to. Else one of the two must end in all of the other, where the image's path may
    begin in the image folder; the name of a file alone is not enough of it: that of the image folder comes before it.
    Where no image is called so, signs that Unicode writes in several ways are taken for the same: file systems and
    archives of macOS write an 'ä' as two.

    Args:
        images: files.
        places: from which paths may lead to an image.
        folder: the image folder; by default, and where images lie elsewhere, the one that all of them lie below.

    Returns:
        A function of the path, as Windows writes it or any other system.

    Example:
        >>> find = finder([Path("photos/dent/a.png")], [Path()], Path("photos"))
        >>> [len(find(path).images) for path in ("a.png", "dent/a.png", "D:\\\\old\\\\dent\\\\a.png", "scratch/a.png")]
        [1, 1, 1, 0]
    """
    as_written = _finder(images, places, folder)

    @cache
    def composed() -> tuple[Callable[[str], Fit], Mapping[Path, list[Path]]]:
        by_name: dict[Path, list[Path]] = defaultdict(list)
        for image in images:
            by_name[Path(_composed(str(image)))].append(image)
        inside = None if folder is None else Path(_composed(str(folder)))
        return _finder(list(by_name), [Path(_composed(str(place))) for place in places], inside), by_name

    def find(text: str) -> Fit:
        fit = as_written(text)
        if fit.images or text.isascii():
            return fit
        find, by_name = composed()
        fit = find(_composed(text))
        return fit._replace(images=[image for path in fit.images for image in by_name[path]])

    return find


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _finder(images: Sequence[Path], places: Sequence[Path], folder: Path | None) -> Callable[[str], Fit]:
    absolute = {image: Path(os.path.abspath(image)) for image in images}
    by_path = {str(path): image for image, path in absolute.items()}
    by_end: dict[Parts, list[Path]] = defaultdict(list)
    above = dict(zip(absolute, _image_folders(list(absolute.values()), folder), strict=True))
    below = {image: path.relative_to(above[image]).parts for image, path in absolute.items()}
    for image, parts in below.items():
        by_end[parts if len(parts) > 1 else (above[image].name, *parts)].append(image)

    # By each number of parts that a path has: one search of all images would be needed for each path otherwise.
    @cache
    def ending_in(count: int) -> dict[Parts, list[Path]]:
        found: dict[Parts, list[Path]] = defaultdict(list)
        for image in images:
            found[absolute[image].parts[-count:]].append(image)
        return found

    def find(text: str) -> Fit:
        if not text.strip():
            return NOTHING
        # Also as Windows writes it; a whole path makes the place before it void.
        for written in dict.fromkeys((text, text.replace("\\", "/"))):
            for place in places:
                if (image := by_path.get(os.path.abspath(place / written))) is not None:
                    return Fit([image], WHOLE)
        parts = PureWindowsPath(text).parts
        if parts and (fits := ending_in(len(parts)).get(parts)):
            return Fit(fits, WHOLE)
        for k in range(len(parts), 1, -1):
            if moved := by_end.get(parts[-k:]):
                agree = {image: _alike(parts, absolute[image].parts) - len(below[image]) for image in moved}
                most = max(agree.values())
                return Fit([image for image in moved if agree[image] == most], most)
        return NOTHING

    return find


def _image_folders(images: Sequence[Path], folder: Path | None) -> list[Path]:
    given = None if folder is None else Path(os.path.abspath(folder))
    if given is not None and all(image.is_relative_to(given) for image in images):
        return [given] * len(images)
    return common_folders(images)


def _alike(one: Parts, other: Parts) -> int:
    """How many parts at the end are the same."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
