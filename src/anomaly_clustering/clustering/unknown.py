"""What was seen of a run's images and of new ones in; how probable it is that one of the run is as unusual (p) out.

Conformal prediction (Vovk, Gammerman and Shafer 2005): a new image is ranked among the images of the run, each of which
is looked at as if it were new. Where it comes from where they came from, all ranks are equally probable, whatever the
distribution, so that p is at most a with a probability of at most a.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

# Of the four columns of `top_scores`: the mean of 16 patches of 1024.
TOP_COLUMN = 2
# In place of zero, where numbers are divided by.
TINY = 1e-150


class Seen(NamedTuple):
    """What is known of some images, one row an image.

    Attributes:
        embeddings: one vector an image [N, D].
        top_scores: how unusual the most unusual patches of each are [N, 4], see `mic.scores.top_means`; NaN where that
            is not known.

    Example:
        >>> Seen(np.zeros((2, 3)), np.zeros((2, 4))).embeddings.shape
        (2, 3)
    """

    embeddings: Float[np.ndarray, "n d"]
    top_scores: Float[np.ndarray, "n 4"]


class _Clusters(NamedTuple):
    """Means of clusters, and how far images are from them."""

    of: Int[np.ndarray, " n"]
    """Cluster of each image, from 0 on."""
    sizes: Int[np.ndarray, " k"]
    means: Float[np.ndarray, "k d"]
    scatter: Float[np.ndarray, " k"]
    """Sum of squared distances of the images of each cluster to its mean."""


def unusualness(new: Seen, run: Seen, labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "k views"]:
    """How unusual images are among those of a run, in two views; the higher, the more unusual.

    The first is how unusual the most unusual patches are, in which a small defect does not drown. The second is how far
    the image is from the cluster that it would join, by the spread of that cluster, and how much farther the second
    nearest cluster is:

    u / s * u / d2, with u = d1 / sqrt(1 + 1 / n), and the distances d1 and d2 to the two nearest means

    A mean of n images is itself uncertain, and u is d1 without what that adds to it. s^2 is the variance within the
    nearest cluster, to which the variance within all clusters counts as one image more, so that a cluster of one has a
    spread too.

    Args:
        new: the images.
        run: the images that they are compared with.
        labels: cluster of each image of the run [N], any integers.

    Returns:
        One column a view [K, 2]; NaN where it is not known.

    Example:
        >>> run = Seen(np.array([[0.0], [2.0], [10.0], [12.0]]), np.zeros((4, 4)))
        >>> unusualness(Seen(np.array([[3.0], [6.0]]), np.ones((2, 4))), run, np.array([0, 0, 1, 1])).tolist()
        [[1.0, 0.24], [1.0, 2.36]]
    """
    clusters = _clusters(run.embeddings, labels)
    distances = cdist(new.embeddings.astype(np.float64), clusters.means)
    nearest = distances.argmin(1)
    pooled = _variance(clusters.scatter.sum(), len(labels) - len(clusters.sizes))
    return _views(new.top_scores, distances, clusters.scatter[nearest] + pooled, clusters.sizes[nearest])


def left_out(run: Seen, labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n views"]:
    """How unusual each image of a run is among the others of it: `unusualness`, without it in the means and spreads.

    Args:
        run: its images.
        labels: cluster of each image [N], any integers.

    Returns:
        One column a view [N, 2]; NaN where it is not known.

    Example:
        >>> run = Seen(np.array([[0.0], [2.0], [10.0], [12.0]]), np.zeros((4, 4)))
        >>> left_out(run, np.array([0, 0, 1, 1])).round(2).tolist()
        [[0.0, 0.13], [0.0, 0.16], [0.0, 0.16], [0.0, 0.13]]
    """
    clusters, rows = _clusters(run.embeddings, labels), np.arange(len(labels))
    distances = cdist(run.embeddings.astype(np.float64), clusters.means)
    size, to_own = clusters.sizes[clusters.of], distances[rows, clusters.of]
    # Without it the mean of n images is n / (n - 1) times as far; a cluster of it alone is no longer there.
    larger = size / np.maximum(size - 1, 1)
    distances[rows, clusters.of] = np.where(size > 1, to_own * larger, np.inf)
    # Nor does it add to the scatter of its cluster.
    less = np.where(size > 1, to_own**2 * larger, 0)
    nearest = distances.argmin(1)
    own = nearest == clusters.of
    freedom = len(labels) - 1 - (len(clusters.sizes) - (size == 1))
    pooled = _variance(np.maximum(clusters.scatter.sum() - less, 0), freedom)
    scatter = np.maximum(clusters.scatter[nearest] - np.where(own, less, 0), 0)
    return _views(run.top_scores, distances, scatter + pooled, clusters.sizes[nearest] - own)


def p_values(new: Float[np.ndarray, "k views"], known: Float[np.ndarray, "n views"]) -> Float[np.ndarray, " k"]:
    """How probable it is that an image from where the known ones came is as unusual as each new one.

    Each of the n known images and the new one have a rank in each view, 1 for the most unusual; the product of its
    ranks is what an image is ranked by in the end:

    p = (1 + number of known images whose product of ranks is at most that of the new one) / (n + 1)

    Under exchangeability p <= a has a probability of at most a, for any a, n and views. No p is below 1 / (n + 1).

    Args:
        new: how unusual new images are, one column a view [K, V].
        known: how unusual the known ones are [N, V]; a view in which it is not known of all of them is left out. A new
            image of which it is not known counts as the most usual one.

    Returns:
        One p a new image [K]; 1 where no view is left.

    Example:
        >>> known = np.arange(19.0)[:, None]
        >>> p_values(np.array([[18.5], [17.5], [-1.0]]), known).tolist()
        [0.05, 0.1, 1.0]
    """
    views = ~np.isnan(known).any(0)
    new, known = new[:, views].astype(np.float64), known[:, views].astype(np.float64)
    if not views.any():
        return np.ones(len(new))
    ordered, n = np.sort(known, axis=0), len(known)
    # Products of whole numbers, so that equal ones are equal.
    ranks = np.stack([n - np.searchsorted(*column) for column in zip(ordered.T, known.T, strict=True)], axis=1)
    found = np.empty(len(new))
    for i, image in enumerate(new):
        own = n + 1 - np.array([np.searchsorted(*pair) for pair in zip(ordered.T, image, strict=True)])
        products = (ranks + (image >= known)).astype(np.float64).prod(1)
        found[i] = (1 + (products <= own.astype(np.float64).prod()).sum()) / (n + 1)
    return found


def findings(
    top_scores: Float[np.ndarray, "k 4"], normal_top_scores: Float[np.ndarray, "r 4"], false_alarms: float
) -> Bool[np.ndarray, " k"]:
    """Whether images have patches that are more unusual than those of normal images are.

    An image is a finding if p <= a among the normal images, see `p_values`. Few normal images cannot tell a share a of
    them; then a finding is what is more unusual than all R of them, which one in R + 1 good images is.

    Args:
        top_scores: how unusual the most unusual patches of each image are [K, 4]; where that is not known, it is taken
            for a finding.
        normal_top_scores: the same of normal images, each among the others [R, 4]; where there are none, all are findings.
        false_alarms: a, the share of good images that may be taken for findings.

    Returns:
        One truth an image [K].

    Example:
        >>> normal = np.tile(np.arange(39.0)[:, None], (1, 4))
        >>> findings(np.tile(np.array([[5.0], [37.5], [99.0]]), (1, 4)), normal, 0.05).tolist()
        [False, True, True]
    """
    seen = top_scores[:, [TOP_COLUMN]]
    if not len(normal_top_scores):
        return np.ones(len(seen), dtype=bool)
    p = p_values(seen, normal_top_scores[:, [TOP_COLUMN]])
    found: Bool[np.ndarray, " k"] = (p <= max(false_alarms, 1 / (len(normal_top_scores) + 1))) | np.isnan(seen[:, 0])
    return found


def _clusters(embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> _Clusters:
    _, of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    exact = embeddings.astype(np.float64)
    means = np.stack([exact[of == k].mean(0) for k in range(len(sizes))])
    return _Clusters(of, sizes, means, np.bincount(of, ((exact - means[of]) ** 2).sum(1)))


def _variance(scatter: np.ndarray | np.float64, freedom: np.ndarray | int) -> np.ndarray:
    """Where all images are alone in their clusters there is none, and distances count as they are."""
    return np.where(np.asarray(freedom) > 0, scatter / np.maximum(freedom, 1), 1.0)


def _views(
    top_scores: Float[np.ndarray, "n 4"],
    distances: Float[np.ndarray, "n clusters"],
    scatter: Float[np.ndarray, " n"],
    sizes: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "n views"]:
    """Both, of images at these distances from the means; `scatter` and `sizes` are those of the nearest clusters."""
    first, *others = np.sort(distances, axis=1)[:, :2].T
    within = first / np.sqrt(1 + 1 / sizes)
    apart = within / np.maximum(np.sqrt(scatter / sizes), TINY)
    # There may be no second one, or none once an image that is alone in its cluster is left out.
    second = others[0] if others else np.full(len(first), np.inf)
    apart *= np.where(np.isfinite(second), within / np.maximum(second, TINY), 1)
    return np.stack([top_scores[:, TOP_COLUMN].astype(np.float64), apart], axis=1)
