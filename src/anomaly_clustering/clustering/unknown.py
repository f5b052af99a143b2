"""What was seen of a run's images and of new ones in; how probable it is that one of the run is as unusual (p) out.

Conformal prediction (Vovk, Gammerman and Shafer 2005): a new image joins the images of the run, and each image of this
bag is measured against the others. Where the new one comes from where they came from, all its ranks are equally
probable, whatever the distribution, so that p is at most a with a probability of at most a. That holds too where they
are measured by something that all were part of alike, such as their mean (`from_center`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.distance import cdist

from anomaly_clustering.clustering.neighbours import Nearest, Neighbours, closest

NEIGHBOURS = 3
# Of the four columns of `top_scores`: the mean of 16 patches of 1024.
TOP_COLUMN = 2
# No neighbourhood counts as tighter than this share of the usual one: copies of an image are at no distance at all.
TIGHTEST = 0.1
# In place of zero, where numbers are divided by.
TINY = 1e-150
# New images that are compared at a time: the vectors of the run are read once for all of these, which takes half the
# time of one after another.
AT_A_TIME = 32
# Of scores and of distances around, against distances: of 0, 1/4, 1/2 and 3/4 for each, what flags as many unknown
# images as distances alone where these are best (NEU-DET), and a third more on the mean of five sets.
EXPONENT = 0.25


class ScoredEmbeddings(NamedTuple):
    """What is known of some images, one row an image.

    Attributes:
        embeddings: one vector an image [N, D].
        top_scores: how unusual the most unusual patches of each are [N, 4], see `mic.scores.top_means`; NaN where that
            is not known.

    Example:
        >>> ScoredEmbeddings(np.zeros((2, 3)), np.zeros((2, 4))).embeddings.shape
        (2, 3)
    """

    embeddings: Float[np.ndarray, "n d"]
    top_scores: Float[np.ndarray, "n 4"]


def from_center(vectors: Float[np.ndarray, "n d"], center: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n d"]:
    """Directions in which images lie from a point, such as the mean of all images rather than that of the run.

    Images of a type that the run lacks draw the mean of all to their side: what they have in common stands out less,
    and what sets each of them apart from those of the run stands out more. The more have come, the surer each is told.

    Args:
        vectors: embeddings, which are directions from the run's own mean [N, D], see `mic.residuals.signed_root`.
        center: the point [D].

    Returns:
        Vectors of unit length [N, D]; zero where an image is the point.

    Example:
        >>> from_center(np.array([[0.0, 1.0], [3.0, 0.0]]), np.array([0.0, 0.0])).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    away: Float[np.ndarray, "n d"] = vectors.astype(np.float64) - center
    lengths: Float[np.ndarray, "n 1"] = np.linalg.norm(away, axis=1, keepdims=True)
    return away / np.maximum(lengths, TINY)


class Ranking:
    """The images of a run, among which new ones are ranked by how unusual they are.

    How unusual image i of a bag is joins two views, how unusual its patches are and how alone its embedding is:

    u(i) = d(i) (s(i) / max(mean of d(j) over its three nearest j, median of d / 10))^(1/4)

    d is the mean distance to the three nearest images, s the mean score of the 16 most unusual of 1024 patches, in
    which a small defect does not drown; it is 1 where scores are not known. So a quarter of what distance counts is by
    how far apart images are where i lies, for types of defects differ in how alike they are. (The median is for an
    image whose neighbours are copies of one another, at no distance.)

    A new image changes little of the run: it joins the three nearest of images that it is nearer to than their third,
    which are few, and around them alone the mean of d changes. All else is measured once for all new images.

    Args:
        run: its images. Where something is not known of one of them, patches count for none.
        neighbours: of these images, kept from one call to the next; None to compare all.

    Example:
        >>> run = ScoredEmbeddings(np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0], [13.0]]), np.ones((7, 4)))
        >>> Ranking(run).p_values(ScoredEmbeddings(np.array([[1.5], [30.0]]), np.ones((2, 4)))).tolist()
        [1.0, 0.125]
    """

    def __init__(self, run: ScoredEmbeddings, neighbours: Neighbours | None = None):
        self.embeddings = run.embeddings.astype(np.float64)
        scores = run.top_scores[:, TOP_COLUMN].astype(np.float64)
        self.score_factors = None if np.isnan(scores).any() else scores**EXPONENT
        self.count = min(NEIGHBOURS, len(self.embeddings))
        """How many nearest others an image has, once a new one has come."""
        distances, images = (neighbours or Neighbours(NEIGHBOURS)).of(self.embeddings)
        if distances.shape[1] < self.count:
            # Of so few a new one is a neighbour to all, however far away.
            distances = np.pad(distances, ((0, 0), (0, 1)), constant_values=np.inf)
            images = np.pad(images, ((0, 0), (0, 1)))
        self.nearest = Nearest(distances, images)
        self.alone = distances.mean(1)
        self.around = self.alone[images].mean(1)

    def p_values(self, new: ScoredEmbeddings) -> Float[np.ndarray, " k"]:
        """How probable it is that an image from where those of the run came is as unusual as each new one.

        p = (1 + number of images i of the run with u(i) at least u(new)) / (N + 1)

        Each new image is ranked as if it came alone. Under exchangeability p <= a has a probability of at most a, for
        any a and N. No p is below 1 / (N + 1).

        Args:
            new: the images; of one whose patches are not known distances alone count.

        Returns:
            One p an image [K].
        """
        embeddings, scores = new.embeddings.astype(np.float64), new.top_scores[:, TOP_COLUMN].astype(np.float64)
        p, score_factors = np.empty(len(embeddings)), scores**EXPONENT
        for first in range(0, len(embeddings), AT_A_TIME):
            to_run = cdist(self.embeddings, embeddings[first : first + AT_A_TIME]).T.copy()
            for i, distances in enumerate(to_run, first):
                p[i] = self._p_value(distances, score_factors[i])
        return p

    def _p_value(self, distances: Float[np.ndarray, " n"], score_factor: float) -> float:
        """p of an image, by how far it is from those of the run."""
        n = len(distances)
        its = _nearest_few(distances, self.count)
        # The new image, number n, is a neighbour to others as they are to it.
        joins = distances < self.nearest.distances[:, -1]
        near = closest(
            np.column_stack([self.nearest.distances[joins], distances[joins]]),
            np.column_stack([self.nearest.images[joins], np.full(joins.sum(), n)]),
            self.count,
        )
        alone = np.append(self.alone, its.distances.mean())
        alone[:n][joins] = near.distances.mean(1)
        around = np.append(self.around, alone[its.images].mean())
        beside = joins[self.nearest.images].any(1)
        around[:n][beside] = alone[self.nearest.images[beside]].mean(1)
        around[:n][joins] = alone[near.images].mean(1)
        unusual = alone / np.maximum(np.maximum(around, TIGHTEST * np.median(alone)), TINY) ** EXPONENT
        if self.score_factors is not None and not np.isnan(score_factor):
            unusual *= np.append(self.score_factors, score_factor)
        return float((1 + (unusual[:-1] >= unusual[-1]).sum()) / (n + 1))


def _nearest_few(distances: Float[np.ndarray, " n"], count: int) -> Nearest:
    """The nearest ones of one image [1, count]; of such at the same distance the first, as `closest` has it."""
    few = np.flatnonzero(distances <= np.partition(distances, count - 1)[count - 1])
    return closest(distances[None, few], few[None], count)


def findings(
    top_scores: Float[np.ndarray, "k 4"], normal_top_scores: Float[np.ndarray, "r 4"], false_alarms: float
) -> Bool[np.ndarray, " k"]:
    """Whether images have patches that are more unusual than those of normal images are.

    An image is a finding if p <= a, where p is the share of those at least as unusual among the R normal images and
    itself, by the 16 most unusual patches. Few normal images cannot tell a share a of them: then a finding is what is
    more unusual than all R, which one in R + 1 good images is.

    Args:
        top_scores: how unusual the most unusual patches of each image are [K, 4]; where that is not known, it is taken
            for a finding.
        normal_top_scores: the same of normal images, each among the others [R, 4]; without any, and a single
            one has no others, all are findings.
        false_alarms: a, the share of good images that may be taken for findings.

    Returns:
        One truth an image [K].

    Example:
        >>> normal = np.tile(np.arange(39.0)[:, None], (1, 4))
        >>> findings(np.tile(np.array([[5.0], [37.5], [99.0]]), (1, 4)), normal, 0.05).tolist()
        [False, True, True]
    """
    scores = top_scores[:, TOP_COLUMN]
    found: Bool[np.ndarray, " k"] = (scores > most_usual(normal_top_scores, false_alarms)) | np.isnan(scores)
    return found


def most_usual(normal_top_scores: Float[np.ndarray, "r 4"], false_alarms: float) -> float:
    """How unusual the most unusual patches of an image may be for it to be no finding, see `findings`.

    Args:
        normal_top_scores: how unusual those of normal images are, each among the others [R, 4].
        false_alarms: the share of good images that may be taken for findings.

    Returns:
        The score; minus infinity without normal images.

    Example:
        >>> most_usual(np.tile(np.arange(39.0)[:, None], (1, 4)), 0.05)
        37.0
    """
    count = len(normal_top_scores)
    if not count:
        return -np.inf
    ranks = np.arange(1, count + 1) / (count + 1)
    # The most unusual one of all is a finding in any case.
    more_unusual = max(int((ranks <= false_alarms).sum()), 1) - 1
    return float(np.sort(normal_top_scores[:, TOP_COLUMN])[count - 1 - more_unusual])
