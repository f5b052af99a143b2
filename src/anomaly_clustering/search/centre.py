"""Bags in; what is subtracted from all patches before they are multiplied, where they lie far from zero, out."""

import torch
from jaxtyping import Float
from torch import Tensor

# The squared length of the mean patch, in mean squared distances to it, from which patches are far from zero: what is
# near in a product of such numbers is their rounding. Of patches of unit length it is seldom above 2.
FAR = 64
# Patches that are looked at, at most: the mean need not be exact.
SAMPLE = 4096


def centre_of(bags: Float[Tensor, "n p d"]) -> Float[Tensor, " d"] | None:
    """The mean of some patches, drawn at random, where they are far from zero against their spread.

    Distances do not change when all patches are shifted, but |a|^2 / 2 - a b + |b|^2 / 2 loses the digits in which the
    lengths of a and b exceed their distance.

    Args:
        bags: patches of each image [N, P, D].

    Returns:
        The mean [D], in float32 at least; None where patches need no shift, or the mean is not finite.

    Example:
        >>> centre_of(torch.tensor([[[100.0], [102.0]]]))
        tensor([101.])
        >>> centre_of(torch.tensor([[[-1.0], [3.0]]])) is None
        True
    """
    total, length = bags.shape[0] * bags.shape[1], bags.shape[1]
    # Drawn on the processor, whatever device is the default, so that all devices take the same ones.
    places = torch.arange(total, device="cpu")
    if total > SAMPLE:
        # Evenly taken ones may all lie in one column of the images, where there is nothing but background.
        places = torch.randint(total, (SAMPLE,), generator=torch.Generator().manual_seed(0), device="cpu")
    places = places.to(bags.device)
    some = bags[places // length, places % length].to(torch.promote_types(bags.dtype, torch.float32))
    centre = some.mean(0)
    squared = torch.linalg.vector_norm(some) ** 2 / max(1, len(some))
    far = FAR * squared < (FAR + 1) * centre.square().sum()
    return centre if far and squared.isfinite() else None
