"""A file in; it, held by one process at a time, out: the system gives it free when that process dies.

Locks are the system's own (`flock`, on Windows `msvcrt.locking`), so that a process that is killed leaves none behind.
Where a file system knows no locks, as some mounts of network file systems do not, nobody is kept out.
"""

import errno
import os
import shlex
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.replacing import once_closed

State = Literal["taken", "busy", "unsupported"]
# Drives of WebDAV and FUSE say that the argument is invalid, which here is always the same and valid.
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
# At a folder that others make and remove meanwhile, until it is given up.
MOST_LOOKS = 1000
# Seconds that a lock may be open in a program that looks at it, such as a virus scanner.
MOMENT = 1.0
# How the content of a lock begins.
PROCESS = b"process "
# What a process is told of another one fits on a screen.
LONGEST_COMMAND = 200
# On Windows what is locked cannot be read, so this byte is locked, which is far behind what is written.
FAR = 1 << 30

# Open files whose locks this process holds.
_held: set[int] = set()


def _forget() -> None:
    """In a process that was forked off: the lock is its parent's, and must not outlive that."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def take(descriptor: int) -> State:
    """Lock an open file, without waiting for it.

    Args:
        descriptor: of a file that is open for writing.

    Returns:
        'busy' where another process, or another opening of the file in this one, holds it; 'unsupported' where the
        file system knows no locks.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file, open(file.name, "r+") as again:
        ...     take(file.fileno()), take(again.fileno())
        ('taken', 'busy')
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, FAR, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                # What is read next tells a lock from other files, also where it cannot be locked.
                os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return "busy"
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return "unsupported"
        raise
    return "taken"


def is_lock(file: Path) -> bool:
    """Whether a file is a lock, by what it holds; one that is empty may have been taken a moment ago.

    Args:
        file: any; it need not be there.

    Example:
        >>> is_lock(Path("thesis.tex"))
        False
    """
    if file.is_symlink() or not file.is_file():
        return False
    with suppress(OSError), file.open("rb") as content:
        return content.read(len(PROCESS)) in (PROCESS, b"")
    return False


def is_held(file: Path) -> bool:
    """Whether another process, or another opening of the file in this one, holds a lock.

    Args:
        file: of the lock; it need not be there, nor be ours to write to.

    Example:
        >>> is_held(Path("gone.lock"))
        False
    """
    if not is_lock(file):
        return False
    try:
        descriptor = os.open(file, os.O_RDONLY | NO_LINKS)
    except OSError:
        return False
    try:
        return take(descriptor) == "busy"
    finally:
        os.close(descriptor)


@contextmanager
def held(file: Path) -> Iterator[State]:
    """Hold a file, which is made with the folder that it is in, and removed in the end.

    Args:
        file: any path that only locks have.

    Returns:
        See `take`; the file is there and removed in the end unless it is 'busy'.

    Raises:
        FileExistsError: the file is there and holds something else, which stays as it is.
        OSError: the file cannot be written, or is a link.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with held(Path(folder) / "lock") as first, held(Path(folder) / "lock") as second:
        ...         first, second
        ('taken', 'busy')
    """
    try:
        # On Windows a virus scanner may have it open, or it goes away, for a moment.
        descriptor = once_closed(lambda: _opened(file), patience=MOMENT)
    except PermissionError:
        if file.is_symlink() or not file.is_file():
            raise
        if not is_held(file):
            raise PermissionError(
                f"{str(file)!r} is the lock of another user: have it removed, unless a process of theirs works here"
            ) from None
        yield "busy"
        return
    state = take(descriptor)
    if state == "busy":
        os.close(descriptor)
        yield state
        return
    # Whoever held it may have removed it between the two lines above; then another process can hold a new one.
    if not _is_there(descriptor, file):
        os.close(descriptor)
        with held(file) as state:
            yield state
        return
    if os.read(descriptor, len(PROCESS)) not in (PROCESS, b""):
        os.close(descriptor)
        raise FileExistsError(f"{str(file)!r} is in the place of a lock and is none; move it away")
    _held.add(descriptor)
    try:
        with naming_a_full_disk(file.parent):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, PROCESS + _this_process().encode(errors="backslashreplace"))
        yield state
    finally:
        # In a process that was forked off it is no longer ours.
        if descriptor in _held:
            _held.discard(descriptor)
            _remove(descriptor, file)


def _opened(file: Path) -> int:
    # Another process may remove the folder while it is empty, also between two looks of `mkdir`.
    for _ in range(MOST_LOOKS):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            if lost := next(filter(_leads_nowhere, (file.parent, *file.parent.parents)), None):
                raise FileNotFoundError(f"{str(lost)!r} is a link that leads nowhere; mend or remove it") from None
            if file.parent.exists() and not file.parent.is_dir():
                raise
            continue
        with suppress(FileNotFoundError), naming_a_full_disk(file.parent):
            if os.path.lexists(file) and not stat.S_ISREG(file.lstat().st_mode):
                raise FileExistsError(f"{str(file)!r} is in the place of a lock and is none; move it away")
            return os.open(file, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o666)
    raise FileNotFoundError(f"{str(file.parent)!r} takes no new files; choose another folder")


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _is_there(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _remove(descriptor: int, file: Path) -> None:
    """While it is held, or the file of the next one would be removed; Windows removes no file that is open."""
    if sys.platform == "win32":
        os.close(descriptor)
        with suppress(OSError):
            file.unlink()
    else:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def holder(lock: Path) -> str:
    """Who holds a lock; the one that has just taken it may need a moment to say so.

    Args:
        lock: its file.

    Example:
        >>> holder(Path("gone.lock"))
        'another process'
    """
    for _ in range(20):
        with suppress(OSError):
            if said := lock.read_text(encoding="utf-8", errors="backslashreplace"):
                return said
        time.sleep(0.02)
    return "another process"


def _this_process() -> str:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    command = shlex.join(words)
    short = command if len(command) <= LONGEST_COMMAND else f"{command[:LONGEST_COMMAND]} ..."
    since = datetime.now().isoformat(sep=" ", timespec="seconds")
    return f"{os.getpid()} on {socket.gethostname()} ({short}), since {since}"
