"""What each process holds of a batch in; the whole batch, with the gradients of one process, out.

A loss that is no mean over samples (a joint distribution, an entropy of the mean, a relation between pairs) is computed
by all processes on the whole batch. The gradient of a process's own part is then that of the loss times the number of
processes, which DistributedDataParallel divides by: two processes train as one does.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors


class _Sum(torch.autograd.Function):
    """All processes compute the same from the sum: what each gets back is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return _summed(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(own: Tensor) -> Tensor:
    total = own.contiguous().clone()
    dist.all_reduce(total)
    return total


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def sum_of_all(own: Tensor) -> Tensor:
    """The sum over processes."""
    return own if world_size() == 1 else _Sum.apply(own)


def whole_batch(own: Tensor) -> Tensor:
    """Samples of all processes, first dimension, in the order of ranks; each has as many (samplers fill up)."""
    if world_size() == 1:
        return own
    # Zeros in the places of the others, then summed.
    return sum_of_all(torch.cat([own if place == rank() else torch.zeros_like(own) for place in range(world_size())]))


def whole_set(own: Tensor) -> Tensor:
    """Samples of all processes, first dimension, in the order of ranks, without gradients; their numbers may differ."""
    return own if world_size() == 1 else torch.cat(gather_all_tensors(own.contiguous()))


def of_first_process(tensor: Tensor) -> Tensor:
    """The first process's tensor, on all."""
    if world_size() > 1:
        dist.broadcast(tensor, 0)
    return tensor


def precise(tensor: Tensor) -> Tensor:
    """In float32 at least: half precision tells neither 0.99 from 1 nor a small probability from 0."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def share(batch_size: int, num_images: int) -> int:
    """A process's share of a batch of the whole training, which holds at most all images."""
    return math.ceil(min(batch_size, num_images) / world_size())


def with_idle(loss: Float[Tensor, ""], idle: Iterable[nn.Parameter]) -> Float[Tensor, ""]:
    """The same loss, from which idle parameters get a gradient of zero: DistributedDataParallel waits for all."""
    return loss + 0 * sum(parameter.sum() for parameter in idle)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, on any device, and then its layer's activation, if any.

    torch's SyncBatchNorm needs GPUs, and Lightning's `sync_batchnorm` drops the activations that timm builds into it.
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        maps = self._normalised(input) if self.training else super().forward(input)
        for name in ("drop", "act"):
            maps = getattr(self, name, nn.Identity())(maps)
        return maps

    def _normalised(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x = precise(input)
        sums = sum_of_all(torch.cat([x.sum((0, 2, 3)), x.new_tensor([x.numel() // x.shape[1]])]))
        mean, count = sums[:-1] / sums[-1], sums[-1]
        centred = x - mean[:, None, None]
        variance = sum_of_all(centred.square().sum((0, 2, 3))) / count
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            # Without a momentum the mean over all batches.
            momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * count / (count - 1).clamp_min(1), momentum)
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None]
        return (scaled * self.weight[:, None, None] + self.bias[:, None, None]).to(input.dtype)


def share_batch_norm(network: nn.Module) -> None:
    """Let all batch normalisation of a network see the whole batch; on one process it does already."""
    if world_size() == 1:
        return
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = GlobalBatchNorm2d


def training_seed(module: LightningModule) -> int:
    """By which views are drawn: that of PyTorch on the first process."""
    return int(module.trainer.strategy.broadcast(torch.initial_seed() % 2**63))
