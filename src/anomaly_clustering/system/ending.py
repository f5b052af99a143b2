"""Ends this process at once, from any thread: one sentence is said, its children end too, and who waits is told."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

# Those that ask a process to end, by a user, a scheduler and a terminal that was closed; Windows has no SIGHUP.
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# Set when the processes of a run have found one another, and watch each other.
met = threading.Event()
_ending = threading.Lock()
_told: list[Callable[[], object]] = []


def hold_signals() -> None:
    """Have signals to end wait, in processes that this thread starts, until they are ready to heed them.

    To this process they come by its other threads.
    """
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def heed_signals() -> None:
    """Have signals to end come to this thread, and to processes that it starts."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def tell(told: Callable[[], object]) -> None:
    """Have something called before this process ends early, such as a word to others who wait for it.

    Args:
        told: is called by the thread that ends the process, and must not wait for the main thread.

    Example:
        >>> tell(lambda: None)
        >>> _told.pop()()
    """
    _told.append(told)


def end(status: int, sentence: str) -> NoReturn:
    """End the process without unwinding: neither a long computation nor a lock of the main thread can hold it up.

    Args:
        status: of the process.
        sentence: for the user, a line on standard error; nothing is said where it is empty.
    """
    # Whoever comes second waits for the first, who ends both.
    _ending.acquire()
    with suppress(OSError):
        # Not by `sys.stderr`, in whose lock the main thread may be. A progress bar has hidden the cursor.
        shown = "\x1b[?25h\n" if os.isatty(2) else ""
        os.write(2, f"{shown}{sentence}\n".encode(errors="replace") if sentence else b"")
    for told in _told:
        with suppress(Exception):
            told()
    # Those that load images, or compute cells.
    with suppress(Exception):
        for child in multiprocessing.active_children():
            child.kill()
    os._exit(status)


def end_after_all(status: int, sentence: str) -> NoReturn:
    """The same by the main thread, which has done what it could: what it printed is shown before.

    Args:
        status: of the process.
        sentence: for the user.
    """
    with suppress(Exception):
        sys.stdout.flush()
    end(status, sentence)
