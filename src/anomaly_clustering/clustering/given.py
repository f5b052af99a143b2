"""Arrays, tensors or lists of a user in; arrays out, or what is wrong with them. PyTorch is not imported for it."""

from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class TensorLike(Protocol):
    """A tensor of PyTorch, on any device and with or without a gradient."""

    def detach(self) -> Any: ...


def as_array(given: Any, name: str, axes: str) -> np.ndarray:
    """Numbers as an array; those of a tensor without its gradient, on the processor.

    Args:
        given: an array, a tensor, or lists.
        name: what the argument is called.
        axes: one letter an axis, such as 'ND'.

    Returns:
        The same memory where that is possible.

    Raises:
        TypeError: these are no numbers.
        ValueError: they have other axes.

    Example:
        >>> import torch
        >>> as_array(torch.tensor([[0.5, 1.0]], requires_grad=True), "embeddings", "ND").tolist()
        [[0.5, 1.0]]
    """
    if isinstance(given, TensorLike):
        tensor = given.detach().cpu()
        # numpy has no such numbers.
        given = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must be an array or a tensor of numbers, got a {type(given).__name__} of {array.dtype}"
        )
    if array.ndim != len(axes):
        raise ValueError(f"{name} must be [{', '.join(axes)}], got {list(array.shape)}")
    return array
