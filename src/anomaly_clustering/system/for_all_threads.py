"""A state of the whole process in; it, held from the first thread that asks for it to the last one, out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class ForAllThreads:
    """A state that several threads may ask for at a time: the first one makes it, and the last one undoes it.

    Were each to undo what it has made, the first to end would undo it for the others.

    Args:
        make: gives the context in which the process has that state.

    Example:
        >>> @contextmanager
        ... def told() -> Iterator[None]:
        ...     print("made")
        ...     yield
        ...     print("undone")
        >>> state = ForAllThreads(told)
        >>> with state.held(), state.held():
        ...     pass
        made
        undone
    """

    def __init__(self, make: Callable[[], AbstractContextManager[None]]):
        self._make, self._made = make, ExitStack()
        self._lock, self._within = threading.Lock(), 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the process in the state as long as this lasts."""
        with self._lock:
            if self._within == 0:
                self._made.enter_context(self._make())
            self._within += 1
        try:
            yield
        finally:
            with self._lock:
                self._within -= 1
                if self._within == 0:
                    self._made.close()
