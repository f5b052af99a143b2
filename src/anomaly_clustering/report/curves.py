"""A tree of merges in; curves over the number of clusters, to choose it by, out."""

import numpy as np
import torch
from jaxtyping import Float, Int

from anomaly_clustering.clustering.num_clusters import choose_num_clusters
from anomaly_clustering.metrics.tree_purity import purity_curve
from anomaly_clustering.report.page import Curve

# All pairs of more images would take longer than the report is worth.
MOST_FOR_SILHOUETTE = 2000


def curves(
    tree: Float[np.ndarray, "n_minus_1 4"], distance: Float[np.ndarray, "n n"] | None, target: Int[np.ndarray, " n"]
) -> list[Curve]:
    """Merge heights, the criteria that need no labels, and, where classes are known, the purity.

    Args:
        tree: linkage matrix of scipy.
        distance: between the images, for the silhouette; None to leave it out.
        target: class of each image, -1 where unknown.
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
