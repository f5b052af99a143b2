"""The words of the user in; the options of a command, or one line that says what is wrong with them, out.

Nothing that takes long to import is imported here, so that --help, a slip of the pen and a file or folder that is not
there are answered at once.
"""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from textwrap import indent
from typing import NoReturn, get_args

from anomaly_clustering.cli import descriptions, values
from anomaly_clustering.cli.where import add_where, check_where
from anomaly_clustering.runs.export_layouts import ExportLayout
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS
from anomaly_clustering.runs.period_names import PERIODS_OF_TIME, SHIFTS

METHODS = ("signed_residuals", "paper")
WEIGHTS_ACTIONS = ("fetch", "show", "list")


class Parser(argparse.ArgumentParser):
    """Says what is wrong without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def cluster_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering cluster`; files and folders that they name are there."""
    parser = Parser(
        prog="anomaly-clustering cluster",
        description="Group images of one product by type of defect, without labels and without training.",
        epilog=descriptions.CLUSTER_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("images", nargs="?", type=values.folder, metavar="IMAGES", help="folder of images (PNG, JPEG, BMP, TIFF, WebP)")
    add("--synthetic", action="store_true", help="cluster generated images of a defective product instead")
    add("--clusters", type=values.num_clusters, default="auto", metavar="K", help="how many, or auto: up to 20")
    add("--normal", type=values.folder, metavar="DIR", help="folder of images known to be free of defects")
    add("--maps", type=values.maps, metavar="DIR", help="anomaly maps of another detector, one for each image")
    add("--method", choices=METHODS, default=METHODS[0], help="signed_residuals (default), or paper: that of the paper")
    add("--backbone", default="embedded", metavar="NAME", help="network: embedded (default), or any of timm")
    add("--layer", metavar="NAME", help="layer of the network (default: those of the method)")
    add("--checkpoint", type=values.checkpoint, metavar="FILE", help="weights of the network in a local file")
    add("--image-size", type=int, default=256, metavar="PIXELS", help="images are resized to a square (default 256)")
    add(
        "--aspect",
        choices=("square", "keep"),
        default="square",
        help="keep: as many pixels, of each image's own aspect",
    )
    add(
        "--references",
        type=values.references,
        default="auto",
        metavar="N",
        help="images to compare with, or all (default: 32, or 100 of --normal; paper: all, beyond 2000 images 64)",
    )
    add(
        "--decoding",
        choices=("reduced", "exact"),
        default="reduced",
        help="reduced (default): large JPEG files at a size that is enough; exact: all their pixels",
    )
    add("--views", type=int, choices=(1, 2, 4, 8), help="ways to look at each image (default 4; paper 1)")
    add("--tau", type=float, help="smoothness of the weights (default: 6%% of the patches count; paper 0.02)")
    add("--skip-unreadable", action="store_true", help="list damaged files and go on without them")
    add("--copies", choices=("all", "once"), default="all", help="exact copies of an image: all (default), or one")
    add("--metadata", type=values.table, metavar="FILE", help="CSV with path, and time, batch, line, station or others")
    add(
        "--bits",
        type=values.bits,
        default="auto",
        metavar="N",
        help="bits of the camera in 16-bit files (default auto)",
    )
    add("--out", type=Path, metavar="DIR", help="output folder (default: IMAGES-clusters, in this folder)")
    add("--overwrite", action="store_true", help="replace the run that the output folder holds")
    add_where(parser)
    options = parser.parse_args(argv)
    check_where(options)
    _check_cluster(parser, options)
    return options


def _check_cluster(parser: Parser, options: argparse.Namespace) -> None:
    if options.synthetic == (options.images is not None):
        parser.error("give a folder of images, or --synthetic for generated ones")
    if options.synthetic and (options.normal or options.maps or options.skip_unreadable or options.bits != "auto"):
        parser.error("--normal, --maps, --skip-unreadable and --bits are for a folder of images, not for --synthetic")
    if options.synthetic and options.metadata:
        parser.error("--metadata is for a folder of images, not for --synthetic, whose images have no files of a user")
    if options.synthetic and options.aspect != "square":
        parser.error("--aspect is for a folder of images, not for --synthetic, whose images are squares")
    if options.maps and options.views:
        parser.error("--views is for patches that are compared with those of other images, not for --maps")
    if options.normal and options.maps:
        parser.error("--normal and --maps are two ways to weigh patches; give one of them")


def folder_of_run(options: argparse.Namespace) -> Path:
    """The folder that `cluster` writes to.

    Args:
        options: see `cluster_options`.

    Returns:
        What was asked, else IMAGES-clusters in the working directory.

    Example:
        >>> str(folder_of_run(argparse.Namespace(out=None, images=Path("line 2/photos"))))
        'photos-clusters'
    """
    if options.out or not options.images:
        return options.out or Path("synthetic-clusters")
    # The name that a link was given, and not that of the folder where it leads.
    return Path(f"{_name_of(Path(os.path.abspath(options.images)))}-clusters")


def _name_of(folder: PurePath) -> str:
    """Of the root of a drive its letter, of that of a share on Windows its name; 'images' of the root of a system."""
    return folder.name or next(filter(None, reversed(re.split(r"[\\/:]", folder.anchor))), "images")


def assign_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering assign`; files and folders that they name are there."""
    parser = _parser_of_later_images("assign", descriptions.ASSIGN)
    parser.add_argument("images", type=values.folder, metavar="NEW_IMAGES", help="folder of images")
    _add_report(parser)
    return parser.parse_args(argv)


def update_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering update`; files and folders that they name are there."""
    parser = _parser_of_later_images("update", descriptions.UPDATE)
    parser.add_argument("images", nargs="?", type=values.folder, metavar="NEW_IMAGES", help="folder of images")
    _add_report(parser)
    return parser.parse_args(argv)


def watch_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering watch`; files and folders that they name are there."""
    parser = _parser_of_later_images("watch", descriptions.WATCH)
    add = parser.add_argument
    add("images", type=values.folder, metavar="FOLDER", help="folder that images come into")
    add("--every", type=values.seconds, default=1.0, metavar="SECONDS", help="how often to look (default 1)")
    add(
        "--once",
        action="store_true",
        help="take what is there and end: with status 3 if an image of it was unknown, else 2 if a file or folder "
        "could not be read, else 0",
    )
    add(
        "--on-unknown",
        type=values.command_words,
        metavar="CMD",
        help="run this for each unknown image, with its path as the last word and the line of JSON in the variable "
        "ANOMALY_CLUSTERING_IMAGE; no shell reads it, and it has a minute",
    )
    return parser.parse_args(argv)


def _parser_of_later_images(command: str, description: str) -> Parser:
    parser = Parser(
        prog=f"anomaly-clustering {command}",
        description=description,
        epilog=f"what is unknown:\n{indent(descriptions.UNKNOWN, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_run(parser)
    parser.add_argument(
        "--false-alarms",
        type=values.share,
        metavar="SHARE",
        help="share of known images that may be taken for unknown ones, see below; it holds for later calls too "
        f"(default: that of the last call, else {FALSE_ALARMS})",
    )
    _add_checkpoint(parser)
    return parser


def _add_run(parser: Parser) -> None:
    parser.add_argument(
        "--run",
        type=values.run_folder,
        required=True,
        metavar="DIR",
        help="folder that `anomaly-clustering cluster` wrote",
    )


def _add_labels(parser: Parser) -> None:
    """Of commands that draw no report."""
    parser.add_argument(
        "--labels",
        type=values.labels_file,
        metavar="FILE",
        help="labels.csv saved from the report: names of clusters, corrected",
    )


def _add_checkpoint(parser: Parser) -> None:
    """A run names the file of its weights, which may lie elsewhere by now, or on another machine."""
    parser.add_argument(
        "--checkpoint",
        type=values.checkpoint,
        metavar="FILE",
        help="where the weights of the run's network are now, if `cluster` was given a file and it was moved",
    )


def _add_report(parser: Parser) -> None:
    """What the report is drawn from."""
    add = parser.add_argument
    add(
        "--labels",
        type=values.labels_file,
        metavar="FILE",
        help="labels.csv saved from the report: clusters as they were corrected",
    )
    add(
        "--images",
        dest="run_images",
        action="append",
        type=values.folder,
        metavar="DIR",
        help="where images of the run may lie (default: this folder; what was moved is not looked for); may be given "
        "several times",
    )
    add("--metadata", type=values.table, metavar="FILE", help="CSV with path, and time, batch, line, station or others")
    add("--skip-unreadable", action="store_true", help="list damaged files and go on without them")


def export_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering export`; the file of labels and the run are there."""
    parser = Parser(
        prog="anomaly-clustering export",
        description=descriptions.EXPORT,
        epilog=descriptions.EXPORT_LAYOUTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--labels",
        type=values.labels_file,
        required=True,
        metavar="FILE",
        help="labels.csv, saved from a report (labels.json of earlier versions too)",
    )
    add("--layout", choices=get_args(ExportLayout), default="folders", help="see below (default folders)")
    add(
        "--run",
        type=values.run_folder,
        metavar="DIR",
        help="the run of the report: regions of defects from its heat maps",
    )
    add(
        "--images",
        action="append",
        type=values.folder,
        metavar="DIR",
        help="where the images may lie (default: this folder), or were moved to (with --run, by content); may be given "
        "several times",
    )
    add("--min-score", type=float, metavar="S", help="leave out regions with a lower score (default 0)")
    add(
        "--skip-missing", action="store_true", help="leave out images whose files are gone or changed, and say how many"
    )
    add("--boxes", action="store_true", help="label-studio, cvat: boxes in place of polygons")
    add("--out", type=Path, metavar="DIR", help="output folder (default: labelled-LAYOUT, in this folder)")
    add("--val", type=float, default=0.2, metavar="SHARE", help="yolo-*: share of each class for val (default 0.2)")
    add("--seed", type=int, default=0, help="yolo-*: draws the images for val")
    options = parser.parse_args(argv)
    if options.min_score is not None and options.run is None:
        parser.error("--min-score chooses among the regions of a run; give its folder with --run")
    if options.boxes and options.layout not in ("label-studio", "cvat"):
        parser.error("--boxes is for label-studio and cvat; coco has boxes and polygons, YOLO a layout of each")
    return options


def onnx_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering export-onnx`; the run and the labels are there."""
    parser = Parser(prog="anomaly-clustering export-onnx", description=descriptions.ONNX)
    add = parser.add_argument
    _add_run(parser)
    add("--out", type=Path, required=True, metavar="FILE", help="the model, such as model.onnx")
    _add_labels(parser)
    _add_checkpoint(parser)
    add("--half", action="store_true", help="keep references in half precision: a smaller file, distances to .01")
    add("--overwrite", action="store_true", help="replace the file that is there")
    return parser.parse_args(argv)


def trends_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering trends`; the run and the files are there."""
    parser = Parser(prog="anomaly-clustering trends", description=descriptions.TRENDS)
    add = parser.add_argument
    _add_run(parser)
    add(
        "--by",
        default="auto",
        metavar="PERIOD",
        help=f"{', '.join(PERIODS_OF_TIME)}, or a column of the metadata such as batch (default: by the span of time)",
    )
    add(
        "--shifts",
        type=values.shifts,
        metavar="TIMES",
        help=f"when shifts begin, such as {','.join(f'{begin:%H:%M}' for begin in SHIFTS)} (the default); for --by "
        "shift",
    )
    _add_labels(parser)
    add(
        "--metadata",
        type=values.table,
        metavar="FILE",
        help="CSV with path, time, batch, ... for this call, on top of what the run has kept",
    )
    options = parser.parse_args(argv)
    if options.shifts and options.by not in ("auto", "shift"):
        parser.error(f"--shifts says when shifts begin; give --by shift in place of --by {options.by}")
    options.by = "shift" if options.shifts else options.by
    options.shifts = options.shifts or list(SHIFTS)
    return options


def weights_options(argv: Sequence[str]) -> argparse.Namespace:
    """The options of `anomaly-clustering weights`."""
    parser = Parser(
        prog="anomaly-clustering weights",
        description=descriptions.WEIGHTS,
        epilog=descriptions.WEIGHTS_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("action", choices=WEIGHTS_ACTIONS, help="fetch: download; show: licence and size alone; list: what is there")
    add("names", nargs="*", metavar="NAME", help="networks by their names in timm, such as wide_resnet50_2")
    add("--folder", type=Path, metavar="DIR", help="to carry (default: this machine's cache, which HF_HOME may name)")
    options = parser.parse_args(argv)
    if options.action == "list" and options.names:
        parser.error(f"weights list shows all that is there; to look {options.names[0]!r} up take: weights show")
    if options.action != "list" and not options.names:
        parser.error(f"name a network of timm, such as: weights {options.action} wide_resnet50_2")
    return options
