"""Lines and bytes in; files that only grow, in which each addition is whole or not there at all, out."""

import errno
import os
from pathlib import Path

from anomaly_clustering.system.full_disk import naming_a_full_disk


def append_line(path: Path, line: str) -> None:
    """Add a line to a file and wait until it is on the disk; where that fails, the file is as it was.

    Args:
        path: of the file, which is made where it is missing.
        line: without its end.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    data = f"{line}\n".encode("utf-8", "surrogateescape")
    with naming_a_full_disk(path.parent), path.open("ab", buffering=0) as file:
        append_whole(file.fileno(), data, durable=True)


def append_whole(descriptor: int, data: bytes, *, durable: bool) -> None:
    """Add bytes to an open file; where that fails, the file is as it was.

    Args:
        descriptor: of the file, open to append to it.
        data: to add.
        durable: wait until they are on the disk.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    size = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(descriptor)
    except BaseException:
        os.ftruncate(descriptor, size)
        raise


def mend(path: Path) -> None:
    """Cut off a last line that a loss of power left without its end.

    Args:
        path: of the file; it need not be there.
    """
    if path.is_file():
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
