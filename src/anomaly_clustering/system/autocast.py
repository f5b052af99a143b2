"""Work whose numbers must be exact in; it, untouched by an autocast that the caller has begun, out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

# What this package computes on.
DEVICES = ("cpu", "cuda")


@contextmanager
def no_autocast() -> Iterator[None]:
    """Compute in the types that tensors have, also within the caller's `torch.autocast`.

    Example:
        >>> with torch.autocast("cpu", torch.bfloat16), no_autocast():
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.float32
    """
    with ExitStack() as stack:
        for kind in DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
