"""Processes of one run that start: until they have found one another, each ends with the one that started it.

Later they watch one another, see `Companions`.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from subprocess import Popen

from anomaly_clustering.system.ending import STOPPING, end, hold_signals, met, tell

# In the environment of processes that rank 0 starts, since the system does not tell of one that has ended before.
STARTER = "ANOMALY_CLUSTERING_STARTED_BY"
# Seconds between two looks.
LOOK = 0.1
# Seconds in which this process ends by itself where all were interrupted.
OWN = 1.5


def is_first() -> bool:
    """Whether this process is the first, or the only one, of those on this machine, which speaks for all.

    Example:
        >>> is_first()
        True
    """
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"


def end_with_the_starter() -> None:
    """From now on end this process, if it is one of several, where the one that started it has ended."""
    starter = int(os.environ.get(STARTER, os.getppid()))

    def look() -> None:
        while not met.wait(LOOK):
            if os.getppid() != starter:
                end(1, "error: rank 0 was killed before the run began, most often because memory ran out")

    # SLURM's own ends those that it started.
    if not is_first() and "LOCAL_RANK" in os.environ:
        threading.Thread(target=look, daemon=True, name="starter").start()


def end_with_the_started(started: Callable[[], Sequence[Popen[bytes]]]) -> None:
    """From now on end this process where one that it starts does not come so far as to meet it, and the other way.

    Until then signals to end wait for those that start: whoever started them ends them, and says so for all.

    Args:
        started: the processes, those of rank 1, 2 and so on, as soon as there are any.
    """

    def look() -> None:
        while not met.wait(LOOK):
            for rank, process in enumerate(started(), start=1):
                if status := process.poll():
                    if _by(status) in STOPPING:
                        time.sleep(OWN)
                    end(1, f"error: rank {rank} {_how(status)}")

    def end_them() -> None:
        for process in started() if not met.is_set() else ():
            process.kill()

    if is_first():
        hold_signals()
        tell(end_them)
        atexit.register(end_them)
        os.environ[STARTER] = str(os.getpid())
        threading.Thread(target=look, daemon=True, name="started").start()


def _how(status: int) -> str:
    number = _by(status)
    if number is None:
        return "has ended before the run began: it says why"
    name = signal.Signals(number).name
    if number in STOPPING:
        return f"was ended by {name} before the run began; start the command again"
    return f"was killed before the run began, by {name}, most often because memory ran out"


def _by(status: int) -> int | None:
    """The signal that ended a process, also where it did as a shell would."""
    number = -status if status < 0 else status - 128
    return number if status < 0 or number in STOPPING else None
