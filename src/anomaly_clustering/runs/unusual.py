"""A stored run in; how unusual its patches and images, and those that came later, are, on the scale of the run, out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from anomaly_clustering.clustering.unknown import findings, most_usual
from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.report.heat import Scale, excess, heat, most_unusual, scale_of
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS
from anomaly_clustering.runs.patch_scores import scores_of
from anomaly_clustering.runs.store import StoredRun


class Unusual(NamedTuple):
    """How unusual images are; entry i is image i.

    Attributes:
        heat: of each patch, from 0 (usual) to 1 [N, H, W].
        scores: how far each image is from what is usual [N]: 0 where that ends, about 1 at the most unusual patch of
            the run; None where weights do not come from how unusual patches are.
        sound: whether each image is without a finding, see `findings` [N]; None where no image is known to be good.
    """

    heat: Float[np.ndarray, "n h w"]
    scores: Float[np.ndarray, " n"] | None = None
    sound: Bool[np.ndarray, " n"] | None = None


def graded_grouping(grouping: Grouping, recipe: Recipe) -> Unusual:
    """Heat and scores of the images of a run that has just ended.

    Args:
        grouping: its result.
        recipe: of the run.

    Returns:
        Heat and scores; where there are no scores, the heat of each image is on a scale of its own.
    """
    scores, normals = scores_of(grouping, recipe), grouping.normal_top_scores
    return grade(grouping.weights, scores, _scale(scores, normals), sound_of(grouping.top_scores, normals))


def graded(run: StoredRun) -> Unusual:
    """Heat and scores of the images of a run.

    Args:
        run: as it is stored.

    Returns:
        Heat and scores; where there are no scores, the heat of each image is on a scale of its own.
    """
    return grade(run.weights, run.scores, scale_of_run(run), sound_of(run.top_scores, run.normal_top_scores))


def scores_of_images(run: StoredRun) -> Float[np.ndarray, " n"] | None:
    """How far the images of a run are from what is usual, without the heat of their patches.

    Args:
        run: as it is stored.

    Returns:
        One score an image [N]; None where weights do not come from how unusual patches are.
    """
    scale = scale_of_run(run)
    return None if scale is None or run.scores is None else scale.grade(most_unusual(run.scores))


def scale_of_run(run: StoredRun) -> Scale | None:
    """The scale of a run, see `report.heat`.

    Args:
        run: as it is stored.

    Returns:
        The scale; None where weights do not come from how unusual patches are.
    """
    return _scale(run.scores, run.normal_top_scores)


def _scale(scores: Float[np.ndarray, "n h w"] | None, normal_top_scores: Float[np.ndarray, "r 4"]) -> Scale | None:
    usual = most_usual(normal_top_scores, FALSE_ALARMS) if len(normal_top_scores) else None
    return None if scores is None else scale_of(scores, usual)


def sound_of(
    top_scores: Float[np.ndarray, "n 4"], normal_top_scores: Float[np.ndarray, "r 4"]
) -> Bool[np.ndarray, " n"] | None:
    """Which images of a run are without a finding, at 5% false alarms, see `findings`.

    Args:
        top_scores: how unusual the most unusual patches of each image are [N, 4].
        normal_top_scores: the same of normal images [R, 4].

    Returns:
        One truth an image [N]; None where no image is known to be good.

    Example:
        >>> sound_of(np.array([[1.0] * 4, [3.0] * 4]), np.array([[1.0] * 4, [2.0] * 4])).tolist()
        [True, False]
    """
    return ~findings(top_scores, normal_top_scores, FALSE_ALARMS) if len(normal_top_scores) else None


def grade(
    weights: Float[np.ndarray, "n h w"],
    scores: Float[np.ndarray, "n h w"] | None,
    scale: Scale | None,
    sound: Bool[np.ndarray, " n"] | None = None,
) -> Unusual:
    """Heat and scores of images on the scale of their run.

    Args:
        weights: of the patches of each image [N, H, W].
        scores: how unusual these are [N, H, W]; None where that is not known.
        scale: of the run; None where it has none.
        sound: whether each image is without a finding [N]; None where no image is known to be good.

    Returns:
        Heat and scores; where there are no scores, the heat of each image is on a scale of its own.

    Example:
        >>> scores = np.array([[[1.0, 3.0]]])
        >>> found = grade(scores, scores, Scale(usual=2.0, unusual=4.0))
        >>> found.heat.tolist(), found.scores.tolist()
        ([[[0.0, 0.5]]], [0.5])
    """
    if scores is None or scale is None:
        return Unusual(excess(weights.astype(np.float32)))
    exact = scores.astype(np.float32)
    return Unusual(heat(exact, scale), scale.grade(most_unusual(exact)), sound)
