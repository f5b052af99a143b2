"""A file of labels in; images by class, as other tools want them, out: the command `anomaly-clustering export`."""

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from anomaly_clustering.cli.console import as_cell, print_plainly
from anomaly_clustering.runs.export import export
from anomaly_clustering.runs.exported_images import classes_of, without_missing, without_region
from anomaly_clustering.runs.labels import Labelled, read_labels
from anomaly_clustering.system.messages import counted


def export_labels(options: argparse.Namespace) -> None:
    """Run the command; for the options see `export_options`."""
    out = options.out or Path(f"labelled-{options.layout}")
    labels = read_labels(options.labels)
    regions = contents = None
    if options.run:
        # Here, since reading a run takes longer than all that other layouts need.
        from anomaly_clustering.runs.exported_run import labels_and_run

        labels, regions, contents = labels_and_run(
            options.run, labels, min_score=options.min_score or 0.0, folders=options.images or ()
        )
    gone: list[Labelled] = []
    changed: list[Labelled] = []
    if options.skip_missing:
        labels, gone, changed = without_missing(labels)
    left_out = export(
        labels,
        out,
        options.layout,
        val_fraction=options.val,
        seed=options.seed,
        regions=regions,
        boxes=options.boxes,
        folders=options.images,
        contents=contents,
    )
    table = Table("Class", "Images")
    counts = Counter(image.label for image in labels if image.is_sure)
    for label, count in counts.most_common():
        table.add_row(as_cell(label), str(count))
    console = Console()
    console.print(table)
    if left_out:
        print_plainly(console, f"Left out, without a label or unsure: {left_out} of {counted(len(labels), 'image')}")
    for why, lost in (("are gone", gone), ("hold another image by now", changed)):
        if lost:
            first = str(lost[0].path)
            print_plainly(console, f"Left out, since their files {why}: {counted(len(lost), 'image')}, first {first!r}")
    bare = None if regions is None else without_region(labels, regions)
    if bare and any(bare):
        reasons = [f"{bare.sound} named good, normal or ok"] if bare.sound else []
        reasons += [f"in {bare.usual} nothing stands out"] if bare.usual else []
        exported = counted(counts.total(), "image")
        print_plainly(console, f"No region: {sum(bare)} of {exported} ({'; '.join(reasons)})")
    classes = classes_of(labels, options.layout, with_regions=regions is not None)
    others = ", or named good, normal or ok" if len(classes) < len(counts) else ""
    images, number = counted(counts.total(), "image"), counted(len(classes), "class", "classes")
    print_plainly(console, f"In {out}, as {options.layout}: {images} of {number}{others}")
