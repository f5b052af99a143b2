"""A file of labels in; images by class, as other tools want them, out: the command `anomaly-clustering export`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from anomaly_clustering.console import print_plainly
from anomaly_clustering.export import LAYOUTS, export
from anomaly_clustering.labels import read_labels
from anomaly_clustering.parser import Parser


def export_labels(argv: Sequence[str]) -> None:
    """Run the command; `argv` is what follows 'export'."""
    parser = Parser(
        prog="anomaly-clustering export",
        description="Copy labelled images into a folder that other tools train from. Images without a label, and those "
        "marked as unsure, are left out.",
    )
    add = parser.add_argument
    add("--labels", type=Path, required=True, metavar="FILE", help="labels.csv or labels.json, saved from a report")
    add(
        "--layout", choices=tuple(LAYOUTS), default="folders", help="OUT/CLASS/IMAGE (default), COCO, or YOLO's classes"
    )
    add("--out", type=Path, metavar="DIR", help="output folder (default: labelled-LAYOUT, in this folder)")
    add("--val", type=float, default=0.2, metavar="SHARE", help="yolo-cls: share of each class for val (default 0.2)")
    add("--seed", type=int, default=0, help="yolo-cls: draws the images for val")
    options = parser.parse_args(argv)
    out = options.out or Path(f"labelled-{options.layout}")
    labels = read_labels(options.labels)
    left_out = export(labels, out, options.layout, val_fraction=options.val, seed=options.seed)
    table = Table("class", "images")
    for label, count in Counter(image.label for image in labels if image.label and not image.unsure).most_common():
        table.add_row(label, str(count))
    console = Console()
    console.print(table)
    if left_out:
        print_plainly(console, f"Left out, without a label or unsure: {left_out} of {len(labels)} images")
    print_plainly(console, f"The images are in {out}")
