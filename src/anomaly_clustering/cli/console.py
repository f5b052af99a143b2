"""What a command has to say in; the same on the console, and bars while it works, out."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import track

from anomaly_clustering.data.images import UnreadableImageError


def print_plainly(console: Console, text: str) -> None:
    """Without markup, highlights and line breaks: names of files may hold anything, and are copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_notices(console: Console, notices: Iterable[str]) -> None:
    for notice in notices:
        print_plainly(console, f"Notice: {notice}")


@contextmanager
def offering_to_skip() -> Iterator[None]:
    """Where a damaged file stops a command that can do without it."""
    try:
        yield
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{error}; --skip-unreadable lists such files and goes on without them") from error


def drawing(images: Iterable[Path]) -> Iterable[Path]:
    """Shows how far the report is."""
    return track(images, "Drawing the report", transient=True)
