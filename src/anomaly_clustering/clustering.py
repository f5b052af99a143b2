"""Embeddings [N, D] in; cluster labels [N] out, and the number of clusters where it is not known."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import silhouette_score

MAX_AUTO_CLUSTERS = 20


def ward(embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n_minus_1 4"]:
    """The merges of Ward's method, smallest growth of within-cluster variance first, as scipy's linkage matrix.

    Raises:
        ValueError: all embeddings are the same, so there is nothing to tell groups by.
    """
    spread = np.ptp(embeddings, axis=0).max()
    if len(embeddings) > 1 and spread <= 1e-6 * max(1.0, float(np.abs(embeddings).max())):
        raise ValueError(
            f"all {len(embeddings)} images look the same to the network: there is nothing to group them by"
        )
    return linkage(embeddings.astype(np.float64), method="ward")


def cut(tree: Float[np.ndarray, "n_minus_1 4"], num_clusters: int) -> Int[np.ndarray, " n"]:
    """Labels 0 to K - 1 after the first N - K merges, the largest cluster first.

    Exactly K clusters, also where several merges are equally high (scipy's `fcluster` gives fewer then).

    Raises:
        ValueError: K is below 1 or above the number of images.
    """
    n = len(tree) + 1
    if not 1 <= num_clusters <= n:
        raise ValueError(f"num_clusters must be between 1 and {n} (the number of images), got {num_clusters}")
    merges = tree[: n - num_clusters, :2].astype(int)
    # Merge number i makes node n + i.
    nodes = n + np.arange(len(merges))
    edges = coo_array((np.ones(2 * len(merges)), (merges.T.ravel(), np.tile(nodes, 2))), shape=(2 * n, 2 * n))
    _, labels = connected_components(edges, directed=False)
    return by_size(labels[:n])


def by_size(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The same clusters numbered from the largest to the smallest, of equal ones that of the first image first."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -counts))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[inverse]


class Choice(NamedTuple):
    """A number of clusters and the criterion's value for each number that was tried."""

    num_clusters: int
    criterion: dict[int, float]


def choose_num_clusters(
    embeddings: Float[np.ndarray, "n d"], tree: Float[np.ndarray, "n_minus_1 4"], *, most: int = MAX_AUTO_CLUSTERS
) -> Choice:
    """The number of clusters from 2 to `most` of the highest mean silhouette (Rousseeuw 1987).

    Raises:
        ValueError: fewer than 3 images.
    """
    n = len(embeddings)
    if n < 3:
        raise ValueError(f"the number of clusters can be chosen from 3 images on, got {n}")
    values = {k: float(silhouette_score(embeddings, cut(tree, k))) for k in range(2, min(most, n - 1) + 1)}
    return Choice(max(values, key=values.__getitem__), values)


def distance_to_center(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Euclidean distance of each embedding to the mean of its cluster."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    centers = sums / np.bincount(labels)[:, None]
    return np.linalg.norm(embeddings - centers[labels], axis=1)
