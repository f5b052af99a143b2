"""Files that were seen in; whether they have changed since, or are gone, out."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.system.files import digest


class Signature(NamedTuple):
    """What changes when a file is written to, or another one takes its place.

    Attributes:
        size: in bytes.
        changed: when it was written to, in nanoseconds.
        number: that the file system has for it.
    """

    size: int
    changed: int
    number: int


def signature(path: Path) -> Signature:
    """What changes when a file is written to.

    Args:
        path: of the file.

    Raises:
        OSError: it is gone.

    Example:
        >>> signature(Path(__file__)) == signature(Path(__file__))
        True
    """
    found = os.stat(path)
    return Signature(found.st_size, found.st_mtime_ns, found.st_ino)


def gone_from(places: Sequence[Path], content: str) -> dict[Path, str]:
    """Places that had a content and have it no more, with what they hold by now; '' where nothing can be read.

    Files that are there are looked into up to the first one that has it, since copies may be many.

    Args:
        places: paths of files.
        content: SHA-256 of what each of them held.

    Example:
        >>> [path.name for path in gone_from([Path("moved.png")], "9f86d081884c7d65")]
        ['moved.png']
    """
    gone = {place: "" for place in places if not place.exists()}
    for place in places:
        if place not in gone:
            now = ""
            with suppress(OSError):
                now = digest(place)
            if now == content:
                break
            gone[place] = now
    return gone
