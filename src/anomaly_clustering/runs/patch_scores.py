"""The weights of patches, and the mean of the scores that they were made of, in; these scores out."""

import math

import numpy as np
from jaxtyping import Float

from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.result import Grouping

# Weights that say where the network, or another detector, finds a defect.
SHOW_DEFECTS = ("rarity", "novelty", "maps")
# Images that are computed in double precision at a time.
AT_ONCE = 1024


def shows_defects(recipe: Recipe) -> bool:
    """Whether the weights of a run come from how unusual patches are, and tell it.

    Args:
        recipe: of the run.
    """
    # By an infinite tau all patches weigh alike.
    return recipe.distance == "weighted_average" and recipe.weights in SHOW_DEFECTS and math.isfinite(recipe.tau)


def scores_of(grouping: Grouping, recipe: Recipe) -> Float[np.ndarray, "n h w"] | None:
    """How unusual the patches of a run that has just ended are.

    Args:
        grouping: its result.
        recipe: of the run.

    Returns:
        Scores [N, H, W]; None where weights do not come from them.
    """
    return patch_scores(grouping.weights, grouping.mean_scores, recipe.tau) if shows_defects(recipe) else None


def kept_scores(scores: Float[np.ndarray, "n h w"], recipe: Recipe) -> Float[np.ndarray, "n h w"]:
    """Scores as a run keeps them: in half precision, which they are looked at in, if they are ours.

    Maps of another detector have any scale and any zero. Half precision ends at 65,504 and holds three digits, which
    may be the same for all patches, so scores out of maps are kept in single precision.

    Args:
        scores: how unusual each patch is [N, H, W].
        recipe: of the run.

    Example:
        >>> words = ["embedded", "blocks.2", None, 3, 64, "weighted_average", "maps", "mean", 0.02, None]
        >>> kept_scores(np.array([[[65535.0]]]), Recipe(*words)).tolist()
        [[[65535.0]]]
    """
    return scores.astype(np.float32 if recipe.weights == "maps" else np.float16)


def patch_scores(
    weights: Float[np.ndarray, "n h w"], mean_scores: Float[np.ndarray, " n"], tau: float
) -> Float[np.ndarray, "n h w"]:
    """How unusual patches are, on one scale for all images, out of the weights that were made of it (Eq. 5 and 6).

    scores[i, m] = tau log weights[i, m] + what makes their mean that of image i

    Weights of single precision, as they are while a run goes on, hold the whole range of scores. In half precision, in
    which runs keep them, those below the smallest number count as that number.

    Args:
        weights: of the patches of each image [N, H, W].
        mean_scores: how unusual the patches of each image are on average [N]; NaN where that is not known, such as
            where scores are a maximum over images: they are then relative to the mean of their image.
        tau: smoothness of the weights.

    Returns:
        Scores [N, H, W].

    Example:
        >>> weights = np.exp(np.array([[[0.1, 0.3]]]) / 0.02)
        >>> patch_scores(weights / weights.sum(), np.array([0.2]), tau=0.02).round(3).tolist()
        [[[0.1, 0.3]]]
    """
    kind = np.float16 if weights.dtype == np.float16 else np.float32
    least = float(np.finfo(kind).smallest_subnormal)
    scores = np.empty(weights.shape, dtype=np.promote_types(weights.dtype, np.float32))
    for i in range(0, len(weights), AT_ONCE):
        logs = tau * np.log(np.maximum(weights[i : i + AT_ONCE].astype(np.float64), least))
        means = np.nan_to_num(mean_scores[i : i + AT_ONCE].astype(np.float64))
        scores[i : i + AT_ONCE] = logs - logs.mean((1, 2), keepdims=True) + means[:, None, None]
    return scores
