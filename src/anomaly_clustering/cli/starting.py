"""Processes of one run that start: until they have found one another, each ends with the one that started it.

Later they watch one another, see `Companions`.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from subprocess import Popen

from anomaly_clustering.system.ending import end, met

# In the environment of processes that rank 0 starts, since the system does not tell of one that has ended before.
STARTER = "ANOMALY_CLUSTERING_STARTED_BY"
# Seconds between two looks.
LOOK = 0.1


def is_first() -> bool:
    """Whether this process is the first, or the only one, of those on this machine, which speaks for all.

    Example:
        >>> is_first()
        True
    """
    return os.environ.get("LOCAL_RANK", "0") == "0"


def end_with_the_starter() -> None:
    """From now on end this process, if it is one of several, where the one that started it has ended."""
    starter = int(os.environ.get(STARTER, os.getppid()))

    def look() -> None:
        while not met.wait(LOOK):
            if os.getppid() != starter:
                end(1, "error: rank 0 has ended before the run began; if it does not say why, it was killed")

    if not is_first():
        threading.Thread(target=look, daemon=True, name="starter").start()


def end_with_the_started(started: Callable[[], Sequence[Popen[bytes]]]) -> None:
    """From now on end this process where one that it starts does not come so far as to meet it.

    Args:
        started: the processes, those of rank 1, 2 and so on, as soon as there are any.
    """

    def look() -> None:
        while not met.wait(LOOK):
            for rank, process in enumerate(started(), start=1):
                if status := process.poll():
                    end(1, f"error: rank {rank} has ended before the run began: {_how(status)}")

    if is_first():
        os.environ[STARTER] = str(os.getpid())
        threading.Thread(target=look, daemon=True, name="started").start()


def _how(status: int) -> str:
    if status > 0:
        return "it says why"
    return f"it was killed by {signal.Signals(-status).name}, most often because memory ran out"
