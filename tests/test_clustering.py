import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.clustering import by_size, cut, distance_to_center, ward
from anomaly_clustering.num_clusters import choose_num_clusters

RNG = np.random.default_rng(0)


def blobs(k: int, each: int = 8) -> np.ndarray:
    centers = 10 * np.eye(k, 6)
    return (centers[:, None] + RNG.normal(size=(k, each, 6))).reshape(-1, 6).astype(np.float32)


@pytest.mark.parametrize("num_clusters", [2, 3, 7, 30])
def test_labels_equal_those_of_scikit_learn(num_clusters: int) -> None:
    embeddings = RNG.normal(size=(60, 12)).astype(np.float32)
    expected = AgglomerativeClustering(num_clusters, linkage="ward").fit_predict(embeddings)
    assert adjusted_rand_score(cut(ward(embeddings), num_clusters), expected) == 1


def test_exactly_as_many_clusters_as_asked_for_also_with_ties() -> None:
    corners = np.array([[x, y] for x in (0, 1) for y in (0, 1)] * 2, dtype=np.float32)  # all merges equally high
    tree = ward(corners)
    assert [len(np.unique(cut(tree, k))) for k in range(1, 9)] == list(range(1, 9))


def test_largest_cluster_is_number_zero() -> None:
    embeddings = np.array([[0], [9], [9.1], [9.2], [20], [20.1]], dtype=np.float32)
    assert cut(ward(embeddings), 3).tolist() == [2, 0, 0, 0, 1, 1]
    assert by_size(np.array([5, 3, 3, 5])).tolist() == [0, 1, 1, 0]  # of equal ones that of the first image


@pytest.mark.parametrize("num_clusters", [0, -1, 9])
def test_number_of_clusters_is_checked(num_clusters: int) -> None:
    with pytest.raises(ValueError, match=rf"between 1 and 8 \(the number of images\), got {num_clusters}"):
        cut(ward(RNG.normal(size=(8, 2)).astype(np.float32)), num_clusters)


def test_identical_images_cannot_be_grouped() -> None:
    with pytest.raises(ValueError, match="all 5 images look the same"):
        ward(np.ones((5, 3), dtype=np.float32))


@pytest.mark.parametrize("k", [3, 4, 6])
@pytest.mark.parametrize("each", [4, 8, 40])
def test_auto_finds_planted_clusters(k: int, each: int) -> None:
    choice = choose_num_clusters(ward(blobs(k, each)))
    assert choice.num_clusters == k
    assert min(choice.criterion, key=choice.criterion.__getitem__) == k


def test_criterion_is_the_error_of_two_fitted_lines() -> None:
    tree = ward(RNG.normal(size=(15, 4)).astype(np.float32))
    k, heights = np.arange(2, 16), tree[::-1, 2]

    def error(part: np.ndarray) -> float:
        line = np.polyfit(k[part], heights[part], 1)
        return part.sum() * np.sqrt(np.mean((np.polyval(line, k[part]) - heights[part]) ** 2))

    expected = {split: (error(k <= split) + error(k > split)) / 14 for split in range(3, 14)}
    assert choose_num_clusters(tree).criterion == pytest.approx(expected, abs=1e-9)


def test_auto_needs_five_images() -> None:
    with pytest.raises(ValueError, match="from 5 images on, got 4"):
        choose_num_clusters(ward(np.eye(4, dtype=np.float32)))


def test_distance_to_the_mean_of_the_cluster() -> None:
    embeddings = np.array([[0.0, 0], [0, 2], [5, 5]])
    assert distance_to_center(embeddings, np.array([0, 0, 1])).tolist() == [1, 1, 0]
