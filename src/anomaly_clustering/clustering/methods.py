"""Embeddings [N, D] or distances [N, N] in; labels [N] of K clusters out, by the paper's methods or by bagged Ward."""

from collections.abc import Callable
from typing import Literal

import fastcluster
import kmedoids
import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.mixture import GaussianMixture

from anomaly_clustering.clustering.bagging import bagged_ward
from anomaly_clustering.clustering.given import TensorLike, as_array
from anomaly_clustering.clustering.trees import by_size, check_num_clusters, cut

Method = Literal["ward", "bagged_ward", "single", "complete", "average", "kmeans", "kmedoids", "gmm", "spectral"]
# The methods that draw no random numbers, so that a seed changes nothing.
LINKAGES: tuple[Method, ...] = ("ward", "single", "complete", "average")
# From embeddings [N, D], or distances in scipy's condensed form (each pair once), K and a seed to labels [N].
Partition = Callable[[Float[np.ndarray, "..."], int, int], Int[np.ndarray, " n"]]

# Images up to which distances between all pairs are kept (64 MiB); beyond, Ward's method does without them.
LARGEST = 4096
# Images whose embeddings are held in double precision at a time.
AT_ONCE = 4096
# Starts of k-means and k-medoids; the best one counts.
STARTS = 10


def cluster_embeddings(
    embeddings: Float[np.ndarray, "n d"] | TensorLike, num_clusters: int, method: Method = "ward", *, seed: int = 0
) -> Int[np.ndarray, " n"]:
    """Labels of images by their embeddings, 0 the largest cluster.

    'kmeans' and 'gmm' take the embeddings themselves, all others the Euclidean distances between them (Eq. 1). The
    linkages 'ward', 'single', 'complete' and 'average' draw no random numbers and give exactly K clusters. So does
    'bagged_ward' (see `bagged_ward`), which draws subsets of the images by the seed. 'gmm' may leave some clusters
    empty, and so may the others where images coincide. Beyond 4096 images 'ward', 'kmeans' and 'gmm' need memory for
    the embeddings only; the others need it for the distances between all pairs.

    Args:
        embeddings: one vector an image [N, D], an array or a tensor.
        num_clusters: K, from 1 to N.
        method: 'ward' is the paper's choice (Table 2).
        seed: of random starts, where the method has some.

    Returns:
        Cluster of each image [N], 0 to K - 1.

    Raises:
        ValueError: the method has another name; K is no whole number from 1 to the number of images; embeddings are
            fewer than 2, not finite, or all the same.
        TypeError: embeddings are no numbers.

    Example:
        >>> cluster_embeddings(np.array([[0.0], [9.0], [0.1], [0.2]]), num_clusters=2).tolist()
        [0, 1, 0, 0]
    """
    _check_method(method)
    embeddings = as_array(embeddings, "embeddings", "ND")
    check_embeddings(embeddings)
    check_num_clusters(num_clusters, len(embeddings))
    if method == "ward":
        return cut(ward(embeddings), num_clusters)
    points = embeddings.astype(np.float64)
    if method in ON_EMBEDDINGS:
        return by_size(ON_EMBEDDINGS[method](points, num_clusters, seed))
    return by_size(ON_DISTANCES[method](pdist(points), num_clusters, seed))


def cluster_distance(
    distance: Float[np.ndarray, "rows columns"] | TensorLike,
    num_clusters: int,
    method: Method = "ward",
    *,
    seed: int = 0,
) -> Int[np.ndarray, " n"]:
    """Labels of images by any symmetric distance [N, N] between them, 0 the largest cluster.

    'ward' is the Lance-Williams recurrence on the distances as they are, as scipy's `linkage` does it; only where they
    are Euclidean does it join what adds least to the variance. (scikit-learn refuses other distances.)

    Args:
        distance: between all images [N, N], an array or a tensor.
        num_clusters: K, from 1 to N.
        method: any but 'kmeans' and 'gmm'; 'ward' is the paper's choice (Table 2).
        seed: of random starts, where the method has some.

    Returns:
        Cluster of each image [N], 0 to K - 1.

    Raises:
        ValueError: the method has another name, or is 'kmeans' or 'gmm'; K is no whole number from 1 to the number of
            images; the distance is of fewer than 2 images, not square, not finite, negative, not symmetric, zero
            everywhere, or large from an image to itself.
        TypeError: the distance is of no numbers.

    Example:
        >>> distance = np.array([[0.0, 1.0, 7.0], [1.0, 0.0, 8.0], [7.0, 8.0, 0.0]])
        >>> cluster_distance(distance, num_clusters=2, method="average").tolist()
        [0, 0, 1]
    """
    _check_method(method)
    if method in ON_EMBEDDINGS:
        raise ValueError(f"method {method!r} needs embeddings; on a distance use one of {tuple(ON_DISTANCES)}")
    distance = as_array(distance, "distance", "NN")
    check_distance(distance)
    check_num_clusters(num_clusters, len(distance))
    distances = squareform(distance.astype(np.float64), checks=False)
    return by_size(ON_DISTANCES[method](distances, num_clusters, seed))


def ward(embeddings: Float[np.ndarray, "n d"] | TensorLike) -> Float[np.ndarray, "n_minus_1 4"]:
    """The merges of Ward's method, smallest growth of within-cluster variance first, as scipy's linkage matrix.

    Beyond 4096 images they are found without the distances between all pairs (fastcluster's `linkage_vector`, Muellner
    2013): the same merges, in memory that grows with N and time that grows with N^2 D.

    Args:
        embeddings: one vector an image [N, D], an array or a tensor.

    Returns:
        One row a merge [N - 1, 4]: the two nodes that are joined, the height, the number of images; merge i makes node
        N + i.

    Raises:
        ValueError: embeddings are fewer than 2, not finite, or all the same, so there is nothing to tell groups by.
        TypeError: embeddings are no numbers.

    Example:
        >>> ward(np.array([[0.0], [1.0], [8.0]])).tolist()
        [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 8.66, 3.0]]
    """
    embeddings = as_array(embeddings, "embeddings", "ND")
    check_embeddings(embeddings)
    points = embeddings.astype(np.float64)
    return linkage(points, "ward") if len(points) <= LARGEST else fastcluster.linkage_vector(points, "ward")


def _kmeans(points: Float[np.ndarray, "n d"], num_clusters: int, seed: int) -> Int[np.ndarray, " n"]:
    return KMeans(num_clusters, n_init=STARTS, random_state=seed).fit_predict(points)


def _gmm(points: Float[np.ndarray, "n d"], num_clusters: int, seed: int) -> Int[np.ndarray, " n"]:
    """Gaussian mixture with full covariances, as scikit-learn has it, in the at most N - 1 dimensions the points span.

    Outside their span all components are alike, so the partition is that of all D dimensions. Points are not scaled and
    scikit-learn's 1e-6 on all variances stays, as presumably in the paper: with fewer images than channels in most
    clusters, EM settles near its start by one k-means, whatever the scale, unless 1e-6 reaches the smaller variances.
    """
    centred = points - points.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    spanned = lengths > lengths[0] * max(points.shape) * np.finfo(np.float64).eps
    return GaussianMixture(num_clusters, random_state=seed).fit_predict(left[:, spanned] * lengths[spanned])


def _hierarchical(linkage_method: str) -> Partition:
    return lambda distances, num_clusters, seed: cut(linkage(distances, linkage_method), num_clusters)


def _kmedoids(distances: Float[np.ndarray, " pairs"], num_clusters: int, seed: int) -> Int[np.ndarray, " n"]:
    """FasterPAM (Schubert and Rousseeuw 2021), the smallest sum of distances to the medoids of 10 random starts."""
    square = squareform(distances)
    # On one thread: more of them would try the swaps in another order.
    found = [
        kmedoids.fasterpam(square, num_clusters, init="random", random_state=(seed * STARTS + start) % 2**32, n_cpu=1)
        for start in range(STARTS)
    ]
    return min(found, key=lambda result: result.loss).labels.astype(np.int64)


def _spectral(distances: Float[np.ndarray, " pairs"], num_clusters: int, seed: int) -> Int[np.ndarray, " n"]:
    """Normalised cuts, by scikit-learn, of the graph with affinities exp(-d^2 / (2 s^2)), s the median distance.

    The paper gives no kernel. This is the Gaussian one of Ng, Jordan and Weiss 2001, its width the median of the
    distances above zero. (A width of each image's own, by Zelnik-Manor and Perona 2004 its 7th nearest distance, blurs
    groups of fewer than 7 images.)
    """
    width = np.median(distances[distances > 0])
    affinity = squareform(np.exp(-((distances / width) ** 2) / 2))
    np.fill_diagonal(affinity, 1)
    spectral = SpectralClustering(num_clusters, affinity="precomputed", n_init=STARTS, random_state=seed)
    return spectral.fit_predict(affinity)


ON_EMBEDDINGS: dict[str, Partition] = {"kmeans": _kmeans, "gmm": _gmm}
ON_DISTANCES: dict[str, Partition] = {
    "ward": _hierarchical("ward"),
    "bagged_ward": bagged_ward,
    "single": _hierarchical("single"),
    "complete": _hierarchical("complete"),
    "average": _hierarchical("average"),
    "kmedoids": _kmedoids,
    "spectral": _spectral,
}


def distance_to_center(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Euclidean distance of each embedding to the mean of its cluster.

    Args:
        embeddings: one vector an image [N, D].
        labels: cluster of each image [N], any integers.

    Returns:
        One distance an image [N].

    Raises:
        ValueError: there is not one label an image.

    Example:
        >>> distance_to_center(np.array([[0.0], [4.0], [9.0]]), np.array([0, 0, 1])).tolist()
        [2.0, 2.0, 0.0]
    """
    check_one_label_an_image(labels, len(embeddings))
    _, clusters, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    distances = np.empty(len(embeddings))
    for members in np.split(clusters.argsort(kind="stable"), sizes.cumsum()[:-1]):
        mean = embeddings[members].mean(0, dtype=np.float64)
        for some in np.array_split(members, -(-len(members) // AT_ONCE)):
            distances[some] = np.linalg.norm(embeddings[some] - mean, axis=1)
    return distances


def cluster_means(
    embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k d"]]:
    """Mean embedding of each cluster, in double precision.

    Args:
        embeddings: one vector an image [N, D].
        labels: cluster of each image [N], any integers.

    Returns:
        Numbers of the clusters in ascending order [K], and their means [K, D].

    Example:
        >>> numbers, means = cluster_means(np.array([[0.0], [4.0], [9.0]]), np.array([7, 7, 2]))
        >>> numbers.tolist(), means.tolist()
        ([2, 7], [[9.0], [2.0]])
    """
    check_one_label_an_image(labels, len(embeddings))
    numbers = np.unique(labels)
    return numbers, np.stack([embeddings[labels == k].mean(0, dtype=np.float64) for k in numbers])


def check_one_label_an_image(labels: Int[np.ndarray, " n"], n: int) -> None:
    """Check the lengths of labels.

    Args:
        labels: cluster of each image.
        n: number of images.

    Raises:
        ValueError: there are more or fewer labels than images.
    """
    if labels.shape != (n,):
        raise ValueError(f"labels must be one an image, got {list(labels.shape)} for {n} images")


def _check_method(method: str) -> None:
    known = (*ON_DISTANCES, *ON_EMBEDDINGS)
    if method not in known:
        raise ValueError(f"method must be one of {known}, got {method!r}")


def check_embeddings(embeddings: Float[np.ndarray, "n d"]) -> None:
    """Check that images can be grouped by embeddings.

    Args:
        embeddings: one vector an image [N, D].

    Raises:
        ValueError: they are fewer than 2, not finite, or all the same.
    """
    _check_enough(len(embeddings))
    broken = ~np.isfinite(embeddings).all(axis=1)
    if broken.any():
        raise ValueError(
            f"embeddings must be finite, but {broken.sum()} are not, first that of image {broken.argmax()}"
        )
    if look_alike(embeddings):
        raise _nothing_apart(len(embeddings))


def check_distance(distance: Float[np.ndarray, "rows columns"]) -> None:
    """Check that images can be grouped by a distance.

    Args:
        distance: between all images [N, N].

    Raises:
        ValueError: it is of fewer than 2 images, not square, not finite, negative, not symmetric, zero everywhere, or
            large from an image to itself.
    """
    rows, columns = distance.shape
    if rows != columns:
        raise ValueError(f"distance must be square, one row and one column an image, got {rows} x {columns}")
    _check_enough(rows)
    if not np.isfinite(distance).all():
        raise ValueError(f"distance must be finite, but {(~np.isfinite(distance)).sum()} values are not")
    largest = float(distance.max())
    if distance.min() < 0:
        raise ValueError(f"distance must not be negative, got {distance.min():g}")
    if _is_none(largest, 0.0):
        raise _nothing_apart(rows)
    if (gap := np.abs(distance - distance.T).max()) > 1e-5 * largest:
        raise ValueError(f"distance must be symmetric, but distance[i, j] and distance[j, i] differ by up to {gap:g}")
    if (itself := distance.diagonal().max()) > 1e-2 * largest:
        raise ValueError(f"distance of an image to itself must be 0, got up to {itself:g}: is it a similarity?")


def _check_enough(n: int) -> None:
    if n < 2:
        raise ValueError(f"at least 2 images are needed to form groups, got {n}")


def look_alike(embeddings: Float[np.ndarray, "n d"]) -> bool:
    """Whether embeddings differ by rounding at most, so that there is nothing to group images by.

    Args:
        embeddings: finite, one or more.

    Example:
        >>> look_alike(np.array([[0.5, 1.0], [0.5, 1.0 + 1e-9]])), look_alike(np.array([[0.5, 1.0], [0.5, 1.1]]))
        (True, False)
    """
    return _is_none(float(np.ptp(embeddings, axis=0).max()), float(np.abs(embeddings).max()))


def _is_none(spread: float, scale: float) -> bool:
    return spread <= 1e-6 * max(1.0, scale)


def _nothing_apart(n: int) -> ValueError:
    return ValueError(f"all {n} images look the same to the network: there is nothing to group them by")
