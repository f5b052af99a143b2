"""Standard output and error in; the same, which end no command when nobody reads them or a disk is full, out."""

import os
import sys
from typing import TextIO


class Lasting:
    """A stream of the program that what cannot be written is lost to: the reader of a pipe may end before the command.

    Args:
        stream: standard output, or error.

    Example:
        >>> with open(os.devnull, "w") as nowhere:
        ...     Lasting(nowhere).write("lost")
        4
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, or from the first failure on pass over, a text."""
        try:
            return self.stream.write(text)
        except OSError:
            self._silence()
            return len(text)

    def flush(self) -> None:
        """The same for what was written before."""
        try:
            self.stream.flush()
        except OSError:
            self._silence()

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
