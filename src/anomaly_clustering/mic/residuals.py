"""Bags, weights and bags of references in; averages of what differs from them, and signed roots of these, out.

Not in the paper. Its average of the patches themselves shows what all images have in common, and the defect is a small
part of it. A patch less its nearest patches in other images is what differs, whatever the place: the product cancels.
"""

from collections.abc import Sequence
from numbers import Real

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomaly_clustering.search.centre import centre_of
from anomaly_clustering.system.threads import in_order

# Patches of an image that are looked at, the heaviest ones: with all others NMI changes by less than .005.
HEAVIEST = 96
# Images that are computed at a time where all are at hand.
AT_ONCE = 4096


def residual_average(
    bags: Float[Tensor, "b m d"],
    weights: Float[Tensor, "b m"],
    references: Float[Tensor, "r p d"],
    share: float,
    *,
    positions: Int[Tensor, " b"] | None = None,
    reference_positions: Int[Tensor, " r"] | None = None,
) -> Float[Tensor, "b d"]:
    """Weighted averages of patches less their nearest patches in the references that have the closest ones.

    residual[i, m] = z[i, m] - mean over j in C(i, m) of z[j, n(j)],  n(j) = argmin over n of |z[i, m] - z[j, n]|
    averages[i]    = sum over m of weights[i, m] residual[i, m]

    C(i, m) are the references, other than image i, whose nearest patches are closest: a share of them, one at least.
    Only the 96 heaviest patches of an image count.

    Args:
        bags: patches of each image [B, M, D].
        weights: of each patch [B, M], rows summing to one.
        references: bags of other images [R, P, D].
        share: of the references that count for a patch, above 0 and at most 1. Among images of which most have no
            defect at that place .75 does well, among normal ones .1.
        positions: of the images in the data set [B]; by default none is a reference.
        reference_positions: of the references [R], by which no image is compared with itself.

    Returns:
        One vector an image [B, D], zero where the references have all that the image has.

    Raises:
        ValueError: `share` is not above 0 and at most 1, or an image has no reference but itself.

    Example:
        >>> bags, weights = torch.tensor([[[5.0], [1.0]]]), torch.tensor([[0.5, 0.5]])
        >>> residual_average(bags, weights, torch.tensor([[[1.0], [2.0]], [[1.0], [4.0]]]), share=1.0).tolist()
        [[1.0]]
    """
    check_share(share)
    itself = bags.new_zeros(len(bags), len(references), dtype=torch.bool)
    if positions is not None and reference_positions is not None:
        itself = positions[:, None] == reference_positions
    others = (~itself).sum(1)
    if (others == 0).any():
        raise ValueError("residuals compare an image with others, and there are none: at least 2 images are needed")
    # What differs stays the same when all patches are shifted; likeness is of few digits where they are far from zero.
    centre = centre_of(references)
    if centre is not None:
        bags, references = bags - centre, references - centre
    heavy, places = heaviest(weights)
    counts = (share * others.double()).round().clamp_min(1).long()
    halves = references.square().sum(2).flatten() / 2

    def work(i: int) -> Float[Tensor, " d"]:
        patches = bags[i, places[i]]
        return heavy[i] @ (patches - closest(patches, references, halves, int(counts[i]), itself[i]))

    return torch.stack(list(in_order(work, range(len(bags)), device=bags.device)))


def heaviest(weights: Float[Tensor, "b m"]) -> tuple[Float[Tensor, "b q"], Int[Tensor, "b q"]]:
    """The heaviest patches of each image, 96 or all.

    Args:
        weights: of each patch [B, M].

    Returns:
        Their weights, which sum to one again, and their places among the M.

    Example:
        >>> heaviest(torch.tensor([[0.25, 0.75]]))[1].tolist()
        [[1, 0]]
    """
    heavy, places = weights.topk(min(HEAVIEST, weights.shape[1]), dim=1)
    return heavy / heavy.sum(1, keepdim=True), places


def closest(
    patches: Float[Tensor, "q d"],
    references: Float[Tensor, "r p d"],
    halves: Float[Tensor, " rp"],
    count: int,
    itself: Bool[Tensor, " r"] | None = None,
) -> Float[Tensor, "q d"]:
    """For each patch the mean of its nearest patches in so many references, those where they are closest.

    Args:
        patches: of any images [Q, D].
        references: bags of other images [R, P, D].
        halves: half the squared length of each of their patches [R * P].
        count: how many references, from 1 to R.
        itself: which references do not count [R]; by default all do.

    Example:
        >>> references = torch.tensor([[[1.0], [2.0]], [[4.0], [9.0]]])
        >>> closest(torch.tensor([[5.0]]), references, references.square().sum(2).flatten() / 2, count=1).tolist()
        [[4.0]]
    """
    # |z|^2 / 2 - z x is least, and its negative greatest, where |x - z| is least.
    likeness = torch.addmm(-halves, patches, rearrange(references, "r p d -> (r p) d").T)
    greatest, nearest = likeness.unflatten(1, references.shape[:2]).max(2)
    if itself is not None:
        greatest = greatest.masked_fill(itself, -torch.inf)
    chosen = greatest.topk(count, dim=1).indices
    return references[chosen, nearest.gather(1, chosen)].mean(1)


def check_share(share: float) -> None:
    """Check the share of the references that count.

    Args:
        share: see `residual_average`.

    Raises:
        ValueError: it is not above 0 and at most 1.
    """
    if not (isinstance(share, Real) and 0 < share <= 1):
        raise ValueError(f"residual_share must be above 0 and at most 1, got {share!r}")


def mean_of(averages: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """The mean vector, summed in float64: it is the same however many processes the images come from.

    Args:
        averages: one vector an image [N, D].

    Example:
        >>> mean_of(torch.tensor([[1.0], [4.0]])).tolist()
        [2.5]
    """
    sums = [some.sum(0, dtype=torch.float64) for some in averages.split(AT_ONCE)]
    return (torch.stack(sums).sum(0) / len(averages)).to(averages.dtype)


def signed_root(
    averages: Float[Tensor, "n d"], center: Float[Tensor, " d"], channels: Sequence[int]
) -> Float[Tensor, "n d"]:
    """Centred vectors whose small components count too: signed roots, level by level of unit length.

    u = averages[i] - center,  v = sign(u) sqrt(|u|),  embeddings[i] = v / |v| for each level

    Args:
        averages: one vector an image [N, D], its levels one after another.
        center: mean of the vectors of all images of the run [D].
        channels: of each level; they sum to D.

    Returns:
        Vectors [N, D]; a level is zero where an image is the mean.

    Raises:
        ValueError: the channels of the levels do not sum to D.

    Example:
        >>> signed_root(torch.tensor([[1.0, 5.0]]), torch.tensor([0.0, 1.0]), channels=[1, 1]).tolist()
        [[1.0, 1.0]]
    """
    if sum(channels) != averages.shape[1]:
        raise ValueError(f"levels of {list(channels)} channels do not make vectors of {averages.shape[1]}")
    levels = (averages - center).split(list(channels), dim=1)
    return torch.cat([F.normalize(level.sign() * level.abs().sqrt(), dim=1) for level in levels], dim=1)
