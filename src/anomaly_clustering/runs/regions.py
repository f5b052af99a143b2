"""How unusual the patches of a run are in; where they show a defect, as polygons with a score, out."""

from collections.abc import Collection, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, cast

import numpy as np
from contourpy import FillType, contour_generator
from jaxtyping import Float, Int
from scipy.ndimage import label, maximum

from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.file_names import LATER, STORE
from anomaly_clustering.runs.later_images import LaterImages, load_later
from anomaly_clustering.runs.patch_scores import SHOW_DEFECTS, shows_defects
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.runs.unusual import grade, scale_of_run

# Heat above which a patch is of a region: of what is found so on metal nuts and pills 95% or more lies on a defect, and
# 51% to 92% of the defective images have such a region; at .1 half as much again is found beside defects.
HOT = 0.25
# In patches; what is smaller is an edge of one patch that just reaches the threshold.
SMALLEST = 1
# Of an image: what falls into more pieces shows no defects, and takes minutes to write down.
MOST = 1_000


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
    run = load_run(folder)
    check_regions(run, min_score)
    later = None if run.embeddings is None else load_later(folder, run)
    return regions_among(folder, run, later, min_score=min_score)


def check_regions(run: StoredRun, min_score: float) -> None:
    """Refuse a run without heat maps that show defects, and a score that no region has.

    Args:
        run: as it is stored.
        min_score: of the regions to keep.

    Raises:
        ValueError: the run has no such heat maps, or `min_score` is not between 0 and 1.
    """
    if not (isinstance(min_score, Real) and 0 <= min_score <= 1):
        raise ValueError(f"min_score must be between 0 and 1, got {min_score!r}")
    if not shows_defects(run.recipe):
        raise ValueError(
            f"run {run.title!r} has no heat maps that show defects: it compared images by {run.recipe.distance!r} with "
            f"weights {run.recipe.weights!r}; cluster with weights out of {SHOW_DEFECTS}"
        )


def regions_among(
    folder: Path,
    run: StoredRun,
    later: LaterImages | None,
    *,
    images: Collection[Path] | None = None,
    min_score: float = 0.0,
) -> dict[Path, list[Region]]:
    """The same as `run_regions`, of a run that has been read, and of some of its images alone.

    Args:
        folder: of the run, to name in an error.
        run: with heat maps that show defects, see `check_regions`.
        later: images that came after it; None for none.
        images: those to outline, by the paths that the run has; None for all.
        min_score: of the regions to keep.

    Returns:
        The regions of each image, by its path.

    Raises:
        ValueError: a heat map falls into too many pieces.
    """
    scale, found = scale_of_run(run), dict[Path, list[Region]]()
    for file, some in ((STORE, run), (LATER, later)):
        if some is not None:
            asked = [i for i, path in enumerate(some.paths) if images is None or path in images]
            scores = None if some.scores is None else some.scores[asked]
            heat = grade(some.weights[asked], scores, scale).heat
            found |= _outlined(folder / file, [some.paths[i] for i in asked], heat)
    return {path: [region for region in regions if region.score >= min_score] for path, regions in found.items()}


def _outlined(file: Path, paths: Sequence[Path], heat: Float[np.ndarray, "n h w"]) -> dict[Path, list[Region]]:
    found = {}
    for path, grid in zip(paths, heat, strict=True):
        try:
            found[path] = regions_of(grid)
        except ValueError as error:
            raise ValueError(
                f"{str(file)!r} holds a heat map of {str(path)!r} that shows no defects: {error}; leave --run out, or "
                "cluster the images anew"
            ) from None
    return found


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

    Raises:
        ValueError: there are more than 1,000 of them.

    Example:
        >>> scores = np.zeros((4, 4))
        >>> scores[1, 1:3] = 2.0
        >>> [region] = outline(scores, threshold=1.0, top=2.0)
        >>> region.box, region.score  # from halfway before the first patch to halfway behind the last
        ((0.25, 0.25, 0.75, 0.5), 1.0)
    """
    height, width = scores.shape
    # In patches; up to the edge of the image, as far as which the patches at the edge reach.
    xs, ys = (np.array([-0.5, *range(side), side - 0.5]) for side in (width, height))
    contours = contour_generator(xs, ys, np.pad(scores, 1, mode="edge"), fill_type=FillType.ChunkCombinedOffsetOffset)
    ((points,), (rings,), (pieces,)) = cast(Any, contours.filled(threshold, np.inf))
    if points is None:
        return []
    # The first ring of a piece is its outline; after it come holes.
    starts, ends = rings[pieces[:-1]].astype(int), rings[pieces[:-1] + 1].astype(int)
    large = np.flatnonzero(_areas(points, starts, ends) >= SMALLEST)
    if len(large) > MOST:
        raise ValueError(f"{len(large):,} regions of it stand out, more than the {MOST:,} that are marked")
    peaks = _peaks(scores, threshold, points, rings[pieces[large]].astype(int), rings[pieces[large + 1]].astype(int))
    found = []
    for start, end, highest in zip(starts[large], ends[large], peaks, strict=True):
        corners = (points[start : end - 1] + 0.5) / (width, height)  # The last is the first one again.
        # An image that came later may be more unusual than any of the run.
        score = 1.0 if highest >= top else (highest - threshold) / (top - threshold)
        found.append(Region([(float(x), float(y)) for x, y in corners], float(score)))
    return sorted(found, key=lambda region: -region.score)


def _areas(
    points: Float[np.ndarray, "points 2"], starts: Int[np.ndarray, " pieces"], ends: Int[np.ndarray, " pieces"]
) -> Float[np.ndarray, " pieces"]:
    """Areas of outlines whose last corner is the first one again, by the shoelace formula."""
    x, y = points.T
    sums = np.concatenate([[0.0], np.cumsum(x[:-1] * y[1:] - x[1:] * y[:-1])])
    return np.abs(sums[ends - 1] - sums[starts]) / 2


def _peaks(
    scores: Float[np.ndarray, "h w"],
    threshold: float,
    points: Float[np.ndarray, "points 2"],
    starts: Int[np.ndarray, " pieces"],
    ends: Int[np.ndarray, " pieces"],
) -> list[float]:
    """The highest score of the patches of each piece: those beside its rings, and all that hang together with them.

    A corner lies between the centres of two patches, of which one stands out; one of its numbers is whole.
    """
    names, number = label(scores > threshold)
    highest = np.concatenate([[-np.inf], maximum(scores, names, np.arange(1, number + 1))])
    last = np.array(scores.shape)[::-1] - 1
    exact = points.round(6)
    (low_x, low_y), (high_x, high_y) = (np.clip(of(exact), 0, last).astype(int).T for of in (np.floor, np.ceil))
    beside = np.maximum(highest[names[low_y, low_x]], highest[names[high_y, high_x]])
    return [float(beside[start:end].max()) for start, end in zip(starts, ends, strict=True)]
