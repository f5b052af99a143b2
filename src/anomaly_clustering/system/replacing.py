"""A file or folder that another program has open in; it, replaced, moved or removed as soon as that lets go, out.

Windows neither replaces, moves nor removes a file that is open, nor a folder with such a file in it. A virus scanner or
a preview lets go after a moment, so that what Windows refuses is tried again for a while; a spreadsheet does not, and
then the user is told. Linux and macOS do it at once, and what they refuse is refused.
"""

import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

# Elsewhere a file that is open is moved and removed as any other, so that nobody needs to look.
ON_WINDOWS = os.name == "nt"
# Seconds until what is open stays so, and between two tries.
PATIENCE, BETWEEN_TRIES = 10.0, 0.1
Done = TypeVar("Done")


class OpenElsewhereError(PermissionError):
    """A file that was to be written or replaced is open in another program, such as a spreadsheet."""


def is_open_elsewhere(error: BaseException) -> bool:
    """Whether the system refused something as Windows does where another program has a file open.

    Windows gives a lack of rights by the same number, so that this may be meant too.

    Args:
        error: what the system raised. On Windows alone an `OSError` has a `winerror`, be it None.

    Example:
        >>> is_open_elsewhere(PermissionError(13, "Permission denied", "a.csv")) == (os.name == "nt")
        True
    """
    return isinstance(error, OpenElsewhereError) or (isinstance(error, PermissionError) and hasattr(error, "winerror"))


def once_closed(work: Callable[[], Done], *, patience: float | None = None) -> Done:
    """Do something with a file, again and again for a while where another program has it open on Windows.

    Args:
        work: does it; where it fails it has done nothing, or goes on when it is called again.
        patience: seconds until it is given up; None for `PATIENCE`.

    Returns:
        What `work` returns.

    Raises:
        OSError: what `work` raised last.

    Example:
        >>> once_closed(lambda: len(os.listdir("/"))) > 0
        True
    """
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    while True:
        try:
            return work()
        except PermissionError as error:
            if not is_open_elsewhere(error) or time.monotonic() >= until:
                raise
        time.sleep(BETWEEN_TRIES)


def replace_file(source: Path, target: Path) -> None:
    """Move a file to where another one may be, which it replaces.

    Args:
        source: the file.
        target: its new path, on the same file system.

    Raises:
        OpenElsewhereError: another program has the target open, and does not let go.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source, target = Path(folder) / "a", Path(folder) / "b"
        ...     source.touch()
        ...     replace_file(source, target)
        ...     source.exists(), target.exists()
        (False, True)
    """
    try:
        once_closed(lambda: os.replace(source, target))
    except PermissionError as error:
        if not is_open_elsewhere(error):
            raise
        raise _refused(target) from error


def remove_file(file: Path) -> None:
    """Remove a file of ours, if it is there; also a read-only one, such as a copy of a photograph that was.

    Args:
        file: or a link, which is removed alone.

    Raises:
        OSError: it is a folder, or the system refuses it.

    Example:
        >>> remove_file(Path("not there.csv"))
    """
    _removed(os.unlink, file)


def remove_folder(folder: Path, *, leave_refused: bool = False) -> None:
    """Remove a folder of ours with all that is in it, also what is read-only; what is linked to stays.

    Args:
        folder: that is there.
        leave_refused: leave what the system refuses to remove, at once, and remove the rest.

    Raises:
        OSError: the system refuses it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     (Path(place) / "run" / "copies").mkdir(parents=True)
        ...     remove_folder(Path(place) / "run")
        ...     (Path(place) / "run").exists()
        False
    """

    def again(remove: Callable[..., object], path: str | Path, error: BaseException) -> None:
        try:
            if not is_open_elsewhere(error):
                raise error
            _removed(remove, Path(path), patience=0.0 if leave_refused else None)
        except OSError:
            if not leave_refused:
                raise

    if sys.version_info >= (3, 12):
        shutil.rmtree(folder, onexc=again)
    else:
        shutil.rmtree(folder, onerror=lambda remove, path, raised: again(remove, path, raised[1]))


def _removed(remove: Callable[..., object], path: Path, *, patience: float | None = None) -> None:
    try:
        with suppress(FileNotFoundError):
            remove(path)
    except PermissionError as error:
        if not is_open_elsewhere(error):
            raise
        # Windows removes nothing that is read-only.
        if _is_read_only(path):
            path.chmod(stat.S_IREAD | stat.S_IWRITE)
        with suppress(FileNotFoundError):
            once_closed(lambda: remove(path), patience=patience)


def check_closed(files: Iterable[Path], *, patience: float | None = None, with_folder: bool = False) -> None:
    """Fail, before work is done, if a file that is to be replaced is open in another program; on Windows alone.

    Args:
        files: what is no file, or not there, is in nobody's way.
        patience: see `once_closed`.
        with_folder: whether they are moved with the folder around them, which those that are read-only do not hinder.

    Raises:
        OpenElsewhereError: another program has one of them open, and does not let go.

    Example:
        >>> check_closed([Path("not there.csv")])
    """
    for file in files if ON_WINDOWS else ():
        try:
            if file.is_file() and not (with_folder and _is_read_only(file)):
                once_closed(partial(_open_to_write, file), patience=patience)
        except OSError as error:
            # A file without the right to write to it is replaced where its folder can be written to.
            if is_open_elsewhere(error):
                raise _refused(file) from error


def _is_read_only(file: Path) -> bool:
    return file.exists() and not file.is_symlink() and not file.stat().st_mode & stat.S_IWRITE


def _open_to_write(file: Path) -> None:
    with file.open("r+b"):
        pass


def _refused(file: Path) -> OpenElsewhereError:
    if _is_read_only(file):
        return OpenElsewhereError(f"{str(file)!r} is read-only: change that")
    return OpenElsewhereError(f"{str(file)!r} is open in another program: close it there")
