"""Bags [N, M, D] in; how unusual each patch is (scores [N, M]) and how much it counts (weights [N, M]) out."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomaly_clustering.nearest import BLOCK, Block, nearest_blocks, nearest_distances, pairwise_nearest

Reduce = Literal["mean", "max", "min"]


class Shard(NamedTuple):
    """Some bags of a data set, and their positions in it."""

    bags: Float[Tensor, "r p d"]
    positions: Int[Tensor, " r"]


def rarity(
    bags: Float[Tensor, "n m d"],
    reduce: Reduce = "mean",
    *,
    positions: Int[Tensor, " n"] | None = None,
    others: Iterable[Shard] = (),
    advance: Callable[[int], object] = lambda pairs: None,
) -> Float[Tensor, "n m"]:
    """Mean distance from each patch to its nearest patch in every other image (Eq. 5; max and min: Eq. 10).

    Args:
        bags: the images whose patches are scored, each also an 'other image' to the rest.
        reduce: how the distances to the other images become one number.
        positions: of `bags` in the data set; needed with `others`.
        others: further images, in parts that need not be in memory together.
        advance: is told how many pairs of images were compared, for a progress bar.

    Raises:
        ValueError: an image has no other one to be compared with.
    """
    fold = _Fold(bags, reduce)
    own = torch.arange(len(bags), device=bags.device) if positions is None else positions
    for block in pairwise_nearest(bags):
        fold.add(block, is_self=own[block.rows, None] == own[None, block.columns])
        advance(block.distances[..., 0].numel())
    for shard in others:
        for block in nearest_blocks(bags, shard.bags):
            fold.add(block, is_self=own[block.rows, None] == shard.positions[None, block.columns])
            advance(block.distances[..., 0].numel())
    return fold.scores()


class _Fold:
    """A running mean, maximum or minimum over other images, fed block by block."""

    def __init__(self, bags: Float[Tensor, "n m d"], reduce: Reduce):
        n, m, _ = bags.shape
        self.reduce = reduce
        self.neutral = {"mean": 0.0, "max": -torch.inf, "min": torch.inf}[reduce]
        # The order of the sum depends on the number of processes; in float64 its result does not.
        self.total = bags.new_full((n, m), self.neutral, dtype=torch.float64)
        self.count = bags.new_zeros(n, 1)

    def add(self, block: Block, is_self: Bool[Tensor, "rows columns"]) -> None:
        total = self.total[block.rows]
        distances = block.distances.double().masked_fill(is_self[..., None], self.neutral)
        if self.reduce == "mean":
            total += distances.sum(1)
        elif self.reduce == "max":
            torch.maximum(total, distances.amax(1), out=total)
        else:
            torch.minimum(total, distances.amin(1), out=total)
        self.count[block.rows] += (~is_self).sum(1, keepdim=True)

    def scores(self) -> Float[Tensor, "n m"]:
        if (self.count == 0).any():
            raise ValueError("rarity compares an image with others: at least 2 images are needed, got 1")
        return (self.total / self.count if self.reduce == "mean" else self.total).float()


def novelty(bags: Float[Tensor, "n m d"], normal_patches: Float[Tensor, "p d"]) -> Float[Tensor, "n m"]:
    """Distance from each patch to the nearest patch of all normal images (Eq. 6).

    Raises:
        ValueError: there are no normal patches.
    """
    if len(normal_patches) == 0:
        raise ValueError("novelty compares with normal images, but there are none")
    scores = bags.new_full(bags.shape[:2], torch.inf)
    for part in normal_patches.split(max(1, BLOCK // bags.shape[1])):
        scores = torch.minimum(scores, nearest_distances(bags, part[None])[:, 0])
    return scores


def soften(scores: Float[Tensor, "n m"], tau: float) -> Float[Tensor, "n m"]:
    """Weights proportional to exp(score / tau), rows summing to one (Eq. 5 and 6).

    Small tau picks the highest score of each image, large tau weighs all patches alike.

    Raises:
        ValueError: `tau` is not a positive number.
    """
    check_tau(tau)
    return torch.softmax(scores / tau, dim=-1)


def check_tau(tau: float) -> None:
    if not tau > 0:
        raise ValueError(f"tau must be a positive number, got {tau}")


def mask_weights(
    masks: Float[Tensor, "n 1 height width"], grid: tuple[int, int]
) -> tuple[Float[Tensor, "n m"], Bool[Tensor, " n"]]:
    """Ground-truth masks on the patch grid, rows summing to one (section 4.3, footnote 1).

    Returns:
        The weights, and whether each image has anything to weigh: where a mask is empty the weights are uniform.
    """
    coverage = F.interpolate(masks, size=grid, mode="area").flatten(1)
    total = coverage.sum(1, keepdim=True)
    marked = total > 0
    share = coverage / total.clamp_min(torch.finfo(total.dtype).tiny)
    return torch.where(marked, share, 1 / coverage.shape[1]), marked[:, 0]


def weighted_average(bags: Float[Tensor, "n m d"], weights: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
    """Embeddings whose Euclidean distance is the weighted average distance (Eq. 1)."""
    return torch.einsum("nmd,nm->nd", bags, weights)
