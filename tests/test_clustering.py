import itertools
import warnings
from typing import get_args

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from anomaly_clustering.clustering import methods as clustering
from anomaly_clustering.clustering.grouping import distance_to_medoid, group_distance, group_embeddings
from anomaly_clustering.clustering.methods import (
    LINKAGES,
    ON_DISTANCES,
    ON_EMBEDDINGS,
    Method,
    by_size,
    cluster_distance,
    cluster_embeddings,
    cut,
    distance_to_center,
    ward,
)
from anomaly_clustering.system.whole_numbers import LARGEST_SEED

RNG = np.random.default_rng(0)
METHODS: tuple[Method, ...] = get_args(Method)
NEEDS_EMBEDDINGS: tuple[Method, ...] = ("kmeans", "gmm")
TAKES_DISTANCES = tuple(method for method in METHODS if method not in NEEDS_EMBEDDINGS)


def blobs(seed: int = 0, sizes: tuple[int, ...] = (20, 12, 8, 5)) -> tuple[np.ndarray, np.ndarray]:
    """Groups of embeddings 14 apart, each of standard deviation 0.5, shuffled; and the group of each."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    embeddings = 10 * np.eye(len(sizes), 6)[target] + rng.normal(scale=0.5, size=(len(target), 6))
    return embeddings.astype(np.float32), target


def noise(n: int = 60, d: int = 12, seed: int = 0) -> np.ndarray:
    """Embeddings without groups, where methods and seeds differ most."""
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def euclidean(embeddings: np.ndarray) -> np.ndarray:
    return cdist(embeddings.astype(np.float64), embeddings.astype(np.float64))


def bent(n: int = 40) -> np.ndarray:
    """A symmetric distance that no points have: the triangle inequality fails."""
    return euclidean(noise(n)) ** 3


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return adjusted_rand_score(left, right) == 1


# All methods.


def test_each_method_is_in_one_table() -> None:
    assert set(ON_EMBEDDINGS) == set(NEEDS_EMBEDDINGS)
    assert set(ON_DISTANCES) == set(TAKES_DISTANCES)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", METHODS)
def test_planted_groups_are_found_and_numbered_by_size(method: Method, seed: int) -> None:
    embeddings, target = blobs(seed)
    assert cluster_embeddings(embeddings, 4, method, seed=seed).tolist() == target.tolist()
    if method in TAKES_DISTANCES:
        assert cluster_distance(euclidean(embeddings), 4, method, seed=seed).tolist() == target.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_order_of_images_does_not_matter(method: Method) -> None:
    embeddings = noise() if method in LINKAGES else blobs()[0]
    order = np.random.default_rng(1).permutation(len(embeddings))
    assert same(cluster_embeddings(embeddings[order], 4, method), cluster_embeddings(embeddings, 4, method)[order])


@pytest.mark.parametrize("method", METHODS)
def test_seeds_repeat(method: Method) -> None:
    embeddings = noise()
    first, second = (cluster_embeddings(embeddings, 5, method, seed=3) for _ in range(2))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_seed_is_one(method: Method) -> None:
    embeddings, target = blobs()
    assert cluster_embeddings(embeddings, 4, method, seed=LARGEST_SEED).tolist() == target.tolist()


@pytest.mark.parametrize("method", TAKES_DISTANCES)
def test_embeddings_and_their_euclidean_distance_agree(method: Method) -> None:
    embeddings = noise()
    assert same(cluster_embeddings(embeddings, 5, method), cluster_distance(euclidean(embeddings), 5, method))


@pytest.mark.parametrize("method", TAKES_DISTANCES)
def test_precision_and_rounding_of_a_distance_do_not_matter(method: Method) -> None:
    exact = euclidean(blobs()[0])
    rounded = (exact + 1e-4 * np.eye(len(exact))).astype(np.float32)
    rounded[0, 1] *= 1 + 1e-6
    assert cluster_distance(rounded, 4, method).tolist() == cluster_distance(exact, 4, method).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_as_few_and_as_many_clusters_as_there_can_be(method: Method) -> None:
    embeddings = noise(6, 20)
    with warnings.catch_warnings():  # scikit-learn's eigensolver says that it takes the dense one for K = N
        warnings.simplefilter("ignore", RuntimeWarning)
        found = [len(np.unique(cluster_embeddings(embeddings, k, method))) for k in (1, 2, 6)]
    assert found == [1, 2, 6]


# Each against its reference.


@pytest.mark.parametrize("num_clusters", [2, 3, 7, 30])
@pytest.mark.parametrize("method", LINKAGES)
def test_linkages_equal_those_of_scikit_learn(method: Method, num_clusters: int) -> None:
    embeddings = noise()
    expected = AgglomerativeClustering(num_clusters, linkage=method).fit_predict(embeddings)
    assert same(cluster_embeddings(embeddings, num_clusters, method), expected)


@pytest.mark.parametrize("method", LINKAGES)
def test_linkages_of_a_distance_that_is_not_euclidean_equal_those_of_scipy(method: Method) -> None:
    expected = fcluster(linkage(squareform(bent(), checks=False), method), 5, "maxclust")
    assert same(cluster_distance(bent(), 5, method), expected)


def test_ward_of_a_given_distance_is_the_recurrence_of_lance_and_williams() -> None:
    squared, clusters = bent(12) ** 2, [[i] for i in range(12)]
    np.fill_diagonal(squared, np.inf)
    while len(clusters) > 3:
        i, j = sorted(np.unravel_index(squared.argmin(), squared.shape))
        a, b, c = len(clusters[i]), len(clusters[j]), np.array([len(cluster) for cluster in clusters])
        joined = ((a + c) * squared[i] + (b + c) * squared[j] - c * squared[i, j]) / (a + b + c)
        joined[i] = np.inf
        squared[i], squared[:, i] = joined, joined
        squared = np.delete(np.delete(squared, j, 0), j, 1)
        clusters[i] += clusters.pop(j)
    labels = np.empty(12, dtype=int)
    for number, cluster in enumerate(clusters):
        labels[cluster] = number
    assert same(cluster_distance(bent(12), 3, "ward"), labels)


def test_ward_is_the_tree_that_is_cut() -> None:
    assert cluster_embeddings(noise(), 7).tolist() == cut(ward(noise()), 7).tolist()


def test_k_means_equals_that_of_scikit_learn() -> None:
    expected = KMeans(5, n_init=10, random_state=2).fit_predict(noise().astype(np.float64))
    assert same(cluster_embeddings(noise(), 5, "kmeans", seed=2), expected)


@pytest.mark.parametrize(("n", "d"), [(80, 5), (30, 90)])
def test_mixture_in_the_span_of_the_embeddings_equals_that_of_all_dimensions(n: int, d: int) -> None:
    embeddings = 0.01 * noise(n, d) + 0.02 * np.eye(3, d)[np.arange(n) % 3].astype(np.float32)
    expected = GaussianMixture(3, random_state=0).fit_predict(embeddings.astype(np.float64))
    assert same(cluster_embeddings(embeddings, 3, "gmm"), expected)


def test_k_medoids_are_the_best_of_all() -> None:
    distance = bent(14)
    costs = [distance[:, medoids].min(1).sum() for medoids in itertools.combinations(range(14), 3)]
    labels = cluster_distance(distance, 3, "kmedoids")
    cost = sum(distance[np.ix_(labels == c, labels == c)].sum(0).min() for c in range(3))
    assert cost == pytest.approx(min(costs))


def test_spectral_has_a_gaussian_kernel_as_wide_as_the_median_distance() -> None:
    embeddings = noise().astype(np.float64)
    gamma = 1 / (2 * np.median(pdist(embeddings)) ** 2)
    expected = SpectralClustering(5, affinity="rbf", gamma=gamma, random_state=0).fit_predict(embeddings)
    assert same(cluster_embeddings(embeddings, 5, "spectral"), expected)


def test_spectral_does_not_depend_on_the_unit_of_the_distance() -> None:
    assert same(cluster_distance(bent(), 4, "spectral"), cluster_distance(1000 * bent(), 4, "spectral"))


# What is refused.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("num_clusters", [0, -1, 9])
def test_number_of_clusters_is_checked(method: Method, num_clusters: int) -> None:
    message = rf"between 1 and 8 \(the number of images\), got {num_clusters}"
    with pytest.raises(ValueError, match=message):
        cluster_embeddings(noise(8), num_clusters, method)
    with pytest.raises(ValueError, match=message):
        cut(ward(noise(8)), num_clusters)
    if method in TAKES_DISTANCES:
        with pytest.raises(ValueError, match=message):
            cluster_distance(bent(8), num_clusters, method)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("num_clusters", [2.5, "automatic", None])
def test_number_of_clusters_is_whole(num_clusters: object) -> None:
    """2.5 would be cut off to 2."""
    message = rf"between 1 and 8 \(the number of images\), got {num_clusters}"
    for group in (
        group_embeddings,
        lambda points, *options, **seed: group_distance(euclidean(points), *options, **seed),
    ):
        with pytest.raises(ValueError, match=message):
            group(noise(8), num_clusters, "ward", seed=0)
    with pytest.raises(ValueError, match=message):
        cut(ward(noise(8)), num_clusters)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("broken", [np.ones((3, 4)), np.array([[0.0, 1], [1.5, 0]])])
def test_a_distance_is_checked_before_its_tree_is_made(broken: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"distance must be (square|symmetric)"):
        group_distance(broken, 2, "ward", seed=0)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("count", [1, 4, 6])
def test_labels_are_one_an_image(count: int) -> None:
    labels = np.zeros(count, dtype=int)
    for distances in (distance_to_center, distance_to_medoid):
        with pytest.raises(ValueError, match=rf"labels must be one an image, got \[{count}\] for 5 images"):
            distances(noise(5, 5), labels)


def test_numbers_of_clusters_may_have_gaps() -> None:
    embeddings, labels = np.array([[0.0], [4.0], [9.0]]), np.array([7, 7, -1])
    assert distance_to_center(embeddings, labels).tolist() == [2, 2, 0]
    assert distance_to_medoid(euclidean(embeddings), labels).tolist() == [0, 4, 0]


@pytest.mark.parametrize("method", NEEDS_EMBEDDINGS)
def test_methods_that_average_need_embeddings(method: Method) -> None:
    with pytest.raises(ValueError, match=f"method '{method}' needs embeddings; on a distance use one of .*'spectral'"):
        cluster_distance(bent(), 2, method)


def test_identical_images_cannot_be_grouped() -> None:
    same_image = np.ones((5, 3), dtype=np.float32)
    for group in (ward, lambda embeddings: cluster_embeddings(embeddings, 2, "kmeans")):
        with pytest.raises(ValueError, match="all 5 images look the same"):
            group(same_image)
    with pytest.raises(ValueError, match="all 5 images look the same"):
        cluster_distance(np.zeros((5, 5)), 2)


def test_one_image_cannot_be_grouped() -> None:
    with pytest.raises(ValueError, match="at least 2 images are needed to form groups, got 1"):
        cluster_embeddings(np.ones((1, 3)), 1)
    with pytest.raises(ValueError, match="at least 2 images are needed to form groups, got 0"):
        cluster_distance(np.ones((0, 0)), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_must_be_finite(value: float) -> None:
    embeddings = noise()
    embeddings[[4, 9], 0] = value
    for group in (ward, lambda embeddings: cluster_embeddings(embeddings, 2, "gmm")):
        with pytest.raises(ValueError, match="must be finite, but 2 are not, first that of image 4"):
            group(embeddings)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.ones((3, 4)), "must be square, one row and one column an image, got 3 x 4"),
        (np.array([[0, np.nan], [np.nan, 0]]), "must be finite, but 2 values are not"),
        (np.array([[0, np.inf], [np.inf, 0]]), "must be finite, but 2 values are not"),
        (np.array([[0.0, -2], [-2, 0]]), "must not be negative, got -2"),
        (np.array([[0.0, 1], [1.5, 0]]), "must be symmetric, but .* differ by up to 0.5"),
        (np.array([[1.0, 0.2], [0.2, 1]]), "to itself must be 0, got up to 1: is it a similarity"),
    ],
)
def test_what_is_no_symmetric_distance_is_refused(broken: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cluster_distance(broken, 2)


# Trees and labels.


def test_exactly_as_many_clusters_as_asked_for_also_with_ties() -> None:
    corners = np.array([[x, y] for x in (0, 1) for y in (0, 1)] * 2, dtype=np.float32)  # all merges equally high
    tree = ward(corners)
    assert [len(np.unique(cut(tree, k))) for k in range(1, 9)] == list(range(1, 9))


def test_largest_cluster_is_number_zero() -> None:
    embeddings = np.array([[0], [9], [9.1], [9.2], [20], [20.1]], dtype=np.float32)
    assert cut(ward(embeddings), 3).tolist() == [2, 0, 0, 0, 1, 1]
    assert by_size(np.array([5, 3, 3, 5])).tolist() == [0, 1, 1, 0]  # of equal ones that of the first image


def test_distance_to_the_mean_of_the_cluster() -> None:
    embeddings = np.array([[0.0, 0], [0, 2], [5, 5]])
    assert distance_to_center(embeddings, np.array([0, 0, 1])).tolist() == [1, 1, 0]


@pytest.mark.parametrize("n", [2, 7, 60])
def test_beyond_the_largest_set_the_merges_are_the_same(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    expected, labels = ward(embeddings), cluster_embeddings(embeddings, min(n, 4))
    monkeypatch.setattr(clustering, "LARGEST", 1)
    assert np.allclose(ward(embeddings)[:, 2:], expected[:, 2:])
    assert (cluster_embeddings(embeddings, min(n, 4)) == labels).all()
