"""What is done in the folder of a run in; where the system refuses it, an error of the run and of no image, out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomaly_clustering.system.full_disk import FULL
from anomaly_clustering.system.messages import sentence_of


class RunAwayError(OSError):
    """The folder of the run cannot be read, or not be written to, for now."""


class ChangingError(OSError):
    """A file, or what is known of a run, has changed while it was read."""


@contextmanager
def blaming_the_run(folder: Path) -> Iterator[None]:
    """What the system refuses is told of the run, not of an image that came; a full disk and a lock are told as ever.

    Args:
        folder: of the run.

    Raises:
        RunAwayError: the run is gone, or nothing may be written to it.

    Example:
        >>> with blaming_the_run(Path("run")):
        ...     raise FileNotFoundError("no such drive")
        Traceback (most recent call last):
        anomaly_clustering.runs.run_away.RunAwayError: the run in 'run' cannot be read or written to: no such drive
    """
    try:
        yield
    except (BlockingIOError, ChangingError):
        raise
    except OSError as error:
        if error.errno in FULL:
            raise
        raise RunAwayError(f"the run in {str(folder)!r} cannot be read or written to: {sentence_of(error)}") from error
