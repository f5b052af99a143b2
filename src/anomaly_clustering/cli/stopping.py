"""Ctrl-C and SIGTERM in; a command that ends within a second, with one sentence and the status that shells expect, out.

Python calls a handler between two instructions of the main thread, thus not before a long computation in C has ended.
The system writes the signal's number into a socket all the same, and a thread that reads it waits for a moment in which
the main thread may tidy up, then ends the process. Only C code that keeps Python's lock can delay it (SciPy's trees of
more than 8,000 images, k-medoids): by as long as that takes.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from anomaly_clustering.system.ending import STOPPING, end, heed_signals

# Seconds that the main thread has to remove what it has begun.
GRACE = 0.5


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by a signal to end; what handles Ctrl-C handles it.

    Args:
        number: of the signal.

    Example:
        >>> Stopped(signal.SIGTERM).status
        143
    """

    def __init__(self, number: int):
        super().__init__()
        self.status = 128 + number


def status_of(stop: BaseException | None) -> int | None:
    """The status with which to end by what was raised; None where no signal has raised it.

    Args:
        stop: as it was caught.

    Example:
        >>> status_of(KeyboardInterrupt()), status_of(Stopped(signal.SIGTERM)), status_of(ValueError())
        (130, 143, None)
    """
    if isinstance(stop, Stopped):
        return stop.status
    if isinstance(stop, KeyboardInterrupt):
        return 128 + signal.SIGINT
    # So Lightning ends what is interrupted.
    return status_of(stop.__context__) if isinstance(stop, SystemExit) else None


def stop_on_signals(sentence: Callable[[], str]) -> None:
    """From now on signals to end raise `Stopped`, or end the process where that does not; a second one ends it at once.

    For the main thread of a program, once. What was told to ignore a signal, as `nohup` does, goes on ignoring it.

    Args:
        sentence: gives what is said where the main thread did not end by itself.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
    before = {number: signal.getsignal(number) for number in STOPPING}
    heeded = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    raised = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        # A second one must not disturb the tidying up: it is the thread's business.
        if not raised.is_set():
            raised.set()
            raise Stopped(number)

    def as_before() -> None:
        # A signal to a process that loads images is none to the command.
        signal.set_wakeup_fd(-1)
        for number in heeded:
            signal.signal(number, before[number])
        go_on()

    def hold() -> None:
        # Until the child has let go of the socket, in which its signals would be seen as the command's.
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_BLOCK, heeded)

    def go_on() -> None:
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)

    tell = sys.unraisablehook

    def tell_others(swallowed: "sys.UnraisableHookArgs") -> None:
        # Python goes on where it was raised while something was thrown away; the thread ends the process then.
        if not isinstance(swallowed.exc_value, Stopped):
            tell(swallowed)

    sys.unraisablehook = tell_others
    for number in heeded:
        signal.signal(number, stop)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=hold, after_in_parent=go_on, after_in_child=as_before)
    threading.Thread(target=_watch, args=(reading, heeded, sentence), daemon=True, name="signals").start()
    # The first process of several has them wait for the others, see `end_with_the_started`.
    heed_signals()


def _watch(signals: socket.socket, heeded: list[int], sentence: Callable[[], str]) -> None:
    first = _next(signals, heeded)
    signals.settimeout(GRACE)
    with suppress(TimeoutError):
        _next(signals, heeded)
    end(128 + first, sentence())


def _next(signals: socket.socket, heeded: list[int]) -> int:
    while True:
        (number,) = signals.recv(1)
        if number in heeded:
            return number
