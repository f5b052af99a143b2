"""The name of a package in; what is imported meanwhile does without it, out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(package: str) -> Iterator[None]:
    """Have other packages find that one is not installed, which they can use and which takes long to import.

    Args:
        package: one that was imported already stays as it is.

    Example:
        >>> with without("wandb"):
        ...     import timm
    """
    if package in sys.modules:
        yield
        return
    # What Python takes for a package that cannot be imported.
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
