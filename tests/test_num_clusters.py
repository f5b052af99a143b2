import numpy as np
import pytest
from scipy.spatial.distance import cdist

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.clustering.num_clusters import Criterion, choose_num_clusters
from anomaly_clustering.clustering.trees import cut

RNG = np.random.default_rng(0)


def blobs(k: int, each: int = 8) -> np.ndarray:
    centers = 10 * np.eye(k, 6)
    return (centers[:, None] + RNG.normal(size=(k, each, 6))).reshape(-1, 6).astype(np.float32)


@pytest.mark.parametrize("criterion", ["l_method", "silhouette"])
@pytest.mark.parametrize("k", [3, 4, 6])
@pytest.mark.parametrize("each", [4, 8, 40])
def test_planted_clusters_are_counted(criterion: Criterion, k: int, each: int) -> None:
    embeddings = blobs(k, each)
    choice = choose_num_clusters(ward(embeddings), criterion, distance=cdist(embeddings, embeddings))
    assert choice.num_clusters == k
    assert min(choice.criterion, key=choice.criterion.__getitem__) == k


def test_l_method_is_the_default() -> None:
    tree = ward(blobs(4))
    assert choose_num_clusters(tree) == choose_num_clusters(tree, "l_method")


def test_l_method_is_the_error_of_two_fitted_lines() -> None:
    tree = ward(RNG.normal(size=(15, 4)).astype(np.float32))
    k, heights = np.arange(2, 16), tree[::-1, 2]

    def error(part: np.ndarray) -> float:
        line = np.polyfit(k[part], heights[part], 1)
        return part.sum() * np.sqrt(np.mean((np.polyval(line, k[part]) - heights[part]) ** 2))

    expected = {split: (error(k <= split) + error(k > split)) / 14 for split in range(3, 14)}
    assert choose_num_clusters(tree).criterion == pytest.approx(expected, abs=1e-7)  # where two points are a line


def test_silhouette_compares_the_own_cluster_with_the_nearest_other() -> None:
    embeddings = RNG.normal(size=(15, 4)).astype(np.float32)
    tree, distance = ward(embeddings), cdist(embeddings, embeddings)

    def silhouette(labels: np.ndarray, i: int) -> float:
        mean = [distance[i, (labels == c) & (np.arange(15) != i)] for c in range(labels.max() + 1)]
        if len(mean[labels[i]]) == 0:
            return 0
        own, other = mean[labels[i]].mean(), min(m.mean() for c, m in enumerate(mean) if c != labels[i])
        return (other - own) / max(own, other)

    expected = {k: -np.mean([silhouette(cut(tree, k), i) for i in range(15)]) for k in range(2, 15)}
    assert choose_num_clusters(tree, "silhouette", distance=distance).criterion == pytest.approx(expected)


def test_silhouette_looks_at_2_to_20_clusters_of_a_distance_that_may_be_rounded() -> None:
    embeddings = blobs(2, 20)
    distance = (cdist(embeddings, embeddings) + 1e-4 * np.eye(40)).astype(np.float32)
    choice = choose_num_clusters(ward(embeddings), "silhouette", distance=distance)
    assert choice.num_clusters == 2
    assert list(choice.criterion) == list(range(2, 21))
    assert distance[0, 0] == np.float32(1e-4)  # untouched


@pytest.mark.parametrize(("criterion", "fewest"), [("l_method", 5), ("silhouette", 3)])
def test_too_few_images_to_choose(criterion: Criterion, fewest: int) -> None:
    few = np.eye(fewest - 1, dtype=np.float32)
    with pytest.raises(ValueError, match=f"from {fewest} images on, got {fewest - 1}"):
        choose_num_clusters(ward(few), criterion, distance=cdist(few, few))


def test_silhouette_needs_the_distance_of_the_tree() -> None:
    tree = ward(blobs(2, 3))
    with pytest.raises(ValueError, match=r"needs the distance \[6, 6\] that the tree was made from, got none"):
        choose_num_clusters(tree, "silhouette")
    with pytest.raises(ValueError, match=r"got one of shape \(5, 5\)"):
        choose_num_clusters(tree, "silhouette", distance=np.ones((5, 5)))
