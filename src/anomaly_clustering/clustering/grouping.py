"""Embeddings [N, D] or distances [N, N] of images in; clusters, with all that a report needs to show them, out."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform

from anomaly_clustering.clustering.bagging import bags_of, bags_tell, consensus, stability
from anomaly_clustering.clustering.centres import centres_of, tree_through
from anomaly_clustering.clustering.given import TensorLike, as_array
from anomaly_clustering.clustering.methods import (
    LARGEST,
    Method,
    check_distance,
    check_embeddings,
    check_one_label_an_image,
    cluster_distance,
    cluster_embeddings,
    distance_to_center,
    ward,
)
from anomaly_clustering.clustering.to_name import clusters_to_name
from anomaly_clustering.clustering.trees import by_size, check_num_clusters, cut

NumClusters = int | Literal["auto"]
BAGGED = "bagged_ward"


class Groups(NamedTuple):
    """How images fall into groups, one row an image.

    Attributes:
        labels: cluster of each image [N], 0 the largest.
        distances: of each image to the middle of its cluster [N]: to its mean embedding, or, where only distances are
            known, to its medoid.
        tree: all merges of Ward's method [N - 1, 4], whatever method gave the labels, as a linkage matrix of scipy;
            beyond 4096 images through centres, see `tree_through`.
        to_name: whether their number is that of `clusters_to_name`; False where it was given.
        stability: how far random subsets agree with the clusters, from about 0 to 1, where the method asks them
            ('bagged_ward', see `bags_tell`), else NaN.

    Example:
        >>> groups = group_embeddings(np.array([[0.0], [4.0], [9.0]]), 2, "ward", seed=0)
        >>> groups.labels.tolist(), groups.distances.tolist(), groups.to_name
        ([0, 0, 1], [2.0, 2.0, 0.0], False)
    """

    labels: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, " n"]
    tree: Float[np.ndarray, "n_minus_1 4"]
    to_name: bool
    stability: float = math.nan


def group_embeddings(
    embeddings: Float[np.ndarray, "n d"] | TensorLike, num_clusters: NumClusters, method: Method, *, seed: int
) -> Groups:
    """Group images by their embeddings.

    Args:
        embeddings: one vector an image [N, D], an array or a tensor.
        num_clusters: K, from 1 to N, or 'auto' for as many as are cheap to name, see `clusters_to_name`.
        method: see `cluster_embeddings`; beyond 4096 images 'ward' and 'bagged_ward' group 2048 centres, see
            `centres_of`, each of which counts as the images that it stands for.
        seed: of random starts, where the method has some.

    Raises:
        ValueError: see `cluster_embeddings`.
        TypeError: embeddings are no numbers.

    Example:
        >>> group_embeddings(np.array([[0.0], [4.0], [9.0]]), 2, "ward", seed=0).labels.tolist()
        [0, 0, 1]
    """
    embeddings = as_array(embeddings, "embeddings", "ND")
    k = clusters_to_name(len(embeddings)) if num_clusters == "auto" else num_clusters
    if len(embeddings) > LARGEST:
        tree, labels, stable = _through_centres(embeddings, k, method, seed)
        return Groups(labels, distance_to_center(embeddings, labels), tree, num_clusters == "auto", stable)
    tree = ward(embeddings)
    if method == BAGGED and bags_tell(len(embeddings), k):
        labels, stable = _agreed(pdist(embeddings.astype(np.float64)), k, seed)
    else:
        labels, stable = cluster_embeddings(embeddings, k, method, seed=seed), math.nan
    return Groups(labels, distance_to_center(embeddings, labels), tree, num_clusters == "auto", stable)


def labels_of(
    embeddings: Float[np.ndarray, "n d"], num_clusters: int, method: Method, *, seed: int
) -> Int[np.ndarray, " n"]:
    """The labels of `group_embeddings` alone, in a part of the time: without the tree where the method does without.

    Args:
        embeddings: one vector an image [N, D].
        num_clusters: K, from 1 to N.
        method: see `group_embeddings`.
        seed: of random starts, where the method has some.

    Returns:
        Cluster of each image [N], 0 the largest.

    Raises:
        ValueError: see `cluster_embeddings`.

    Example:
        >>> labels_of(np.array([[0.0], [4.0], [9.0]]), 2, "ward", seed=0).tolist()
        [0, 0, 1]
    """
    if len(embeddings) > LARGEST and method in (BAGGED, "ward"):
        return _through_centres(embeddings, num_clusters, method, seed)[1]
    return cluster_embeddings(embeddings, num_clusters, method, seed=seed)


def group_distance(
    distance: Float[np.ndarray, "n n"] | TensorLike, num_clusters: NumClusters, method: Method, *, seed: int
) -> Groups:
    """Group images by given distances; Ward is then the Lance-Williams recurrence on them.

    Args:
        distance: between all images [N, N], symmetric, an array or a tensor.
        num_clusters: K, from 1 to N, or 'auto' for as many as are cheap to name, see `clusters_to_name`.
        method: see `cluster_distance`.
        seed: of random starts, where the method has some.

    Raises:
        ValueError: see `cluster_distance`.
        TypeError: the distance is of no numbers.

    Example:
        >>> distance = np.array([[0.0, 1.0, 7.0], [1.0, 0.0, 8.0], [7.0, 8.0, 0.0]])
        >>> group_distance(distance, 2, "ward", seed=0).labels.tolist()
        [0, 0, 1]
    """
    distance = as_array(distance, "distance", "NN")
    check_distance(distance)
    tree = linkage(squareform(distance, checks=False), method="ward")
    k = clusters_to_name(len(distance)) if num_clusters == "auto" else num_clusters
    if method == BAGGED and bags_tell(len(distance), k):
        labels, stable = _agreed(squareform(distance.astype(np.float64), checks=False), k, seed)
    else:
        labels, stable = cluster_distance(distance, k, method, seed=seed), math.nan
    return Groups(labels, distance_to_medoid(distance, labels), tree, num_clusters == "auto", stable)


def _agreed(
    distances: Float[np.ndarray, " pairs"], num_clusters: int, seed: int, counts: Int[np.ndarray, " n"] | None = None
) -> tuple[np.ndarray, float]:
    """Labels and stability out of the same bags: clustering them is most of the work."""
    bags = bags_of(distances, num_clusters, seed, counts=counts)
    labels = consensus(bags, num_clusters)
    return labels, stability(bags, labels)


def _through_centres(
    embeddings: Float[np.ndarray, "n d"], num_clusters: int, method: Method, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Tree, labels and stability of more images than distances between all pairs are kept of."""
    check_embeddings(embeddings)
    check_num_clusters(num_clusters, len(embeddings))
    centres = centres_of(embeddings, seed)
    tree = tree_through(centres, embeddings)
    if method == BAGGED and bags_tell(len(centres.counts), num_clusters):
        labels, stable = _agreed(centres.distances, num_clusters, seed, centres.counts)
        return tree, by_size(labels[centres.of_image]), stable
    if method in (BAGGED, "ward"):
        return tree, cut(tree, num_clusters), math.nan
    return tree, cluster_embeddings(embeddings, num_clusters, method, seed=seed), math.nan


def distance_to_medoid(distance: Float[np.ndarray, "n n"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Distance of each image to its cluster's medoid: the image with the least sum of distances to all others in it.

    Args:
        distance: between all images [N, N].
        labels: cluster of each image [N], any integers.

    Returns:
        One distance an image [N].

    Raises:
        ValueError: there is not one label an image.

    Example:
        >>> distance = np.array([[0.0, 1.0, 7.0], [1.0, 0.0, 6.0], [7.0, 6.0, 0.0]])
        >>> distance_to_medoid(distance, np.array([0, 0, 0])).tolist()
        [1.0, 0.0, 6.0]
    """
    check_one_label_an_image(labels, len(distance))
    result = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        within = distance[np.ix_(members, members)]
        result[members] = within[within.sum(1).argmin()]
    return result
