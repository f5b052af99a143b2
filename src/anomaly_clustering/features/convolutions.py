"""A device in; while it lasts, the convolutions that are computed there have all digits of float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from anomaly_clustering.system.for_all_threads import ForAllThreads


def exact_convolutions(device: torch.device) -> AbstractContextManager[None]:
    """Let GPUs multiply what convolutions are given in float32, of which cuDNN keeps 10 bits otherwise.

    On pill that moved embeddings by .03, and 8 of 150 images to another cluster than on a processor. Several threads
    may be within at a time; work on a processor leaves the switch of GPUs alone.

    Args:
        device: where the convolutions are computed.

    Example:
        >>> with exact_convolutions(torch.device("cpu")):
        ...     torch.nn.Conv2d(1, 1, 1, bias=False)(torch.zeros(1, 1, 1, 1)).item()
        0.0
    """
    return _TURNED.held() if device.type == "cuda" else nullcontext()


@contextmanager
def _turned() -> Iterator[None]:
    backends: Any = torch.backends  # Some of its modules are made as they are asked for.
    convolutions = backends.cudnn.conv
    if convolutions.fp32_precision != "tf32":
        yield
        return
    # PyTorch tells what holds for convolutions, not whether by a switch of their own or by a wider one. Only the one
    # that decides is turned, so that what is set afterwards, at whichever of them, counts as if this had not been.
    for switch in (backends, backends.cudnn, convolutions):
        before = switch.fp32_precision
        switch.fp32_precision = "ieee"
        if convolutions.fp32_precision == "ieee":
            break
        switch.fp32_precision = before
    try:
        yield
    finally:
        switch.fp32_precision = before


# The switch is of the process.
_TURNED = ForAllThreads(_turned)
