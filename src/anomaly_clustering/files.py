"""Files on disk: written whole or not at all, and told apart by their content.

All of the package writes through here what must not be found half written. Only the standard library is imported.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

UNFINISHED = ".unfinished"
# A file in folders of copies, so that these are not taken for photographs; the folder of a run is known by its store.
MARK = ".anomaly-clustering"
# The system's numbers for a disk without space, and for a user who has had what is allowed.
FULL = (errno.ENOSPC, errno.EDQUOT)


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
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Where a disk that is full, or a quota, ends the work: say which folder it was written to.

    Args:
        folder: that is written to.

    Raises:
        OSError: the disk is full.

    Example:
        >>> with naming_a_full_disk(Path("runs")):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        OSError: the disk of 'runs' is full, so that nothing was written; free some space, or choose another folder
    """
    try:
        yield
    except Exception as error:
        # Libraries that are not written in Python have errors of their own, with the system's number in their words.
        number = getattr(error, "errno", None) or next((n for n in FULL if f"(os error {n})" in str(error)), None)
        if number not in FULL:
            raise
        full = OSError(
            f"the disk of {str(folder)!r} is full, so that nothing was written; free some space, or choose another "
            "folder"
        )
        # So that a folder which holds this one can be named in its place.
        full.errno = number
        raise full from error


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A path to write to, whose file takes the place of `path` when all went well and leaves no trace otherwise.

    Args:
        path: the file; its folder is made where it is missing.
        durable: wait until the content is on the disk, so that a power cut cannot leave an empty file. What can be made
            again, and is checked when it is read, can do without.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder) / "greeting.txt") as part:
        ...         _ = part.write_text("hello")
        ...     [file.name for file in Path(folder).iterdir()]
        ['greeting.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}{UNFINISHED}")
    # The rights of any new file here; libraries that write tensors give others none.
    part.touch()
    rights = part.stat().st_mode
    try:
        with naming_a_full_disk(path.parent):
            yield part
            part.chmod(rights)
            if durable:
                with part.open("r+b") as file:
                    os.fsync(file.fileno())
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, *, replace: bool = True) -> Iterator[Path]:
    """An empty folder to write to, which becomes `folder` when all went well and leaves no trace otherwise.

    Args:
        folder: made with those above it where they are missing.
        replace: what `folder` was before is lost: look first. If not, and another process has finished the same folder
            in the meantime, that one stays.

    Example:
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with whole_folder(Path(place) / "run") as new:
        ...         _ = (new / "labels.csv").write_text("path,label")
        ...     [file.name for file in (Path(place) / "run").iterdir()]
        ['labels.csv']
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-", suffix=UNFINISHED)
    with naming_a_full_disk(folder), unfinished as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        yield new
        if replace and folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            if replace or not folder.is_dir():
                raise


def mark(folder: Path) -> None:
    """Mark a folder as written by this program.

    Args:
        folder: that is there.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mark(Path(folder))
        ...     [file.name for file in Path(folder).iterdir()]
        ['.anomaly-clustering']
    """
    (folder / MARK).write_text("Written by anomaly-clustering, which does not take what is in here for photographs.\n")


def is_marked(folder: Path) -> bool:
    """Whether this program wrote a folder: copies by their mark, a run by its store.

    Args:
        folder: any folder.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = is_marked(Path(folder))
        ...     mark(Path(folder))
        ...     before, is_marked(Path(folder))
        (False, True)
    """
    return (folder / MARK).is_file() or (folder / "run.safetensors").is_file()


@contextmanager
def files_into(folder: Path, *, last: str) -> Iterator[Path]:
    """An empty folder to write to, whose files take their places in `folder`, which is there, when all went well.

    Args:
        folder: files of the same names in it are replaced, others stay.
        last: the ending of the file that is moved last, since it shows the others.

    Example:
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with files_into(Path(place), last=".html") as new:
        ...         _ = (new / "page.html").write_text("shows a.png")
        ...         _ = (new / "a.png").write_text("")
        ...     sorted(file.name for file in Path(place).iterdir())
        ['a.png', 'page.html']
    """
    unfinished = tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=UNFINISHED)
    with naming_a_full_disk(folder), unfinished as temporary:
        new = Path(temporary)
        yield new
        written = [path for path in new.rglob("*") if path.is_file()]
        for path in sorted(written, key=lambda path: path.suffix == last):
            target = folder / path.relative_to(new)
            target.parent.mkdir(exist_ok=True)
            os.replace(path, target)
