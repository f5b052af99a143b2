"""Work that draws random numbers in; it, with numbers of its own, and those of the process as they were, out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Networks are made with random weights before those of the file are loaded, and loaders of images draw a seed.
DRAWS = frozenset(
    {"kaiming_uniform_", "normal_", "uniform_", "random_", "exponential_", "bernoulli_", "bernoulli", "multinomial"}
    | {"normal", "rand", "randn", "randint", "randperm"}
)


@contextmanager
def own_numbers() -> Iterator[None]:
    """Draw what this thread draws on a processor, and gives no generator for, from a generator of its own.

    To put the numbers of the process back afterwards would repeat what other threads have drawn in the meantime.

    Example:
        >>> before = torch.get_rng_state()
        >>> with own_numbers():
        ...     _ = torch.rand(3)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    with _Own():
        yield


class _Own(TorchFunctionMode):
    """PyTorch keeps one for each thread, and asks it to call each function."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func.__name__ in DRAWS and kwargs.get("generator") is None and _on_processor(args, kwargs):
            kwargs["generator"] = self.generator
        return func(*args, **kwargs)


def _on_processor(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    asked = tensors[0].device if tensors else kwargs.get("device")
    return torch.device(torch.get_default_device() if asked is None else asked).type == "cpu"
