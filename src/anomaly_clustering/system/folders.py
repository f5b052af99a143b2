"""Folders on disk: written whole or not at all; one that cannot take its place is kept under a name that is told."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anomaly_clustering.system.files import NEW, OLD, Discard, NotPlacedError, real_path, unfinished
from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.messages import sentence_of
from anomaly_clustering.system.replacing import is_open_elsewhere, once_closed
from anomaly_clustering.system.results import about_to_place

# What is put behind the name of a folder that was finished and could not take its place.
FINISHED = ".finished"
# What the system says where a file, or a folder that is not empty, has the place.
IN_THE_WAY = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


@contextmanager
def whole_folder(
    folder: Path, *, discard: Discard | None = None, keep: bool = False, is_result: bool = False
) -> Iterator[Path]:
    """An empty folder to write to, which becomes `folder` when all went well; where the work fails it leaves no trace.

    Args:
        folder: made with those above it where they are missing. Unless `discard` is given it is not there, or empty.
        discard: what becomes of the folder that was there: called with where that was moved to, and the new folder.
        keep: if another process has finished the same folder in the meantime, that one stays, and this is no error.
        is_result: whether it is what the user's command is for, see `about_to_place`.

    Raises:
        FileExistsError: something else has appeared in its place, which stays as it is.
        NotPlacedError: it is finished, but the system refuses to move it, or the one before, as Windows does where a
            file in it is open in another program. It is kept beside its place; the message tells where, and what to do.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with whole_folder(Path(place) / "run") as new:
        ...         _ = (new / "labels.csv").write_text("path,label")
        ...     [file.name for file in (Path(place) / "run").iterdir()]
        ['labels.csv']
    """
    given, folder = folder, real_path(folder)
    with naming_a_full_disk(folder), unfinished(folder.parent, folder.name) as temporary:
        new, old = temporary / NEW, temporary / OLD
        new.mkdir()
        yield new
        try:
            if discard and folder.is_dir() and not folder.is_symlink():
                once_closed(lambda: folder.rename(old))
            # No folder takes the place of one that holds something; on Windows of none at all.
            if folder.is_dir():
                once_closed(folder.rmdir)
            if is_result:
                about_to_place(new, folder, result=given)
            once_closed(lambda: new.rename(folder))
        except BaseException as error:
            moved = old.exists()
            if moved and not folder.exists():
                # Where that is refused too, the next command that writes the same does it.
                with suppress(OSError):
                    once_closed(lambda: old.rename(folder))
            if not isinstance(error, OSError):
                raise
            if keep and not discard and folder.is_dir() and any(folder.iterdir()):
                return
            if error.errno in IN_THE_WAY and folder.exists():
                if keep and folder.is_dir():
                    return
                raise FileExistsError(
                    f"{str(folder)!r} has appeared while this was computed, and stays as it is; nothing was written: "
                    "run it again with another folder"
                ) from None
            raise _kept(new, folder, error, is_before=folder.exists() and not moved) from error
        if discard and old.exists():
            try:
                discard(old, folder)
            except PermissionError as error:
                # What is open by now is removed by the next command that writes the same.
                if not is_open_elsewhere(error):
                    raise


def _kept(new: Path, folder: Path, error: OSError, *, is_before: bool) -> NotPlacedError:
    """Keep a finished folder beside its place, or where it is if it cannot be moved at all, and say how to go on.

    Args:
        new: the finished folder.
        folder: its place.
        error: why it could not take that.
        is_before: whether it is the folder before which could not be moved away, and not the new one.
    """
    kept = _free(folder.with_name(f"{folder.name}{FINISHED}"))
    try:
        new.rename(kept)
    except OSError:
        kept = new
    why, way_out = sentence_of(error), "mend that"
    if is_open_elsewhere(error):
        why = f"{str(folder if is_before else kept)!r}, or a file in it, is open in another program"
        way_out = "close it there"
    remove = f"remove {str(folder)!r}, " if folder.exists() else ""
    message = (
        f"{str(folder)!r} is finished, but could not be put in its place: {why}; nothing is lost, all of it is in "
        f"{str(kept)!r}: {way_out}, {remove}and rename {str(kept)!r} to {str(folder)!r}"
    )
    return NotPlacedError(message, kept)


def _free(name: Path) -> Path:
    number, free = 1, name
    while free.exists():
        number += 1
        free = name.with_name(f"{name.name}-{number}")
    return free
