"""Standard output and error in; the same, which end no command when nobody reads them or a disk is full, out."""

import errno
import os
import sys
from io import TextIOWrapper

# What Windows says of a pipe whose reader has ended.
ENDED = {errno.EINVAL} if os.name == "nt" else set()


class Lasting:
    """A stream of the program that what cannot be written is lost to: the reader of a pipe may end before the command.

    Where a disk has no room, that is said on standard error, and later texts are tried again.

    Args:
        stream: standard output, or error.

    Example:
        >>> with open(os.devnull, "w") as nowhere:
        ...     Lasting(nowhere).write("lost")
        4
    """

    def __init__(self, stream: TextIOWrapper):
        self.stream = stream
        self.has_lost = False
        """Whether something could not be written that somebody may wait for."""

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text, or pass over it."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """The same for what was written before."""
        try:
            self.stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError) or error.errno in ENDED or self is sys.stderr:
            self._silence()
        elif not self.has_lost:
            self.has_lost = True
            print(f"error: what is printed cannot be written: {error.strerror}", file=sys.stderr, flush=True)

    def _silence(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


def outlast_readers() -> None:
    """From now on go on with the work, whatever becomes of what is printed; signs that it cannot show are spelt out."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, Lasting(stream))


def is_all_written() -> bool:
    """Whether all that was printed since `outlast_readers` has found room.

    Example:
        >>> is_all_written()
        True
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    return not getattr(sys.stdout, "has_lost", False)
