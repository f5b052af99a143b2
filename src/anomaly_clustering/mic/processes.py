"""Brings together what the processes of a run hold: a ring of bags, gathered tensors, what the first one decides."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from jaxtyping import Bool, Int
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from anomaly_clustering.mic.shard import Shard

T = TypeVar("T")


def on_first(work: Callable[[], T]) -> T:
    """What the first process makes, for all; where it fails, all fail with its error, whatever the type of that."""
    if not dist.is_initialized():
        return work()
    outcome: list[Any] = [None, None]
    if dist.get_rank() == 0:
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
    """The tensor of every process, in the order of ranks; lengths may differ."""
    return gather_all_tensors(tensor.contiguous()) if dist.is_initialized() else [tensor]


def first_copies(index: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which of this process's samples are the first of their kind: a distributed sampler repeats some to fill up."""
    held = gather(index)
    rank = dist.get_rank() if dist.is_initialized() else 0
    earlier = torch.cat([*held[:rank], index.new_empty(0)])
    order = index.argsort(stable=True)
    repeated_here = torch.zeros_like(index, dtype=torch.bool)
    repeated_here[order[1:]] = index[order].diff() == 0
    return ~torch.isin(index, earlier) & ~repeated_here


def ring(shard: Shard) -> Iterator[Shard]:
    """The shards of all processes, one at a time, the own first: each passes on what it has and takes a new one."""
    yield shard
    if not dist.is_initialized():
        return
    rank, world = dist.get_rank(), dist.get_world_size()
    lengths = [len(positions) for positions in gather(shard.positions)]
    for step in range(1, world):
        length = lengths[(rank - step) % world]
        arriving = Shard(*(tensor.new_empty(length, *tensor.shape[1:]) for tensor in shard))
        transfers = [
            operation
            for leaving, slot in zip(shard, arriving, strict=True)
            for operation in (
                dist.P2POp(dist.isend, leaving.contiguous(), (rank + 1) % world),
                dist.P2POp(dist.irecv, slot, (rank - 1) % world),
            )
        ]
        for transfer in dist.batch_isend_irecv(transfers):
            transfer.wait()
        yield arriving
        shard = arriving
