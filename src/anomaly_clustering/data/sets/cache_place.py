"""A data set as it is now in; the folder in the user's cache for images that are made of it, out."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def place_of(title: str, told: Iterable[Path]) -> Path:
    """Name a folder for what is made of files, so that changed files get another one.

    Args:
        title: of the data set, and of how it is made.
        told: the files.

    Returns:
        A path below `$XDG_CACHE_HOME/anomaly-clustering/made`, or below `~/.cache` where that is not set.

    Raises:
        FileNotFoundError: a file is missing.

    Example:
        >>> place_of("deep_pcb", []).parent.name
        'made'
    """
    state = hashlib.sha256()
    for file in told:
        look = file.stat()
        told_of_it = f"{os.path.realpath(file)} {look.st_size} {look.st_mtime_ns}\n"
        state.update(told_of_it.encode(errors="surrogateescape"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "anomaly-clustering" / "made" / f"{title}-{state.hexdigest()[:16]}"
