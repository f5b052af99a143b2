"""How unusual the patches of a run are in; where they show a defect, as polygons with a score, out."""

from numbers import Real
from pathlib import Path

import numpy as np
from contourpy import FillType, contour_generator
from jaxtyping import Float
from matplotlib.path import Path as Outline

from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.patch_scores import SHOW_DEFECTS, shows_defects
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.unusual import grade, graded, scale_of_run

# Heat above which a patch is of a region: of what is found so on metal nuts and pills 77% to 97% lies on a defect, and
# 68% to 96% of the defective images have such a region; at .1 half as much again is found beside defects.
HOT = 0.25
# In patches; what is smaller is an edge of one patch that just reaches the threshold.
SMALLEST = 1


def run_regions(folder: Path, *, min_score: float = 0.0) -> dict[Path, list[Region]]:
    """Where the heat maps of a run show defects, for its images and those that were assigned to it later.

    A region is where the heat map is above a quarter of its scale, see `report.heat`. The scale is one for the whole
    run, so no label is asked, and an image may have no region.

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
    if not shows_defects(run.recipe):
        raise ValueError(
            f"run {run.title!r} has no heat maps that show defects: it compared images by {run.recipe.distance!r} with "
            f"weights {run.recipe.weights!r}; cluster with weights out of {SHOW_DEFECTS}"
        )
    found = dict(zip(run.paths, map(regions_of, graded(run).heat), strict=True))
    if run.embeddings is not None:
        later = load_later(folder, run)
        by_normals = run.normal_scores is not None
        heat = grade(later.weights, later.scores, scale_of_run(run), by_normals=by_normals).heat
        found |= dict(zip(later.paths, map(regions_of, heat), strict=True))
    return {path: [region for region in regions if region.score >= min_score] for path, regions in found.items()}


def regions_of(heat: Float[np.ndarray, "h w"]) -> list[Region]:
    """The regions of one image, where its heat is above a quarter.

    Args:
        heat: of the patches of one image [H, W], from 0 (usual) to 1.

    Returns:
        The regions, that with the highest score first.

    Example:
        >>> [region] = regions_of(np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.85], [0.0, 0.0, 0.85]]))
        >>> region.score
        0.8
    """
    return outline(heat, HOT, 1.0)


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
