"""Embeddings [N, D] in; cluster labels [N] out, and the number of clusters where it is not known."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Below this many merges the knee is sought in all of them.
SHORTEST_TAIL = 20


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
    """A number of clusters, and the criterion, smaller being better, of each number that came into question last."""

    num_clusters: int
    criterion: dict[int, float]


def choose_num_clusters(tree: Float[np.ndarray, "n_minus_1 4"]) -> Choice:
    """The knee of the heights of merges by the L method (Salvador and Chan 2004), from 3 clusters on.

    The height of the merge that leaves K - 1 of K clusters, drawn over K, falls steeply as long as it joins real
    groups, and slowly after that. The knee is where two straight lines, one on each side, fit best; the tail of tiny
    merges is cut off and the knee sought again until it stops moving to the left.

    Raises:
        ValueError: fewer than 5 images.
    """
    n = len(tree) + 1
    if n < 5:
        raise ValueError(f"the number of clusters can be chosen from 5 images on, got {n}; give it")
    heights = tree[::-1, 2]  # of the merge of 2, 3, ..., n clusters
    most, knee = n, n
    while True:
        errors = _two_lines(heights[: most - 1])
        found = int(errors.argmin()) + 3
        if found >= knee or most <= SHORTEST_TAIL:
            return Choice(min(found, knee), {k: float(error) for k, error in enumerate(errors, start=3)})
        knee, most = found, max(2 * found, SHORTEST_TAIL)


def _two_lines(heights: Float[np.ndarray, " points"]) -> Float[np.ndarray, " splits"]:
    """Root mean square error of the best line up to K and the best line after it, weighted by their lengths, over K."""
    left, right = _line_errors(heights), _line_errors(heights[::-1])[::-1]
    lengths = np.arange(2, len(heights) - 1)
    return (lengths * left[1:-2] + lengths[::-1] * right[2:-1]) / len(heights)


def _line_errors(heights: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Root mean square error of the best line through the first 1, 2, ... heights."""
    x, y = np.arange(len(heights), dtype=np.float64), heights - heights.mean()
    count = x + 1

    def scatter(a: Float[np.ndarray, " points"], b: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        return (a * b).cumsum() - a.cumsum() * b.cumsum() / count

    residual = scatter(y, y) - scatter(x, y) ** 2 / np.maximum(scatter(x, x), 1e-300)
    return np.sqrt(np.maximum(residual, 0) / count)


def distance_to_center(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Euclidean distance of each embedding to the mean of its cluster."""
    sums = np.zeros((labels.max() + 1, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    centers = sums / np.bincount(labels)[:, None]
    return np.linalg.norm(embeddings - centers[labels], axis=1)
