"""A tree of merges in; the number of clusters out, by a published criterion that needs no labels."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from sklearn.metrics import silhouette_score

from anomaly_clustering.clustering.given import TensorLike, as_array
from anomaly_clustering.clustering.trees import cut

Criterion = Literal["l_method", "silhouette"]

# Images that the L method needs.
FEWEST_IMAGES = 5
# Below this many merges the knee is sought in all of them.
SHORTEST_TAIL = 20
# The silhouette is compared up to this many clusters.
MOST_CLUSTERS = 20


class Choice(NamedTuple):
    """A number of clusters, and what it was chosen by.

    Attributes:
        num_clusters: the best of them.
        criterion: by number of clusters, for those that were compared last; the smaller the better.
    """

    num_clusters: int
    criterion: dict[int, float]


def choose_num_clusters(
    tree: Float[np.ndarray, "n_minus_1 4"] | TensorLike,
    criterion: Criterion = "l_method",
    *,
    distance: Float[np.ndarray, "n n"] | TensorLike | None = None,
) -> Choice:
    """Choose into how many clusters to cut a tree, without labels. (The paper takes K as known.)

    Args:
        tree: linkage matrix of scipy [N - 1, 4], such as that of `ward`.
        criterion: 'l_method', the knee of the merge heights (Salvador and Chan 2004), which needs the tree alone; or
            'silhouette' (Rousseeuw 1987), which prefers few, far apart clusters.
        distance: between the images [N, N], for 'silhouette', as the tree was made from it.

    Returns:
        The number of clusters, and the criterion of all numbers that were compared.

    Raises:
        ValueError: the criterion has another name, there are too few images to choose, or 'silhouette' is without a
            distance.
        TypeError: the tree or the distance is of no numbers.

    Example:
        >>> from anomaly_clustering.clustering.methods import ward
        >>> groups = np.array([0, 0.1, 0.2, 0.3, 5, 5.1, 5.2, 5.3, 9, 9.1, 9.2, 9.3])[:, None]
        >>> choose_num_clusters(ward(groups)).num_clusters
        3
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {tuple(CRITERIA)}, got {criterion!r}")
    square = None if distance is None else as_array(distance, "distance", "NN")
    return CRITERIA[criterion](as_array(tree, "tree", "M4"), square)


def _l_method(tree: Float[np.ndarray, "n_minus_1 4"]) -> Choice:
    """The knee of the heights of merges by the L method (Salvador and Chan 2004), from 3 clusters on.

    The height of the merge that leaves K - 1 of K clusters, drawn over K, falls steeply as long as it joins real
    groups, and slowly after that. The knee is where two straight lines, one on each side, fit best; the tail of tiny
    merges is cut off and the knee sought again until it stops moving to the left.
    """
    n = len(tree) + 1
    if n < FEWEST_IMAGES:
        raise ValueError(f"the number of clusters can be chosen by 'l_method' from {FEWEST_IMAGES} images on, got {n}")
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


def _silhouette(tree: Float[np.ndarray, "n_minus_1 4"], distance: Float[np.ndarray, "n n"] | None) -> Choice:
    """The largest mean silhouette (Rousseeuw 1987), its sign turned, from 2 to 20 clusters.

    The silhouette of an image compares its mean distance a to the rest of its cluster with that to the nearest other
    cluster, b: (b - a) / max(a, b), and 0 where it is alone.
    """
    n = len(tree) + 1
    if n < 3:
        raise ValueError(f"the number of clusters can be chosen by 'silhouette' from 3 images on, got {n}")
    if distance is None or distance.shape != (n, n):
        given = "none" if distance is None else f"one of shape {distance.shape}"
        raise ValueError(
            f"criterion 'silhouette' needs the distance [{n}, {n}] that the tree was made from, got {given}"
        )
    exact = distance.astype(np.float64)
    # Rounding off the diagonal's zeros is refused by scikit-learn.
    np.fill_diagonal(exact, 0)
    criterion = {
        k: -float(silhouette_score(exact, cut(tree, k), metric="precomputed"))
        for k in range(2, min(MOST_CLUSTERS, n - 1) + 1)
    }
    return Choice(min(criterion, key=criterion.__getitem__), criterion)


CRITERIA: dict[str, Callable[[Float[np.ndarray, "n_minus_1 4"], Float[np.ndarray, "n n"] | None], Choice]] = {
    "l_method": lambda tree, distance: _l_method(tree),
    "silhouette": _silhouette,
}
