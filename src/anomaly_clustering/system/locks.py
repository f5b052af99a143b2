"""A folder in; who works on it, or takes what comes for it, alone, out: by a hidden file beside it or in it."""

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from anomaly_clustering.system.ending import tell
from anomaly_clustering.system.lock_files import State, held, holder, is_held

CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
# Seconds to wait for who works on a folder for moments, and between two looks.
PATIENCE, BETWEEN_LOOKS = 10.0, 0.05
# Bytes of the name of a folder: file systems hold 255, and while it is written more stands around it.
LONGEST_FOLDER = 200
# Of who works on a folder, and of who takes what comes for it: names in the folder, or ends of names beside it.
LOCK, LOCK_OF_WATCHER = ".lock", ".watcher"

# The folders that this process works on, by the thread that does.
_working: dict[Path, int] = {}
# The locks of these folders, which hold nothing that the next process needs.
_locks: set[Path] = set()
# Where a lock was denied, in folders in which users make no files; on Windows it takes a moment to be sure of that.
_denied: set[Path] = set()


def _forget() -> None:
    """In a process that was forked off: what its parent works on is not its own."""
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
def working_on(folder: Path, *, patience: float = 0.0, replaceable: bool = True) -> Iterator[None]:
    """Keep other processes from working on a folder, which need not be there yet, until the work on it has ended.

    The lock is a hidden file beside the folder, or in it where nothing can be written beside it. Within the work it can
    be asked for again.

    Args:
        folder: those above it are made where they are missing, and removed again if nothing was put there.
        patience: seconds to wait for another process that works on it, such as a watcher, which does so for moments.
        replaceable: whether another folder would do as well, which the error then says; not if it is a file.

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
    until = time.monotonic() + patience
    refusal = (
        "is in use by {}; let that end, or choose another folder" if replaceable else "is in use by {}; let that end"
    )
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
    """Hold a hidden file beside a folder, or in it where nothing can be written beside it; say who holds it else.

    Another user may be allowed to write where this one is not, so that each looks at the other place too.
    """
    missing = [above for above in place.parents if not above.exists()]
    beside, inside = place.with_name(f".{place.name}{lock_name}"), place / lock_name
    places = [beside]
    if place.is_dir():
        # Windows says that any folder may be written to, also C:\ and others that take folders but no files.
        places = [beside, inside] if os.access(place.parent, os.W_OK) else [inside]
    try:
        with ExitStack() as kept:
            lock, state = _first_that_can_be_held(places, folder, kept)
            other = inside if lock == beside else beside
            if state == "busy" or is_held(other):
                raise BlockingIOError(f"{str(folder)!r} {refusal.format(holder(lock if state == 'busy' else other))}")
            _locks.add(lock)
            try:
                yield
            finally:
                _locks.discard(lock)
    finally:
        for above in missing:
            with suppress(OSError):
                above.rmdir()


def _first_that_can_be_held(locks: Sequence[Path], folder: Path, kept: ExitStack) -> tuple[Path, State]:
    for lock in locks[:-1]:
        if lock in _denied:
            continue
        try:
            return lock, kept.enter_context(held(lock))
        except OSError as error:
            if error.errno not in CLOSED:
                raise
            _denied.add(lock)
    with naming(folder, locks[-1]):
        return locks[-1], kept.enter_context(held(locks[-1]))
