"""How well new types of defects are told: each class of a folder is left out of a run in turn, and comes later.

    python -m benchmarks.unknown metal_nut/test --normals metal_nut/train/good
    python -m benchmarks.unknown photos --splits 1 --backbone resnet18.tv_in1k

Two thirds of the images of the other classes make the run, the rest come later with those of the class: known images,
and unknown ones. The printed table has for each class the area under the ROC curve of p, unknown against known ones,
the share of unknown images that are flagged, and of known ones: the false alarms. A class named good, ok, normal or
free is never left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import roc_auc_score

from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.records import Record
from anomaly_clustering.estimator import AnomalyClusterer

GOOD = ("good", "ok", "normal", "free")


class Told(NamedTuple):
    """Of one class and split."""

    area: float
    flagged: float
    false_alarms: float


def told(known: Sequence[Path], unknown: Sequence[Path], split: int, options: argparse.Namespace) -> Told:
    """Unknown images against a third of the known ones, by a run of the others."""
    shuffled = [known[i] for i in np.random.default_rng(split).permutation(len(known))]
    cut = round(len(known) * 2 / 3)
    clusterer = AnomalyClusterer(
        backbone=options.backbone, checkpoint=options.checkpoint, image_size=options.image_size, random_state=split
    )
    normals = sorted(options.normals.iterdir()) if options.normals else None
    clusterer.fit(sorted(shuffled[:cut]), normals=normals)
    held = shuffled[cut:]
    found = clusterer.assign([*held, *unknown], false_alarms=options.false_alarms)
    is_unknown = np.arange(len(found.p_values)) >= len(held)
    return Told(
        float(roc_auc_score(is_unknown, -found.p_values)),
        float(found.unknown[is_unknown].mean()),
        float(found.unknown[~is_unknown].mean()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images, a subfolder for each class")
    parser.add_argument("--normals", type=Path, help="folder of images known to be free of defects")
    parser.add_argument("--splits", type=int, default=3, help="random thirds that are held out")
    parser.add_argument("--false-alarms", type=float, default=0.05, help="share of known images that may be flagged")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--image-size", type=int, default=256)
    options = parser.parse_args()
    listing = list_folder(options.folder)
    names = listing.class_names
    table = Table("left out", "images", "AUROC", "flagged", "false alarms")
    rows = []
    left_out = [i for i, name in enumerate(names) if name.lower() not in GOOD]
    for class_ in track(left_out, "Leaving out each class"):
        of_class, others = _split(listing.records, class_)
        parts = [told(others, of_class, split, options) for split in range(options.splits)]
        rows.append(np.mean(parts, axis=0))
        table.add_row(names[class_], str(len(of_class)), *(f"{value:.2f}" for value in rows[-1]))
    table.add_row("mean", "", *(f"{value:.2f}" for value in np.mean(rows, axis=0)))
    Console().print(table)


def _split(records: Sequence[Record], class_: int) -> tuple[list[Path], list[Path]]:
    of_class = [record.image for record in records if record.label == class_]
    return of_class, [record.image for record in records if record.label != class_]


if __name__ == "__main__":
    main()
