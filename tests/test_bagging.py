"""Bagged Ward: a naive reference, and laws on groups that one can see."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.clustering.bagging import BAGS, SHARE, bagged_ward, bags_of, stability
from anomaly_clustering.clustering.grouping import group_distance, group_embeddings
from anomaly_clustering.clustering.methods import cluster_embeddings
from anomaly_clustering.clustering.trees import cut


def noise(n: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6))


def naive(points: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """Pair by pair, as the docstring has it."""
    n = len(points)
    bags = [np.random.default_rng([seed, bag]).permutation(n)[: round(SHARE * n)] for bag in range(BAGS)]
    clusters = [
        dict(zip(bag, fcluster(linkage(points[bag], "ward"), num_clusters, "maxclust"), strict=True)) for bag in bags
    ]
    apart = np.ones((n, n))
    for i in range(n):
        for j in range(n):
            both = [bag[i] == bag[j] for bag in clusters if i in bag and j in bag]
            if both:
                apart[i, j] = 1 - np.mean(both)
    return fcluster(linkage(squareform(apart, checks=False), "average"), num_clusters, "maxclust")


@pytest.mark.parametrize("num_clusters", [2, 4, 7])
@pytest.mark.parametrize("seed", [0, 5])
def test_it_is_what_the_formula_says(num_clusters: int, seed: int) -> None:
    points = noise(seed=seed)
    found = bagged_ward(pdist(points), num_clusters, seed)
    assert adjusted_rand_score(naive(points, num_clusters, seed), found) == 1
    assert len(np.unique(found)) == num_clusters


def test_one_image_more_changes_less_than_in_one_ward() -> None:
    changed = {"ward": 0.0, "bagged_ward": 0.0}
    for seed in range(8):
        points = noise(60, seed)
        for method in changed:
            all_but_one = cluster_embeddings(points[:-1], 5, method)  # type: ignore[arg-type]
            everything = cluster_embeddings(points, 5, method)[:-1]  # type: ignore[arg-type]
            changed[method] += 1 - adjusted_rand_score(everything, all_but_one)
    assert changed["bagged_ward"] < changed["ward"]


def test_there_may_be_as_many_clusters_as_images() -> None:
    assert sorted(bagged_ward(pdist(noise(5)), 5, seed=0)) == [0, 1, 2, 3, 4]
    assert bagged_ward(pdist(noise(2)), 1, seed=0).tolist() == [0, 0]


def test_where_most_images_are_alone_in_each_bag_one_ward_decides() -> None:
    twins = np.array([[0.0], [100.0], [200.0], [300.0], [400.0], [500.0], [600.0], [600.1], [700.0], [700.1]])
    groups = group_embeddings(twins, 8, "bagged_ward", seed=0)
    assert (groups.labels[6], groups.labels[8]) == (groups.labels[7], groups.labels[9])
    assert (groups.labels == bagged_ward(pdist(twins), 8, seed=0)).all()
    assert np.isnan(groups.stability)
    apart = squareform(pdist(twins))
    assert (group_distance(apart, 8, "bagged_ward", seed=0).labels == groups.labels).all()
    # Of 60 images 24 clusters have two images each in a bag of 48.
    points = noise(60)
    one_ward = [(bagged_ward(pdist(points), k, seed=0) == cut(linkage(points, "ward"), k)).all() for k in range(20, 60)]
    assert one_ward.index(True) == 5
    assert all(one_ward[5:])


def test_more_clusters_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_clusters must be between 1 and 5 \(the number of images\), got 6"):
        bagged_ward(pdist(noise(5)), 6, seed=0)


def test_stability_is_one_where_groups_are_far_apart_and_little_where_there_are_none() -> None:
    drawn = np.random.default_rng(0)
    apart = np.concatenate([drawn.normal(place, 0.1, (12, 3)) for place in (0, 5, 10)])
    labels = np.repeat([0, 1, 2], 12)
    bags = bags_of(pdist(apart), 3, seed=0)
    assert stability(bags, labels) == 1
    none = pdist(drawn.normal(0, 1, (36, 30)))
    assert stability(bags_of(none, 3, seed=0), cut(linkage(none, "ward"), 3)) < 0.6
    # Clusters that are not those of the data have nothing in common with those of its subsets.
    assert abs(stability(bags, drawn.permutation(labels))) < 0.15


def test_a_group_has_the_labels_of_the_method_and_the_stability_of_its_bags() -> None:
    points = noise()
    groups = group_embeddings(points, 4, "bagged_ward", seed=3)
    assert (groups.labels == cluster_embeddings(points, 4, "bagged_ward", seed=3)).all()
    assert groups.stability == stability(bags_of(pdist(points), 4, seed=3), groups.labels)
    assert np.isnan(group_embeddings(points, 4, "ward", seed=3).stability)
