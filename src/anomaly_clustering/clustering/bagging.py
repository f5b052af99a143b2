"""Distances between images in; clusters on which random subsets of the images agree out: bagged Ward."""

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

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
    size = min(n, max(round(share * n), num_clusters, 2))
    together, met = np.zeros((n, n), dtype=np.int32), np.zeros((n, n), dtype=np.int32)
    for bag in range(bags):
        chosen = np.sort(np.random.default_rng([seed, bag]).permutation(n)[:size])
        labels = cut(linkage(squareform(square[np.ix_(chosen, chosen)], checks=False), "ward"), num_clusters)
        together[np.ix_(chosen, chosen)] += labels[:, None] == labels
        met[np.ix_(chosen, chosen)] += 1
    apart = 1 - together / np.maximum(met, 1)
    np.fill_diagonal(apart, 0)
    return cut(linkage(squareform(apart, checks=False), "average"), num_clusters)
