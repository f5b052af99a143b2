"""Checks what a metric is given, and leaves out samples that a distributed sampler has repeated."""

import torch
from jaxtyping import Integer
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

Labels = Integer[Tensor, " n"]


class NothingToScore(ValueError):
    """There are samples that are laid out well, but too few of those that a score is made of."""


def check_ids(**ids: Tensor | None) -> None:
    """Check that ids are integers, one for each sample.

    Args:
        ids: tensors [N] by the name of the argument that they were given as; None for one that was not given.

    Raises:
        ValueError: one has another type or another shape than [N]; or their lengths differ, where PyTorch would
            broadcast one sample to all others.

    Example:
        >>> check_ids(preds=torch.tensor([0]), target=torch.tensor([0, 1, 1]))
        Traceback (most recent call last):
        ValueError: preds and target must be integers, one a sample, got preds int64 [1], target int64 [3]
    """
    all_given = {name: given for name, given in ids.items() if given is not None}
    if all(_are_ids(given) for given in all_given.values()) and len({len(given) for given in all_given.values()}) <= 1:
        return
    got = ", ".join(f"{name} {_described(given)}" for name, given in all_given.items())
    raise ValueError(f"{' and '.join(all_given)} must be integers, one a sample, got {got}")


def _are_ids(given: object) -> bool:
    return isinstance(given, Tensor) and given.ndim == 1 and given.dtype in _INTEGERS


_INTEGERS = {torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8}


def _described(given: object) -> str:
    if not isinstance(given, Tensor):
        return f"a {type(given).__name__}"
    return f"{str(given.dtype).removeprefix('torch.')} {list(given.shape)}"


def positions_or_unknown(index: Labels | None, beside: Tensor) -> Labels:
    """The given positions of samples in the data set, or -1 (unknown) for each sample.

    Args:
        index: positions [N], or None.
        beside: any tensor of the same samples, one row a sample; says how many there are and on which device.

    Returns:
        Positions [N], as 64-bit integers.

    Raises:
        ValueError: positions are not integers, one a sample.

    Example:
        >>> positions_or_unknown(None, torch.tensor([7, 7, 4])).tolist()
        [-1, -1, -1]
    """
    check_ids(index=index)
    return torch.full((len(beside),), -1, dtype=torch.long, device=beside.device) if index is None else index.long()


def each_once(index: list[Tensor] | Tensor, *states: list[Tensor] | Tensor) -> tuple[Tensor, ...]:
    """What a metric accumulated, in the order of `index`; of samples with the same index only the first.

    A distributed sampler repeats samples to fill up. An index below zero is unknown and never counts as repeated.

    Args:
        index: positions in the data set, one tensor a batch; one of all where processes have exchanged them.
        states: what was accumulated beside them, in the same form.

    Returns:
        One tensor for each state.

    Raises:
        NothingToScore: no sample was added.

    Example:
        >>> batches = [torch.tensor([2, 0]), torch.tensor([1, 2])]
        >>> preds, = each_once(batches, [torch.tensor([12, 10]), torch.tensor([11, 12])])
        >>> preds.tolist()
        [10, 11, 12]
    """
    positions = dim_zero_cat(index) if len(index) else torch.empty(0)
    if not len(positions):
        raise NothingToScore("there are no samples: call update with some before compute")
    order = positions.argsort(stable=True)
    ordered = positions[order]
    repeated = (ordered.diff(prepend=ordered.new_tensor([-1])) == 0) & (ordered >= 0)
    return tuple(dim_zero_cat(state)[order[~repeated]] for state in states)
