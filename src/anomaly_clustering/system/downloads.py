"""What comes of a file over a network in; the file, whole and checked, out, however often it was cut on the way.

Who asks the server, and how, is the caller's: the hub of weights has a client of its own.
"""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from anomaly_clustering.system.files import digest
from anomaly_clustering.system.lock_files import held
from anomaly_clustering.system.replacing import remove_file

# A file that is open at its end, and how many bytes it has, in; the rest of it is written there.
Receive = Callable[[BinaryIO, int], None]
# Seconds between two looks whether another process has ended, and after which the user is told of it.
LOOK = 0.2
QUIET = 5.0


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait for another process that fetches the same, as those of one run do, and keep others waiting.

    Who waits for long is told so, each process of a run on its own, since any of them may be the one that fetches.

    Args:
        lock: a path that only this lock has, see `held`.

    Raises:
        OSError: the lock cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place, alone(Path(place) / ".a.zip.lock"):
        ...     print([path.name for path in Path(place).iterdir()])
        ['.a.zip.lock']
    """
    tell_at = time.monotonic() + QUIET
    while True:
        with held(lock) as state:
            if state != "busy":
                yield
                return
        if time.monotonic() >= tell_at:
            print(f"Waiting for another process that downloads the same (it holds {lock})", file=sys.stderr, flush=True)
            tell_at = math.inf
        time.sleep(LOOK)


def complete(part: Path, receive: Receive, *, url: str, sha256: str | None, size: int | None = None) -> None:
    """Fill a file that an earlier call may have begun until it is whole; what has come stays where this fails.

    Args:
        part: the file, whose folder is there.
        receive: asks the server for what is missing.
        url: for the error message.
        sha256: the checksum that the file must have, 64 hexadecimal digits; None where there is none to check.
        size: of the whole file in bytes; None where it is not known.

    Raises:
        ValueError: the checksum is wrong; the file is removed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     part = Path(place) / "greeting"
        ...     _ = part.write_bytes(b"he")
        ...     complete(part, lambda file, has: print(file.write(b"hello"[has:])), url="", sha256=None)
        ...     part.read_text()
        3
        'hello'
    """
    part.touch()
    if size is not None and part.stat().st_size > size:
        # Whatever it is, it is not the beginning of the file.
        part.write_bytes(b"")
    has = part.stat().st_size
    if has and sha256 and digest(part) == sha256:
        return
    try:
        with part.open("r+b") as file:
            file.seek(has)
            receive(file, has)
            # A stick may be pulled out, and the name must not be there before the content.
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        if not part.stat().st_size:
            remove_file(part)
        raise
    if sha256 and (found := digest(part)) != sha256:
        remove_file(part)
        raise ValueError(
            f"{url} has a wrong checksum: what came has the SHA-256 {found} in place of {sha256}; nothing was kept: "
            "fetch it again, and if it comes so again, something on the way changes it"
        )


def check_room(folder: Path, size: int, *, called: str) -> None:
    """Check that what is to come fits on the disk.

    Args:
        folder: where it goes, which is there.
        size: in bytes.
        called: what it is, for the error message.

    Raises:
        OSError: the disk has less free.

    Example:
        >>> check_room(Path(), 10**18, called="visa.tar")
        Traceback (most recent call last):
        OSError: visa.tar takes 1,000,000,000,000,000,000 bytes more, and the disk of '.' has ...
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(
            f"{called} takes {size:,} bytes more, and the disk of {str(folder)!r} has {free:,}; free some space, or "
            "choose another folder"
        )
