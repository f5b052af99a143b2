"""What a command has to say in; the same on the console, and bars while it works, out."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track


def print_plainly(console: Console, text: str) -> None:
    """Without markup, highlights and line breaks: names of files may hold anything, and are copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_notices(console: Console, notices: Iterable[str]) -> None:
    for notice in notices:
        print_plainly(console, f"Notice: {notice}")


def drawing(images: Iterable[Path]) -> Iterable[Path]:
    """Shows how far the report is."""
    return track(images, "Drawing the report", transient=True)
