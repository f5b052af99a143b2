"""A run that has just ended in; in words what it compared, how it searched and clustered, and what it found, out."""

import math
from collections.abc import Mapping

import torch

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.metrics.titles import TITLES
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.references import draw_positions
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS
from anomaly_clustering.runs.unusual import sound_of
from anomaly_clustering.search.precision import resolve


def facts_of(mic: MIC, datamodule: DefectDataModule, metrics: Mapping[str, float]) -> dict[str, str]:
    """What the report tells of a run, by name.

    Args:
        mic: holds the result.
        datamodule: holds the images that were clustered.
        metrics: scores against known classes; empty where there are none.

    Returns:
        Words for a person to read.
    """
    options, tau = mic.options, mic.grouping.tau
    if options.streams and mic.grouping.references is not None:
        compared_with = len(mic.grouping.references)
    else:
        drawn = draw_positions(options, datamodule)
        compared_with = 0 if drawn is None else len(drawn)
    weights = {
        "rarity": f"patches that are rare among the images count more (Eq. 5, tau {tau:.3g})",
        "novelty": f"patches unlike {compared_with} normal images count more (Eq. 6, tau {tau:.3g})",
        "maps": f"patches that the anomaly maps of {datamodule.maps} mark count more (tau {tau:.3g})",
        "mask": "patches marked by the ground-truth masks count",
        "uniform": "all patches count alike",
    }
    average = "weighted average of patches"
    if options.residual_share is not None:
        kind = "normal images" if options.weights == "novelty" else "of the images"
        average = f"weighted average of what patches differ by from their nearest ones in {compared_with} {kind}"
    compared = {"weighted_average": f"{average}; {weights[options.weights]}"}
    stable = mic.grouping.groups.stability
    return {
        "Network": f"{mic.backbone.name}, {mic.backbone.layer}",
        "Image size": _size(datamodule),
        "Images compared by": compared.get(options.distance, options.distance.replace("_", " ")),
        "Nearest patches": _search(options, mic.device),
        "Clustering": options.method,
        "Number of clusters": how_many(mic.grouping),
        **({"Without a finding": sound} if (sound := without_a_finding(mic.grouping)) else {}),
        **({} if math.isnan(stable) else {"Stability of the clusters": f"{stable:.2f}, of at most 1"}),
        **{title: f"{metrics[name]:.3f}" for name, title in TITLES.items() if name in metrics},
    }


def _size(datamodule: DefectDataModule) -> str:
    square = f"{datamodule.image_size} x {datamodule.image_size} pixels"
    return square if datamodule.aspect == "square" else f"as many as {square}, up to an eighth, aspect kept"


def _search(options: Options, device: torch.device) -> str:
    found = {
        torch.float32: "float32",
        torch.float16: "float16, measured in float32",
        torch.bfloat16: "bfloat16, measured in float32",
        torch.int8: "8-bit integers, measured in float32",
    }
    stride = options.normal_stride
    among = f", among every {stride} rows and columns of normal patches" if stride > 1 else ""
    return f"found in {found[resolve(options.precision, device)]}{among}"


def how_many(grouping: Grouping) -> str:
    """The number of clusters, and how it was chosen if it was not given.

    Args:
        grouping: the result of a run.

    Returns:
        Words for a person to read.

    Example:
        >>> import numpy as np
        >>> from anomaly_clustering.clustering.grouping import group_embeddings
        >>> embeddings, weights = np.array([[0.0], [4.0], [9.0]]), np.full((3, 2, 2), 0.25)
        >>> groups = group_embeddings(embeddings, 2, "ward", seed=0)
        >>> scores = np.zeros(3), np.zeros((3, 4)), np.zeros((0, 4))
        >>> how_many(Grouping(np.arange(3), np.full(3, -1), weights, embeddings, None, groups, *scores))
        '2, as given'
    """
    if not grouping.groups.to_name:
        return f"{grouping.num_clusters}, as given"
    return f"{grouping.num_clusters}, so that each is mostly of one type; give the same name to those that are alike"


def without_a_finding(grouping: Grouping) -> str:
    """How many images show no more than images known to be good do.

    Args:
        grouping: the result of a run.

    Returns:
        Words for a person to read; none where no image is known to be good.
    """
    sound = sound_of(grouping.top_scores, grouping.normal_top_scores)
    if sound is None:
        return ""
    normal = sound_of(grouping.normal_top_scores, grouping.normal_top_scores)
    few = normal is not None and normal.all()
    of_normal = "the most unusual normal one" if few else f"{1 - FALSE_ALARMS:.0%} of the normal ones"
    return f"{sound.sum()} of {len(sound)} images, no more unusual than {of_normal}"
