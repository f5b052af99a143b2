"""A folder to come in; an error before the work out, where the system takes no paths as long as those in it."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from anomaly_clustering.system.files import unfinished

# Characters that paths of files and of folders may have on Windows; 0 elsewhere, where they may have thousands.
LONGEST_FILE, LONGEST_FOLDER = (259, 247) if os.name == "nt" else (0, 0)


def check_length(place: Path, inside: Path, *, given: Path) -> None:
    """Fail if the system takes no paths as long as those in a folder will be.

    Windows is tried: whether it takes long ones is for its administrator to choose. Others tell.

    Args:
        place: the absolute path of the folder, which need not be there.
        inside: the longest path in it, from there on.
        given: the folder as the user named it.

    Raises:
        OSError: the path is too long.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_length(Path(folder) / "run", Path("thumbnails/0.jpg"), given=Path("run"))
        ...     check_length(Path(folder) / "run", Path("/".join(["x" * 99] * 50)), given=Path("run"))
        Traceback (most recent call last):
        OSError: 'run' has too long a path: files in it would have one of ... characters, more than this system ...
    """
    file = place / inside
    above = next(folder for folder in place.parents if folder.exists())
    if _is_taken(file, above, place.name) if LONGEST_FILE else len(os.fsencode(file)) < _most_bytes(above):
        return
    shorter = max(len(str(file)) - LONGEST_FILE, len(str(file.parent)) - LONGEST_FOLDER)
    of_length = f"of at most {len(str(place)) - shorter} characters" if LONGEST_FILE else "that is shorter"
    raise OSError(
        f"{str(given)!r} has too long a path: files in it would have one of {len(str(file))} characters, more than "
        f"this system takes; choose a folder with a path {of_length}"
    )


def _most_bytes(folder: Path) -> int:
    """Of a path below a folder, with the zero at its end."""
    if sys.platform != "win32":
        with suppress(OSError):
            return os.pathconf(folder, "PC_PATH_MAX")
    return sys.maxsize


def _is_taken(file: Path, above: Path, name: str) -> bool:
    """Whether a path as long as that of a file can be made; of a run of this name, which removes what a kill leaves."""
    try:
        with unfinished(above, name) as hidden:
            folder = _of_length(len(str(file.parent)), hidden)
            folder.mkdir(parents=True)
            _of_length(len(str(file)), folder).touch()
    except OSError as error:
        # Windows does not find what is too long.
        if isinstance(error, FileNotFoundError) or error.errno == errno.ENAMETOOLONG:
            return False
        raise
    return True


def _of_length(length: int, folder: Path) -> Path:
    """A path in a folder that has so many characters, in names that file systems take."""
    whole, rest = divmod(length - len(str(folder)) - 2, 100)
    return folder.joinpath(*["x" * 99] * whole, "x" * (rest + 1))
