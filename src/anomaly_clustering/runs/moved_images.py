"""Images by their content, and files or folders, in; whether a file still holds its image, and which does now, out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from anomaly_clustering.data.walk import image_files
from anomaly_clustering.system.files import digest


def still_holds(path: Path, content: str) -> bool:
    """Whether a file is there and has not been overwritten.

    Args:
        path: of the file.
        content: SHA-256 of what it held.

    Returns:
        False also where it cannot be read.

    Example:
        >>> still_holds(Path("gone.png"), "9f86")
        False
    """
    try:
        return path.is_file() and digest(path) == content
    except OSError:
        return False


def moved_to(contents: Mapping[Path, str], folders: Iterable[Path]) -> dict[Path, Path]:
    """Find files by what they hold. Those of the same name are looked at first, since every look reads a whole file.

    Args:
        contents: SHA-256 of images by the paths that they had.
        folders: to look in.

    Returns:
        New paths by old ones; none of an image that is not there. Of images that are copies each has a file of its own.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "a.png"
        ...     _ = file.write_bytes(b"pixels")
        ...     moved_to({Path("photos/a.png"): digest(file)}, [Path(folder)])[Path("photos/a.png")].name
        'a.png'
    """
    wanted: dict[str, list[Path]] = defaultdict(list)
    for path, content in contents.items():
        wanted[content].append(path)
    names = {path.name for path in contents}
    files = [file for folder in folders for file in image_files(folder)]
    found: dict[Path, Path] = {}
    for file in sorted(files, key=lambda file: file.name not in names):
        if not wanted:
            break
        content = digest(file)
        if content in wanted:
            found[wanted[content].pop(0)] = file
            if not wanted[content]:
                del wanted[content]
    return found
