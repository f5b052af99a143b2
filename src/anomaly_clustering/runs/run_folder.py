"""The result of a run in; its folder out: `assignments.csv`, `metrics.json`, `config.yaml`, report and store."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.metrics.titles import TITLES
from anomaly_clustering.mic.distances import euclidean
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.references import draw_positions
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.report.curves import MOST_FOR_SILHOUETTE, curves
from anomaly_clustering.report.places import place_all
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS
from anomaly_clustering.runs.file_names import ASSIGNMENTS, ASSIGNMENTS_PARQUET, CONFIG, METRICS
from anomaly_clustering.runs.kept_metadata import with_times, write_metadata
from anomaly_clustering.runs.kept_pictures import KeptPictures
from anomaly_clustering.runs.mark import discard_run, mark_of_all, move_all, read_mark, write_mark
from anomaly_clustering.runs.output_folder import mark_of_run, reserved
from anomaly_clustering.runs.parquet import write_parquet
from anomaly_clustering.runs.patch_scores import kept_scores, scores_of
from anomaly_clustering.runs.run_report import draw_report
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.runs.unfinished_folder import UnfinishedFolder
from anomaly_clustering.runs.unusual import scores_of_images, sound_of
from anomaly_clustering.search.precision import resolve
from anomaly_clustering.system.files import digest, whole_folder


def write_run(
    out: Path,
    mic: MIC,
    datamodule: DefectDataModule,
    *,
    metrics: Mapping[str, float],
    config: str,
    known: Mapping[Path, Metadata] | None = None,
    overwrite: bool = False,
    unfinished: UnfinishedFolder | None = None,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> None:
    """Write the folder of a run that has just ended.

    Args:
        out: the folder; it appears when all of it is written.
        mic: holds the result.
        datamodule: holds the images that were clustered.
        metrics: scores against known classes; empty where there are none.
        config: the options of the run, as YAML.
        known: metadata of images, kept with the run where there is any.
        overwrite: whether a run that the folder holds may be lost.
        unfinished: what was kept for this run, which is removed when it is complete; None where nothing was.
        progress: wraps the images as they are drawn into the report.

    Raises:
        OSError: the folder is not free, see `reserved`.
    """
    grouping = mic.grouping
    notices = [*datamodule.notices, *mic.notices]
    with new_run(out, overwrite=overwrite) as folder:
        (folder / CONFIG).write_text(config)
        _write_metrics(folder / METRICS, grouping, metrics, notices)
        run = _stored(out.name, mic, datamodule, facts=_facts(mic, datamodule, metrics), notices=notices)
        rows = _assignments(run)
        write_assignments(folder / ASSIGNMENTS, rows)
        write_parquet(folder / ASSIGNMENTS_PARQUET, rows)
        run.save(folder)
        if known:
            known = with_times(known, run.contents)
            write_metadata(folder, known)
        with KeptPictures(folder) as kept:
            draw_report(folder, run, kept, home=out, known=known, progress=progress)
        if unfinished is not None:
            unfinished.completes(folder)
    if unfinished is not None:
        unfinished.remove()


@contextmanager
def new_run(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write a run to, which gets its mark and takes the place of what was there when all went well.

    What somebody put there during the work, such as a logger, moves into it.

    Args:
        out: the folder.
        overwrite: whether a run that the folder holds may be lost.

    Raises:
        OSError: the folder is not free, see `reserved`.
    """
    with reserved(out, overwrite=overwrite):
        before = mark_of_run(out)
        if before is not None and read_mark(out) is None:
            # While it is removed it must be known for a run.
            write_mark(out, before)
        with whole_folder(out, discard=discard_run if before else move_all, is_result=True) as folder:
            yield folder
            write_mark(folder, mark_of_all(folder, "run"))


def _stored(
    title: str, mic: MIC, datamodule: DefectDataModule, *, facts: dict[str, str], notices: Sequence[str]
) -> StoredRun:
    grouping = mic.grouping
    records = datamodule.records
    images = [records[i].image for i in grouping.index]
    distance = grouping.distance
    if distance is None and grouping.embeddings is not None and len(images) <= MOST_FOR_SILHOUETTE:
        distance = euclidean(torch.from_numpy(grouping.embeddings)).numpy()
    recipe = replace(mic.recipe(datamodule.image_size), bits=datamodule.bits_read, decoding=datamodule.decoding)
    scores = scores_of(grouping, recipe)
    places, map_name = place_all(grouping.embeddings, grouping.distance, seed=mic.options.seed)
    return StoredRun(
        title=title,
        recipe=recipe,
        paths=images,
        digests=[digest(image) for image in images],
        class_names=list(datamodule.class_names),
        facts=facts,
        notices=list(notices),
        curves=curves(grouping.groups.tree, distance, grouping.target),
        map_name=map_name,
        target=grouping.target,
        labels=grouping.labels,
        distances=grouping.groups.distances,
        weights=grouping.weights.astype(np.float16),
        scores=None if scores is None else kept_scores(scores, recipe),
        tree=grouping.groups.tree,
        places=places,
        mean_scores=grouping.mean_scores,
        top_scores=grouping.top_scores,
        normal_top_scores=grouping.normal_top_scores,
        embeddings=grouping.embeddings,
        references=grouping.references,
        center=grouping.center,
    )


def _facts(mic: MIC, datamodule: DefectDataModule, metrics: Mapping[str, float]) -> dict[str, str]:
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


def _write_metrics(path: Path, grouping: Grouping, metrics: Mapping[str, float], notices: Sequence[str]) -> None:
    summary = {
        **metrics,
        "num_images": len(grouping.labels),
        "num_clusters": grouping.num_clusters,
        "stability": None if math.isnan(grouping.groups.stability) else grouping.groups.stability,
        "notices": notices,
    }
    path.write_text(json.dumps(summary, indent=2) + "\n")


def _assignments(run: StoredRun) -> list[dict[str, object]]:
    scores, sound = scores_of_images(run), sound_of(run.top_scores, run.normal_top_scores)
    return [
        {
            "path": image,
            "cluster": cluster,
            "class": run.class_names[target] if target >= 0 else "",
            "distance_to_center": float(distance),
            **({} if scores is None else {"score": float(scores[i])}),
            **({} if sound is None else {"finding": not sound[i]}),
        }
        for i, (image, target, cluster, distance) in enumerate(
            zip(run.paths, run.target, run.labels, run.distances, strict=True)
        )
    ]
