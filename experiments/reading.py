"""A run of MIC in; how far what its report shows tells good images from defective ones, and where defects are, out."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from matplotlib.path import Path as Outline
from sklearn.metrics import roc_auc_score

from anomaly_clustering.clustering.bagging import bags_tell
from anomaly_clustering.data import DefectDataModule
from anomaly_clustering.data.images import read_mask
from anomaly_clustering.data.opening import image_size
from anomaly_clustering.data.records import Record
from anomaly_clustering.mic import MIC
from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.patch_scores import shows_defects
from anomaly_clustering.runs.regions import regions_of
from anomaly_clustering.runs.unusual import Unusual, graded_grouping
from experiments.categories import GOOD

# The metric that every run has, and those of versions before had not.
EACH_RUN = "num_clusters"
# That of runs that ask random subsets, unless these are too small to tell.
STABILITY = "stability"


def reading(mic: MIC, data: DefectDataModule) -> dict[str, float]:
    """What a person gets from the report of a run, measured by classes and masks that the report does not know.

    Args:
        mic: after its run.
        data: that it ran on. Images whose class nobody knows do not count.

    Returns:
        `num_clusters`, where the method asks random subsets the `stability` of the clusters, and where it is known
        which images are good, those of `good_cluster`; if weights show defects too, those of `good_from_defective`; if
        these are marked, those of `regions_found`.
    """
    grouping, recipe = mic.grouping, mic.recipe(data.image_size)
    found = {EACH_RUN: float(grouping.num_clusters)}
    if not np.isnan(grouping.groups.stability):
        found[STABILITY] = grouping.groups.stability
    known = np.flatnonzero(grouping.target >= 0)
    good_classes = [label for label, name in enumerate(data.class_names) if name.lower() in GOOD]
    good: Bool[np.ndarray, " n"] = np.isin(grouping.target[known], good_classes)
    if good.all() or not good.any():
        return found
    found |= good_cluster(grouping.labels[known], good)
    if shows_defects(recipe):
        shown, records = _some(graded_grouping(grouping, recipe), known), data.records
        found |= good_from_defective(shown, good)
        masks = [None if sound else _mask(records[i]) for i, sound in zip(grouping.index[known], good, strict=True)]
        if recipe.aspect == "square" and any(mask is not None for mask in masks):
            found |= regions_found([regions_of(heat) for heat in shown.heat], masks, good)
    return found


def lacks(record: Mapping[str, Any], needs: Collection[str]) -> bool:
    """Whether a finished run lacks metrics, so that it has to be computed again: versions before did not measure these.

    Args:
        record: of the run.
        needs: names of metrics. Of images so few that no version measures the `stability`, it is not lacking.

    Example:
        >>> few = {"metrics": {"num_clusters": 3.0}, "num_images": 6}
        >>> lacks(few, ["stability"]), lacks(few | {"num_images": 60}, ["stability"])
        (False, True)
    """
    lacking = set(needs) - record["metrics"].keys()
    images, clusters = record.get("num_images"), record["metrics"].get(EACH_RUN)
    if images and clusters and not bags_tell(images, int(clusters)):
        lacking.discard(STABILITY)
    return bool(lacking)


def _some(shown: Unusual, chosen: Int[np.ndarray, " some"]) -> Unusual:
    """Of some images."""
    scores, sound = (None if of_all is None else of_all[chosen] for of_all in (shown.scores, shown.sound))
    return Unusual(shown.heat[chosen], scores, sound)


def good_cluster(labels: Int[np.ndarray, " n"], good: Bool[np.ndarray, " n"]) -> dict[str, float]:
    """How far good images are a cluster of their own.

    Args:
        labels: cluster of each image [N].
        good: whether it has no defect [N], some of each.

    Returns:
        Of the cluster that holds most of the good images: `good_purity`, the share of its images that are good, and
        `good_recall`, the share of the good images that are in it.

    Example:
        >>> good_cluster(np.array([0, 0, 0, 1]), np.array([True, True, False, False]))
        {'good_purity': 0.6666666666666666, 'good_recall': 1.0}
    """
    inside = labels == np.bincount(labels[good]).argmax()
    return {"good_purity": float(good[inside].mean()), "good_recall": float(inside[good].mean())}


def good_from_defective(shown: Unusual, good: Bool[np.ndarray, " n"]) -> dict[str, float]:
    """How far heat, scores and 'no finding' tell good images from defective ones.

    Args:
        shown: heat and scores of each image, and whether it is without a finding.
        good: whether it has no defect [N], some of each.

    Returns:
        `heat_good` and `heat_defective`, the mean heat of their patches; `score_auroc`, the area under the ROC curve
        of the scores of images; `sound_good` and `sound_defective`, the shares of them that are without a finding,
        where normal images tell.

    Example:
        >>> heat = np.array([[[0.0]], [[0.5]]])
        >>> good_from_defective(Unusual(heat, np.array([-1.0, 1.0])), np.array([True, False]))
        {'heat_good': 0.0, 'heat_defective': 0.5, 'score_auroc': 1.0}
    """
    found = {"heat_good": float(shown.heat[good].mean()), "heat_defective": float(shown.heat[~good].mean())}
    if shown.scores is not None:
        found["score_auroc"] = float(roc_auc_score(~good, shown.scores))
    if shown.sound is not None:
        found |= {"sound_good": float(shown.sound[good].mean()), "sound_defective": float(shown.sound[~good].mean())}
    return found


def regions_found(
    regions: Sequence[Sequence[Region]],
    masks: Sequence[Bool[np.ndarray, "height width"] | None],
    good: Bool[np.ndarray, " n"],
) -> dict[str, float]:
    """How far the regions that the report outlines are on defects.

    A region is on a defect if it covers the centre of a pixel that is marked.

    Args:
        regions: of each image.
        masks: where each is defective, in any size, a pixel at least; None where that is not marked, of one image at
            least it is.
        good: whether it has no defect [N].

    Returns:
        `regions`, how many there are in an image with a mask, `regions_right`, the share of these that are on a defect,
        where there are any, `defects_found`, the share of images with a mask with such a region, and
        `good_with_region`, the share of the good images with a region.

    Example:
        >>> region, mask = Region([(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)], 1.0), np.eye(4, dtype=bool)
        >>> regions_found([[region], []], [mask, None], np.array([False, True]))
        {'regions': 1.0, 'regions_right': 1.0, 'defects_found': 1.0, 'good_with_region': 0.0}
    """
    right = [
        [_covers(region, mask) for region in of_image]
        for of_image, mask in zip(regions, masks, strict=True)
        if mask is not None
    ]
    found = {"regions": float(np.mean([len(of_image) for of_image in right]))}
    if any(right):
        found["regions_right"] = float(np.mean([one for of_image in right for one in of_image]))
    found["defects_found"] = float(np.mean([any(of_image) for of_image in right]))
    on_good = [bool(of_image) for of_image, sound in zip(regions, good, strict=True) if sound]
    return found | ({"good_with_region": float(np.mean(on_good))} if on_good else {})


def _covers(region: Region, mask: Bool[np.ndarray, "height width"]) -> bool:
    height, width = mask.shape
    y, x = np.nonzero(mask)
    centres = np.column_stack([(x + 0.5) / width, (y + 0.5) / height])
    return bool(Outline(region.polygon).contains_points(centres).any())


def _mask(record: Record) -> Bool[np.ndarray, "height width"] | None:
    """Where an image is defective; None where nobody marked that, as in the masks of four of MTD, which are empty."""
    marked = None if record.mask is None else read_mask(record.mask, image_size(record.image)) > 0
    return marked if marked is not None and marked.any() else None
