"""Scores [N, M], maps or masks in; how much each patch counts (weights [N, M]), and averages by them, out."""

import math
from numbers import Integral, Real

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

# Scores of an image that differ by less than this share of what those of another image do differ by rounding. On five
# real sets no image that tau was chosen by has less than .3 of it; a copy of a normal image has 5e-7.
ROUNDING = 1e-4
# From half to double of a tau, in equal steps of its logarithm; it is in the middle.
BAND = (0.5, math.sqrt(0.5), 1.0, math.sqrt(2.0), 2.0)


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


def band_of(tau: float) -> tuple[float, ...]:
    """The taus over which a number is looked at, since the paper prints none: from half to double of the given one.

    Args:
        tau: in the unit of the scores.

    Returns:
        Five taus with the given one in the middle; this one alone where it is infinite, or not known (NaN).

    Example:
        >>> band_of(0.02)
        (0.01, 0.014, 0.02, 0.028, 0.04)
    """
    return tuple(factor * tau for factor in BAND) if math.isfinite(tau) else (tau,)


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


def effective_number(asked: float, patches: int) -> float:
    """How many patches are to count, of an asked number or share of them.

    Args:
        asked: a number above one; or below one, a share, of which two patches at least are made.
        patches: of an image.

    Returns:
        A number of patches.

    Example:
        >>> effective_number(20.0, patches=1024), effective_number(0.0625, patches=1024), effective_number(0.06, 9)
        (20.0, 64.0, 2.0)
    """
    return asked if asked > 1 else max(2.0, asked * patches)


def choose_tau(scores: Float[Tensor, "n m"], patches: float) -> float:
    """The tau at which the mean effective number of patches is `patches`, over the images whose scores differ.

    Of an image without a difference, as an exact copy of a normal image is, all patches count at any tau: so it says
    nothing about tau, and neither does one whose scores differ by rounding alone.

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
    spread = float(differences.max())
    scores = scores[differences > ROUNDING * spread]
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


def weighted_averages(bags: Float[Tensor, "n m d"], weights: Float[Tensor, "n t m"]) -> Float[Tensor, "n t d"]:
    """`weighted_average` by several weights of each patch at once.

    Args:
        bags: patches of each image [N, M, D].
        weights: of each patch [N, T, M], rows summing to one.

    Returns:
        T vectors an image [N, T, D].

    Example:
        >>> bags = torch.tensor([[[0.0, 0.0], [4.0, 8.0]]])
        >>> weighted_averages(bags, torch.tensor([[[0.75, 0.25], [0.5, 0.5]]])).tolist()
        [[[1.0, 2.0], [2.0, 4.0]]]
    """
    return torch.einsum("nmd,ntm->ntd", bags, weights)
