"""Images, told by digests, and what a run left behind in; the cluster of each, or that it fits none, out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

from anomaly_clustering.clustering.methods import cluster_means, distance_to_center
from anomaly_clustering.clustering.neighbours import Neighbours
from anomaly_clustering.clustering.unknown import Ranking, ScoredEmbeddings, from_center
from anomaly_clustering.mic.recipe import check_width
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS, check_false_alarms

# Distances that are held at a time, 32 MiB.
MOST_DISTANCES = 2**22


class Fitted(NamedTuple):
    """What images that come later are assigned by; entry i of each sequence of N is image i of the run.

    Attributes:
        digests: what tells whether an image is one of the run.
        embeddings: one vector an image [N, D].
        labels: cluster of each image [N].
        top_scores: how unusual the most unusual patches of each image are [N, 4], see `top_means`; NaN where that is
            not known.
        signed_root: whether embeddings are signed roots, as in the recipe of the run.
    """

    digests: Sequence[str]
    embeddings: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    top_scores: Float[np.ndarray, "n 4"]
    signed_root: bool


class Embedded(NamedTuple):
    """Images that are in no cluster yet, or by a decision in none; one entry an image.

    Attributes:
        digests: what tells an image from others, as those of the run.
        embeddings: one vector an image, made as the run made its own [E, D].
        top_scores: how unusual the most unusual patches are [E, 4], as in the run; NaN where that is not known.
        finding: whether its patches are more unusual than those of normal images are [E], see `findings`.
        not_in: clusters that a person said it is not in.
        taken_out: whether it is of the run, and a person took it out of all clusters [E].
    """

    digests: Sequence[str]
    embeddings: Float[np.ndarray, "e d"]
    top_scores: Float[np.ndarray, "e 4"]
    finding: Bool[np.ndarray, " e"]
    not_in: Sequence[Sequence[int]]
    taken_out: Bool[np.ndarray, " e"]

    def followed_by(self, others: "Embedded") -> "Embedded":
        """These images and others after them.

        Args:
            others: made as these.

        Example:
            >>> yes, no = np.array([True]), np.array([False])
            >>> one = Embedded(["a"], np.zeros((1, 2)), np.zeros((1, 4)), finding=yes, not_in=[()], taken_out=no)
            >>> one.followed_by(one._replace(digests=["b"])).digests
            ['a', 'b']
        """
        return Embedded(
            [*self.digests, *others.digests],
            np.concatenate([self.embeddings, others.embeddings]),
            np.concatenate([self.top_scores, others.top_scores]),
            np.concatenate([self.finding, others.finding]),
            [*self.not_in, *others.not_in],
            np.concatenate([self.taken_out, others.taken_out]),
        )


class Assignment(NamedTuple):
    """Where images belong, one entry an image.

    Attributes:
        labels: cluster: that with the nearest mean, or its own of an image of the run; -1 where it has none [K].
        distances: to that mean [K].
        nearest: the image of the run in that cluster which it is most like; itself, if it is one [K].
        unknown: whether it is of no type that the run knows, see `nearest_clusters` [K].
        p_values: how probable it is that an image of the run is as unusual; NaN for those of the run [K].
        finding: whether it is anything but a good image; where no normal images tell, all are, and so are those of the
            run [K].
    """

    labels: Int[np.ndarray, " k"]
    distances: Float[np.ndarray, " k"]
    nearest: Int[np.ndarray, " k"]
    unknown: Bool[np.ndarray, " k"]
    p_values: Float[np.ndarray, " k"]
    finding: Bool[np.ndarray, " k"]


def assign(
    digests: Sequence[str],
    new: Embedded,
    fitted: Fitted,
    *,
    false_alarms: float = FALSE_ALARMS,
    neighbours: Neighbours | None = None,
) -> Assignment:
    """Clusters of images: one that is of the run keeps its own, any other goes to that with the nearest mean.

    What was clustered stays where it is, though the mean of another cluster may be nearer, and is never unknown. A new
    image without a finding is of no cluster, and not unknown either. One that a person said is not in the cluster which
    it is nearest to is unknown, and so is one of the run that a person took out of all.

    Args:
        digests: of the images that are asked for; time grows with how many of them are not of the run.
        new: those of them that are in no cluster of the run, and all others that are in none: what has a finding counts
            for the mean from which unusual images are seen, asked for or not.
        fitted: the run.
        false_alarms: share of known images that may be taken for unknown, see `nearest_clusters`.
        neighbours: see `nearest_clusters`.

    Returns:
        One entry for each of `digests`, in their order.

    Raises:
        KeyError: an image is neither of the run nor among the new ones.
        ValueError: `false_alarms` is no share, or embeddings of the run and the new images differ in length.

    Example:
        >>> run, unknown = np.array([[0.0], [2.0], [10.0]]), np.full((3, 4), np.nan)
        >>> fitted = Fitted(["a", "b", "c"], run, np.array([0, 0, 1]), unknown, signed_root=False)
        >>> yes, no = np.array([True]), np.array([False])
        >>> new = Embedded(["d"], np.array([[9.0]]), unknown[:1], finding=yes, not_in=[()], taken_out=no)
        >>> found = assign(["a", "d"], new, fitted)
        >>> found.labels.tolist(), found.distances.tolist()
        ([0, 1], [1.0, 1.0])
    """
    check_width("embeddings", fitted.embeddings.shape[1], new.embeddings.shape[1])
    of_run = {content: i for i, content in reversed(list(enumerate(fitted.digests)))}
    rows = {content: i for i, content in reversed(list(enumerate(new.digests)))}
    asked = list(dict.fromkeys(rows[content] for content in digests if content not in of_run))
    seen = ScoredEmbeddings(fitted.embeddings, fitted.top_scores)
    came = ScoredEmbeddings(new.embeddings[asked], new.top_scores[asked])
    center = None
    if fitted.signed_root:
        # Images without a finding are of no type, however many come.
        center = np.concatenate([fitted.embeddings, new.embeddings[new.finding]]).mean(0, dtype=np.float64)
    found = nearest_clusters(came, seen, fitted.labels, center=center, false_alarms=false_alarms, neighbours=neighbours)
    finding, taken_out, not_in = new.finding[asked], new.taken_out[asked], [new.not_in[i] for i in asked]
    barred = np.array([k in out for k, out in zip(found.labels.tolist(), not_in, strict=True)], dtype=bool) | taken_out
    found = found._replace(
        labels=np.where(finding & ~barred, found.labels, -1),
        unknown=(found.unknown | barred) & finding,
        p_values=np.where(taken_out, np.nan, found.p_values),
        finding=finding,
    )
    numbered = np.unique(fitted.labels, return_inverse=True)[1]
    of_itself = Assignment(
        labels=fitted.labels,
        distances=distance_to_center(fitted.embeddings, numbered),
        nearest=np.arange(len(fitted.labels)),
        unknown=np.zeros(len(fitted.labels), dtype=bool),
        p_values=np.full(len(fitted.labels), np.nan),
        finding=np.ones(len(fitted.labels), dtype=bool),
    )
    # Images of the run first, then the new ones that are asked for.
    place = {i: len(fitted.labels) + nth for nth, i in enumerate(asked)}
    row = [of_run[content] if content in of_run else place[rows[content]] for content in digests]
    both = (np.concatenate([own, other]) for own, other in zip(of_itself, found, strict=True))
    return Assignment(*(column[np.array(row, dtype=np.int64)] for column in both))


def most_like(points: Float[np.ndarray, "k d"], others: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " k"]:
    """For each point the nearest of some others, as few distances at a time as memory is not short of.

    Args:
        points: one vector each [K, D].
        others: one vector each [N, D], one at least.

    Example:
        >>> most_like(np.array([[1.0], [7.0]]), np.array([[0.0], [9.0]])).tolist()
        [0, 1]
    """
    exact, rows = others.astype(np.float64), max(1, MOST_DISTANCES // len(others))
    parts = [cdist(points[i : i + rows], exact).argmin(1) for i in range(0, len(points), rows)]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def most_like_of_its_own(
    points: Float[np.ndarray, "k d"],
    labels: Int[np.ndarray, " k"],
    others: Float[np.ndarray, "n d"],
    other_labels: Int[np.ndarray, " n"],
    found: Int[np.ndarray, " k"],
) -> Int[np.ndarray, " k"]:
    """For each point the nearest of those others that have its label; of all others where none has.

    Args:
        points: one vector each [K, D].
        labels: cluster of each point [K].
        others: one vector each [N, D], one at least.
        other_labels: cluster of each of these [N].
        found: of those with its label the nearest, as far as that is known [K]; where it is not, -1 or one with another
            label.

    Example:
        >>> points, others = np.array([[1.0], [7.0], [2.0]]), np.array([[0.0], [9.0]])
        >>> most_like_of_its_own(points, np.array([5, 5, 8]), others, np.array([5, 6]), np.full(3, -1)).tolist()
        [0, 0, 0]
    """
    nearest, has_some = found.copy(), np.isin(labels, other_labels)
    unsure = (found < 0) | (labels != other_labels[found])
    for label in np.unique(labels[unsure]):
        asked = unsure & (labels == label)
        among = np.flatnonzero(other_labels == label) if has_some[asked][0] else np.arange(len(others))
        nearest[asked] = among[most_like(points[asked], others[among])]
    return nearest


def nearest_clusters(
    new: ScoredEmbeddings,
    run: ScoredEmbeddings,
    labels: Int[np.ndarray, " n"],
    *,
    center: Float[np.ndarray, " d"] | None = None,
    false_alarms: float = FALSE_ALARMS,
    neighbours: Neighbours | None = None,
) -> Assignment:
    """Clusters of new images among the labelled ones of a run.

    A new image goes to the cluster with the nearest mean, as in k-means. (Ward's method, which merges where the
    within-cluster variance grows least, would join a single image to a cluster by size / (size + 1) * distance^2: the
    same order but for clusters of few images.)

    It is unknown if it is so unusual that at most a share `false_alarms` of known images are: p <= `false_alarms`, see
    `clustering.unknown`. Embeddings that are directions from the mean of the run are taken from the mean of all images
    for this, see `from_center`: p of an image depends on which others have come; clusters and distances do not. With N
    images in the run no p is below 1 / (N + 1), so that beside 18 images none can be unknown at 5%.

    Args:
        new: the new images [K].
        run: the images of the run [N].
        labels: cluster of each image of the run [N].
        center: that mean [D]; None for embeddings that are no directions.
        false_alarms: share of known images that may be taken for unknown, between 0 and 1.
        neighbours: of the images of the run, kept from one call to the next, where calls are many; None for one call.

    Returns:
        One entry for each new image.

    Raises:
        ValueError: `false_alarms` is no share.

    Example:
        >>> scores = np.full((5, 4), np.nan)
        >>> run = ScoredEmbeddings(np.array([[0.0, 0], [2, 0], [10, 0], [10, 4], [10, 2]]), scores)
        >>> new = ScoredEmbeddings(np.array([[1.0, 0.5], [10, 100]]), scores[:2])
        >>> found = nearest_clusters(new, run, np.array([5, 5, 3, 3, 3]), false_alarms=0.2)
        >>> found.labels.tolist(), found.distances.tolist(), found.p_values.tolist(), found.unknown.tolist()
        ([5, 3], [0.5, 98.0], [0.83, 0.17], [False, True])
    """
    check_false_alarms(false_alarms)
    numbers, means = cluster_means(run.embeddings, labels)
    points = new.embeddings.astype(np.float64)
    to_means = cdist(points, means)
    cluster, distances = numbers[to_means.argmin(1)], to_means.min(1)
    nearest = np.empty(len(points), dtype=np.int64)
    for k in np.unique(cluster):
        own, members = cluster == k, np.flatnonzero(labels == k)
        nearest[own] = members[most_like(points[own], run.embeddings[members])]
    p = np.empty(0)
    if len(points):
        if center is not None:
            run, new = (images._replace(embeddings=from_center(images.embeddings, center)) for images in (run, new))
        p = Ranking(run, neighbours).p_values(new)
    return Assignment(cluster, distances, nearest, p <= false_alarms, p, np.ones(len(points), dtype=bool))
