"""The result that a command is about to put in its place in; whether it is there, however the command ended, out.

A signal may come between the moment in which a result takes its place and the next line of Python. So what is asked is
the file system, by what was prepared: the result is there when the file or folder of that identity is.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Where the result is to be, the file or folder that says that it is there, and the identity of this one.
_coming: list[tuple[Path, Path, os.stat_result]] = []
# Tell what an unfinished result has kept so far; nothing where that is nothing.
_keeping: list[Callable[[], str]] = []


def about_to_place(new: Path, place: Path, *, result: Path | None = None) -> None:
    """Say that what a command was asked for is written, and is moved to its place now.

    Args:
        new: the file or folder that is moved last.
        place: where to.
        result: what the user knows the result by; None for `place`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     new, place = Path(folder) / "new", Path(folder) / "run"
        ...     new.mkdir()
        ...     about_to_place(new, place)
        ...     before = placed()
        ...     _ = new.rename(place)
        ...     print(before, placed() == place)
        None True
    """
    _coming[:] = [(result or place, place, new.stat())]


def nothing_placed() -> None:
    """Begin a command, which has no result yet.

    Example:
        >>> nothing_placed()
        >>> placed()
    """
    _coming.clear()
    _keeping.clear()


def keeping(told: Callable[[], str]) -> None:
    """Say how to tell what is kept if the command is interrupted from now on.

    Args:
        told: gives the end of a sentence; it is called by any thread, and gives nothing where nothing is kept yet.

    Example:
        >>> keeping(lambda: "256 of 5000 images are kept: start the command again to go on")
        >>> what_is_kept()
        '256 of 5000 images are kept: start the command again to go on'
        >>> nothing_placed()
    """
    _keeping[:] = [told]


def placed() -> Path | None:
    """Where the result of the command is; None where it is not in its place."""
    for result, place, identity in _coming:
        with suppress(OSError):
            if os.path.samestat(place.stat(), identity):
                return result
    return None


def what_is_kept() -> str:
    """What an interrupted command has left, and how to go on: the end of a sentence.

    Example:
        >>> what_is_kept()
        'nothing unfinished is kept: start the command again'
    """
    if there := placed():
        return f"all of the result is in {str(there)!r} already"
    for told in _keeping:
        with suppress(OSError):
            if sentence := told():
                return sentence
    return "nothing unfinished is kept: start the command again"
