"""A run of MIC in; how many of its labels are right after so many decisions of one who knows the classes, out."""

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.metrics import pairwise_distances_chunked

from anomaly_clustering.clustering.methods import distance_to_center
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.metrics.tree_purity import purity_curve
from anomaly_clustering.mic.result import Grouping

DECISIONS = (8, 16, 32, 64)
# Of images that are drawn at random.
DRAWS = 50


def labelling(grouping: Grouping) -> dict[str, float]:
    """What labelling costs (section 4.4): the accuracy of all labels after so many decisions.

    Args:
        grouping: of a run. Images whose class nobody knows do not count.

    Returns:
        For each number K of decisions `majority_K`, where each of K clusters of the tree is named by what most of its
        images are; and where images have embeddings `central_K`, where it is named by the one nearest to its mean, and
        `random_K`, where K images are named that are drawn at random, and each other one as the nearest of them, on
        average. With as many decisions as there are images all are right.
    """
    known = np.flatnonzero(grouping.target >= 0)
    target = grouping.target[known]
    if not len(known):
        return {}
    curve = purity_curve(grouping.groups.tree, torch.from_numpy(grouping.target))
    found: dict[str, float] = {}
    for decisions in DECISIONS:
        num_clusters = min(decisions, len(grouping.target))
        found[f"majority_{decisions}"] = float(curve[num_clusters - 1])
        if grouping.embeddings is not None:
            labels = cut(grouping.groups.tree, num_clusters)
            distances = distance_to_center(grouping.embeddings, labels)
            found[f"central_{decisions}"] = by_central_image(distances[known], labels[known], target)
            found[f"random_{decisions}"] = by_random_images(grouping.embeddings[known], target, decisions)
    return found


def by_central_image(
    distances: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"]
) -> float:
    """Share of the images that are of the class of the most central image of their cluster.

    Args:
        distances: from each image to the mean of its cluster [N].
        labels: its cluster [N].
        target: its class [N].

    Example:
        >>> by_central_image(np.array([0.1, 0.2, 0.3, 0.0]), np.array([0, 0, 0, 1]), np.array([1, 0, 0, 1]))
        0.5
    """
    right = 0
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        right += int((target[members] == target[members[distances[members].argmin()]]).sum())
    return right / len(target)


def by_random_images(embeddings: Float[np.ndarray, "n d"], target: Int[np.ndarray, " n"], decisions: int) -> float:
    """Share of the images that are of the class of the nearest of those that were drawn, which are right themselves.

    Args:
        embeddings: one vector an image [N, D].
        target: class of each [N].
        decisions: how many are drawn, each once.

    Returns:
        Its mean over 50 draws.

    Example:
        >>> by_random_images(np.array([[0.0], [0.1], [8.0], [8.1]]), np.array([0, 0, 1, 1]), 4)
        1.0
    """
    size = min(decisions, len(target))
    draws = np.array([np.random.default_rng(seed).choice(len(target), size, replace=False) for seed in range(DRAWS)])
    # Draws share their images: each distance is measured once.
    drawn, place = np.unique(draws, return_inverse=True)
    place = place.reshape(draws.shape)
    nearest = np.concatenate(
        [
            *pairwise_distances_chunked(
                embeddings, embeddings[drawn], reduce_func=lambda distances, _: distances[:, place].argmin(2)
            )
        ]
    )
    given = draws[np.arange(DRAWS), nearest]
    return float((target[given] == target[:, None]).mean())
