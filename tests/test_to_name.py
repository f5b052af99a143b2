"""How many clusters there are at first: cheap to name, and each mostly of one type, however many images there are."""

import numpy as np
import pytest

from anomaly_clustering.clustering.grouping import group_distance, group_embeddings
from anomaly_clustering.clustering.to_name import clusters_to_name


def test_there_are_never_more_than_20_nor_fewer_than_2_images_for_each() -> None:
    made = [clusters_to_name(n) for n in range(2, 5000)]
    assert made == sorted(made)
    assert (made[0], made[-1]) == (2, 20)
    assert all(n >= 2 * k for n, k in enumerate(made[2:], start=4))


@pytest.mark.parametrize("each", [4, 8, 60])
def test_naming_each_by_its_majority_names_overlapping_types_better_than_as_many_clusters_as_types(each: int) -> None:
    """Five types of unequal spread: Ward with five clusters joins the small ones and cuts the wide one."""
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(5), each)
    centers = np.array([[0.0, 0], [3, 0], [0, 3], [20, 0], [20, 9]])
    embeddings = centers[target] + np.array([0.3, 0.3, 0.3, 4, 4])[target, None] * rng.normal(size=(5 * each, 2))

    def accuracy(labels: np.ndarray) -> float:
        return sum(np.bincount(target[labels == k]).max() for k in np.unique(labels)) / len(target)

    at_first = group_embeddings(embeddings, "auto", "ward", seed=0)
    assert at_first.to_name
    assert accuracy(at_first.labels) > accuracy(group_embeddings(embeddings, 5, "ward", seed=0).labels) + 0.1
    assert accuracy(at_first.labels) >= 0.9


def test_the_same_number_by_distances() -> None:
    places = np.arange(9.0)
    groups = group_distance(np.abs(places[:, None] - places), "auto", "average", seed=0)
    assert groups.labels.max() + 1 == clusters_to_name(9) == 4
    assert not group_distance(np.abs(places[:, None] - places), 4, "average", seed=0).to_name
