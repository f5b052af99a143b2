"""Curves over the number of clusters: values by hand, and that planted groups are where criteria prefer them."""

import numpy as np
from scipy.spatial.distance import pdist, squareform

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.report.curves import curves


def test_planted_groups_are_preferred_and_values_are_those_of_the_tree() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2, 3], 10)
    embeddings = 20 * np.eye(4)[target] + rng.normal(size=(40, 4))
    tree = ward(embeddings)
    found = {curve.title: curve for curve in curves(tree, squareform(pdist(embeddings)), target)}
    heights, error, silhouette, purity = found.values()
    assert heights.best == error.best == silhouette.best == 4
    # From K clusters the next merge makes K - 1; the last merge of all is that of two.
    assert heights.points[2 - 1] == tree[-1, 2]
    assert heights.points[39] == tree[0, 2]
    assert max(silhouette.points, key=silhouette.points.__getitem__) == 4
    assert 0 < silhouette.points[4] < 1
    for k in (1, 2, 4, 40):
        labels = cut(tree, k)
        expected = sum(np.bincount(target[labels == c]).max() for c in range(k)) / 40
        assert purity.points[k] == expected


def test_what_is_not_known_is_not_drawn() -> None:
    tree = ward(np.arange(4.0)[:, None] ** 2)
    (heights,) = curves(tree, None, np.full(4, -1))
    assert heights.best is None
