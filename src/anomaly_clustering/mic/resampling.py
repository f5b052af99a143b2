"""Bags in; random subsets of them, and the rarity within each out of distances that were computed once (Tables 9, 10).

bags [N, M, D] --> nearest [N, N, M] --subset of S of N images--> scores [S, M]
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.mic.scores import Reduce, interval_mean
from anomaly_clustering.search.nearest import pairwise_nearest
from anomaly_clustering.search.precision import Precision

# The paper's subsets hold 90% of the images.
FRACTION = 0.9
# Distances of all patches to all images, beyond which a data set is too large to be kept whole.
MOST_BYTES = 8 * 2**30
# Distances to the other images [S - 1, S, M] -> scores [S, M].
OVER_OTHERS: Mapping[Reduce, Callable[[Tensor], Tensor]] = {
    "max": lambda distances: distances.amax(0),
    "min": lambda distances: distances.amin(0),
    "interval": interval_mean,
}


def subset_size(n: int) -> int:
    """How many images a random subset has.

    Args:
        n: images of the data set.

    Example:
        >>> subset_size(14)
        13
    """
    return round(FRACTION * n)


def subsets(n: int, *, count: int, seed: int) -> Iterator[Int[np.ndarray, " s"]]:
    """Random subsets of a data set, each drawn by a seed of its own.

    Args:
        n: images of the data set.
        count: how many subsets to draw.
        seed: of all of them together.

    Returns:
        An iterator over the sorted positions of each subset.

    Example:
        >>> [len(chosen) for chosen in subsets(20, count=3, seed=0)]
        [18, 18, 18]
    """
    for number in range(count):
        yield np.sort(np.random.default_rng([seed, number]).permutation(n)[: subset_size(n)])


def all_nearest(
    bags: Float[Tensor, "n m d"],
    *,
    precision: Precision = "fp32",
    advance: Callable[[int], object] = lambda pairs: None,
) -> Float[Tensor, "n n m"]:
    """For each patch of each image the distance to its nearest patch in each image, kept whole.

    Args:
        bags: patches of each image [N, M, D].
        precision: of the search, see `nearest_blocks`.
        advance: is told how many pairs of images were compared, for a progress bar.

    Returns:
        Distances [N, N, M]: at [i, j, m] from patch m of image i to image j; zero where i is j.

    Raises:
        ValueError: that would take more than 8 GiB.

    Example:
        >>> all_nearest(torch.tensor([[[0.0], [1.0]], [[0.0], [9.0]]])).tolist()
        [[[0.0, 0.0], [0.0, 1.0]], [[0.0, 8.0], [0.0, 0.0]]]
    """
    n, m, _ = bags.shape
    if (size := 4 * n * n * m) > MOST_BYTES:
        raise ValueError(
            f"resampling keeps the distances of {n} images with {m} patches each in {size / 2**30:.1f} GiB; at most "
            f"{MOST_BYTES / 2**30:.0f} GiB are allowed"
        )
    nearest = bags.new_empty(n, n, m)
    for rows, columns, distances in pairwise_nearest(bags, precision):
        nearest[rows, columns] = distances
        advance(distances[..., 0].numel())
    nearest.diagonal().zero_()
    return nearest


def rarity_within(
    nearest: Float[Tensor, "n n m"], chosen: Int[Tensor, " s"], reduce: Reduce = "mean"
) -> Float[Tensor, "s m"]:
    """`rarity` of some images among themselves (Eq. 5 and 10), from distances that are known.

    Args:
        nearest: what `all_nearest` gives for all images [N, N, M].
        chosen: positions of these images [S], at least two.
        reduce: how the distances to the other images become one number.

    Returns:
        One score a patch [S, M].

    Example:
        >>> nearest = all_nearest(torch.tensor([[[0.0], [1.0]], [[5.0], [6.0]], [[0.0], [9.0]]]))
        >>> rarity_within(nearest, torch.tensor([0, 2])).tolist()
        [[0.0, 1.0], [0.0, 8.0]]
    """
    if reduce == "mean":
        # A product with zeros and ones reads the distances where they lie; to itself an image has distance zero.
        kept = nearest.new_zeros(len(nearest)).index_fill(0, chosen, 1)
        return torch.einsum("nkm,k->nm", nearest, kept)[chosen] / (len(chosen) - 1)
    others = ~torch.eye(len(chosen), dtype=torch.bool, device=nearest.device)
    within = nearest[chosen[:, None], chosen][others].unflatten(0, (len(chosen), -1)).transpose(0, 1)
    return OVER_OTHERS[reduce](within)
