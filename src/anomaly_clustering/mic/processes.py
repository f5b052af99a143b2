"""Brings together what the processes of a run hold: a ring of bags, gathered tensors, what the first one decides."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from anomaly_clustering.mic.shard import Shard

T = TypeVar("T")

# Whether the run that this thread computes has one process alone, though that may belong to a group, as in a training
# script which groups images on its first rank.
_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def shared_by(processes: int) -> Iterator[None]:
    """Within it a run is brought together among its own processes: one alone asks no other one of its group.

    Args:
        processes: of the run, as its Trainer's `world_size`; several of them are the whole group.

    Example:
        >>> with shared_by(1):
        ...     several()
        False
    """
    token = _ALONE.set(processes == 1)
    try:
        yield
    finally:
        _ALONE.reset(token)


def several() -> bool:
    """Whether there are other processes to bring things together with."""
    return dist.is_initialized() and not _ALONE.get()


def rank() -> int:
    """The place of this process among those of the run, 0 for the first."""
    return dist.get_rank() if several() else 0


def on_first(work: Callable[[], T]) -> T:
    """What the first process makes, for all; where it fails, all fail with its error, whatever the type of that.

    Args:
        work: is called on the first process alone.

    Returns:
        What `work` returned, on each process.

    Raises:
        Exception: what `work` raised, on each process.

    Example:
        >>> on_first(lambda: 7)
        7
    """
    if not several():
        return work()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome = [work(), None]
        except Exception as error:
            dist.broadcast_object_list([None, _portable(error)])
            raise
    dist.broadcast_object_list(outcome)
    result, failure = outcome
    if failure is not None:
        raise failure
    return cast(T, result)


def _portable(error: Exception) -> Exception:
    """The error itself, if it can travel to another process, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"the first process failed: {type(error).__name__}: {error}")
    return error


def gather(tensor: Tensor) -> list[Tensor]:
    """The tensor of every process, in the order of ranks.

    Args:
        tensor: that of this process; lengths may differ between processes, other dimensions may not.

    Returns:
        One tensor a process.

    Example:
        >>> import torch
        >>> [part.tolist() for part in gather(torch.tensor([4, 7]))]
        [[4, 7]]
    """
    return gather_all_tensors(tensor.contiguous()) if several() else [tensor]


def ring(shard: Shard) -> Iterator[Shard]:
    """The shards of all processes, one at a time, the own first: each passes on what it has and takes a new one.

    Args:
        shard: that of this process; all processes must take all shards, since each waits for its neighbours.

    Returns:
        An iterator over as many shards as there are processes.

    Example:
        >>> import torch
        >>> [held.positions.tolist() for held in ring(Shard(torch.zeros(2, 9, 4), torch.tensor([5, 7])))]
        [[5, 7]]
    """
    yield shard
    if not several():
        return
    own, world = rank(), dist.get_world_size()
    lengths = [len(positions) for positions in gather(shard.positions)]
    for step in range(1, world):
        length = lengths[(own - step) % world]
        arriving = Shard(*(tensor.new_empty(length, *tensor.shape[1:]) for tensor in shard))
        transfers = [
            operation
            for leaving, slot in zip(shard, arriving, strict=True)
            for operation in (
                dist.P2POp(dist.isend, leaving.contiguous(), (own + 1) % world),
                dist.P2POp(dist.irecv, slot, (own - 1) % world),
            )
        ]
        for transfer in dist.batch_isend_irecv(transfers):
            transfer.wait()
        yield arriving
        shard = arriving
