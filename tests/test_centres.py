"""Many images by way of centres: a centre counts as its images would, and all are in the tree."""

import warnings

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

import anomaly_clustering.clustering.grouping as grouping
from anomaly_clustering.clustering.bagging import bags_of, consensus, stability
from anomaly_clustering.clustering.centres import centres_of, tree_through
from anomaly_clustering.clustering.grouping import group_embeddings
from anomaly_clustering.clustering.methods import LARGEST, Method
from anomaly_clustering.clustering.trees import cut, is_tree
from anomaly_clustering.clustering.weighted import weighted_linkage


def far_apart(n: int, groups: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Groups of unlike sizes that one can see."""
    rng = np.random.default_rng(0)
    group = rng.choice(groups, size=n, p=np.arange(1, groups + 1) / sum(range(groups + 1)))
    return (rng.normal(size=(n, 5)) + 12 * np.eye(groups, 5)[group]).astype(np.float32), group


@pytest.mark.parametrize("method", ["ward", "average"])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_centre_counts_as_its_images_would(method: str, count: int) -> None:
    rng = np.random.default_rng(count)
    points, counts = rng.normal(size=(count, 3)), rng.integers(1, 6, size=count)
    found = weighted_linkage(pdist(points), counts, method)  # type: ignore[arg-type]
    of_images = linkage(points.repeat(counts, axis=0), method)
    # Copies are joined first, at height 0.
    assert np.allclose(found[:, 2:], of_images[counts.sum() - count :, 2:])
    assert adjusted_rand_score(cut(found, 2).repeat(counts), cut(of_images, 2)) == 1


@pytest.mark.parametrize("method", ["ward", "average"])
def test_where_each_counts_once_the_tree_is_that_of_scipy(method: str) -> None:
    points = np.random.default_rng(0).normal(size=(60, 4))
    found = weighted_linkage(pdist(points), np.ones(60, dtype=int), method)  # type: ignore[arg-type]
    assert np.allclose(found, linkage(points, method))


@pytest.mark.parametrize("most", [1, 7, 100])
def test_all_images_are_in_the_tree_through_centres_and_no_merge_is_below_those_that_it_joins(most: int) -> None:
    points = far_apart(100)[0]
    tree = tree_through(centres_of(points, seed=0, most=most), points)
    sizes, heights = np.append(np.ones(100), tree[:, 3]), np.append(np.zeros(100), tree[:, 2])
    sides = tree[:, :2].astype(int)
    assert is_tree(tree)
    assert (sizes[sides].sum(1) == tree[:, 3]).all()
    assert (heights[sides].max(1) <= tree[:, 2]).all()
    assert (np.diff(tree[:, 2]) >= 0).all()


def test_where_each_image_is_a_centre_the_tree_is_that_of_ward() -> None:
    points = np.random.default_rng(0).normal(size=(50, 4))
    tree = tree_through(centres_of(points, seed=0, most=50), points)
    assert np.allclose(tree[:, 2:], linkage(points, "ward")[:, 2:], atol=1e-5)


def test_more_images_than_pairs_are_kept_of_fall_into_the_groups_that_one_sees() -> None:
    points, group = far_apart(LARGEST + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = group_embeddings(points, 4, "bagged_ward", seed=3)
    assert adjusted_rand_score(group, found.labels) == 1
    assert found.stability == 1


@pytest.mark.parametrize("method", ["ward", "bagged_ward", "kmeans"])
def test_the_seed_decides_and_clusters_are_numbered_by_size(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "LARGEST", 299)
    points = far_apart(300)[0]
    found, again = (group_embeddings(points, "auto", method, seed=3) for _ in range(2))
    assert (found.labels == again.labels).all()
    assert (found.tree == again.tree).all()
    assert (found.labels == grouping.labels_of(points, 20, method, seed=3)).all()
    sizes = np.bincount(found.labels)
    assert len(sizes) == 20
    assert (np.diff(sizes) <= 0).all()
    assert np.isnan(found.stability) == (method != "bagged_ward")


def test_more_clusters_than_centres_are_cut_from_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "LARGEST", 10)
    monkeypatch.setattr(grouping.centres_of, "__kwdefaults__", {"most": 5})
    points = far_apart(30)[0]
    assert np.bincount(group_embeddings(points, 8, "bagged_ward", seed=0).labels).size == 8


def test_copies_of_few_images_have_fewer_centres() -> None:
    points = np.repeat(np.array([[0.0], [5.0], [9.0]]), 40, axis=0)
    centres = centres_of(points, seed=0, most=20)
    assert centres.counts.tolist() == [40, 40, 40]
    assert adjusted_rand_score(cut(tree_through(centres, points), 3), points[:, 0].astype(int)) == 1


def test_bags_of_centres_are_asked_about_their_images() -> None:
    points, counts = np.array([[0.0], [1.0], [9.0], [10.0]]), np.array([1, 30, 2, 7])
    bags = bags_of(pdist(points), 2, seed=0, counts=counts)
    labels = consensus(bags, 2)
    assert labels.tolist() == [0, 0, 1, 1]
    assert stability(bags, labels) == 1
