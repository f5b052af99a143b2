"""Bags [N, M, D] in; how unusual each patch is among other images, or against normal ones, (scores [N, M]) out."""

import math
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomaly_clustering.mic.shard import Shard, check_positions
from anomaly_clustering.search.nearest import Block, nearest_blocks, nearest_of_all, pairwise_nearest
from anomaly_clustering.search.precision import Precision
from anomaly_clustering.system.choices import check_choice

Reduce = Literal["mean", "max", "min", "interval"]
# Quantiles of the distances to the other images between which 'interval' takes the mean. The closest images are near
# duplicates or share the defect; the worst matches lack the part, or look otherwise. Up to 30% NMI is .02 higher on
# five real sets, but then a defect that a third of the images share vouches for itself.
INTERVAL = (0.1, 0.5)
# How many of the most unusual patches of an image are averaged, of 1024, such as those of 256 pixels: from a defect of
# one patch to one of 6% of the image, which is what the weights of signed residuals are chosen for.
TOP, OF = (1, 4, 16, 61), 1024
# Distances that 'interval' may hold to take quantiles of.
MOST_BYTES = 8 * 2**30


def rarity(
    bags: Float[Tensor, "n m d"],
    reduce: Reduce = "mean",
    *,
    positions: Int[Tensor, " n"] | None = None,
    references: Iterable[Shard] | None = None,
    precision: Precision = "fp32",
    advance: Callable[[int], object] = lambda pairs: None,
) -> Float[Tensor, "n m"]:
    """Mean distance from each patch to its nearest patch in every other image (Eq. 5; max and min: Eq. 10).

    scores[i, m] = mean over j != i of min over n of |z_m^i - z_n^j|

    With 'interval', which is not in the paper, only the distances between their 10% and 50% quantile count for a patch.

    Args:
        bags: the images whose patches are scored [N, M, D].
        reduce: how the distances to the other images become one number; the paper's choice is 'mean' (Table 5).
            'interval' holds all of them meanwhile.
        positions: of `bags` in the data set [N]; needed where `references` are only some of its images. By default 0
            to N - 1, as if `bags` were the whole data set.
        references: the images to compare with, in parts that need not be in memory together; an image is never compared
            with itself. All images of the data set give Eq. 5, some of them Eq. 7. By default `bags` themselves.
        precision: of the search, see `nearest_blocks`.
        advance: is told how many pairs of images were compared, for a progress bar.

    Returns:
        One score a patch [N, M], in the unit of the distances: from 0 to 2 where patches have unit length.

    Raises:
        ValueError: an image has no other one to be compared with, also where `references` are empty; `reduce` has
            another name; positions are not one an image; 'interval' would hold more than 8 GiB.

    Example:
        >>> bags = torch.tensor([[[0.0], [1.0]], [[0.0], [1.0]], [[0.0], [9.0]]])
        >>> rarity(bags).tolist()  # the second patch of the third image is far from all others
        [[0.0, 0.5], [0.0, 0.5], [0.0, 8.0]]
    """
    check_choice("reduce", reduce, Reduce)
    if positions is None:
        positions = torch.arange(len(bags), device=bags.device)
    own = Shard(bags, positions)
    check_positions(own)
    fold = _Interval(bags) if reduce == "interval" else _Fold(bags, reduce)
    for shard in _not_empty([own] if references is None else references):
        check_positions(shard)
        # Bags against themselves take one product for both directions.
        itself = shard.bags is bags
        found = pairwise_nearest(bags, precision) if itself else nearest_blocks(bags, shard.bags, precision)
        with closing(found) as blocks:
            for block in blocks:
                fold.add(block, is_self=positions[block.rows, None] == shard.positions[None, block.columns])
                advance(block.distances[..., 0].numel())
    return fold.scores()


def _not_empty(references: Iterable[Shard]) -> Iterable[Shard]:
    shards = iter(references)
    first = next(shards, None)
    if first is None:
        raise ValueError(
            "references are empty: rarity compares with at least one part of the data set; give None to compare the "
            "bags with one another"
        )
    return chain([first], shards)


class _Fold:
    """A running mean, maximum or minimum over other images, fed block by block."""

    def __init__(self, bags: Float[Tensor, "n m d"], reduce: Reduce):
        n, m, _ = bags.shape
        self.reduce = reduce
        self.neutral = {"mean": 0.0, "max": -torch.inf, "min": torch.inf}[reduce]
        # The order of the sum depends on the number of processes; in float64 its result does not.
        self.total = bags.new_full((n, m), self.neutral, dtype=torch.float64)
        self.count = bags.new_zeros(n, 1, dtype=torch.float64)

    def add(self, block: Block, is_self: Bool[Tensor, "rows columns"]) -> None:
        total = self.total[block.rows]
        distances = block.distances.masked_fill(is_self[..., None], self.neutral) if is_self.any() else block.distances
        if self.reduce == "mean":
            total += distances.sum(1, dtype=torch.float64)
        elif self.reduce == "max":
            torch.maximum(total, distances.amax(1), out=total)
        else:
            torch.minimum(total, distances.amin(1), out=total)
        self.count[block.rows] += (~is_self).sum(1, keepdim=True)

    def scores(self) -> Float[Tensor, "n m"]:
        _check_others(self.count[:, 0])
        return (self.total / self.count if self.reduce == "mean" else self.total).float()


def interval_mean(distances: Float[Tensor, "total *images m"]) -> Float[Tensor, "*images m"]:
    """Mean of the distances between the 10% and the 50% quantile, one at least.

    mean over k from a to b - 1 of the k-th smallest, a = floor(.1 T), b = max(a + 1, round(.5 T))

    Args:
        distances: from each patch of an image, or of several, to its nearest patch in each of T other images [T, M].

    Returns:
        One score a patch [M], or [B, M].

    Example:
        >>> interval_mean(torch.tensor([[9.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0], [8.0], [0.0]])).tolist()
        [2.5]
    """
    total = len(distances)
    low = math.floor(INTERVAL[0] * total)
    high = max(low + 1, round(INTERVAL[1] * total))
    return distances.topk(high, dim=0, largest=False).values[low:].mean(0)


class _Interval:
    """All distances to other images, kept until their quantiles are known."""

    def __init__(self, bags: Float[Tensor, "n m d"]):
        self.bags = bags
        self.kept: list[list[Tensor]] = [[] for _ in bags]
        self.bytes = 0

    def add(self, block: Block, is_self: Bool[Tensor, "rows columns"]) -> None:
        self.bytes += block.distances.nbytes
        if self.bytes > MOST_BYTES:
            raise ValueError(
                f"reduce 'interval' keeps the distances to all other images, here more than {MOST_BYTES / 2**30:.0f} "
                "GiB: give num_references"
            )
        for i, distances, itself in zip(range(len(self.bags))[block.rows], block.distances, is_self, strict=True):
            self.kept[i].append(distances[~itself] if itself.any() else distances)

    def scores(self) -> Float[Tensor, "n m"]:
        _check_others(torch.tensor([sum(map(len, kept)) for kept in self.kept]))
        return torch.stack([interval_mean(torch.cat(kept)) for kept in self.kept])


def _check_others(count: Tensor) -> None:
    if (count == 0).any():
        alone = int((count == 0).nonzero()[0])
        raise ValueError(
            f"rarity compares an image with others, and image {alone} of {len(count)} has none: at least 2 images are "
            "needed"
        )


def novelty(
    bags: Float[Tensor, "n m d"], normal_patches: Float[Tensor, "p d"], precision: Precision = "fp32"
) -> Float[Tensor, "n m"]:
    """Distance from each patch to the nearest patch of all normal images (Eq. 6).

    scores[i, m] = min over p of |z_m^i - z_p|, z_p in Z_tr

    Args:
        bags: the images whose patches are scored [N, M, D].
        normal_patches: patches of images without a defect [P, D], all together.
        precision: of the search, see `nearest_blocks`.

    Returns:
        One score a patch [N, M], in the unit of the distances: from 0 to 2 where patches have unit length.

    Raises:
        ValueError: there are no normal patches.

    Example:
        >>> novelty(torch.tensor([[[0.0], [1.0], [9.0]]]), normal_patches=torch.tensor([[0.0], [1.0]])).tolist()
        [[0.0, 0.0, 8.0]]
    """
    if len(normal_patches) == 0:
        raise ValueError("novelty compares with normal images, but there are none")
    return nearest_of_all(bags, normal_patches, precision)


def top_means(scores: Float[Tensor, "n m"]) -> Float[Tensor, "n 4"]:
    """How unusual the most unusual patches of each image are: means of its k highest scores, for four k.

    Of 1024 patches k is 1, 4, 16 and 61; of M patches as large a share of them, one at least. In the mean of all
    patches a small defect drowns.

    Args:
        scores: of the patches of each image [N, M].

    Returns:
        Means [N, 4], in the unit of the scores, falling from left to right.

    Example:
        >>> top_means(torch.arange(1024.0)[None]).tolist()
        [[1023.0, 1021.5, 1015.5, 993.0]]
    """
    highest = scores.sort(1, descending=True).values
    counts = [max(1, round(k * scores.shape[1] / OF)) for k in TOP]
    return torch.stack([highest[:, :k].mean(1) for k in counts], dim=1)
