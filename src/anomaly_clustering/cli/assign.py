"""New images and the folder of a run in; their clusters, and its report with them, out: `assign` and `update`."""

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from anomaly_clustering.cli.console import as_cell, offering_to_skip, print_notices, print_plainly
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.metadata import Matched, read_metadata
from anomaly_clustering.data.survey import surveyed
from anomaly_clustering.runs.assigned import assign_to_run
from anomaly_clustering.runs.file_names import ASSIGNED, PAGE
from anomaly_clustering.runs.later_images import contents_of, load_later
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.system.messages import counted


def assign_images(options: argparse.Namespace, *, propose: bool = False) -> None:
    """Run the command, or that of `update`, which proposes groups; see `assign_options` and `update_options`."""
    images: list[Path] = []
    notices: list[str] = []
    run = load_run(options.run)
    if options.images is not None:
        listing = list_folder(options.images, skip_unreadable=options.skip_unreadable, bits=run.recipe.bits)
        listing = surveyed(listing, bits=run.recipe.bits, copies=None)
        images, notices = [record.image for record in listing.records], list(listing.notices)
    metadata, untold = _metadata(options, run, images)
    with offering_to_skip():
        found = assign_to_run(
            options.run,
            images,
            labels=options.labels,
            folders=options.run_images,
            false_alarms=options.false_alarms,
            propose=propose,
            metadata=metadata,
            checkpoint=options.checkpoint,
        )
    _print([*notices, *untold, *found.notices], found.rows, options.run, given=images, own=run.paths)


def _metadata(options: argparse.Namespace, run: StoredRun, images: Sequence[Path]) -> Matched:
    """Of the images of this call; where none are given, of those of the run and of all that came later."""
    if options.metadata is None:
        return Matched({}, [])
    if options.images is None:
        images = list(contents_of(run, load_later(options.run, run))) if run.embeddings is not None else run.paths
    return read_metadata(options.metadata, images, folder=options.images)


def _print(
    notices: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    given: Sequence[Path],
    own: Sequence[Path],
) -> None:
    console = Console()
    print_notices(console, notices)
    table = Table("Cluster", "Name", "Images")
    sizes = Counter((row["cluster"], row["label"]) for row in rows if not row["unknown"] and row["cluster"] != "")
    for (cluster, name), size in sorted(sizes.items()):
        table.add_row(str(cluster), as_cell(name), str(size))
    console.print(table)
    # The table may have the path by which a file came first.
    asked, of_run = {os.path.realpath(path) for path in given}, {str(path) for path in own}
    same = [row["same_as"] in of_run for row in rows if row["same_as"] and os.path.realpath(row["path"]) in asked]
    copies = ", " + counted(same.count(False), "copy", "copies") + " of others that came later" if not all(same) else ""
    earlier = f"; with those of earlier calls {len(rows)} in {ASSIGNED}" if len(rows) > len(given) else ""
    print_plainly(console, f"{counted(len(given), 'image')}, {sum(same)} of the run itself{copies}{earlier}")
    print_plainly(console, f"Unknown, of none of these types: {sum(row['unknown'] for row in rows)}")
    print_plainly(console, f"Look at {folder / PAGE}")
