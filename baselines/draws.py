"""A seed, an epoch and positions of images in; random numbers of each image, whatever batch it comes in, out.

A number is a hash of what it is for, and no generator has a state: one device and several, large batches and small ones
see the same views.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import DistributedSampler


class Draws:
    """Random numbers of each image of a batch. The same calls in the same order give the same numbers.

    Args:
        seed: of the training.
        epoch: of the training.
        index: positions of the images in the data set; numbers are drawn where this lies.
        view: which view of the image, if there are several: one number for all, or one for each.
    """

    def __init__(self, seed: int, epoch: int, index: Int[Tensor, " b"], view: Int[Tensor, " b"] | int = 0):
        state = _mixed(torch.full_like(index, seed))
        for part in (epoch, index, view):
            state = _mixed(state + part)
        self.state = state
        self.calls = 0

    def uniform(self, columns: int, low: float = 0.0, high: float = 1.0) -> Float[Tensor, "b columns"]:
        """Numbers of float32 from `low` up to, but without, `high`."""
        places = torch.arange(self.calls, self.calls + columns, device=self.state.device)
        self.calls += columns
        # The upper 24 bits are as many as float32 holds.
        bits = _shifted(_mixed(self.state[:, None] + _mixed(places)), 40)
        return low + (high - low) * (bits.float() / 2**24)

    def between(self, low: int, high: Int[Tensor, " b"] | int) -> Int[Tensor, " b"]:
        """Whole numbers from `low` to `high`, both included."""
        return low + (self.uniform(1)[:, 0] * (high - low + 1)).long()

    def happens(self, probability: float) -> Bool[Tensor, " b"]:
        """Whether something of this probability does."""
        return self.uniform(1)[:, 0] < probability

    def one_of(self, choices: Int[Tensor, "b k"]) -> Int[Tensor, " b"]:
        """One of each row, uniformly."""
        return choices.gather(1, self.between(0, choices.shape[1] - 1)[:, None])[:, 0]

    def permutation(self, length: int) -> Int[Tensor, "b length"]:
        """Each order of 0 to length - 1 is as probable."""
        return self.uniform(length).argsort(1)


# Of the numbers that the order of the images is drawn from; views of an image are counted from 0 on.
ORDER = -1


class InAnyOrder(DistributedSampler[int]):
    """Positions of images in an order that the seed and the epoch tell, so that a training goes on as if never ended.

    Processes take turns in this order, so that their batches together are those of one; the first images come again
    where there are not as many for each. Lightning puts an order of its own in the place of other samplers.

    Args:
        seed: of the training.
        total: how many images there are.
        rank: number of the process.
        world: how many there are.

    Example:
        >>> sampler = InAnyOrder(0, 5)
        >>> first = list(sampler)
        >>> sampler.set_epoch(1)
        >>> sorted(first) == sorted(sampler), first == list(sampler)
        (True, False)
        >>> sampler.set_epoch(0)
        >>> first == list(sampler)
        True
        >>> first == [place for pair in zip(*(InAnyOrder(0, 5, rank, 2) for rank in range(2))) for place in pair][:5]
        True
    """

    def __init__(self, seed: int, total: int, rank: int = 0, world: int = 1):
        super().__init__(range(total), num_replicas=world, rank=rank)  # type: ignore[arg-type]
        self.seed, self.total = seed, total

    def __iter__(self) -> Iterator[int]:
        places = torch.arange(self.total)
        order = Draws(self.seed, self.epoch, places, ORDER).uniform(1)[:, 0].argsort(stable=True).tolist()
        yield from (order[i % self.total] for i in range(self.rank, self.total_size, self.num_replicas))


def box(
    draws: Draws, size: tuple[int, int], *, scale: tuple[float, float], ratio: Sequence[float] = (3 / 4, 4 / 3)
) -> Int[Tensor, "b 4"]:
    """A random part of an image, as `RandomResizedCrop` of torchvision draws it: top, left, height and width in pixels.

    Up to ten times a share of the area is drawn, and the logarithm of width over height; the first part that fits is
    put anywhere. Where none fits it is the middle of the image.

    Args:
        size: height and width of the images.
        scale: shares of the area.
        ratio: of width to height.
    """
    height, width = size
    area = height * width * draws.uniform(10, *scale)
    shape = draws.uniform(10, math.log(ratio[0]), math.log(ratio[1])).exp()
    widths, heights = (area * shape).sqrt().round().long(), (area / shape).sqrt().round().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.long().argmax(1, keepdim=True)
    w, h = widths.gather(1, first)[:, 0], heights.gather(1, first)[:, 0]
    none = ~fits.any(1)
    w = torch.where(none, min(width, round(height * ratio[1])), w)
    h = torch.where(none, min(height, round(width / ratio[0])), h)
    top, left = draws.between(0, height - h), draws.between(0, width - w)
    top, left = torch.where(none, (height - h) // 2, top), torch.where(none, (width - w) // 2, left)
    return torch.stack([top, left, h, w], 1)


def _mixed(x: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """The next number of SplitMix64 (Steele, Lea, Flood 2014); products of int64 wrap around on every device."""
    x = x + _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shifted(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shifted(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shifted(x, 31)


def _shifted(x: Int[Tensor, "*shape"], bits: int) -> Int[Tensor, "*shape"]:
    """To the right, filled with zeros: int64 would fill with its sign."""
    return (x >> bits) & (2 ** (64 - bits) - 1)


def _signed(constant: int) -> int:
    return constant - 2**64
