"""Distances between images in; clusters on which random subsets agree, or how far they do, out: bagged Ward."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.clustering.trees import cut

# With the paper's embedding NMI is .011 above one Ward's on the mean of five real data sets, two networks, with and
# without normal images, 20 random subsets each; between .055 above (bottle) and .026 below (metal nuts).
BAGS = 40
SHARE = 0.8


def bagged_ward(
    distances: Float[np.ndarray, " pairs"], num_clusters: int, seed: int, *, bags: int = BAGS, share: float = SHARE
) -> Int[np.ndarray, " n"]:
    """Clusters of Ward's method that do not hang on single images: average linkage on how often two images part.

    In each bag, a random share of the images, Ward's method makes K clusters. d(i, j) = 1 - together(i, j) / met(i, j):
    of the bags that hold both images, the share in which they are in different clusters; 1 if no bag holds both.
    Average linkage cuts d into K clusters. Where Ward's choice is one among near ties, one Ward takes it and this asks
    many (consensus clustering: Monti, Tamayo, Mesirov and Golub 2003).

    Args:
        distances: between all pairs of N images, each pair once, in scipy's condensed form.
        num_clusters: K, from 1 to N; a bag holds K images at least.
        seed: draws the bags.
        bags: how many.
        share: of the images, in each bag.

    Returns:
        Cluster of each image [N], 0 the largest; exactly K clusters.

    Raises:
        ValueError: K is no whole number from 1 to N.

    Example:
        >>> from scipy.spatial.distance import pdist
        >>> bagged_ward(pdist(np.array([[0.0], [1.0], [8.0], [9.0], [9.5]])), 2, seed=0).tolist()
        [1, 1, 0, 0, 0]
    """
    square = squareform(distances)
    n = len(square)
    together, met = np.zeros((n, n), dtype=np.int32), np.zeros((n, n), dtype=np.int32)
    for chosen, labels in _bags(square, num_clusters, seed, bags, share):
        together[np.ix_(chosen, chosen)] += labels[:, None] == labels
        met[np.ix_(chosen, chosen)] += 1
    apart = 1 - together / np.maximum(met, 1)
    np.fill_diagonal(apart, 0)
    return cut(linkage(squareform(apart, checks=False), "average"), num_clusters)


def stability(
    distances: Float[np.ndarray, " pairs"],
    labels: Int[np.ndarray, " n"],
    seed: int,
    *,
    bags: int = BAGS,
    share: float = SHARE,
) -> float:
    """How far random subsets of the images, grouped alone, agree with clusters of all: needs no classes.

    The mean over bags, see `bagged_ward`, of the adjusted Rand index between Ward's clusters of a bag and the given
    ones of the same images.

    Args:
        distances: between all pairs of N images, each pair once, in scipy's condensed form.
        labels: clusters of all images [N], from 0 on.
        seed: draws the bags.
        bags: how many.
        share: of the images, in each bag.

    Returns:
        1 where all subsets give the same clusters, near 0 where they have nothing in common.

    Example:
        >>> from scipy.spatial.distance import pdist
        >>> stability(pdist(np.array([[0.0], [0.1], [0.2], [8.0], [8.1], [8.2]])), np.array([0, 0, 0, 1, 1, 1]), seed=0)
        1.0
    """
    found = _bags(squareform(distances), int(labels.max()) + 1, seed, bags, share)
    return float(np.mean([adjusted_rand_score(labels[chosen], own) for chosen, own in found]))


def _bags(
    square: Float[np.ndarray, "n n"], num_clusters: int, seed: int, bags: int, share: float
) -> Iterator[tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]]]:
    """Random subsets of the images, and Ward's clusters of each."""
    n = len(square)
    size = min(n, max(round(share * n), num_clusters, 2))
    for bag in range(bags):
        chosen = np.sort(np.random.default_rng([seed, bag]).permutation(n)[:size])
        yield chosen, cut(linkage(squareform(square[np.ix_(chosen, chosen)], checks=False), "ward"), num_clusters)
