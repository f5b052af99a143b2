"""Embeddings [N, D] or distances [N, N] of images in; groups, with everything a report needs to show them, out."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float16, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from anomaly_clustering.clustering.methods import (
    Method,
    cluster_distance,
    cluster_embeddings,
    distance_to_center,
    ward,
)
from anomaly_clustering.clustering.num_clusters import Choice, choose_num_clusters

NumClusters = int | Literal["auto"]


class Groups(NamedTuple):
    """How images fall into groups, one row an image."""

    labels: Int[np.ndarray, " n"]
    """Cluster, 0 the largest."""
    distances: Float[np.ndarray, " n"]
    """Distance to the middle of the cluster: to its mean embedding, or, where only distances are known, its medoid."""
    tree: Float[np.ndarray, "n_minus_1 4"]
    """All merges of Ward's method, whatever method gave the labels, as a linkage matrix of scipy."""
    choice: Choice | None
    """How the number of clusters was chosen, where it was."""


def group_embeddings(
    embeddings: Float[np.ndarray, "n d"], num_clusters: NumClusters, method: Method, *, seed: int
) -> Groups:
    """Groups of images by their embeddings."""
    tree = ward(embeddings)
    choice = choose_num_clusters(tree) if num_clusters == "auto" else None
    k = choice.num_clusters if choice else int(num_clusters)
    labels = cluster_embeddings(embeddings, k, method, seed=seed)
    return Groups(labels, distance_to_center(embeddings, labels), tree, choice)


def group_distance(
    distance: Float[np.ndarray, "n n"], num_clusters: NumClusters, method: Method, *, seed: int
) -> Groups:
    """Groups of images by given distances; Ward is then the Lance-Williams recurrence on them."""
    tree = linkage(squareform(distance, checks=False), method="ward")
    choice = choose_num_clusters(tree) if num_clusters == "auto" else None
    k = choice.num_clusters if choice else int(num_clusters)
    labels = cluster_distance(distance, k, method, seed=seed)
    return Groups(labels, distance_to_medoid(distance, labels), tree, choice)


def distance_to_medoid(distance: Float[np.ndarray, "n n"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Distance of each image to the one of its cluster that is nearest to all others of it."""
    result = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        within = distance[np.ix_(members, members)]
        result[members] = within[within.sum(1).argmin()]
    return result


@dataclass(frozen=True)
class Grouping:
    """The result of a run, one row an image, in the order of the data set."""

    index: Int[np.ndarray, " n"]
    """Position in the data set."""
    target: Int[np.ndarray, " n"]
    """True class, -1 where unknown."""
    weights: Float[np.ndarray, "n h w"]
    """Weight of each patch on the patch grid, those of an image summing to one; uniform where there are none."""
    embeddings: Float[np.ndarray, "n d"] | None
    """One vector an image; None where images were compared patch by patch."""
    distance: Float[np.ndarray, "n n"] | None
    """Between images that were compared patch by patch, else None: then it is that of the embeddings."""
    groups: Groups
    mean_scores: Float[np.ndarray, " n"]
    """How unusual the patches of an image are on average, as later images can be scored; NaN where they cannot."""
    references: Float16[np.ndarray, "r p d"] | None = None
    """Bags that patches of later images are compared with; None where patches were not compared."""
    tau: float = math.nan
    """Smoothness of the weights, as given or chosen."""

    def __post_init__(self) -> None:
        assert len(self.index) == len(self.target) == len(self.weights) == len(self.groups.labels)

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        return self.groups.labels

    @property
    def num_clusters(self) -> int:
        return int(self.labels.max()) + 1
