"""The mark of a run, `run.json`: a list of its files with digests. All else in its folder is the user's and stays.

Whatever replaces, adds to or removes a run asks here which files are its own. A file is listed before it is written, so
that a process which is killed leaves nothing that looks like the user's; while it is written it has no digest.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, get_args
from uuid import uuid4

from anomaly_clustering.runs.file_names import MARK, PICTURES, WATCHED
from anomaly_clustering.system.files import LEFTOVER, LONGEST_NAME, digest, is_leftover, unfinished, whole_file
from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.lock_files import is_lock
from anomaly_clustering.system.locks import LOCK, LOCK_OF_WATCHER
from anomaly_clustering.system.replacing import check_closed, remove_file, replace_file
from anomaly_clustering.system.results import about_to_place

Kind = Literal["run", "training"]
FORMAT, VERSION = "anomaly-clustering", 1
GROWING = (PICTURES, WATCHED)


@dataclass(frozen=True)
class Mark:
    """Which files of a folder are a run's own.

    Attributes:
        kind: a result of clustering, or a training.
        files: SHA-256 of each, by its path in the folder with slashes; None where it changes while the run goes on, or
            was written before there were marks.
    """

    kind: Kind
    files: Mapping[str, str | None]


def read_mark(folder: Path) -> Mark | None:
    """Read the mark of a folder.

    Args:
        folder: any.

    Returns:
        The mark; None where there is none.

    Raises:
        ValueError: there is a file of this name that is damaged, of a newer version, or no mark.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mark(Path(folder), Mark("training", {"epochs.csv": None}))
        ...     read_mark(Path(folder))
        Mark(kind='training', files={'epochs.csv': None})
    """
    path = folder / MARK
    if not os.path.lexists(path):
        return None
    try:
        if not _is_plain(path):
            raise ValueError("no plain file")
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT or found["version"] > VERSION or found["kind"] not in get_args(Kind):
            raise ValueError("another format, or a newer version")
        mark = Mark(found["kind"], {name: _hexadecimal(known) for name, known in found["files"].items()})
        if outside := [name for name in mark.files if not _is_inside(name)]:
            raise ValueError(f"{outside[0]!r} is no file of this folder")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged, or is not the mark of a run ({error}); choose another folder, or remove this "
            "one yourself"
        ) from None
    return mark


def _hexadecimal(known: str | None) -> str | None:
    return None if known is None else bytes.fromhex(known).hex()


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    short = all(len(part.encode()) <= LONGEST_NAME for part in path.parts)
    return bool(path.parts) and short and not (path.is_absolute() or ".." in path.parts or set(name) & set("\\\0:"))


def write_mark(folder: Path, mark: Mark) -> None:
    """Write the mark of a folder, or replace it.

    Args:
        folder: that is there.
        mark: which files are the run's own.
    """
    content = {"format": FORMAT, "version": VERSION, "kind": mark.kind, "files": dict(mark.files)}
    with whole_file(folder / MARK) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def mark_of_all(folder: Path, kind: Kind) -> Mark:
    """A mark that lists all files of a folder, with their digests, but for those that go on to grow.

    Args:
        folder: that this program alone has written.
        kind: of the run.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return Mark(kind, {name: None if name in GROWING else digest(path) for name, path in names.items()})


def check_unchanged(file: Path, *, way_out: str) -> None:
    """Fail if a file of a run is not what the run wrote.

    Args:
        file: in the folder of the run.
        way_out: what the user can do.

    Raises:
        ValueError: its digest is not that of the mark.
    """
    mark = read_mark(file.parent)
    known = mark.files.get(file.name) if mark else None
    if known and digest(file) != known:
        raise ValueError(f"{str(file)!r} is damaged: its SHA-256 is not the one that {MARK} lists; {way_out}")


def strangers(folder: Path, mark: Mark) -> list[str]:
    """What lies in a run's folder and is not the run's: not on its list, or no plain file any more.

    Args:
        folder: of the run.
        mark: of the run.

    Returns:
        Paths in the folder, with slashes, sorted; folders only where they are empty, or links.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("epochs.csv", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     strangers(Path(folder), Mark("training", {"epochs.csv": None}))
        ['notes.txt']
    """
    above = {str(parent) for name in mark.files for parent in PurePosixPath(name).parents}
    found = []
    for path in _all_in(folder):
        name = path.relative_to(folder).as_posix()
        own = name in above if path.is_dir() and not path.is_symlink() else name in mark.files and _is_plain(path)
        if not (own or name == MARK):
            found.append(name)
    return sorted(found)


def _all_in(folder: Path) -> Iterator[Path]:
    """Files, links and empty folders below a folder, without what is being written."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        shown = [name for name in folders if not (LEFTOVER.fullmatch(name) and is_leftover(here / name))]
        links = [name for name in shown if (here / name).is_symlink()]
        folders[:] = [name for name in shown if name not in links]
        files = [name for name in (*links, *names) if name not in (LOCK, LOCK_OF_WATCHER) or not is_lock(here / name)]
        yield from (here / name for name in files)
        if here != folder and not (files or folders):
            yield here


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def is_free_for(folder: Path, name: str, mark: Mark) -> bool:
    """Whether a file of a run can be written without harm: what is there is the run's own, or nothing.

    Args:
        folder: of the run.
        name: of the file, with slashes.
        mark: of the run.
    """
    path = folder / name
    # The folder itself may be reached by a link.
    if any((folder / parent).is_symlink() for parent in PurePosixPath(name).parents if parent.parts):
        return False
    return not os.path.lexists(path) or (name in mark.files and _is_plain(path))


def check_free(folder: Path, names: Iterable[str], mark: Mark) -> None:
    """Fail if a file that is to be written would replace one that is not the run's.

    Args:
        folder: of the run.
        names: of the files, with slashes.
        mark: of the run.

    Raises:
        FileExistsError: it would.
    """
    for name in names:
        if not is_free_for(folder, name, mark):
            raise FileExistsError(
                f"{str(folder / name)!r} is not the run's, so it was not replaced; nothing was written: move it "
                "away, and run the command again"
            )


def remove_own(folder: Path, mark: Mark) -> None:
    """Remove the files of a run, and its folder if nothing else is in it.

    The mark goes last: what is left when this is interrupted is still known for the run's.

    Args:
        folder: of the run.
        mark: of the run.
    """
    for name in mark.files:
        if is_free_for(folder, name, mark):
            remove_file(folder / name)
    _remove_empty(folder)
    remove_file(folder / MARK)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            os.rmdir(place)


def discard_run(old: Path, folder: Path) -> None:
    """Remove a run that was replaced; what somebody put into its folder at the last moment moves to the new one.

    Args:
        old: where the run was moved to.
        folder: the one that took its place.
    """
    remove_own(old, read_mark(old) or Mark("run", {}))
    move_all(old, folder)


def move_all(old: Path, folder: Path) -> None:
    """Move what lies in a folder to another one, under another name where that has such a file.

    Args:
        old: the folder, which is removed; it may be gone.
        folder: on the same file system.
    """
    for path in list(_all_in(old)) if old.exists() else []:
        target = folder / path.relative_to(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            move_new(path, target)
        except FileExistsError:
            move_new(path, target.with_name(f"{target.stem}-{uuid4().hex}{target.suffix}"))
    _remove_empty(old)


def move_new(source: Path, target: Path) -> None:
    """Move a file to where none is, on the same file system.

    Args:
        source: the file.
        target: its new path, in a folder that is there.

    Raises:
        FileExistsError: something is there, and stays as it is.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source, target = Path(folder) / "a", Path(folder) / "b"
        ...     source.touch()
        ...     move_new(source, target)
        ...     source.exists(), target.exists()
        (False, True)
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        # Some file systems have no links; an empty file keeps the place.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))
        replace_file(source, target)
    else:
        remove_file(source)


@contextmanager
def files_into(folder: Path, mark: Mark) -> Iterator[Path]:
    """An empty folder to write to, whose files are added to a run, or replace its own, when all went well.

    Args:
        folder: of the run.
        mark: of the run, which is written anew.

    Raises:
        FileExistsError: a file that is not the run's has the name of one that is added; nothing is changed.
        OpenElsewhereError: another program has a file open that is to be replaced; nothing is changed.
    """
    with naming_a_full_disk(folder), unfinished(folder, "added") as temporary:
        new = temporary / "files"
        new.mkdir()
        yield new
        # The page, which shows the others, comes last.
        added = sorted(mark_of_all(new, mark.kind).files.items(), key=lambda file: Path(file[0]).suffix == ".html")
        check_free(folder, dict(added), mark)
        # All of them before the first: half of them new would be worse than none.
        check_closed(folder / name for name in (MARK, *dict(added)))
        write_mark(folder, replace(mark, files={**mark.files, **dict.fromkeys(dict(added))}))
        for name, _ in added:
            (folder / name).parent.mkdir(exist_ok=True)
            if name == added[-1][0]:
                about_to_place(new / name, folder / name, result=folder)
            replace_file(new / name, folder / name)
        write_mark(folder, replace(mark, files={**mark.files, **dict(added)}))
