"""A file or folder in; it, held by one process at a time, out: the system gives it free when that process dies.

Locks are the system's own (`flock`, on Windows `msvcrt.locking`), so that a process that is killed leaves none behind.
Where a file system knows no locks, as some mounts of network file systems do not, nobody is kept out.
"""

import errno
import os
import shlex
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from anomaly_clustering.system.ending import tell
from anomaly_clustering.system.full_disk import naming_a_full_disk

State = Literal["taken", "busy", "unsupported"]
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
# At a folder that others make and remove meanwhile, until it is given up.
MOST_LOOKS = 1000
# Seconds to wait for who works on a folder for moments, and between two looks.
PATIENCE, BETWEEN_LOOKS = 10.0, 0.05
# How the content of a lock begins.
PROCESS = b"process "
# Bytes of the name of a folder: file systems hold 255, and while it is written more stands around it.
LONGEST_FOLDER = 200
# What a process is told of another one fits on a screen.
LONGEST_COMMAND = 200
# Of who works on a folder, and of who takes what comes for it: names in the folder, or ends of names beside it.
LOCK, LOCK_OF_WATCHER = ".lock", ".watcher"
# On Windows what is locked cannot be read, so this byte is locked, which is far behind what is written.
FAR = 1 << 30

# Open files whose locks this process holds, and the folders that it works on, by the thread that does.
_held: set[int] = set()
_working: dict[Path, int] = {}
# The locks of these folders, which hold nothing that the next process needs.
_locks: set[Path] = set()


def _forget() -> None:
    """In a process that was forked off: the lock is its parent's, and must not outlive that."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
    _working.clear()
    _locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _remove_locks() -> None:
    """Of a process that ends without unwinding; while it lives nobody else can have taken them."""
    for lock in list(_locks):
        with suppress(OSError):
            lock.unlink()


tell(_remove_locks)


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
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
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
    with suppress(FileNotFoundError), file.open("rb") as content:
        return content.read(len(PROCESS)) in (PROCESS, b"")
    return False


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
    descriptor = _opened(file)
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


@contextmanager
def naming(folder: Path, hidden: Path) -> Iterator[None]:
    """Where nothing may be written: say so of the folder that the user knows, not of what is hidden in or beside it.

    Args:
        folder: as the user gave it.
        hidden: the file or folder that is made.

    Raises:
        PermissionError: nothing may be written there.

    Example:
        >>> with naming(Path("run"), Path("run/.lock")):
        ...     raise PermissionError(errno.EACCES, "Permission denied", "run/.lock")
        Traceback (most recent call last):
        PermissionError: 'run' cannot be written to: permission denied; change its rights, or choose another folder
    """
    try:
        yield
    except OSError as error:
        if error.errno not in CLOSED or error.filename != str(hidden):
            raise
        why = str(error.strerror)
        raise PermissionError(
            f"{str(folder)!r} cannot be written to: {why[:1].lower()}{why[1:]}; change its rights, or choose another "
            "folder"
        ) from error


@contextmanager
def working_on(folder: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Keep other processes from working on a folder, which need not be there yet, until the work on it has ended.

    The lock is a hidden file beside the folder, or in it where nothing can be written beside it. Within the work it can
    be asked for again.

    Args:
        folder: those above it are made where they are missing, and removed again if nothing was put there.
        patience: seconds to wait for another process that works on it, such as a watcher, which does so for moments.

    Raises:
        BlockingIOError: another process works on it.
        OSError: the lock cannot be written.
        ValueError: its name is too long.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with working_on(Path(place) / "run"):
        ...         [file.name for file in Path(place).iterdir()]
        ['.run.lock']
    """
    place = Path(os.path.realpath(folder))
    if len(os.fsencode(place.name)) > LONGEST_FOLDER:
        raise ValueError(
            f"{place.name!r} is a name of more than {LONGEST_FOLDER} bytes; choose a shorter one for the folder"
        )
    if _working.get(place) == threading.get_ident():
        yield
        return
    refusal, until = "is in use by {}; let that end, or choose another folder", time.monotonic() + patience
    with ExitStack() as lock:
        while True:
            try:
                lock.enter_context(_alone(folder, place, LOCK, refusal))
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
                time.sleep(BETWEEN_LOOKS)
        _working[place] = threading.get_ident()
        try:
            yield
        finally:
            _working.pop(place, None)


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """Keep other processes from taking what comes for a folder, until this ends; they may work on the folder.

    Args:
        folder: that is there.

    Raises:
        BlockingIOError: another process watches already.
        OSError: the lock cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, watching(Path(folder)), working_on(Path(folder)):
        ...     pass
    """
    refusal = "has a watcher already, {}; end that first, or have one command watch a folder above both"
    with _alone(folder, Path(os.path.realpath(folder)), LOCK_OF_WATCHER, refusal):
        yield


@contextmanager
def _alone(folder: Path, place: Path, lock_name: str, refusal: str) -> Iterator[None]:
    """Hold a hidden file beside a folder, or in it where nothing can be written beside it; say who holds it else."""
    missing = [above for above in place.parents if not above.exists()]
    beside = os.access(place.parent, os.W_OK) or not place.is_dir()
    lock = place.with_name(f".{place.name}{lock_name}") if beside else place / lock_name
    try:
        with naming(folder, lock), held(lock) as state:
            if state == "busy":
                raise BlockingIOError(f"{str(folder)!r} {refusal.format(_holder(lock))}")
            _locks.add(lock)
            try:
                yield
            finally:
                _locks.discard(lock)
    finally:
        for above in missing:
            with suppress(OSError):
                above.rmdir()


def _this_process() -> str:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    command = shlex.join(words)
    short = command if len(command) <= LONGEST_COMMAND else f"{command[:LONGEST_COMMAND]} ..."
    since = datetime.now().isoformat(sep=" ", timespec="seconds")
    return f"{os.getpid()} on {socket.gethostname()} ({short}), since {since}"


def _holder(lock: Path) -> str:
    """Who holds it; the one that has just taken it may need a moment to say so."""
    for _ in range(20):
        with suppress(OSError):
            if said := lock.read_text(errors="backslashreplace"):
                return said
        time.sleep(0.02)
    return "another process"
