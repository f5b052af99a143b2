"""A tree of merges in; clusters by cutting it, numbered from the largest to the smallest, out."""

from numbers import Integral

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from anomaly_clustering.clustering.given import TensorLike, as_array


def cut(tree: Float[np.ndarray, "n_minus_1 4"] | TensorLike, num_clusters: int) -> Int[np.ndarray, " n"]:
    """Labels 0 to K - 1 after the first N - K merges, the largest cluster first.

    Exactly K clusters, also where several merges are equally high (scipy's `fcluster` gives fewer then).

    Args:
        tree: linkage matrix of scipy [N - 1, 4], such as that of `ward`.
        num_clusters: K, from 1 to N.

    Returns:
        Cluster of each image [N].

    Raises:
        ValueError: K is no whole number from 1 to the number of images.

    Example:
        >>> from scipy.cluster.hierarchy import linkage
        >>> cut(linkage(np.array([[0.0], [1.0], [8.0]]), "ward"), num_clusters=2).tolist()
        [0, 0, 1]
    """
    tree = as_array(tree, "tree", "M4")
    n = len(tree) + 1
    check_num_clusters(num_clusters, n)
    merges = tree[: n - num_clusters, :2].astype(int)
    # Merge number i makes node n + i.
    nodes = n + np.arange(len(merges))
    edges = coo_array((np.ones(2 * len(merges)), (merges.T.ravel(), np.tile(nodes, 2))), shape=(2 * n, 2 * n))
    _, labels = connected_components(edges, directed=False)
    return by_size(labels[:n])


def is_tree(merges: Float[np.ndarray, "n_minus_1 _"]) -> bool:
    """Whether merges are those of a tree: each node but the last is joined once, after it was made.

    Args:
        merges: linkage matrix of scipy [N - 1, 4], or the first two columns of one.

    Example:
        >>> [is_tree(np.array(merges)) for merges in ([[0.0, 1], [2, 3]], [[0.0, 3], [1, 2]], [[0.0, 0], [1, 3]])]
        [True, False, False]
    """
    n = len(merges) + 1
    joined = merges[:, :2]
    in_time = (joined < n + np.arange(n - 1)[:, None]).all()
    return bool(in_time and np.array_equal(np.sort(joined, axis=None), np.arange(2 * n - 2)))


def by_size(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number clusters from the largest to the smallest; of equally large ones the cluster of the first image is first.

    Args:
        labels: any integers [N].

    Returns:
        0 to K - 1 [N].

    Example:
        >>> by_size(np.array([4, 9, 9, 2])).tolist()
        [1, 0, 0, 2]
    """
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -counts))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[inverse]


def check_num_clusters(num_clusters: int, n: int) -> None:
    if not (isinstance(num_clusters, Integral) and 1 <= num_clusters <= n):
        raise ValueError(f"num_clusters must be between 1 and {n} (the number of images), got {num_clusters}")
