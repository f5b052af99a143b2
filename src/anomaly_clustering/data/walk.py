"""A folder in; the files below it, each once and in one order, and what was left out of them and why, out."""

import errno
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path, PurePath
from typing import NamedTuple, TypeVar

from anomaly_clustering.data.opening import EXTENSIONS
from anomaly_clustering.system.files import is_marked, real_path

# Thumbnails of network drives, deleted files, what archives of macOS bring along, what a check of the disk found.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "$recycle.bin", "system volume information", "__macosx", "lost+found"}
)
# What Windows lays into a folder that somebody looks at.
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
NOT_TO_BE_READ = "which may not be read"
# Before what the system says of it, as of a network that is down.
CANNOT_BE_READ = "which cannot be read: "
LINK_TO_NOWHERE = "a link to what is not there"

AnyPath = TypeVar("AnyPath", bound=PurePath)


class FolderContent(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: each once, sorted by path.
        left_out: why each other folder or link was passed over, by path, sorted. Hidden ones are not among them.
    """

    files: list[Path]
    left_out: dict[Path, str]


def look(folder: Path) -> FolderContent:
    """List all files below a folder, of whatever kind, also through links, each once and sorted by path.

    Args:
        folder: where to look. Hidden files and folders in it are passed over, and so are folders with thumbnails,
            deleted files, what this program wrote or what may not be read, see `why_left_out`. A file that can also be
            reached by a link is listed under its own path.

    Returns:
        Paths that begin with `folder`, in the same order on every file system, and what was passed over.

    Raises:
        OSError: the folder itself is there and cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.jpg", ".hidden.png", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     (Path(folder) / "latest").symlink_to(folder)
        ...     (Path(folder) / "@eaDir").mkdir()
        ...     found = look(Path(folder))
        >>> [path.name for path in found.files], [path.name for path in found.left_out]
        (['a.jpg', 'notes.txt'], ['@eaDir'])
    """
    found: dict[Path, Path] = {}  # By where the file really is.
    left_out: dict[Path, str] = {}
    links: list[Path] = []
    seen: set[Path] = set()

    def failed(error: OSError) -> None:
        here = Path(error.filename or folder)
        if reason := _why_closed(error):
            if here == folder:
                raise error
            left_out[here] = reason

    # What is reached by a link waits until all else is known; a link may lead to a folder that is there anyway.
    waiting = [folder]
    while waiting:
        start = waiting.pop(0)
        for place, folders, names in os.walk(start, onerror=failed):
            here = Path(place)
            real = real_path(here)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            reasons = {name: why_left_out(here / name) for name in sorted(folders) if not name.startswith(".")}
            left_out |= {here / name: reason for name, reason in reasons.items() if reason}
            shown = [name for name, reason in reasons.items() if not reason]
            waiting += [here / name for name in shown if (here / name).is_symlink()]
            folders[:] = [name for name in shown if not (here / name).is_symlink()]
            files = [here / name for name in sorted(names) if not name.startswith(".")]
            links += [file for file in files if file.is_symlink()]
            for file in files:
                if not file.is_symlink():
                    found.setdefault(real / file.name, file)
    for link in sorted_paths(links):
        found.setdefault(real_path(link), link)
        mode, reason = _kind(link)
        left_out |= {} if mode else {link: reason or LINK_TO_NOWHERE}
    kinds = {path: _kind(path) for path in found.values()}
    left_out |= {path: reason for path, (_, reason) in kinds.items() if reason}
    files = sorted_paths(path for path, (mode, _) in kinds.items() if stat.S_ISREG(mode))
    return FolderContent(files, {path: left_out[path] for path in sorted_paths(left_out)})


def sorted_paths(paths: Iterable[AnyPath]) -> list[AnyPath]:
    """Sort paths alike on every system; of those of Windows, Python itself overlooks the capitals.

    Args:
        paths: in any order.

    Example:
        >>> from pathlib import PureWindowsPath
        >>> [path.name for path in sorted_paths([PureWindowsPath("photos/a.png"), PureWindowsPath("photos/B.png")])]
        ['B.png', 'a.png']
    """
    return sorted(paths, key=lambda path: path.parts)


def real_paths(files: Iterable[Path]) -> list[Path]:
    """The absolute paths of files, links followed, as `real_path` gives them; each folder of theirs is looked at once.

    Args:
        files: many, in few folders.

    Example:
        >>> [path.is_absolute() for path in real_paths([Path("photos/0.png"), Path("photos/1.png")])]
        [True, True]
    """
    folders: dict[Path, Path] = {}
    found = []
    for file in files:
        if file.is_symlink() or file.name in ("", ".."):
            found.append(real_path(file))
            continue
        if file.parent not in folders:
            folders[file.parent] = real_path(file.parent)
        found.append(folders[file.parent] / file.name)
    return found


def check_may_be_read(folder: Path) -> None:
    """Check that the user has the permission to see what is in a folder.

    Args:
        folder: as the user gave it.

    Raises:
        PermissionError: they lack it.

    Example:
        >>> check_may_be_read(Path())
    """
    if why_left_out(folder) == NOT_TO_BE_READ:
        raise PermissionError(f"{str(folder)!r} may not be read: you lack the permission")


def image_files(folder: Path, extensions: Collection[str] = EXTENSIONS) -> list[Path]:
    """List all image files below a folder, also through links, sorted by path.

    Args:
        folder: where to look; see `look`.
        extensions: lower-case endings of the files to list; capitals in a file's name do not matter.

    Returns:
        Paths that begin with `folder`, in the same order on every file system.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     print([path.name for path in image_files(Path(folder))])
        ['a.jpg', 'b.PNG']
    """
    return [path for path in look(folder).files if path.suffix.lower() in extensions]


def loose_images(folder: Path) -> list[Path]:
    """List the image files that lie directly in a folder, sorted by path.

    Args:
        folder: that is there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "crack").mkdir()
        ...     for name in ("0.png", "notes.txt", "crack/1.png"):
        ...         (Path(folder) / name).touch()
        ...     print([path.name for path in loose_images(Path(folder))])
        ['0.png']
    """
    inside = [path for path in sorted_paths(folder.iterdir()) if not path.name.startswith(".")]
    return [path for path in inside if path.suffix.lower() in EXTENSIONS and stat.S_ISREG(_kind(path)[0])]


def folders_of_images(folder: Path) -> list[Path]:
    """The folders directly in a folder that may hold photographs: those that `look` enters.

    Args:
        folder: that is there.

    Returns:
        Their paths, sorted.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("crack", ".ipynb_checkpoints", "@eaDir"):
        ...         (Path(folder) / name).mkdir()
        ...     print([path.name for path in folders_of_images(Path(folder))])
        ['crack']
    """
    inside = [path for path in sorted_paths(folder.iterdir()) if not path.name.startswith(".")]
    return [path for path in inside if stat.S_ISDIR(_kind(path)[0]) and not why_left_out(path)]


def why_left_out(folder: Path) -> str:
    """Why the files in a folder are no photographs, or cannot be seen; empty where they may be some.

    Args:
        folder: below the one that the user gave.

    Example:
        >>> why_left_out(Path("photos/__MACOSX"))
        'where systems keep thumbnails and deleted files'
    """
    if folder.name.lower() in SYSTEM_FOLDERS:
        return "where systems keep thumbnails and deleted files"
    try:
        os.scandir(folder).close()
        return "which this program wrote" if is_marked(folder) else ""
    except OSError as error:
        return _why_closed(error)


def _kind(path: Path) -> tuple[int, str]:
    """The mode of what a path leads to, 0 where there is nothing to be seen; and why that is, where it may be there.

    `Path.is_file` and its like raise most errors before Python 3.14.
    """
    try:
        return path.stat().st_mode, ""
    except OSError as error:
        return 0, _why_closed(error)


def _why_closed(error: OSError) -> str:
    """Empty for what was removed since it was listed, and for a link that leads to itself."""
    if isinstance(error, PermissionError):
        return NOT_TO_BE_READ
    gone = isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ELOOP
    return "" if gone else f"{CANNOT_BE_READ}{error.strerror}"
