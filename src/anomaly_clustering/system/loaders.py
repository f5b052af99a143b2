"""A loader of images in; a loader of the batches, or of the images, that are asked for out."""

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

# Seconds without an image until processes that read some are given up. Processes of PyTorch wait half an hour for one
# another, and this is to be told before that is over.
PATIENCE = 1200.0


def patience(num_workers: int) -> float:
    """Seconds that a loader waits for its processes (`timeout` of PyTorch's); 0 for as long as they live.

    With a timeout PyTorch hears by a signal that one of them was killed. Windows has no such signal, and elsewhere only
    the main thread heeds it: a process that was killed would look there like one that hangs, for all that time. Without
    a timeout PyTorch looks every few seconds whether they live, so there is none in these cases.

    Args:
        num_workers: that read images; without them PyTorch takes no timeout.

    Example:
        >>> patience(0)
        0.0
    """
    hears = sys.platform != "win32" and threading.current_thread() is threading.main_thread()
    return PATIENCE if num_workers and hears else 0.0


def in_batches(total: int, size: int) -> list[range]:
    """Positions of all images in their order, batch by batch.

    A network may round an image's numbers otherwise beside other images. So the same batches, whoever reads them, give
    the same numbers to the last bit.

    Args:
        total: how many images there are.
        size: of a batch; the last one may be smaller.

    Example:
        >>> [list(batch) for batch in in_batches(5, 2)]
        [[0, 1], [2, 3], [4]]
    """
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def of_batches(
    loader: DataLoader[Mapping[str, Any]], batches: Sequence[Sequence[int]]
) -> DataLoader[Mapping[str, Any]]:
    """A loader that reads as another one does, and only these batches.

    Args:
        loader: of a data set.
        batches: positions in the data set, batch by batch.

    Example:
        >>> loader = DataLoader([0.0, 0.1, 0.2, 0.3], batch_size=2)
        >>> [batch.tolist() for batch in of_batches(loader, [[2, 3]])]
        [[0.2, 0.3]]
    """
    return DataLoader(
        loader.dataset,
        batch_sampler=[list(batch) for batch in batches],
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        timeout=patience(loader.num_workers),
    )


def of_images(loader: DataLoader[Any], images: Int[Tensor, " count"]) -> DataLoader[Any]:
    """A loader that reads as another one does, and only these images, in this order.

    Args:
        loader: of a data set; one that was given batches, and tells no size of them, counts as one of single images.
        images: positions in the data set.

    Example:
        >>> import torch
        >>> loader = DataLoader([0.0, 0.1, 0.2, 0.3], batch_size=2)
        >>> [batch.tolist() for batch in of_images(loader, torch.tensor([3, 0, 1]))]
        [[0.3, 0.0], [0.1]]
    """
    return of_batches(loader, [some.tolist() for some in images.split(loader.batch_size or 1)])
