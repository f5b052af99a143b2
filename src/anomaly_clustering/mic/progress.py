"""A description and a total in; a progress bar, and the function that advances it, out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress


@contextmanager
def progress_bar(description: str, total: int, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """A bar that goes away when the work is done."""
    with Progress(disable=not shown, transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.advance(task, done)
