"""Bags in; through matrix products of 8-bit integers, distances to nearly the nearest patches of others out.

Integers stand for the channels of patches after a rotation, which changes no distance but spreads what each patch is
over all channels: a bag's largest number is then few times the typical one, and the steps of its scale are small. The
products are exact, so that which patches are chosen depends on nothing but the two images, and the centre where there
is one.
"""

from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.search.kernels import MOST_PATCHES, nearest_by_integers

LARGEST = 127
# Channels that are rotated together, at most.
LONGEST_ROW = 64


class IntegerFactors:
    """The left factors of bags in rows, or the right ones in columns, as products of integers are fastest.

    Args:
        bags: patches of each image.
        centre: is subtracted from all patches in the products [D]; None where they are near zero.
        right: whether these are the right factors.
    """

    def __init__(self, bags: Float[Tensor, "n m d"], centre: Float[Tensor, " d"] | None, *, right: bool):
        # One by one: but for the centre, the integers of a bag must not depend on the bags beside it, not even in the
        # last bit.
        near_zero = bags if centre is None else bags - centre
        rotated = torch.stack([_rotate(bag) for bag in near_zero.float()])
        steps = rotated.abs().amax((1, 2)) / LARGEST
        # Where all is zero, any number will do.
        steps = torch.where(steps > 0, steps, 1)
        rounded = rotated.div_(steps[:, None, None]).round_()
        # Of what the integers stand for, not of the patches: near ones then have nearly the same errors.
        halves = rounded.square().sum(-1) / 2 * steps[:, None] ** 2
        rows = rounded.to(torch.int8).flatten(0, 1)
        if right:
            # Not `contiguous`: of one channel that is a view, with strides that are misread.
            rows = rows.T.clone(memory_format=torch.contiguous_format)
        self.values: Int[Tensor, "patches d"] | Int[Tensor, "d patches"] = rows
        self.arrays = halves.numpy(), steps.numpy(), bags.contiguous().numpy()

    def lower(
        self,
        others: "IntegerFactors",
        to_right: Float[Tensor, "r l m"],
        to_left: Float[Tensor, "r x p"],
        room: Int[Tensor, " numbers"],
    ) -> None:
        """See `nearest.Factors`."""
        height, width = len(self.values), others.values.shape[1]
        product = room[: height * width].view(height, width)
        torch._int_mm(self.values, others.values, out=product)
        (halves, steps, bags), (their_halves, their_steps, their_bags) = self.arrays, others.arrays
        products = product.numpy().reshape(*halves.shape, *their_halves.shape)
        distances = to_right.numpy(), to_left.numpy()
        nearest_by_integers(products, halves, their_halves, steps, their_steps, bags, their_bags, *distances)


def at_once(patches: int) -> int:
    """So many of the patches of a bag can meet others in one product: the index of a patch has a few bits only."""
    return min(patches, MOST_PATCHES)


def _rotate(bag: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
    """Rotate the rows and then the columns of channels laid out as a grid: each channel reaches all others, in a
    fraction of the time that one large rotation takes."""
    channels = bag.shape[1]
    columns = next(side for side in range(min(LONGEST_ROW, channels), 0, -1) if channels % side == 0)
    rotated = bag.unflatten(1, (-1, columns)) @ _rotation(columns)
    return (_rotation(channels // columns) @ rotated).flatten(1)


@lru_cache
def _rotation(channels: int) -> Float[Tensor, "d d"]:
    """A random rotation, always the same one."""
    source = torch.Generator().manual_seed(0)
    noise = torch.randn(channels, channels, dtype=torch.float64, generator=source, device="cpu")
    return torch.linalg.qr(noise).Q.float()
