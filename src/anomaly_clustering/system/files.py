"""Files on disk: written whole or not at all, and told apart by their content.

All of the package writes through here what must not be found half written.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.lock_files import held, is_lock
from anomaly_clustering.system.locks import LOCK, naming
from anomaly_clustering.system.replacing import once_closed, remove_file, remove_folder, replace_file
from anomaly_clustering.system.results import about_to_place

# The folder that was replaced and the one that took its place in; all that is to be kept moved out of the first.
Discard = Callable[[Path, Path], None]
UNFINISHED = ".unfinished"
# Folders that are being written, by what they become.
LEFTOVER = re.compile(rf"\.(?P<name>.+)\.[0-9a-f]{{32}}{re.escape(UNFINISHED)}")
# In such a folder, beside its lock.
NEW, OLD = "new", "old"
# Bytes of a name, on the file systems in use.
LONGEST_NAME = 255
# A file in folders of copies, so that these are not taken for photographs; the folder of a run is known by its store.
OURS = ".anomaly-clustering"


class NotPlacedError(OSError):
    """What was finished could not take its place, and is kept under another name.

    Args:
        message: tells that name.
        kept: the folder.

    Example:
        >>> str(NotPlacedError("all of it is in 'run.finished'", Path("run.finished")))
        "all of it is in 'run.finished'"
    """

    def __init__(self, message: str, kept: Path):
        super().__init__(message)
        self.kept = kept


def real_path(path: Path) -> Path:
    """The absolute path of a file or folder, links followed as far as they lead.

    Args:
        path: any; it need not be there. (`Path.resolve` of Python up to 3.12 fails at a link that leads to itself.)

    Example:
        >>> real_path(Path("/dev/../tmp")).is_absolute()
        True
    """
    return Path(os.path.realpath(path))


def digest(path: Path | str) -> str:
    """The SHA-256 of a file's content.

    Args:
        path: of the file.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: the file is not there, or cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     digest(file.name)[:8]
        'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def unfinished(place: Path, name: str) -> Iterator[Path]:
    """A hidden folder for what is being written, which is removed in the end.

    It is locked for as long as this process lives. So what a process leaves that was killed is told from what another
    one is writing, and is removed by the next that writes the same. What was finished and could not be moved away
    stays, without the lock.

    Args:
        place: where the hidden folder is made, with those above it where they are missing.
        name: of the file or folder that is being written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with unfinished(Path(place), "run") as folder:
        ...         print([path.name for path in folder.iterdir()])
        ...     print(list(Path(place).iterdir()))
        ['.lock']
        []
    """
    remove_leftovers(place, name)
    with ExitStack() as lock:
        folder, empty = _begun(place, name, lock), True
        try:
            yield folder
        except NotPlacedError as error:
            empty = folder not in error.kept.parents
            raise
        finally:
            if empty:
                _empty(folder)
            lock.close()
            with suppress(OSError):
                folder.rmdir()


def _begun(place: Path, name: str, lock: ExitStack) -> Path:
    while True:
        folder = place / f".{name}.{uuid4().hex}{UNFINISHED}"
        # Before it is locked another process may take it for a leftover, and removes it.
        try:
            with naming(place, folder):
                state = lock.enter_context(held(folder / LOCK))
        except OSError:
            # On a full disk the folder may be made, and its lock not.
            with suppress(OSError):
                folder.rmdir()
            raise
        if state != "busy":
            return folder


def remove_leftovers(place: Path, name: str | None = None, *, discard: Discard | None = None) -> None:
    """Remove what processes left that were killed while they wrote; what others are writing now stays.

    A folder that had been moved away for a new one, which then did not come, is moved back.

    Args:
        place: the folder that was written to; it need not be there.
        name: of the file or folder that was written; None for any.
        discard: as for `folders.whole_folder`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     leftover = Path(place) / f".a.csv.{uuid4().hex}.unfinished"
        ...     leftover.mkdir()
        ...     remove_leftovers(Path(place), "a.csv")
        ...     leftover.exists()
        False
    """
    for leftover in leftovers(place, name):
        written = LEFTOVER.fullmatch(leftover.name)
        with held(leftover / LOCK) as state:
            if state == "taken" and written:
                _finish(leftover, place / written["name"], discard)
                _empty(leftover)
        with suppress(OSError):
            leftover.rmdir()


def leftovers(place: Path, name: str | None = None) -> list[Path]:
    """Folders that processes which were killed have left, or that others are writing now.

    Args:
        place: the folder that was written to; it need not be there.
        name: of the file or folder that was written; None for any.

    Example:
        >>> leftovers(Path("nowhere"))
        []
    """
    # No paths are made of the others: a file may be written beside thousands of them.
    hidden = [entry for entry in os.listdir(place) if entry.endswith(UNFINISHED)] if place.is_dir() else []
    written = [found for entry in sorted(hidden) if (found := LEFTOVER.fullmatch(entry))]
    folders = [place / found[0] for found in written if name in (None, found["name"])]
    return [folder for folder in folders if is_leftover(folder)]


def is_leftover(folder: Path) -> bool:
    """Whether a folder is one that this program has begun to write, or is writing, whatever its name.

    It has its lock from the first moment to the last, or is empty, or holds a folder that was moved away alone. What it
    holds are folders and files, never links, by which the files of somebody else would be moved or removed.

    Args:
        folder: any.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place, unfinished(Path(place), "run") as folder:
        ...     is_leftover(folder), is_leftover(Path(place))
        (True, False)
    """
    if folder.is_symlink() or any((folder / name).is_symlink() for name in (LOCK, NEW, OLD)):
        return False
    try:
        names = [path.name for path in folder.iterdir()]
        if OLD in names and set(names) <= {OLD, NEW}:
            return True
        return not names or (is_lock(folder / LOCK) and (names == [LOCK] or (folder / LOCK).stat().st_size > 0))
    except (FileNotFoundError, NotADirectoryError):
        # A file, or what another process has just finished.
        return False


def remove_leftovers_below(folder: Path) -> None:
    """Remove what processes left anywhere below a folder that were killed while they wrote, see `remove_leftovers`.

    Args:
        folder: that only this program writes to; it need not be there.

    Example:
        >>> remove_leftovers_below(Path("nowhere"))
    """
    for place, folders, _ in os.walk(folder):
        if any(name.endswith(UNFINISHED) for name in folders):
            remove_leftovers(Path(place))


def _finish(leftover: Path, folder: Path, discard: Discard | None) -> None:
    """What was left of a folder that was being replaced."""
    new, old = leftover / NEW, leftover / OLD
    if not old.is_dir():
        return
    if not folder.exists():
        once_closed(lambda: old.rename(folder))
    elif discard and not new.exists():
        discard(old, folder)


def _empty(leftover: Path) -> None:
    """All but its lock, by which it is known to the end, unless it holds a folder that was moved away and not back."""
    if os.path.lexists(leftover / OLD):
        return
    for path in leftover.iterdir():
        # What is not removed is in nobody's way; why it was written no more counts.
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                remove_folder(path, leave_refused=True)
            elif path.name != LOCK:
                remove_file(path)


@contextmanager
def whole_file(path: Path, *, durable: bool = True, result: Path | None = None) -> Iterator[Path]:
    """A path to write to, whose file takes the place of `path` when all went well and leaves no trace otherwise.

    Args:
        path: the file; its folder is made where it is missing.
        durable: wait until the content is on the disk, so that a power cut cannot leave an empty file. What can be made
            again, and is checked when it is read, can do without.
        result: what the user's command is for, if the file completes that, see `about_to_place`.

    Raises:
        IsADirectoryError: the path is that of a folder.
        OpenElsewhereError: on Windows another program has the file open.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder) / "greeting.txt") as part:
        ...         _ = part.write_text("hello")
        ...     [file.name for file in Path(folder).iterdir()]
        ['greeting.txt']
    """
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give a file")
    with naming_a_full_disk(path.parent), unfinished(path.parent, path.name) as folder:
        part = folder / path.name
        # The rights of any new file here; libraries that write tensors give others none.
        part.touch()
        rights = part.stat().st_mode
        yield part
        part.chmod(rights)
        if durable:
            with part.open("r+b") as file:
                os.fsync(file.fileno())
        if result is not None:
            about_to_place(part, path, result=result)
        replace_file(part, path)


def mark(folder: Path) -> None:
    """Mark a folder as written by this program.

    Args:
        folder: that is there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mark(Path(folder))
        ...     [file.name for file in Path(folder).iterdir()]
        ['.anomaly-clustering']
    """
    text = "Written by anomaly-clustering, which does not take what is in here for photographs.\n"
    (folder / OURS).write_text(text, encoding="utf-8")


def is_marked(folder: Path) -> bool:
    """Whether this program wrote a folder: copies by their mark, a run by its store.

    Args:
        folder: any folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = is_marked(Path(folder))
        ...     mark(Path(folder))
        ...     before, is_marked(Path(folder))
        (False, True)
    """
    return (folder / OURS).is_file() or (folder / "run.safetensors").is_file()
