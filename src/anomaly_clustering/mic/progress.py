"""A description and a total in; a progress bar, and the function that advances it, out."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import rich.progress

Advance = Callable[[int], object]
# A description and a total -> a bar.
Progress = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def progress_bar(description: str, total: int, *, shown: bool) -> Iterator[Advance]:
    """A bar that goes away when the work is done."""
    with rich.progress.Progress(disable=not shown, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.advance(task, done)
