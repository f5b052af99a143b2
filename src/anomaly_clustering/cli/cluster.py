"""A folder of images in; clusters, with a report to look at, out: the command `anomaly-clustering cluster`."""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from anomaly_clustering.cli.console import (
    as_cell,
    offering_to_skip,
    print_notices,
    print_plainly,
    print_scores,
)
from anomaly_clustering.cli.options import folder_of_run
from anomaly_clustering.cli.several import trainer_for
from anomaly_clustering.cli.together import is_rank_zero
from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.metadata import Matched, read_metadata
from anomaly_clustering.data.sources import Folder, Synthetic
from anomaly_clustering.metrics.counts import confusion
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import method_arguments
from anomaly_clustering.runs.file_names import PAGE
from anomaly_clustering.runs.finished_rows import FinishedRows
from anomaly_clustering.runs.output_folder import reserved
from anomaly_clustering.runs.run_folder import write_run
from anomaly_clustering.runs.run_in_words import how_many, without_a_finding

# As in configs/mic/maps.yaml.
EFFECTIVE_PATCHES = 20.0


def cluster(options: argparse.Namespace) -> None:
    """Run the command; for the options see `cluster_options`."""
    console = Console()
    out = folder_of_run(options)
    finished = FinishedRows(out)
    first = is_rank_zero()
    with ExitStack() as opened:
        if first:
            opened.enter_context(reserved(out, overwrite=options.overwrite, say=partial(print_plainly, console)))
            opened.callback(finished.remove_if_empty)
        datamodule = _datamodule(options)
        metadata, untold = _metadata(options, datamodule)
        mic = MIC(options.backbone, checkpoint=options.checkpoint, num_clusters=options.clusters, **_arguments(options))
        trainer = opened.enter_context(trainer_for(options, finished, say=partial(print_plainly, console)))
        with offering_to_skip():
            trainer.validate(mic, datamodule=datamodule, verbose=False)
        if not first:
            return
        metrics = {key: value.item() for key, value in trainer.callback_metrics.items()}
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
        write_run(
            out,
            mic,
            datamodule,
            metrics=metrics,
            config=yaml.safe_dump(plain, sort_keys=False),
            metadata=metadata,
            overwrite=options.overwrite,
            unfinished=finished,
        )
    print_notices(console, untold)
    _print(console, mic, datamodule, metrics, out)


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Those of MIC that the method decides, and what was asked for in their place."""
    chosen = {"layer": options.layer, "tau": options.tau, "views": options.views, "num_references": options.references}
    if options.maps:
        # The scale of foreign maps is arbitrary, so no tau suits them all.
        chosen |= {"weights": "maps", "effective_patches": EFFECTIVE_PATCHES if options.tau is None else None}
    return method_arguments("paper" if options.maps else options.method, normals=bool(options.normal), **chosen)


def _datamodule(options: argparse.Namespace) -> DefectDataModule:
    if options.synthetic:
        return Synthetic(image_size=options.image_size)
    return Folder(
        options.images,
        normals=options.normal,
        maps=options.maps,
        skip_unreadable=options.skip_unreadable,
        bits=options.bits,
        copies=options.copies,
        image_size=options.image_size,
        aspect=options.aspect,
        decoding=options.decoding,
    )


def _metadata(options: argparse.Namespace, datamodule: DefectDataModule) -> Matched:
    """Before the work, so that a slip of the pen costs no time."""
    if not options.metadata:
        return Matched({}, [])
    datamodule.setup()
    return read_metadata(options.metadata, [record.image for record in datamodule.records], folder=options.images)


def _print(console: Console, mic: MIC, datamodule: DefectDataModule, metrics: Mapping[str, float], out: Path) -> None:
    print_notices(console, (*datamodule.notices, *mic.notices))
    grouping, names = mic.grouping, datamodule.class_names
    sizes = np.bincount(grouping.labels)
    table = Table("Cluster", "Images", *(("Mostly", "Purity") if metrics else ()))
    for k, counts in enumerate(confusion(grouping.labels, grouping.target, num_classes=len(names))):
        most = as_cell(names[counts.argmax()]) if counts.any() else ""
        known = [most, f"{counts.max() / counts.sum():.3f}" if counts.any() else ""]
        table.add_row(str(k), str(sizes[k]), *(known if metrics else ()))
    print_plainly(console, f"Number of clusters: {how_many(grouping)}")
    console.print(table)
    if sound := without_a_finding(mic.grouping):
        print_plainly(console, f"Without a finding: {sound}")
    if metrics:
        print_scores(console, metrics)
    print_plainly(console, f"Look at {out / PAGE}")
