"""Bags of new images and what a run left behind in; cluster and distance of each, and whether it fits none, out."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist
from torch import Tensor

from anomaly_clustering.weights import Reduce, Shard, novelty, rarity, soften

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
    """Whether it is farther from that mean than any image of the run is from the mean of its own cluster."""


def weights_against(
    bags: Float[Tensor, "k m d"],
    references: Float[Tensor, "r p d"] | None,
    *,
    weights: str,
    reduce: Reduce = "mean",
    tau: float,
    top_k: int | None = None,
) -> Float[Tensor, "k m"]:
    """Weights of patches of images that are not of the run, compared with its references (Eq. 7; Eq. 6).

    Args:
        bags: the new images.
        references: bags of the run for 'rarity', patches of normal images in one bag for 'novelty'.
        weights: as in the run.
        reduce: as in the run.
        tau: as in the run.
        top_k: as in the run.

    Raises:
        ValueError: `weights` is none of 'rarity', 'novelty' and 'uniform'.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"new images can be weighed by {WEIGHTS}, not by {weights!r}, which needs more than the image")
    if references is None:
        return bags.new_full(bags.shape[:2], 1 / bags.shape[1])
    exact = references.to(bags)
    if weights == "novelty":
        return soften(novelty(bags, exact[0]), tau, top_k)
    # No new image is one of the references.
    nobody = torch.full((len(bags),), -1, device=bags.device)
    shard = Shard(exact, torch.arange(len(exact), device=bags.device))
    return soften(rarity(bags, reduce, positions=nobody, references=[shard]), tau, top_k)


def assign(
    new: Float[np.ndarray, "k d"], embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
) -> Assignment:
    """Clusters of new embeddings among the labelled ones of a run.

    The nearest mean is what k-means assigns by; Ward's method, which merges where within-cluster variance grows least,
    would join a single image to the mean at the smallest size / (size + 1) * distance^2, which is the same order
    but for clusters of few images.
    """
    numbers, inverse = np.unique(labels, return_inverse=True)
    exact = embeddings.astype(np.float64)
    means = np.stack([exact[inverse == k].mean(0) for k in range(len(numbers))])
    farthest = np.linalg.norm(exact - means[inverse], axis=1).max()
    points = new.astype(np.float64)
    to_means = cdist(points, means)
    cluster = to_means.argmin(1)
    distances = to_means.min(1)
    nearest = np.where(inverse == cluster[:, None], cdist(points, exact), np.inf).argmin(1)
    return Assignment(numbers[cluster], distances, nearest, distances > farthest)
