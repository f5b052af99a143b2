"""Scores of many random subsets of a data set out of distances between patches that were computed once (Tables 9, 10).

nearest [N, N, M] --subset--> scores [S, M] --> weights --> embeddings [S, D] --> labels [S] --> metrics, S of N images
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.clustering.methods import cluster_distance, cluster_embeddings
from anomaly_clustering.metrics.agreement import (
    adjusted_rand_index,
    matched_accuracy,
    matched_f1,
    normalized_mutual_information,
    purity,
)
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.mic.scores import Reduce
from anomaly_clustering.mic.weights import soften, weighted_average
from anomaly_clustering.search.nearest import pairwise_nearest
from anomaly_clustering.search.precision import Precision

METRICS = {
    "nmi": normalized_mutual_information,
    "ari": adjusted_rand_index,
    "f1": matched_f1,
    "accuracy": matched_accuracy,
    "purity": purity,
}
# The paper's subsets hold 90% of the images.
FRACTION = 0.9
# Distances of all patches to all images, beyond which a data set is too large to be kept whole.
MOST_BYTES = 8 * 2**30


def subsets(n: int, *, count: int, seed: int, fraction: float = FRACTION) -> Iterator[Int[np.ndarray, " s"]]:
    """Random subsets of a data set, each drawn by a seed of its own.

    Args:
        n: images of the data set.
        count: how many subsets to draw.
        seed: of all of them together.
        fraction: share of the images that a subset has; that of the paper by default.

    Returns:
        An iterator over the sorted positions of each subset.

    Example:
        >>> [len(chosen) for chosen in subsets(20, count=3, seed=0)]
        [18, 18, 18]
    """
    for number in range(count):
        yield np.sort(np.random.default_rng([seed, number]).permutation(n)[: round(fraction * n)])


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
        kept = torch.zeros(len(nearest), device=nearest.device).index_fill(0, chosen, 1)
        return torch.einsum("nkm,k->nm", nearest, kept)[chosen] / (len(chosen) - 1)
    within = nearest[chosen[:, None], chosen]
    itself = torch.eye(len(chosen), dtype=torch.bool, device=nearest.device)[..., None]
    if reduce == "max":
        return within.masked_fill(itself, -math.inf).amax(1)
    return within.masked_fill(itself, math.inf).amin(1)


def subset_labels(
    chosen: Int[np.ndarray, " s"],
    grouping: Grouping,
    options: Options,
    bags_and_nearest: tuple[Float[Tensor, "n m d"], Float[Tensor, "n n m"]] | None,
) -> Int[np.ndarray, " s"]:
    """Clusters of a subset as if there were no other images.

    Args:
        chosen: positions of the subset [S].
        grouping: of all images, with their embeddings or distances.
        options: of the run.
        bags_and_nearest: all bags [N, M, D] and `all_nearest` of them, where weights depend on the other images.

    Returns:
        Cluster of each image of the subset [S], as many clusters as the run has.
    """
    k, method, seed = grouping.num_clusters, options.method, options.seed
    if grouping.distance is not None:
        return cluster_distance(grouping.distance[np.ix_(chosen, chosen)], k, method, seed=seed)
    assert grouping.embeddings is not None
    if bags_and_nearest is None:
        return cluster_embeddings(grouping.embeddings[chosen], k, method, seed=seed)
    bags, nearest = bags_and_nearest
    some = torch.from_numpy(chosen).to(bags.device)
    weights = soften(rarity_within(nearest, some, options.reduce), grouping.tau, options.top_k)
    return cluster_embeddings(weighted_average(bags[some], weights).cpu().numpy(), k, method, seed=seed)


def resampled_scores(
    grouping: Grouping,
    options: Options,
    bags_and_nearest: tuple[Float[Tensor, "n m d"], Float[Tensor, "n n m"]] | None,
) -> dict[str, Tensor]:
    """Mean ('nmi_mean') and standard error ('nmi_se') of each metric over random subsets.

    Args:
        grouping: of all images, with their classes.
        options: of the run; they say how many subsets to draw.
        bags_and_nearest: see `subset_labels`.

    Returns:
        The two numbers of each of the `METRICS`, by name.
    """
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for chosen in subsets(len(grouping.target), count=options.resamples, seed=options.seed):
        known = grouping.target[chosen] >= 0
        labels = subset_labels(chosen, grouping, options, bags_and_nearest)
        preds, target = torch.from_numpy(labels[known]), torch.from_numpy(grouping.target[chosen][known])
        for name, metric in METRICS.items():
            values[name].append(float(metric(preds, target)))
    both = {name: mean_and_standard_error(np.array(found)) for name, found in values.items()}
    return {
        f"{name}_{kind}": torch.tensor(value)
        for name, pair in both.items()
        for kind, value in zip(("mean", "se"), pair, strict=True)
    }


def mean_and_standard_error(values: Float[np.ndarray, " count"]) -> tuple[float, float]:
    """Mean, and the standard deviation of the sample over the root of its size.

    Args:
        values: at least two.

    Returns:
        The two numbers, in the unit of the values.

    Example:
        >>> mean_and_standard_error(np.array([1.0, 3.0]))
        (2.0, 1.0)
    """
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
