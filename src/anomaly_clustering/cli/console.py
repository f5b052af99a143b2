"""What commands print: lines, notices, tables of scores, and progress bars."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.metrics.titles import TITLES
from anomaly_clustering.system.messages import LONGEST_NAME, shortened


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
        raise UnreadableImageError(f"{error}; --skip-unreadable lists such files and goes on without them") from error


def drawing_the_report(images: Iterable[Path]) -> Iterable[Path]:
    """A bar that shows how far the report is."""
    return track(images, "Drawing the report", transient=True)


def scores_table(metrics: Mapping[str, float]) -> Table:
    """Metrics to print: F1 and accuracy are those after clusters were matched to classes."""
    resampled = "nmi_mean" in metrics
    table = Table("score", "value", *(["resampled"] if resampled else []))
    for name, title in TITLES.items():
        if name in metrics:
            mean, error = metrics.get(f"{name}_mean"), metrics.get(f"{name}_se")
            spread = "" if mean is None else f"{mean:.3f} ± {error:.3f}"
            table.add_row(title, f"{metrics[name]:.3f}", *([spread] if resampled else []))
    return table


def epochs_table(chosen: Mapping[str, Mapping[str, float | int]]) -> Table:
    """The reported epochs of a training to print."""
    names = [name for name in TITLES if any(name in row for row in chosen.values())]
    table = Table(Column("epoch chosen", no_wrap=True), "epoch", *(TITLES[name] for name in names))
    for reason, row in chosen.items():
        oracle = " (oracle)" if reason == "best_by_accuracy" else ""
        values = (f"{row[name]:.3f}" if name in row else "" for name in names)
        table.add_row(reason.replace("_", " ") + oracle, f"{row['epoch']:.0f}", *values)
    return table
