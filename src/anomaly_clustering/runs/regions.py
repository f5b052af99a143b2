"""The weights that a run has stored in; where they show a defect, as polygons with a score, out."""

from numbers import Real
from pathlib import Path

import numpy as np
from contourpy import FillType, contour_generator
from jaxtyping import Float
from matplotlib.path import Path as Outline
from scipy.stats import median_abs_deviation

from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.store import load_run

# Weights that say where the network, or another detector, finds a defect.
SHOW_DEFECTS = ("rarity", "novelty", "maps")
# Standard deviations above the median of all patches of the run.
DEVIATIONS = 4
# In patches; what is smaller is an edge of one patch that just reaches the threshold.
SMALLEST = 1


def run_regions(folder: Path, *, min_score: float = 0.0) -> dict[Path, list[Region]]:
    """Where the heat maps of a run show defects, for its images and those that were assigned to it later.

    A patch stands out if its score is above the median of all patches of all images of the run by more than four
    standard deviations, estimated by the median absolute deviation, which the few defective patches hardly move. So one
    threshold holds for the whole run, no label is asked, and an image may have no region.

    Args:
        folder: of the run.
        min_score: of the regions to keep, from 0 (all of them) to 1.

    Returns:
        The regions of each image, by its path.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the run has no heat maps, or is damaged; `min_score` is not between 0 and 1.
    """
    if not (isinstance(min_score, Real) and 0 <= min_score <= 1):
        raise ValueError(f"min_score must be between 0 and 1, got {min_score!r}")
    run = load_run(folder)
    if run.recipe.distance != "weighted_average" or run.recipe.weights not in SHOW_DEFECTS:
        raise ValueError(
            f"run {run.title!r} has no heat maps that show defects: it compared images by {run.recipe.distance!r} with "
            f"weights {run.recipe.weights!r}; cluster with weights out of {SHOW_DEFECTS}"
        )
    scores = patch_scores(run.weights, run.mean_scores, run.recipe.tau)
    threshold, top = outstanding(scores), float(scores.max())
    found = dict(zip(run.paths, (outline(grid, threshold, top) for grid in scores), strict=True))
    if run.embeddings is not None:
        later = load_later(folder, run)
        more = patch_scores(later.weights, later.mean_scores, run.recipe.tau)
        found |= dict(zip(later.paths, (outline(grid, threshold, top) for grid in more), strict=True))
    return {path: [region for region in regions if region.score >= min_score] for path, regions in found.items()}


def patch_scores(
    weights: Float[np.ndarray, "n h w"], mean_scores: Float[np.ndarray, " n"], tau: float
) -> Float[np.ndarray, "n h w"]:
    """How unusual patches are, on one scale for all images, out of the weights that were made of it (Eq. 5 and 6).

    scores[i, m] = tau log weights[i, m] + what makes their mean that of image i

    Weights below the smallest number of half precision, in which they are stored, count as that number.

    Args:
        weights: of the patches of each image [N, H, W].
        mean_scores: how unusual the patches of each image are on average [N]; NaN where that is not known, as with
            anomaly maps, whose scores are then relative to the mean of their image.
        tau: smoothness of the weights.

    Returns:
        Scores [N, H, W].

    Example:
        >>> weights = np.exp(np.array([[[0.1, 0.3]]]) / 0.02)
        >>> patch_scores(weights / weights.sum(), np.array([0.2]), tau=0.02).round(3).tolist()
        [[[0.1, 0.3]]]
    """
    least = float(np.finfo(np.float16).smallest_subnormal)
    logs = tau * np.log(np.maximum(weights.astype(np.float64), least))
    centred: Float[np.ndarray, "n h w"] = logs - logs.mean((1, 2), keepdims=True)
    return centred + np.nan_to_num(mean_scores.astype(np.float64))[:, None, None]


def outstanding(scores: Float[np.ndarray, "n h w"]) -> float:
    """The score above which a patch stands out: the median and four standard deviations of sound patches.

    Args:
        scores: of all patches of a run [N, H, W]; most of them are sound.

    Returns:
        The threshold, in the unit of the scores.

    Example:
        >>> outstanding(np.array([[[1.0, 2.0, 3.0, 4.0, 99.0]]]))  # median 3, median deviation 1
        8.93
    """
    return float(np.median(scores) + DEVIATIONS * median_abs_deviation(scores, axis=None, scale="normal"))


def outline(scores: Float[np.ndarray, "h w"], threshold: float, top: float) -> list[Region]:
    """The regions of one image in which scores, interpolated between the centres of patches, are above a threshold.

    Holes are filled, and what is smaller than a patch is left out.

    Args:
        scores: of the patches of one image [H, W].
        threshold: in the unit of the scores.
        top: the highest score of the run, which has the score 1; the threshold has 0.

    Returns:
        The regions, that with the highest score first.

    Example:
        >>> scores = np.zeros((4, 4))
        >>> scores[1, 1:3] = 2.0
        >>> [region] = outline(scores, threshold=1.0, top=2.0)
        >>> region.box, region.score  # from halfway before the first patch to halfway behind the last
        ((0.25, 0.25, 0.75, 0.5), 1.0)
    """
    height, width = scores.shape
    # Up to the edge of the image, as far as which the patches at the edge reach.
    xs, ys = (np.array([0, *(np.arange(side) + 0.5), side]) / side for side in (width, height))
    padded = np.pad(scores, 1, mode="edge")
    contours = contour_generator(xs, ys, padded, fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*contours.filled(threshold, np.inf), strict=True):
        corners = points[: offsets[1] - 1]  # The last is the first one again; after it come holes.
        score = _peak(corners, scores, threshold, top)
        region = Region([(float(x), float(y)) for x, y in corners], score)
        if region.area * height * width >= SMALLEST:
            found.append(region)
    return sorted(found, key=lambda region: -region.score)


def _peak(
    corners: Float[np.ndarray, "corners 2"], scores: Float[np.ndarray, "h w"], threshold: float, top: float
) -> float:
    """The highest score among the patches whose centres are inside, from 0 at the threshold to 1 at the top."""
    height, width = scores.shape
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    inside = Outline(corners).contains_points(np.stack([x.ravel(), y.ravel()], axis=1))
    highest = float(scores.ravel()[inside].max())
    # An image that came later may be more unusual than any of the run.
    return 1.0 if highest >= top else (highest - threshold) / (top - threshold)
