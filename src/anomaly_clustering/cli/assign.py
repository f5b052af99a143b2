"""New images and the folder of a run in; their clusters, and its report with them, out: `anomaly-clustering assign`."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from rich.console import Console
from rich.table import Table

from anomaly_clustering.cli.console import drawing_the_report, offering_to_skip, print_notices, print_plainly
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.files import files_into
from anomaly_clustering.report.places import place_among
from anomaly_clustering.runs.assign import Assignment, Embedded, assign, embed_later, fitted_to
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.file_names import ASSIGNED, PAGE
from anomaly_clustering.runs.labels import read_labels
from anomaly_clustering.runs.later_images import LaterImages, load_later
from anomaly_clustering.runs.run_report import AssignedImages, draw_report
from anomaly_clustering.runs.store import StoredRun, load_run


class Known(NamedTuple):
    """The clusters of the run, or what became of them in the report."""

    labels: Int[np.ndarray, " n"]
    names: Mapping[int, str]


def assign_images(options: argparse.Namespace) -> None:
    """Run the command; for the options see `assign_options`."""
    run = load_run(options.run)
    _check_there(run)
    known = _known(run, options.labels)
    listing = list_folder(options.images, skip_unreadable=options.skip_unreadable)
    seen = load_later(options.run, run)
    with offering_to_skip():
        later, given = embed_later(run, seen, [record.image for record in listing.records])
    fitted = fitted_to(run, known.labels)
    new = Embedded(later.digests, later.embeddings, later.mean_scores)
    known_contents = set(run.digests)
    of_run = {image: content for image, content in given.items() if content in known_contents}
    found_own = assign(list(of_run.values()), new, fitted)
    # All that came later, also in earlier calls: clusters may have been corrected since.
    found = assign(later.digests, new, fitted)
    rows = [
        *_rows(list(of_run), found_own, known.names, same_as=[str(run.paths[i]) for i in found_own.nearest]),
        *_rows(later.paths, found, known.names, same_as=[""] * len(later.paths)),
    ]
    _write(options.run, run, later, found, rows)
    _print(listing.notices, rows, options.run, given=len(listing.records))


def _rows(
    images: Sequence[Path], found: Assignment, names: Mapping[int, str], *, same_as: Sequence[str]
) -> list[dict[str, object]]:
    return [
        {
            "path": image,
            "cluster": int(cluster),
            "label": "" if unknown else names.get(int(cluster), ""),
            "distance_to_center": float(distance),
            "unknown": bool(unknown),
            "same_as": same,
        }
        for image, cluster, distance, unknown, same in zip(
            images, found.labels, found.distances, found.unknown, same_as, strict=True
        )
    ]


def _check_there(run: StoredRun) -> None:
    missing = [path for path in run.paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(run.paths)} images of the run, which the report shows, are not there, "
            f"{str(missing[0])!r} for one; run the command where `anomaly-clustering cluster` was run"
        )


def _known(run: StoredRun, file: Path | None) -> Known:
    if run.embeddings is None:
        raise ValueError(f"run {run.title!r} compared images patch by patch: it has no embeddings to assign by")
    if file is None:
        return Known(run.labels, {})
    decided = {image.path: image for image in read_labels(file)}
    missing = [path for path in run.paths if path not in decided]
    if missing:
        raise ValueError(
            f"{str(file)!r} is not of this run: {len(missing)} of its images are not in it, {str(missing[0])!r} for one"
        )
    own = [decided[path] for path in run.paths]
    labels = np.array([image.cluster for image in own])
    return Known(labels, {image.cluster: image.label for image in own})


def _write(
    folder: Path, run: StoredRun, later: LaterImages, found: Assignment, rows: Sequence[Mapping[str, object]]
) -> None:
    """All of it, or nothing."""
    assert run.embeddings is not None
    with files_into(folder, last=".html") as new:
        write_assignments(new / ASSIGNED, rows)
        later.save(new)
        drawn = AssignedImages(
            paths=later.paths,
            nearest=found.nearest,
            distances=found.distances,
            unknown=found.unknown,
            weights=later.weights.astype(np.float16),
            places=place_among(later.embeddings, run.embeddings, run.places),
        )
        draw_report(new, run, drawn, progress=drawing_the_report)


def _print(notices: Sequence[str], rows: Sequence[Mapping[str, Any]], folder: Path, *, given: int) -> None:
    console = Console()
    print_notices(console, notices)
    table = Table("cluster", "name", "images")
    sizes = Counter((row["cluster"], row["label"]) for row in rows if not row["unknown"])
    for (cluster, name), size in sorted(sizes.items()):
        table.add_row(str(cluster), name, str(size))
    console.print(table)
    same = sum(bool(row["same_as"]) for row in rows)
    earlier = f"; with those of earlier calls {len(rows)} in {ASSIGNED}" if len(rows) > given else ""
    print_plainly(console, f"{given} images, {same} of them of the run itself{earlier}")
    print_plainly(console, f"Unknown, out of the range of the run: {sum(row['unknown'] for row in rows)}")
    print_plainly(console, f"Look at {folder / PAGE}")
