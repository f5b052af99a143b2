"""Things to work through in; the same ones out, with a bar where somebody sees it."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def tracked(things: Iterable[T], description: str, *, total: int | None = None) -> Iterable[T]:
    """Show how far the work is, on a terminal alone: a file or another program gets no line of it.

    Args:
        things: to work through.
        description: what is done.
        total: how many there are, where they do not say so themselves.

    Example:
        >>> list(tracked("ab", "Reading letters"))
        ['a', 'b']
    """
    console = Console(stderr=True)
    return track(things, description, total=total, console=console, transient=True, disable=not console.is_terminal)
