"""Work of Lightning in somebody's notebook or script in; the caller's random numbers, and Ctrl-C, as they were, out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from anomaly_clustering.mic.quiet import quiet


@contextmanager
def as_guest() -> Iterator[None]:
    """Leave the caller's process as it was, and say nothing of what Lightning does in it.

    Networks are made with random numbers before their weights are loaded, and loaders of images draw some. Lightning
    ends the process at Ctrl-C, where a notebook or a script waits for its own end.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.

    Example:
        >>> before = torch.get_rng_state()
        >>> with as_guest():
        ...     _ = torch.rand(3)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    try:
        with quiet(), torch.random.fork_rng(devices=()):
            yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
