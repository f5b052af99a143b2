"""What commands print: lines, notices, tables of scores, and progress bars."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.metrics.titles import TITLES
from anomaly_clustering.system.messages import LONGEST_NAME, shortened

WIDTH = 80


def print_plainly(console: Console, text: str) -> None:
    """Without markup, highlights and line breaks: names of files may hold anything, and are copied."""
    console.print(_printable(text), markup=False, highlight=False, soft_wrap=True)


def as_cell(text: str) -> Text:
    """A name in a table: it is no markup, no command of the terminal, and no longer than a screen."""
    return Text(_printable(shortened(text, LONGEST_NAME)))


def _printable(text: str) -> str:
    """What a terminal would obey, and what it could not show, as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def print_notices(console: Console, notices: Iterable[str]) -> None:
    for notice in notices:
        print_plainly(console, shortened(f"Notice: {notice}"))


@contextmanager
def offering_to_skip() -> Iterator[None]:
    """Where a damaged file stops a command that can do without it."""
    try:
        yield
    except UnreadableImageError as error:
        # What comes from another process ends with the line of its traceback.
        said = str(error).rstrip()
        raise UnreadableImageError(f"{said}; --skip-unreadable lists such files and goes on without them") from error


def print_scores(console: Console, metrics: Mapping[str, float]) -> None:
    """Metrics, in two lines of 80 columns; F1 and accuracy are those after clusters were matched to classes.

    What was resampled has a line of its own: mean and standard error of each.
    """
    shown = [(name, title) for name, title in TITLES.items() if name in metrics]
    scores = [f"{title} {metrics[name]:.3f}" for name, title in shown]
    _print_in_lines(console, scores)
    resampled = [(name, title) for name, title in shown if f"{name}_mean" in metrics]
    if resampled:
        told = (f"{title} {metrics[f'{name}_mean']:.3f} ± {metrics[f'{name}_se']:.3f}" for name, title in resampled)
        _print_in_lines(console, ["Resampled:", *told])


def _print_in_lines(console: Console, parts: Sequence[str]) -> None:
    """No number is torn from its name."""
    for line in textwrap.wrap("  ".join(part.replace(" ", "\xa0") for part in parts), WIDTH, break_long_words=False):
        print_plainly(console, line.replace("\xa0", " "))


def epochs_table(chosen: Mapping[str, Mapping[str, float | int]]) -> Table:
    """The reported epochs of a training to print."""
    names = [name for name in TITLES if any(name in row for row in chosen.values())]
    table = Table(Column("epoch chosen", no_wrap=True), "epoch", *(TITLES[name] for name in names))
    for reason, row in chosen.items():
        oracle = " (oracle)" if reason == "best_by_accuracy" else ""
        values = (f"{row[name]:.3f}" if name in row else "" for name in names)
        table.add_row(reason.replace("_", " ") + oracle, f"{row['epoch']:.0f}", *values)
    return table
