"""A folder of images in; groups with a report to look at out: the command `anomaly-clustering cluster`."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from lightning import Trainer
from rich.console import Console
from rich.table import Table

from anomaly_clustering.accelerator import ACCELERATOR
from anomaly_clustering.backbone import EMBEDDED
from anomaly_clustering.console import drawing, print_notices, print_plainly
from anomaly_clustering.data import DefectDataModule, Folder, Synthetic
from anomaly_clustering.mic import MIC
from anomaly_clustering.parser import Parser
from anomaly_clustering.report import confusion
from anomaly_clustering.run_folder import check_free, how_many, scores, write_run
from anomaly_clustering.run_report import PAGE

# As in configs/mic/maps.yaml.
EFFECTIVE_PATCHES = 20.0

EXAMPLES = """\
examples:
  anomaly-clustering cluster photos                       group the images below photos/
  anomaly-clustering cluster photos --clusters 6          ... into six groups
  anomaly-clustering cluster photos --normal good_ones    images known to be fine show what is new: groups better
  anomaly-clustering cluster photos --maps DIR            weigh by the anomaly maps of another detector
  anomaly-clustering cluster --synthetic                  try it without images of your own

Open report.html in the output folder with any browser. If the images lie in subfolders, these count as known defect
types and the report compares the groups with them; they play no part in the grouping.

The embedded network works offline at once. WideResNet-50 groups better: --backbone wide_resnet50_2, downloaded once,
or given as a file with --checkpoint."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The options of the command, checked as far as that takes no file."""
    parser = Parser(
        prog="anomaly-clustering cluster",
        description="Group images of one product by type of defect, without labels and without training.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("images", nargs="?", type=Path, metavar="IMAGES", help="folder of images (PNG, JPEG, BMP, TIFF, WebP)")
    add("--synthetic", action="store_true", help="group generated images of a defective product instead")
    add("--clusters", type=_num_clusters, default="auto", metavar="K", help="how many groups, or auto (default)")
    add("--normal", type=Path, metavar="DIR", help="folder of images known to be free of defects")
    add("--maps", type=Path, metavar="DIR", help="anomaly maps of another detector, one for each image")
    add("--backbone", default=EMBEDDED, metavar="NAME", help="network: embedded (default), or any of timm")
    add("--layer", metavar="NAME", help="layer of the network (default: that of the paper)")
    add("--checkpoint", type=Path, metavar="FILE", help="weights of the network in a local file")
    add("--image-size", type=int, default=256, metavar="PIXELS", help="images are resized to a square (default 256)")
    add("--tau", type=float, help="smoothness of the weights (default 0.02; chosen by itself with --maps)")
    add("--skip-unreadable", action="store_true", help="list damaged files and go on without them")
    add("--out", type=Path, metavar="DIR", help="output folder (default: IMAGES-clusters, in this folder)")
    add("--overwrite", action="store_true", help="replace the run that the output folder holds")
    options = parser.parse_args(argv)
    if options.synthetic == (options.images is not None):
        parser.error("give a folder of images, or --synthetic for generated ones")
    if options.synthetic and (options.normal or options.maps or options.skip_unreadable):
        parser.error("--normal, --maps and --skip-unreadable are for a folder of images, not for --synthetic")
    if options.normal and options.maps:
        parser.error("--normal and --maps are two ways to weigh patches; give one of them")
    return options


def _num_clusters(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"the number of clusters must be 2 or more, or 'auto', got {text!r}")
    return int(text)


def cluster(argv: Sequence[str]) -> None:
    """Run the command; `argv` is what follows 'cluster'."""
    options = arguments(argv)
    console = Console()
    name = options.images.resolve().name if options.images else "synthetic"
    out = options.out or Path(f"{name}-clusters")
    check_free(out, overwrite=options.overwrite)
    datamodule = _datamodule(options)
    mic = MIC(
        options.backbone,
        layer=options.layer,
        checkpoint=options.checkpoint,
        weights="maps" if options.maps else "novelty" if options.normal else "rarity",
        tau=0.02 if options.tau is None else options.tau,
        # The scale of foreign maps is arbitrary, so no tau suits them all.
        effective_patches=EFFECTIVE_PATCHES if options.maps and options.tau is None else None,
        num_clusters=options.clusters,
    )
    if options.backbone == EMBEDDED:
        print_plainly(
            console,
            "Using the embedded EfficientNet-Lite0. WideResNet-50 groups better: --backbone wide_resnet50_2, "
            "downloaded once.",
        )
    trainer = Trainer(
        accelerator=ACCELERATOR, devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.validate(mic, datamodule=datamodule, verbose=False)
    metrics = {key: value.item() for key, value in trainer.callback_metrics.items()}
    config = yaml.safe_dump({key: _plain(value) for key, value in vars(options).items()}, sort_keys=False)
    write_run(
        out,
        mic,
        datamodule,
        metrics=metrics,
        config=config,
        overwrite=options.overwrite,
        progress=drawing,
    )
    _print(console, mic, datamodule, metrics, out)


def _datamodule(options: argparse.Namespace) -> DefectDataModule:
    if options.synthetic:
        return Synthetic(image_size=options.image_size)
    return Folder(
        options.images,
        normals=options.normal,
        maps=options.maps,
        skip_unreadable=options.skip_unreadable,
        image_size=options.image_size,
    )


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _print(console: Console, mic: MIC, datamodule: DefectDataModule, metrics: Mapping[str, float], out: Path) -> None:
    print_notices(console, (*datamodule.notices, *mic.notices))
    grouping, names = mic.grouping, datamodule.class_names
    sizes = np.bincount(grouping.labels)
    table = Table("cluster", "images", *(("mostly", "purity") if metrics else ()))
    for k, counts in enumerate(confusion(grouping.labels, grouping.target, num_classes=len(names))):
        known = [names[counts.argmax()], f"{counts.max() / counts.sum():.3f}"] if counts.any() else ["", ""]
        table.add_row(str(k), str(sizes[k]), *(known if metrics else ()))
    print_plainly(console, f"Number of clusters: {how_many(grouping)}")
    console.print(table)
    if metrics:
        console.print(scores(metrics))
    print_plainly(console, f"Look at {out / PAGE}")
