"""New images and the folder of a run in; their clusters, and its report with them, out: `anomaly-clustering assign`."""

import argparse
import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table

from anomaly_clustering.cli.console import drawing, offering_to_skip, print_notices, print_plainly
from anomaly_clustering.clustering.methods import distance_to_center
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.report.places import place_among
from anomaly_clustering.runs.assign import Assignment, assign
from anomaly_clustering.runs.drawn_report import PAGE, Later, draw_report
from anomaly_clustering.runs.folder import ASSIGNED
from anomaly_clustering.runs.labels import read_labels
from anomaly_clustering.runs.later_images import LaterImages, add_images, load_later
from anomaly_clustering.runs.store import StoredRun, load_run


class Clusters(NamedTuple):
    """Those of the run, or what became of them in the report."""

    embeddings: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    names: Mapping[int, str]


class Row(NamedTuple):
    """An image that was assigned."""

    path: Path
    cluster: int
    label: str
    distance_to_center: float
    unknown: bool
    same_as: str
    """The image of the run that it is, empty where it is new."""


def assign_images(options: argparse.Namespace) -> None:
    """Run the command; for the options see `assign_options`."""
    run = load_run(options.run)
    _check_there(run)
    clusters = _clusters(run, options.labels)
    listing = list_folder(options.images, skip_unreadable=options.skip_unreadable)
    seen = load_later(options.run, run, clusters.embeddings)
    with offering_to_skip():
        later, of_run = add_images(run, seen, [record.image for record in listing.records])
    # All of them, also those of earlier calls: clusters may have been corrected since.
    found = assign(
        later.embeddings,
        clusters.embeddings,
        clusters.labels,
        new_scores=later.mean_scores,
        scores=run.mean_scores,
    )
    rows = [*_rows_of_run(run, clusters, of_run), *_new_rows(clusters, later, found)]
    _write(options.run, run, later, found, rows)
    _print(listing.notices, rows, options.run, given=len(listing.records))


def _check_there(run: StoredRun) -> None:
    missing = [path for path in run.paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(run.paths)} images of the run, which the report shows, are not there, "
            f"{str(missing[0])!r} for one; run the command where `anomaly-clustering cluster` was run"
        )


def _clusters(run: StoredRun, file: Path | None) -> Clusters:
    if run.embeddings is None:
        raise ValueError(f"run {run.title!r} compared images patch by patch: it has no embeddings to assign by")
    if file is None:
        return Clusters(run.embeddings, run.labels, {})
    decided = {image.path: image for image in read_labels(file)}
    missing = [path for path in run.paths if path not in decided]
    if missing:
        raise ValueError(
            f"{str(file)!r} is not of this run: {len(missing)} of its images are not in it, {str(missing[0])!r} for one"
        )
    own = [decided[path] for path in run.paths]
    labels = np.array([image.cluster for image in own])
    return Clusters(run.embeddings, labels, {image.cluster: image.label for image in own})


def _rows_of_run(run: StoredRun, clusters: Clusters, of_run: Mapping[Path, int]) -> Iterator[Row]:
    numbered = np.unique(clusters.labels, return_inverse=True)[1]
    distances = distance_to_center(clusters.embeddings, numbered)
    for image, i in of_run.items():
        k = int(clusters.labels[i])
        yield Row(image, k, clusters.names.get(k, ""), float(distances[i]), False, str(run.paths[i]))


def _new_rows(clusters: Clusters, later: LaterImages, found: Assignment) -> Iterator[Row]:
    for i, image in enumerate(later.paths):
        k, unknown = int(found.labels[i]), bool(found.unknown[i])
        label = "" if unknown else clusters.names.get(k, "")
        yield Row(image, k, label, float(found.distances[i]), unknown, "")


def _write(folder: Path, run: StoredRun, later: LaterImages, found: Assignment, rows: Iterable[Row]) -> None:
    """Everything into a hidden folder of the run first, then moved file by file, the page last."""
    assert run.embeddings is not None
    with tempfile.TemporaryDirectory(dir=folder, prefix=".assigning-") as temporary:
        new = Path(temporary)
        with (new / ASSIGNED).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = csv.writer(file)
            table.writerow(Row._fields)
            for row in rows:
                path, cluster, label, distance, unknown, same_as = row
                table.writerow([path, cluster, label, f"{distance:.6f}", int(unknown), same_as])
        later.save(new)
        drawn = Later(
            paths=later.paths,
            nearest=found.nearest,
            distances=found.distances,
            unknown=found.unknown,
            weights=later.weights.astype(np.float16),
            places=place_among(later.embeddings, run.embeddings, run.places),
        )
        draw_report(new, run, drawn, progress=drawing)
        files = [path for path in new.rglob("*") if path.is_file()]
        for written in sorted(files, key=lambda file: file.suffix == ".html"):
            target = folder / written.relative_to(new)
            target.parent.mkdir(exist_ok=True)
            os.replace(written, target)


def _print(notices: Sequence[str], rows: Sequence[Row], folder: Path, *, given: int) -> None:
    console = Console()
    print_notices(console, notices)
    table = Table("cluster", "name", "images")
    sizes = Counter((row.cluster, row.label) for row in rows if not row.unknown)
    for (cluster, name), size in sorted(sizes.items()):
        table.add_row(str(cluster), name, str(size))
    console.print(table)
    same = sum(bool(row.same_as) for row in rows)
    earlier = f"; with those of earlier calls {len(rows)} in {ASSIGNED}" if len(rows) > given else ""
    print_plainly(console, f"{given} images, {same} of them of the run itself{earlier}")
    print_plainly(console, f"Unknown, out of the range of the run: {sum(row.unknown for row in rows)}")
    print_plainly(console, f"Look at {folder / PAGE}")
