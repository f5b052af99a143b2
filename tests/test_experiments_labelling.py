"""What labelling costs: the accuracy of all labels after so many decisions of a person who knows the classes."""

from dataclasses import replace

import numpy as np
import pytest

from anomaly_clustering.clustering.grouping import group_embeddings
from anomaly_clustering.mic.result import Grouping
from experiments.labelling import DECISIONS, DRAWS, by_random_images, labelling
from experiments.tables import LABELLING


def grouped(embeddings: np.ndarray, target: np.ndarray) -> Grouping:
    n = len(target)
    groups = group_embeddings(embeddings, 2, "ward", seed=0)
    scores = np.zeros(n), np.zeros((n, 4)), np.zeros((0, 4))
    return Grouping(np.arange(n), target, np.full((n, 2, 2), 0.25), embeddings, None, groups, *scores)


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Eight far apart, of three images each, and of four classes."""
    rng = np.random.default_rng(0)
    return np.repeat(rng.normal(0, 100, (8, 5)), 3, 0) + rng.normal(0, 0.1, (24, 5)), np.repeat(np.arange(8) % 4, 3)


def test_eight_pure_clusters_take_eight_decisions(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    found = labelling(grouped(*blobs))
    assert set(found) == set(LABELLING)
    assert found["majority_8"] == found["central_8"] == 1
    # Eight images at random miss some of the eight blobs.
    assert 0.6 < found["random_8"] < 0.95
    # No more decisions than images can be made.
    assert found["majority_32"] == found["central_64"] == found["random_32"] == 1


def test_what_was_drawn_is_the_same_for_all_runs_and_no_image_is_drawn_twice() -> None:
    embeddings, target = np.arange(6.0)[:, None], np.array([0, 0, 0, 1, 1, 1])
    one = by_random_images(embeddings, target, 2)
    assert one == by_random_images(embeddings, target, 2)
    # Two images at random of six: what the nearest of the two says, by all pairs that were drawn.
    pairs = [np.random.default_rng(seed).choice(6, 2, replace=False) for seed in range(DRAWS)]
    right = [target[pair[np.abs(np.arange(6) - pair[:, None]).argmin(0)]] == target for pair in pairs]
    assert one == pytest.approx(np.mean(right), abs=0.05)  # Of images in the middle either may be the nearest.
    assert by_random_images(embeddings, target, 6) == 1


def test_a_mixed_cluster_is_named_by_most_of_it_or_by_its_middle() -> None:
    # Blobs of three, in each of which the middle one is of the other class.
    embeddings = np.add.outer(np.arange(8) * 100.0, [-1.0, 0.0, 1.0]).reshape(-1, 1)
    target = np.tile([0, 1, 0], 8)
    found = labelling(grouped(embeddings, target))
    assert found["majority_8"] == pytest.approx(2 / 3)
    assert found["central_8"] == pytest.approx(1 / 3)


def test_images_of_unknown_class_do_not_count(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    embeddings, target = blobs
    found = labelling(grouped(embeddings, np.where(np.arange(24) % 3 == 0, -1, target)))
    assert found["majority_8"] == found["central_8"] == 1
    assert labelling(grouped(embeddings, np.full(24, -1))) == {}


def test_patches_that_are_compared_one_by_one_have_no_mean(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    found = labelling(replace(grouped(*blobs), embeddings=None))
    assert set(found) == {f"majority_{count}" for count in DECISIONS}
