"""Two paths in; whether they lead to one place, or one lies in the other, however they are written, out.

One place has several names where the file system ignores capitals or forms of Unicode, as on macOS, and where a network
drive has a letter, as on Windows. Following links does not bring them together, but the system numbers its files.
"""

import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from anomaly_clustering.system.files import real_path


def is_one_place(first: Path, second: Path) -> bool:
    """Whether two paths lead to one file or folder.

    Args:
        first: need not be there, as the second.
        second: what has the same path, links followed, is one place also where nothing is there.

    Example:
        >>> is_one_place(Path("photos"), Path("photos/../photos")), is_one_place(Path("photos"), Path("masks"))
        (True, False)
    """
    number = _number(first)
    return real_path(first) == real_path(second) or (number is not None and number == _number(second))


def lies_in(folders: Iterable[Path]) -> Callable[[Path], bool]:
    """A function that tells whether a path lies in one of some folders, or is one of them.

    It looks at each path once, so that it can be asked of the folders of many files.

    Args:
        folders: they need not be there.

    Returns:
        A function of an absolute path, links followed; see `real_path`.

    Example:
        >>> is_inside = lies_in([Path("/photos/good")])
        >>> is_inside(Path("/photos/good/0")), is_inside(Path("/photos/good")), is_inside(Path("/photos"))
        (True, True, False)
    """
    places = [*folders]
    real = {real_path(place) for place in places}
    numbers = {number for place in places if (number := _number(place)) is not None}

    @cache
    def is_one_of_them(path: Path) -> bool:
        return path in real or (bool(numbers) and _number(path) in numbers)

    @cache
    def is_inside(path: Path) -> bool:
        return any(map(is_one_of_them, (path, *path.parents)))

    return is_inside


def _number(path: Path) -> tuple[int, int] | None:
    """Of the disk, and of the file or folder on it; None where nothing is there, or the disk numbers nothing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None
