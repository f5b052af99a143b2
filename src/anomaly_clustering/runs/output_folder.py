"""A folder or file that is to be written in; it, kept from others and known to be free, out: or why it is not."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anomaly_clustering.report.sheets import MOST_IN_PAGE, THUMBNAILS
from anomaly_clustering.runs.file_names import (
    ASSIGNED,
    ASSIGNMENTS,
    CONFIG,
    DECISIONS,
    LATER,
    MARK,
    METADATA,
    METRICS,
    PAGE,
    PICTURES,
    STORE,
    TRENDS,
    WATCHED,
)
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.mark import Mark, discard_run, read_mark, strangers
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.unfinished_folder import remove_if_complete
from anomaly_clustering.system.files import UNFINISHED, real_path, remove_leftovers
from anomaly_clustering.system.lock_files import held
from anomaly_clustering.system.locks import LOCK, working_on
from anomaly_clustering.system.one_place import is_one_place
from anomaly_clustering.system.path_lengths import check_length
from anomaly_clustering.system.replacing import ON_WINDOWS, check_closed
from anomaly_clustering.system.tables import ENCODING, ERRORS

# What other commands have added to a run since.
HISTORY = (ASSIGNED, DECISIONS, WATCHED, TRENDS)
FILES = (ASSIGNMENTS, CONFIG, METRICS, PAGE, PICTURES, STORE)

# The longest path in a run, by which images are added that come later.
LONGEST = Path(f".added.{'0' * 32}{UNFINISHED}", "files", f".{LATER}.{'0' * 32}{UNFINISHED}", LATER)

# Folders that this process found free, and keeps for runs to come.
_reserved: set[Path] = set()


@contextmanager
def reserved(out: Path, *, overwrite: bool, say: Callable[[str], object] = print) -> Iterator[None]:
    """Keep a folder for a run to come, from before the work until it is written.

    What a process left there that was killed is removed. Within, it can be asked for again: what loggers have put there
    meanwhile is then in nobody's way, since the work is done.

    Args:
        out: the folder of the run to come.
        overwrite: whether a run that it holds may be lost.
        say: told what is lost with it.

    Raises:
        FileExistsError: the folder holds a run and `overwrite` is not set; it holds anything else; it is the working
            directory or where a disk is mounted.
        PermissionError: nothing can be written there.
        OpenElsewhereError: another program has a file of the run open that it holds.
        BlockingIOError: another process works on it.
        ValueError: the mark of the run that it holds is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, reserved(Path(folder) / "run", overwrite=False):
        ...     [file.name for file in Path(folder).iterdir()]
        ['.run.lock']
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "mine.txt").touch()
        ...     with reserved(Path(folder), overwrite=True):
        ...         pass
        Traceback (most recent call last):
        FileExistsError: '...' exists and holds 'mine.txt', which is not of a run; choose another folder with --out
    """
    if real_path(out) in _reserved:
        with working_on(out):
            _check_run(out, mark_of_run(out), overwrite=overwrite)
            yield
        return
    place = check_place(out)
    with working_on(out):
        remove_leftovers(place.parent, place.name, discard=discard_run)
        remove_leftovers(place)
        remove_if_complete(out)
        mark = mark_of_run(out)
        check_no_strangers(out, mark)
        _check_run(out, mark, overwrite=overwrite)
        # At the end it could not be moved away.
        check_closed((out / name for name in (mark.files if mark else ())), with_folder=True)
        if history := _history(out):
            say(
                f"Notice: what came after the run in {str(out)!r} goes with it when this one is done: "
                f"{', '.join(history)}; copy the folder first if it is needed"
            )
        _reserved.add(place)
        try:
            yield
        finally:
            _reserved.discard(place)


def _history(out: Path) -> list[str]:
    found = [name for name in HISTORY if (out / name).is_file()]
    # Later images are in these too, whose photos may be gone by now; what is of the run's own is made anew.
    of_both = ((METADATA, bool(found)), (PICTURES, ASSIGNED in found))
    return [*found, *(name for name, has_later in of_both if has_later and (out / name).is_file())]


def check_place(out: Path) -> Path:
    """Fail if no folder can be written at a path, whatever it holds.

    Args:
        out: the folder of a run to come.

    Returns:
        Its absolute path, links followed.

    Raises:
        FileExistsError: it is the working directory or where a disk is mounted.
        PermissionError: nothing can be written there.
        OSError: its path is too long for this system.
    """
    place = real_path(out)
    if place.is_symlink():
        raise FileExistsError(f"{str(out)!r} is a link that leads nowhere; choose another folder with --out")
    if place.exists() and not place.is_dir():
        raise FileExistsError(f"{str(out)!r} is a file; choose another folder with --out")
    # Not `Path.is_mount`, which Windows has from Python 3.12.
    if os.path.ismount(place):
        # What is mounted can be written to, but no finished folder can take its place.
        raise FileExistsError(f"{str(out)!r} is where a disk is mounted; choose a folder in it with --out")
    _check_above(out, place)
    if is_one_place(place, Path.cwd()):
        raise FileExistsError(f"{str(out)!r} is the working directory; choose a folder in it with --out")
    check_length(place, LONGEST, given=out)
    return place


def _check_above(out: Path, place: Path) -> None:
    parent = next(folder for folder in place.parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK) and (parent != place.parent or _takes_files(place))):
        raise PermissionError(f"{str(out)!r} cannot be made: {str(parent)!r} is not a folder that can be written to")


def _takes_files(place: Path) -> bool:
    """Tried on Windows, which says of any folder that it may be written to, also of C:\\, which takes folders alone."""
    if ON_WINDOWS:
        try:
            with held(place.with_name(f".{place.name}{LOCK}")):
                pass
        except PermissionError:
            return False
    return True


def check_file(out: Path, *, read: Iterable[Path | str | None] = ()) -> None:
    """Fail if a file that the user names cannot be written, or if one in its place would destroy a run.

    Args:
        out: the file to come.
        read: files that it is made from, or that it needs later; None for those that are not there.

    Raises:
        IsADirectoryError: it is a folder.
        FileExistsError: it is a file of a run or training, or one of those that are read.
        PermissionError: nothing can be written there.
        OpenElsewhereError: another program has it open.
        ValueError: the mark of the run in whose folder it lies is damaged.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.runs.mark import write_mark
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mark(Path(folder), Mark("training", {"epochs.csv": None}))
        ...     check_file(Path(folder) / "model.onnx")
        ...     check_file(Path(folder) / "epochs.csv")
        Traceback (most recent call last):
        FileExistsError: '...epochs.csv' is a file of the training in '...', which would be lost; choose another name
    """
    if out.is_dir():
        raise IsADirectoryError(f"{str(out)!r} is a folder; give a file")
    # What takes the place of a link leaves the file that it leads to.
    place = real_path(out.parent) / out.name
    _check_above(out, place)
    if not place.is_symlink() and any(file and is_one_place(Path(file), place) for file in read):
        raise FileExistsError(f"{str(out)!r} is read here, and would be lost; choose another name")
    for folder in place.parents:
        mark = _mark_if_any(folder)
        if mark and place.relative_to(folder).as_posix() in (MARK, *mark.files):
            raise FileExistsError(
                f"{str(out)!r} is a file of the {mark.kind} in {str(folder)!r}, which would be lost; choose another "
                "name"
            )
    check_closed([out])


def _mark_if_any(folder: Path) -> Mark | None:
    """Other programs have files of this name too, which tell nothing unless there is a run beside them."""
    try:
        return mark_of_run(folder)
    except ValueError:
        if (folder / STORE).is_file():
            raise
        return None


def _check_run(out: Path, mark: Mark | None, *, overwrite: bool) -> None:
    if mark and mark.kind != "run":
        raise FileExistsError(f"{str(out)!r} already holds a training; choose another folder with --out")
    if mark and not overwrite:
        raise FileExistsError(f"{str(out)!r} already holds a run; choose another folder with --out, or --overwrite it")


def check_no_strangers(out: Path, mark: Mark | None) -> None:
    """Fail if there is anything at a path that is not of a run.

    Args:
        out: the folder of a run to come.
        mark: of the run that it holds; None where it is to be empty.

    Raises:
        FileExistsError: it holds something else.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{str(out)!r} is a file; choose another folder with --out")
    if found := strangers(out, mark or Mark("run", {})):
        raise FileExistsError(
            f"{str(out)!r} exists and holds {found[0]!r}, which is not of a run; choose another folder with --out"
        )


def mark_of_run(folder: Path) -> Mark | None:
    """The mark of a folder; one that lists the files of a run which was written before there were marks.

    Such a run is known by its store, which can be read, and by tables that tell of as many images. What else has the
    name of a file that such a run wrote is taken for that.

    Args:
        folder: any.

    Returns:
        The mark; None where the folder holds no run.

    Raises:
        ValueError: there is a damaged mark.
    """
    mark = read_mark(folder)
    if mark is not None or not all((folder / name).is_file() for name in (STORE, ASSIGNMENTS, METRICS)):
        return mark
    try:
        run = load_run(folder)
        images = len(run.paths) + (0 if run.embeddings is None else len(load_later(folder, run).paths))
        with (folder / ASSIGNMENTS).open(newline="", encoding=ENCODING, errors=ERRORS) as file:
            rows = len(list(csv.DictReader(file)))
        counted = json.loads((folder / METRICS).read_text(encoding="utf-8"))["num_images"]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    if not rows == counted == len(run.paths):
        return None
    numbers = range(images) if images > MOST_IN_PAGE else ()
    thumbnails = [f"{THUMBNAILS}/{number}{ending}" for number in numbers for ending in (".jpg", ".png")]
    later = (ASSIGNED, LATER) if (folder / LATER).is_file() else ()
    there = [name for name in (*FILES, *later, *thumbnails) if (folder / name).is_file()]
    return Mark("run", dict.fromkeys(there))


def own_mark(folder: Path) -> Mark:
    """The mark of a folder that was found to hold a run, see `mark_of_run`.

    Args:
        folder: of the run.

    Raises:
        ValueError: the mark is damaged.
    """
    mark = mark_of_run(folder)
    assert mark is not None, folder
    return mark
