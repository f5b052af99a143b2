"""Bags [N, M, D] in; how unusual each patch is (scores [N, M]) and how much it counts (weights [N, M]) out."""

import math
from collections.abc import Callable, Iterable
from itertools import chain
from numbers import Integral, Real
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomaly_clustering.mic.shard import Shard, check_positions
from anomaly_clustering.search.nearest import Block, nearest_blocks, pairwise_nearest
from anomaly_clustering.search.precision import Precision

Reduce = Literal["mean", "max", "min"]


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

    Args:
        bags: the images whose patches are scored [N, M, D].
        reduce: how the distances to the other images become one number; the paper's choice is 'mean' (Table 5).
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
            another name; positions are not one an image.

    Example:
        >>> bags = torch.tensor([[[0.0], [1.0]], [[0.0], [1.0]], [[0.0], [9.0]]])
        >>> rarity(bags).tolist()  # the second patch of the third image is far from all others
        [[0.0, 0.5], [0.0, 0.5], [0.0, 8.0]]
    """
    if reduce not in get_args(Reduce):
        raise ValueError(f"reduce must be one of {get_args(Reduce)}, got {reduce!r}")
    if positions is None:
        positions = torch.arange(len(bags), device=bags.device)
    own = Shard(bags, positions)
    check_positions(own)
    fold = _Fold(bags, reduce)
    for shard in _not_empty([own] if references is None else references):
        check_positions(shard)
        # Bags against themselves take one product for both directions.
        itself = shard.bags is bags
        blocks = pairwise_nearest(bags, precision) if itself else nearest_blocks(bags, shard.bags, precision)
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
        self.count = bags.new_zeros(n, 1)

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
        if (self.count == 0).any():
            alone = int((self.count[:, 0] == 0).nonzero()[0])
            raise ValueError(
                f"rarity compares an image with others, and image {alone} of {len(self.count)} has none: at least 2 "
                "images are needed"
            )
        return (self.total / self.count if self.reduce == "mean" else self.total).float()


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
    # Views of a bag's size, and one of what remains.
    size = bags.shape[1]
    whole = len(normal_patches) // size * size
    scores = bags.new_full(bags.shape[:2], torch.inf)
    for references in (normal_patches[:whole].unflatten(0, (-1, size)), normal_patches[None, whole:]):
        if references.numel():
            for rows, _, distances in nearest_blocks(bags, references, precision):
                torch.minimum(scores[rows], distances.amin(1), out=scores[rows])
    return scores


def soften(scores: Float[Tensor, "n m"], tau: float, top_k: int | None = None) -> Float[Tensor, "n m"]:
    """Weights proportional to exp(score / tau), rows summing to one (Eq. 5 and 6).

    Small tau picks the highest score of each image, large tau weighs all patches alike. With `top_k` only the k highest
    scores count (Eq. 9), all alike where tau is infinite (Eq. 8).

    Args:
        scores: how unusual each patch is [N, M].
        tau: temperature, in the unit of the scores; positive, may be infinite.
        top_k: patches of each image that count, from 1 to M; by default all do.

    Returns:
        Weights [N, M], rows summing to one.

    Raises:
        ValueError: `tau` is not a positive number, `top_k` is not a whole number between 1 and the number of patches.

    Example:
        >>> soften(torch.tensor([[0.0, 0.0, 1.0]]), tau=0.5).tolist()
        [[0.107, 0.107, 0.787]]
    """
    check_tau(tau)
    logits = scores / tau
    if top_k is not None:
        if not (isinstance(top_k, Integral) and 1 <= top_k <= scores.shape[1]):
            raise ValueError(f"top_k must be between 1 and {scores.shape[1]} (the number of patches), got {top_k}")
        kept = scores.topk(top_k, dim=1).indices
        logits = torch.full_like(logits, -torch.inf).scatter(1, kept, logits.gather(1, kept))
    return torch.softmax(logits, dim=1)


def check_tau(tau: float) -> None:
    """Check the temperature of `soften`.

    Args:
        tau: in the unit of the scores.

    Raises:
        ValueError: it is not a positive number.

    Example:
        >>> check_tau(0.02)
    """
    if not (isinstance(tau, Real) and tau > 0):
        raise ValueError(f"tau must be a positive number, got {tau!r}")


def effective_patches(weights: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """How many patches count in each image: exp of the entropy of its weights, from 1 (one patch) to M (all alike).

    Args:
        weights: of each patch [N, M], rows summing to one.

    Returns:
        One number an image [N], in float64.

    Example:
        >>> effective_patches(torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])).tolist()
        [2.0, 1.0]
    """
    return torch.special.entr(weights.double()).sum(1).exp()


def choose_tau(scores: Float[Tensor, "n m"], patches: float) -> float:
    """The tau at which the mean effective number of patches is `patches`, over the images whose scores differ at all.

    Needs no labels, and unlike tau itself does not depend on the scale of the scores, so that one value serves all
    backbones and the anomaly maps of any detector. Not in the paper, whose tau is a number.

    Args:
        scores: how unusual each patch is [N, M].
        patches: number of patches, above 1 and below M, that are to count on average.

    Returns:
        tau, in the unit of the scores; 1 where no image has two scores that differ.

    Raises:
        ValueError: `patches` is not between 1 and the number of patches, or a score is not finite.

    Example:
        >>> tau = choose_tau(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), patches=2.0)
        >>> tau, effective_patches(soften(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), tau)).item()
        (0.692, 2.0)
    """
    m = scores.shape[1]
    if not 1 < patches < m:
        raise ValueError(f"effective_patches must be above 1 and below {m} (the number of patches), got {patches}")
    if not scores.isfinite().all():
        raise ValueError("scores must be finite, got NaN or infinity")
    differences = scores.amax(1) - scores.amin(1)
    if not differences.any():
        return 1.0
    scores, spread = scores[differences > 0], float(differences.max())
    # The number grows with tau from 1 (or as many as share the highest score) to M.
    low, high = math.log(spread * 1e-6), math.log(spread * 1e6)
    for _ in range(60):
        middle = (low + high) / 2
        if effective_patches(soften(scores.double(), math.exp(middle))).mean() < patches:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def patch_means(maps: Float[Tensor, "n 1 height width"], grid: tuple[int, int]) -> Float[Tensor, "n m"]:
    """Maps of pixels averaged over each patch of the grid, on their own scale: scores, if they are anomaly maps.

    Args:
        maps: one value a pixel [N, 1, H, W].
        grid: rows and columns of patches.

    Returns:
        One mean a patch [N, M], patches row by row.

    Raises:
        ValueError: the grid has no patches.

    Example:
        >>> patch_means(torch.tensor([[[[0.0, 2.0, 4.0, 8.0]]]]), grid=(1, 2)).tolist()
        [[1.0, 6.0]]
    """
    if min(grid) < 1:
        raise ValueError(f"grid must have at least one row and one column of patches, got {grid[0]} x {grid[1]}")
    return F.interpolate(maps, size=grid, mode="area").flatten(1)


def mask_weights(
    masks: Float[Tensor, "n 1 height width"], grid: tuple[int, int]
) -> tuple[Float[Tensor, "n m"], Bool[Tensor, " n"]]:
    """Ground-truth masks on the patch grid, rows summing to one (section 4.3, footnote 1).

    Args:
        masks: ground truth of each image [N, 1, H, W], from 0 (sound) to 1 (defective).
        grid: rows and columns of patches.

    Returns:
        The weights [N, M], and whether each image has anything to weigh [N]: where a mask is empty the weights are
        uniform.

    Raises:
        ValueError: a mask has a value below zero or NaN, or the grid has no patches.

    Example:
        >>> weights, marked = mask_weights(torch.tensor([[[[0.0, 1.0, 1.0, 1.0]]]]), grid=(1, 2))
        >>> weights.tolist(), marked.tolist()
        ([[0.333, 0.667]], [True])
    """
    if not (masks >= 0).all():
        raise ValueError(f"masks must be between 0 (sound) and 1 (defective), got {masks.min()}")
    coverage = patch_means(masks, grid)
    total = coverage.sum(1, keepdim=True)
    marked = total > 0
    share = coverage / total.clamp_min(torch.finfo(total.dtype).tiny)
    return torch.where(marked, share, 1 / coverage.shape[1]), marked[:, 0]


def weighted_average(bags: Float[Tensor, "n m d"], weights: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
    """Weighted averages of patches, whose Euclidean distance is the weighted average distance (Eq. 1).

    embeddings[i] = sum over m of weights[i, m] z_m^i

    Args:
        bags: patches of each image [N, M, D].
        weights: of each patch [N, M], rows summing to one.

    Returns:
        One vector an image [N, D].

    Raises:
        ValueError: weights are not one a patch.

    Example:
        >>> bags = torch.tensor([[[0.0, 0.0], [4.0, 8.0]]])
        >>> weighted_average(bags, torch.tensor([[0.75, 0.25]])).tolist()
        [[1.0, 2.0]]
    """
    # einsum would take one weight for all patches, or one image's for all images.
    if weights.shape != bags.shape[:2]:
        raise ValueError(f"weights must be one a patch, got {list(weights.shape)} for bags {list(bags.shape)}")
    return torch.einsum("nmd,nm->nd", bags, weights)
