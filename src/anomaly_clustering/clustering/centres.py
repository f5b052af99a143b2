"""Many embeddings in; a few thousand centres, each of images that are nearly alike, and the tree through them, out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import pdist
from sklearn.cluster import MiniBatchKMeans

from anomaly_clustering.clustering.weighted import weighted_linkage

# Twice as many take three times as long; NMI is .03 higher on one of two sets, and the same on the other (the page on
# speed).
CENTRES = 2048
# Images that k-means looks at before it moves the centres, and how often it looks at each.
AT_ONCE, PASSES = 4096, 3


class Centres(NamedTuple):
    """Centres of images that are nearly alike.

    Attributes:
        of_image: the centre of each image [N].
        points: mean embedding of its images [M, D].
        counts: how many images each has [M].

    Example:
        >>> Centres(np.array([0, 0, 1]), np.array([[0.5], [9.0]]), np.array([2, 1])).distances.tolist()
        [8.5]
    """

    of_image: Int[np.ndarray, " n"]
    points: Float[np.ndarray, "m d"]
    counts: Int[np.ndarray, " m"]

    @property
    def distances(self) -> Float[np.ndarray, " pairs"]:
        """Between all pairs of centres, in scipy's condensed form."""
        return pdist(self.points)


def centres_of(embeddings: Float[np.ndarray, "n d"], seed: int, *, most: int = CENTRES) -> Centres:
    """Join images that are nearly alike, by k-means in batches (Sculley 2010).

    The same centres come of the same seed, whatever the number of threads.

    Args:
        embeddings: one vector an image [N, D].
        seed: draws the images that centres begin at, and the batches.
        most: how many centres; where images coincide there may be fewer.

    Returns:
        The centres, each of one image at least.

    Example:
        >>> found = centres_of(np.array([[0.0], [0.1], [9.0], [9.1]]), seed=0, most=4)
        >>> int(found.counts.sum()), found.points.shape[1]
        (4, 1)
    """
    kmeans = MiniBatchKMeans(
        min(most, len(embeddings)),
        init="random",
        n_init=1,
        batch_size=AT_ONCE,
        max_iter=PASSES,
        max_no_improvement=None,
        # Centres of few images stay: a rare defect may be one.
        reassignment_ratio=0,
        random_state=seed,
    )
    _, of_image, counts = np.unique(kmeans.fit(embeddings).labels_, return_inverse=True, return_counts=True)
    # In float64, since batches have moved the centres from where their images are.
    points = np.stack([embeddings[images].mean(0, dtype=np.float64) for images in _members(of_image, counts)])
    return Centres(of_image, points, counts)


def _members(of_image: Int[np.ndarray, " n"], counts: Int[np.ndarray, " m"]) -> list[Int[np.ndarray, " _"]]:
    """The images of each centre, in order."""
    return np.split(of_image.argsort(kind="stable"), counts.cumsum()[:-1])


def tree_through(centres: Centres, embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n_minus_1 4"]:
    """Merges of all images: those of a centre one after another, the nearest first, then centres by Ward's method.

    Heights are Ward's, raised to those of the merges below where they would fall.

    Args:
        centres: of the images.
        embeddings: one vector an image [N, D].

    Returns:
        Linkage matrix of scipy [N - 1, 4].

    Example:
        >>> points = np.array([[0.0], [1.0], [9.0]])
        >>> tree_through(Centres(np.array([0, 0, 1]), np.array([[0.5], [9.0]]), np.array([2, 1])), points).tolist()
        [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 9.815, 3.0]]
    """
    # Merge number i makes node N + i; the last node of a centre stands for it above.
    below, nodes, heights, made = [], [], [], len(embeddings)
    for images, point in zip(_members(centres.of_image, centres.counts), centres.points, strict=True):
        merges = _one_after_another(images, embeddings[images], point, made)
        below.append(merges)
        made += len(merges)
        nodes.append(made - 1 if len(merges) else images[0])
        heights.append(merges[-1, 2] if len(merges) else 0.0)
    above = weighted_linkage(centres.distances, centres.counts, "ward")
    for merge in above:
        left, right = merge[:2].astype(np.int64)
        merge[:3] = nodes[left], nodes[right], max(merge[2], heights[left], heights[right])
        nodes.append(made)
        heights.append(merge[2])
        made += 1
    return _lowest_first(np.concatenate([*below, above]))


def _one_after_another(
    images: Int[np.ndarray, " m"], embeddings: Float[np.ndarray, "m d"], point: Float[np.ndarray, " d"], made: int
) -> Float[np.ndarray, "m_minus_1 4"]:
    """Merges that join the images of a centre to the one next to it; the first of them makes node `made`."""
    order = np.linalg.norm(embeddings - point, axis=1).argsort(kind="stable")
    exact, sizes = embeddings[order].astype(np.float64), np.arange(1, len(order))
    means = exact.cumsum(0)[:-1] / sizes[:, None]
    heights = np.sqrt(2 * sizes / (sizes + 1)) * np.linalg.norm(exact[1:] - means, axis=1)
    nodes = np.append(images[order[0]], made + sizes - 1)
    return np.column_stack([nodes[:-1], images[order[1:]], np.maximum.accumulate(heights), sizes + 1])


def _lowest_first(tree: Float[np.ndarray, "n_minus_1 4"]) -> Float[np.ndarray, "n_minus_1 4"]:
    """The same merges in the order of their heights; none is lower than those below it, which came before it."""
    n, order = len(tree) + 1, tree[:, 2].argsort(kind="stable")
    number = np.arange(2 * n - 1)
    number[n + order] = n + np.arange(n - 1)
    renamed = tree[order]
    renamed[:, :2] = np.sort(number[renamed[:, :2].astype(np.int64)], axis=1)
    return renamed
