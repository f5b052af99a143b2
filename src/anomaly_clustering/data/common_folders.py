"""Files in; the folder that all of them lie below out."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path


def common_folders(files: Sequence[Path]) -> list[Path]:
    """For each file the folder that all of them lie below; on Windows all that are on its drive or share.

    Args:
        files: whole paths.

    Example:
        >>> [folder.as_posix() for folder in common_folders([Path("/line/a/0.png"), Path("/line/b/0.png")])]
        ['/line', '/line']
    """
    by_drive: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_drive[_drive(file)].append(file.parent)
    common = {drive: Path(os.path.commonpath(folders)) for drive, folders in by_drive.items()}
    return [common[_drive(file)] for file in files]


def _drive(file: Path) -> str:
    return os.path.normcase(file.drive)
