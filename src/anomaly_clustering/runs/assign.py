"""Bags of new images and what a run left behind in; cluster and distance of each, and whether it fits none, out."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist
from torch import Tensor

from anomaly_clustering.mic.weights import Reduce, Shard, novelty, rarity

# Which weights of patches can be found for an image that comes alone.
WEIGHTS = ("rarity", "novelty", "uniform")


class Assignment(NamedTuple):
    """One entry a new image."""

    labels: Int[np.ndarray, " k"]
    """Cluster: that with the nearest mean embedding."""
    distances: Float[np.ndarray, " k"]
    """Distance to that mean."""
    nearest: Int[np.ndarray, " k"]
    """The image of the run in that cluster which it is most like."""
    unknown: Bool[np.ndarray, " k"]
    """Whether it is out of the range of the run, see `assign`."""


def scores_against(
    bags: Float[Tensor, "k m d"],
    references: Float[Tensor, "r p d"] | None,
    *,
    weights: str,
    reduce: Reduce = "mean",
) -> Float[Tensor, "k m"] | None:
    """Scores of patches of images that are not of the run, compared with its references (Eq. 7; Eq. 6).

    Args:
        bags: the new images.
        references: bags of the run for 'rarity', patches of normal images in one bag for 'novelty'.
        weights: as in the run.
        reduce: as in the run.

    Returns:
        None where weights are uniform.

    Raises:
        ValueError: `weights` is none of 'rarity', 'novelty' and 'uniform'.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"new images can be weighed by {WEIGHTS}, not by {weights!r}, which needs more than the image")
    if references is None:
        return None
    exact = references.to(bags)
    if weights == "novelty":
        return novelty(bags, exact[0])
    # No new image is one of the references.
    nobody = torch.full((len(bags),), -1, device=bags.device)
    shard = Shard(exact, torch.arange(len(exact), device=bags.device))
    return rarity(bags, reduce, positions=nobody, references=[shard])


def assign(
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
        new: embeddings of the new images.
        embeddings: of the run.
        labels: cluster of each image of the run.
        new_scores: mean score of the patches of each new image; NaN where there is none.
        scores: the same of the run.
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
