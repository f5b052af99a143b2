"""Embeddings of images that are of no known type in; groups of them, whose numbers outlast the coming of more, out."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import pdist, squareform

from anomaly_clustering.clustering.centres import CENTRES
from anomaly_clustering.clustering.grouping import labels_of
from anomaly_clustering.clustering.methods import LARGEST, look_alike, ward
from anomaly_clustering.clustering.num_clusters import FEWEST_IMAGES, choose_num_clusters

# A mean silhouette up to this is no structure (Kaufman and Rousseeuw 1990): the images are one group.
NO_STRUCTURE = 0.25
# Of an image that was in no group before.
NONE = -1


def proposed_groups(
    embeddings: Float[np.ndarray, "n d"], before: Int[np.ndarray, " n"], first: int
) -> Int[np.ndarray, " n"]:
    """Groups of images that are of no known type, by bagged Ward's method; their number by the mean silhouette.

    There are at most sqrt(N) groups. Fewer than 5 images, and images that do not fall into parts, are one group. Of
    more than 4096 images 2048, drawn by a fixed seed, tell the number of groups, and all are grouped by 2048 centres,
    see `group_embeddings`. A group keeps the number of the earlier one with which it shares images; where several share
    some, as many images as possible keep theirs.

    Args:
        embeddings: one vector an image [N, D].
        before: number of the group that each image was in before [N]; -1 where it was in none.
        first: number of the first group that is new; the next ones follow.

    Returns:
        Number of the group of each image [N].

    Example:
        >>> points = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2], [9.3]])
        >>> groups = proposed_groups(points, np.full(7, -1), first=100)
        >>> groups.tolist()
        [101, 101, 101, 100, 100, 100, 100]
        >>> proposed_groups(points[:5], groups[:5], first=102).tolist()
        [101, 101, 101, 100, 100]
    """
    if not len(embeddings):
        return before
    labels = _parts(embeddings)
    old = np.unique(before[before != NONE])
    shared = (labels[:, None] == np.arange(labels.max() + 1))[:, :, None] & (before[:, None] == old)[:, None]
    count = shared.sum(0)
    numbers = np.full(len(count), NONE)
    for part, group in zip(*linear_sum_assignment(count, maximize=True), strict=True):
        if count[part, group]:
            numbers[part] = old[group]
    new = numbers == NONE
    numbers[new] = first + np.arange(new.sum())
    found: Int[np.ndarray, " n"] = numbers[labels]
    return found


def _parts(embeddings: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    one, n = np.zeros(len(embeddings), dtype=np.int64), len(embeddings)
    sample = embeddings
    if n > LARGEST:
        # The silhouette takes distances between all pairs.
        sample = embeddings[np.sort(np.random.default_rng(0).choice(n, CENTRES, replace=False))]
    if n < FEWEST_IMAGES or look_alike(sample):
        return one
    distance = squareform(pdist(sample.astype(np.float64)))
    criterion = choose_num_clusters(ward(sample), "silhouette", distance=distance).criterion
    # Each group is a decision for a person: no more of them than images in one, on average.
    most = max(2, round(n**0.5))
    number = min((k for k in criterion if k <= most), key=criterion.__getitem__)
    return one if -criterion[number] <= NO_STRUCTURE else labels_of(embeddings, number, "bagged_ward", seed=0)
