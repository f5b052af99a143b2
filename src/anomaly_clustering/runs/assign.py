"""Images, told by digests, and what a run left behind in; the cluster of each, or that it fits none, out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

from anomaly_clustering.clustering.methods import distance_to_center
from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.result import References


class Fitted(NamedTuple):
    """What images that come later are assigned by; entry i of each sequence of N is image i of the run.

    Attributes:
        recipe: how the run made its embeddings.
        embeddings: one vector an image [N, D].
        labels: cluster of each image [N].
    """

    recipe: Recipe
    references: References | None
    """What patches of new images are compared with."""
    digests: Sequence[str]
    """What tells whether an image is one of the run."""
    embeddings: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    mean_scores: Float[np.ndarray, " n"]
    """How unusual the patches of each image are on average; NaN where that is not known."""


class Embedded(NamedTuple):
    """Images that are not of the run; one entry an image.

    Attributes:
        digests: what tells an image from others, as those of the run.
        embeddings: one vector an image, made as the run made its own [E, D].
    """

    digests: Sequence[str]
    embeddings: Float[np.ndarray, "e d"]
    mean_scores: Float[np.ndarray, " e"]
    """How unusual the patches are on average; NaN where that is not known."""


class Assignment(NamedTuple):
    """Where images belong, one entry an image."""

    labels: Int[np.ndarray, " k"]
    """Cluster: that with the nearest mean embedding, or its own of an image of the run."""
    distances: Float[np.ndarray, " k"]
    """Distance to that mean."""
    nearest: Int[np.ndarray, " k"]
    """The image of the run in that cluster which it is most like; itself, if it is one."""
    unknown: Bool[np.ndarray, " k"]
    """Whether it is out of the range of the run, see `nearest_clusters`."""


def assign(digests: Sequence[str], new: Embedded, fitted: Fitted) -> Assignment:
    """Clusters of images: one that is of the run keeps its own, any other goes to that with the nearest mean.

    What was clustered stays where it is, though the mean of another cluster may be nearer, and is never unknown.

    Args:
        digests: of the images that are asked for.
        new: those of them that are not of the run, and maybe others.
        fitted: the run.

    Returns:
        One entry for each of `digests`, in their order.

    Raises:
        KeyError: an image is neither of the run nor among the new ones.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "uniform", "mean", 0.02, None)
        >>> run, unknown = np.array([[0.0], [2.0], [10.0]]), np.full(3, np.nan)
        >>> fitted = Fitted(recipe, None, ["a", "b", "c"], run, np.array([0, 0, 1]), unknown)
        >>> found = assign(["a", "d"], Embedded(["d"], np.array([[9.0]]), unknown[:1]), fitted)
        >>> found.labels.tolist(), found.distances.tolist()
        ([0, 1], [1.0, 1.0])
    """
    of_run = {content: i for i, content in reversed(list(enumerate(fitted.digests)))}
    rows = {content: i for i, content in enumerate(new.digests)}
    found = nearest_clusters(
        new.embeddings, fitted.embeddings, fitted.labels, new_scores=new.mean_scores, scores=fitted.mean_scores
    )
    numbered = np.unique(fitted.labels, return_inverse=True)[1]
    of_itself = Assignment(
        labels=fitted.labels,
        distances=distance_to_center(fitted.embeddings, numbered),
        nearest=np.arange(len(fitted.labels)),
        unknown=np.zeros(len(fitted.labels), dtype=bool),
    )
    # Images of the run first, then the new ones, and of these the asked ones.
    row = [of_run[content] if content in of_run else len(fitted.labels) + rows[content] for content in digests]
    both = (np.concatenate([own, other]) for own, other in zip(of_itself, found, strict=True))
    return Assignment(*(column[np.array(row, dtype=np.int64)] for column in both))


def nearest_clusters(
    new: Float[np.ndarray, "k d"],
    embeddings: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    *,
    new_scores: Float[np.ndarray, " k"] | None = None,
    scores: Float[np.ndarray, " n"] | None = None,
) -> Assignment:
    """Clusters of new embeddings among the labelled ones of a run.

    A new image goes to the cluster with the nearest mean, as in k-means. (Ward's method, which merges where the
    within-cluster variance grows least, would join a single image to a cluster by size / (size + 1) * distance^2: the
    same order but for clusters of few images.)

    It is unknown if it is farther from that mean than any image of the run is from the mean of the others in its
    cluster, or if its patches are more unusual on average than those of any image of the run. The second tells another
    product, whose weighted averages may well lie among those of a varied run.

    Args:
        new: embeddings of the new images [K, D].
        embeddings: of the run [N, D].
        labels: cluster of each image of the run [N].
        new_scores: mean score of the patches of each new image [K]; NaN where there is none.
        scores: the same for each image of the run [N].

    Returns:
        One entry for each new image.

    Example:
        >>> run = np.array([[0.0, 0], [2, 0], [10, 0], [10, 4]])
        >>> found = nearest_clusters(np.array([[1.0, 0.5], [10, 100]]), run, np.array([5, 5, 3, 3]))
        >>> found.labels.tolist(), found.distances.tolist(), found.unknown.tolist()
        ([5, 3], [0.5, 98.0], [False, True])
    """
    numbers, inverse = np.unique(labels, return_inverse=True)
    exact, points = embeddings.astype(np.float64), new.astype(np.float64)
    means = np.stack([exact[inverse == k].mean(0) for k in range(len(numbers))])
    # An image draws the mean of its own cluster towards it, in a cluster of few far more than a new one could. Without
    # it, the mean of n images is n / (n - 1) times as far; an image that is alone in its cluster has no others.
    size = np.bincount(inverse)[inverse]
    from_others = np.linalg.norm(exact - means[inverse], axis=1) * np.where(size > 1, size / np.maximum(size - 1, 1), 0)
    to_means = cdist(points, means)
    cluster, distances = to_means.argmin(1), to_means.min(1)
    nearest = np.where(inverse == cluster[:, None], cdist(points, exact), np.inf).argmin(1)
    unknown = distances > from_others.max()
    if new_scores is not None and scores is not None:
        unknown |= new_scores > scores.max()
    return Assignment(numbers[cluster], distances, nearest, unknown)
