"""A description and a total in; a progress bar, and the function that advances it, out."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from anomaly_clustering.mic.pace import Pace

Advance = Callable[[int], object]
# A description and a total -> a bar.
Progress = Callable[[str, int], AbstractContextManager[Advance]]


class Speed(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        """The cell of a bar."""
        rate = task.fields["pace"].rate
        if rate is None:
            return Text("")
        return Text(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s", style="progress.data.speed")


class Left(ProgressColumn):
    """How long what is left will take."""

    def render(self, task: Task) -> Text:
        """The cell of a bar."""
        left = 0.0 if task.finished else task.fields["pace"].left
        told = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
        return Text(f"{told} left", style="progress.remaining")


def bars(*, shown: bool, transient: bool) -> Bars:
    """Bars with how much is done, how fast, and how long the rest will take; each task has a field `pace`.

    Args:
        shown: whether they are.
        transient: whether they go away when the work is done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed(), Left())
    # What goes away would leave an empty line in a file.
    shown = shown and (not transient or get_console().is_terminal)
    return Bars(*columns, disable=not shown, transient=transient)


@contextmanager
def progress_bar(description: str, total: int, *, shown: bool) -> Iterator[Advance]:
    """A bar that goes away when the work is done."""
    pace = Pace(total)
    with bars(shown=shown, transient=True) as bar:
        task = bar.add_task(description, total=total, pace=pace)

        def advance(count: int) -> None:
            pace.advance(count)
            bar.advance(task, count)

        yield advance
