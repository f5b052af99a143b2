"""Distances between images in; clusters on which random subsets agree, or how far they do, out: bagged Ward."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import num_obs_y, squareform
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.clustering.given import TensorLike, as_array
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.clustering.weighted import weighted_linkage

# With the paper's embedding NMI is .011 above one Ward's on the mean of five real data sets, two networks, with and
# without normal images, 20 random subsets each; between .055 above (bottle) and .026 below (metal nuts).
BAGS = 40
SHARE = 0.8


class Bags(NamedTuple):
    """Random subsets of the images, or of centres that each stand for some of them, each clustered alone.

    Attributes:
        num_images: of which the subsets are drawn.
        chosen: positions of the images of each subset, in order.
        labels: cluster of each of these images.
        counts: how many images each stands for; None where each is one.

    Example:
        >>> Bags(3, [np.array([0, 2])], [np.array([0, 1])]).num_images
        3
    """

    num_images: int
    chosen: Sequence[Int[np.ndarray, " _"]]
    labels: Sequence[Int[np.ndarray, " _"]]
    counts: Int[np.ndarray, " n"] | None = None


def bagged_ward(
    distances: Float[np.ndarray, " pairs"] | TensorLike,
    num_clusters: int,
    seed: int,
    *,
    bags: int = BAGS,
    share: float = SHARE,
) -> Int[np.ndarray, " n"]:
    """Clusters of Ward's method that do not hang on single images: average linkage on how often two images part.

    In each bag, a random share of the images, Ward's method makes K clusters. d(i, j) = 1 - together(i, j) / met(i, j):
    of the bags that hold both images, the share in which they are in different clusters; 1 if no bag holds both.
    Average linkage cuts d into K clusters. Where Ward's choice is one among near ties, one Ward takes it and this asks
    many (consensus clustering: Monti, Tamayo, Mesirov and Golub 2003). Where a bag would hold fewer than two images a
    cluster, most are alone in it and it says nothing of them: then one Ward of all images decides, see `bags_tell`.

    Args:
        distances: between all pairs of N images, each pair once, in scipy's condensed form.
        num_clusters: K, from 1 to N.
        seed: draws the bags.
        bags: how many.
        share: of the images, in each bag.

    Returns:
        Cluster of each image [N], 0 the largest; exactly K clusters.

    Raises:
        ValueError: K is no whole number from 1 to N, or distances are not in the condensed form.
        TypeError: distances are no numbers.

    Example:
        >>> from scipy.spatial.distance import pdist
        >>> bagged_ward(pdist(np.array([[0.0], [1.0], [8.0], [9.0], [9.5]])), 2, seed=0).tolist()
        [1, 1, 0, 0, 0]
    """
    distances = as_array(distances, "distances", "P")
    if not bags_tell(int(num_obs_y(distances)), num_clusters, share=share):
        return cut(linkage(distances, "ward"), num_clusters)
    return consensus(bags_of(distances, num_clusters, seed, bags=bags, share=share), num_clusters)


def bags_tell(num_images: int, num_clusters: int, *, share: float = SHARE) -> bool:
    """Whether bags hold two images a cluster, so that they can say which images belong together.

    Of 60 images in tight groups of 1 to 2, bags find 40 groups with an adjusted Rand index of .77, and 48 by chance;
    one Ward .94 and .93. With fewer than 30 groups the two are alike.

    Args:
        num_images: of which bags are drawn.
        num_clusters: to be found in each.
        share: of the images, in each bag.

    Example:
        >>> bags_tell(60, 24), bags_tell(60, 25)
        (True, False)
    """
    return 2 * num_clusters <= round(share * num_images)


def bags_of(
    distances: Float[np.ndarray, " pairs"],
    num_clusters: int,
    seed: int,
    *,
    bags: int = BAGS,
    share: float = SHARE,
    counts: Int[np.ndarray, " n"] | None = None,
) -> Bags:
    """Random subsets of the images, and Ward's clusters of each.

    Args:
        distances: between all pairs of N images, each pair once, in scipy's condensed form.
        num_clusters: K, from 1 to N; a bag holds K images at least.
        seed: draws the bags.
        bags: how many.
        share: of the images, in each bag.
        counts: how many images each of N centres stands for [N]; None where these are the images themselves.

    Returns:
        Which images each bag holds, and their clusters.

    Raises:
        ValueError: K is no whole number from 1 to N.

    Example:
        >>> from scipy.spatial.distance import pdist
        >>> found = bags_of(pdist(np.array([[0.0], [1.0], [8.0], [9.0], [9.5]])), 2, seed=0, bags=1)
        >>> len(found.chosen), len(found.chosen[0]), found.num_images
        (1, 4, 5)
    """
    square = squareform(distances)
    n = len(square)
    size = min(n, max(round(share * n), num_clusters, 2))
    chosen = [np.sort(np.random.default_rng([seed, bag]).permutation(n)[:size]) for bag in range(bags)]
    labels = []
    for some in chosen:
        within = squareform(square[np.ix_(some, some)], checks=False)
        tree = linkage(within, "ward") if counts is None else weighted_linkage(within, counts[some], "ward")
        labels.append(cut(tree, num_clusters))
    return Bags(n, chosen, labels, counts)


def consensus(bags: Bags, num_clusters: int) -> Int[np.ndarray, " n"]:
    """Average linkage on the share of bags in which two images are in different clusters, see `bagged_ward`.

    Args:
        bags: of N images, see `bags_of`.
        num_clusters: K, from 1 to N.

    Returns:
        Cluster of each image [N], 0 the largest.

    Example:
        >>> consensus(Bags(3, [np.array([0, 1, 2])], [np.array([0, 1, 0])]), 2).tolist()
        [0, 1, 0]
    """
    n = bags.num_images
    together, met = np.zeros((n, n), dtype=np.int32), np.zeros((n, n), dtype=np.int32)
    for chosen, labels in zip(bags.chosen, bags.labels, strict=True):
        together[np.ix_(chosen, chosen)] += labels[:, None] == labels
        met[np.ix_(chosen, chosen)] += 1
    apart = 1 - together / np.maximum(met, 1)
    np.fill_diagonal(apart, 0)
    pairs = squareform(apart, checks=False)
    tree = linkage(pairs, "average") if bags.counts is None else weighted_linkage(pairs, bags.counts, "average")
    return cut(tree, num_clusters)


def stability(bags: Bags, labels: Int[np.ndarray, " n"]) -> float:
    """How far random subsets of the images, grouped alone, agree with clusters of all: needs no classes.

    The mean over bags of the adjusted Rand index between Ward's clusters of a bag and the given ones of its images.

    Args:
        bags: of the images, see `bags_of`.
        labels: clusters of all images [N].

    Returns:
        1 where all subsets give the same clusters, near 0 where they have nothing in common.

    Example:
        >>> from scipy.spatial.distance import pdist
        >>> bags = bags_of(pdist(np.array([[0.0], [0.1], [0.2], [8.0], [8.1], [8.2]])), 2, seed=0)
        >>> stability(bags, np.array([0, 0, 0, 1, 1, 1]))
        1.0
    """
    counts = np.ones(bags.num_images, dtype=np.int64) if bags.counts is None else bags.counts
    agreements = [
        adjusted_rand_score(labels[chosen].repeat(counts[chosen]), own.repeat(counts[chosen]))
        for chosen, own in zip(bags.chosen, bags.labels, strict=True)
    ]
    return float(np.mean(agreements))
