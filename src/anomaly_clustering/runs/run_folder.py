"""The result of a run in; its folder out: `assignments.csv`, `metrics.json`, `config.yaml`, report and store."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.mic.distances import euclidean
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.report.curves import MOST_FOR_SILHOUETTE, curves
from anomaly_clustering.report.places import place_all
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.file_names import ASSIGNMENTS, ASSIGNMENTS_PARQUET, CONFIG, METRICS
from anomaly_clustering.runs.kept_metadata import with_times, write_metadata
from anomaly_clustering.runs.kept_pictures import KeptPictures
from anomaly_clustering.runs.mark import discard_run, mark_of_all, move_all, read_mark, write_mark
from anomaly_clustering.runs.output_folder import mark_of_run, reserved
from anomaly_clustering.runs.parquet import write_parquet
from anomaly_clustering.runs.patch_scores import kept_scores, scores_of
from anomaly_clustering.runs.run_in_words import facts_of
from anomaly_clustering.runs.run_report import draw_report
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.runs.unfinished_folder import UnfinishedFolder
from anomaly_clustering.runs.unusual import scores_of_images, sound_of
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.folders import whole_folder


def write_run(
    out: Path,
    mic: MIC,
    datamodule: DefectDataModule,
    *,
    metrics: Mapping[str, float],
    config: str,
    metadata: Mapping[Path, Metadata] | None = None,
    overwrite: bool = False,
    unfinished: UnfinishedFolder | None = None,
) -> None:
    """Write the folder of a run that has just ended.

    Args:
        out: the folder; it appears when all of it is written.
        mic: holds the result.
        datamodule: holds the images that were clustered.
        metrics: scores against known classes; empty where there are none.
        config: the options of the run, as YAML.
        metadata: of images, kept with the run where there is any.
        overwrite: whether a run that the folder holds may be lost.
        unfinished: what was kept for this run, which is removed when it is complete; None where nothing was.

    Raises:
        OSError: the folder is not free, see `reserved`.
    """
    grouping = mic.grouping
    notices = [*datamodule.notices, *mic.notices]
    with new_run(out, overwrite=overwrite) as folder:
        (folder / CONFIG).write_text(config, encoding="utf-8")
        _write_metrics(folder / METRICS, grouping, metrics, notices)
        run = _stored(out.name, mic, datamodule, facts=facts_of(mic, datamodule, metrics), notices=notices)
        rows = _assignments(run)
        write_assignments(folder / ASSIGNMENTS, rows)
        write_parquet(folder / ASSIGNMENTS_PARQUET, rows)
        run.save(folder)
        if metadata:
            metadata = with_times(metadata, run.contents)
            write_metadata(folder, metadata)
        with KeptPictures(folder) as kept:
            draw_report(folder, run, kept, home=out, metadata=metadata or {})
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


def _write_metrics(path: Path, grouping: Grouping, metrics: Mapping[str, float], notices: Sequence[str]) -> None:
    summary = {
        **metrics,
        "num_images": len(grouping.labels),
        "num_clusters": grouping.num_clusters,
        "stability": None if math.isnan(grouping.groups.stability) else grouping.groups.stability,
        "notices": notices,
    }
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


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
