"""A tree of merges in; curves over the number of clusters, to choose it by, out."""

import numpy as np
import torch
from jaxtyping import Float, Int

from anomaly_clustering.clustering.num_clusters import choose_num_clusters
from anomaly_clustering.metrics.tree_purity import purity_curve
from anomaly_clustering.report.content import Curve

# All pairs of more images would take longer than the report is worth.
MOST_FOR_SILHOUETTE = 2000


def curves(
    tree: Float[np.ndarray, "n_minus_1 4"], distance: Float[np.ndarray, "n n"] | None, target: Int[np.ndarray, " n"]
) -> list[Curve]:
    """Merge heights, the criteria that need no labels, and, where classes are known, the purity.

    Args:
        tree: linkage matrix of scipy [N - 1, 4].
        distance: between the images [N, N], for the silhouette; None to leave it out.
        target: class of each image [N], -1 where unknown.

    Returns:
        The curves, heights first. Fewer than 5 images have no curve of the L method, fewer than 3 no silhouette.

    Example:
        >>> from anomaly_clustering.clustering.methods import ward
        >>> tree = ward(np.array([[0.0], [0.1], [5.0], [5.2]]))
        >>> [(curve.title, curve.points[2]) for curve in curves(tree, None, np.array([0, 0, 1, 1]))]
        [('Height of the next merge', 0.2), ('Purity (known classes)', 1.0)]
    """
    n = len(tree) + 1
    heights = {k: float(tree[n - k - 1, 2]) for k in range(1, n)}
    choice = choose_num_clusters(tree) if n >= 5 else None
    found = [Curve("Height of the next merge", heights, choice and choice.num_clusters)]
    if choice:
        found.append(Curve("L method: error of two lines", choice.criterion, choice.num_clusters))
    if distance is not None and n >= 3:
        silhouette = choose_num_clusters(tree, "silhouette", distance=distance)
        points = {k: -value for k, value in silhouette.criterion.items()}
        found.append(Curve("Silhouette", points, silhouette.num_clusters))
    if (target >= 0).any():
        purity = purity_curve(tree, torch.from_numpy(target))
        found.append(Curve("Purity (known classes)", {k: float(value) for k, value in enumerate(purity, start=1)}))
    return found
