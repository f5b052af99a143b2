"""A file in; it, written by one command at a time, out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from anomaly_clustering.system.locks import working_on


@contextmanager
def one_at_a_time(file: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Keep other commands from a file, which need not be there yet.

    Args:
        patience: seconds to wait for another command that works on it.

    Raises:
        BlockingIOError: another command works on it.
        OSError: the lock cannot be written.
        ValueError: its name is too long.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place, one_at_a_time(Path(place) / "runs.xz"):
        ...     pass
    """
    with ExitStack() as lock:
        try:
            lock.enter_context(working_on(file, patience=patience))
        except BlockingIOError as error:
            # What it says of folders is no way out here.
            raise BlockingIOError(str(error).removesuffix(", or choose another folder")) from None
        yield
