"""Runs the command that the user names; what the user can mend ends with one line and no traceback.

All else is imported when it is needed, so that a signal finds no program that does not heed it yet.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from traceback import format_exc

from anomaly_clustering import __version__
from anomaly_clustering.cli.lasting_output import is_all_written, outlast_readers
from anomaly_clustering.cli.memory import out_of_memory
from anomaly_clustering.cli.option_names import by_options
from anomaly_clustering.cli.starting import end_with_the_starter, is_first
from anomaly_clustering.cli.stopping import status_of, stop_on_signals
from anomaly_clustering.cli.unread import no_images_came
from anomaly_clustering.runs.unfinished_folder import UnfinishedFolder
from anomaly_clustering.system.ending import end_after_all
from anomaly_clustering.system.messages import sentence_of, shortened, without_types
from anomaly_clustering.system.results import keeping, nothing_placed, what_is_kept

HELP = """\
usage: anomaly-clustering COMMAND ...

Group images of one product by type of defect, without labels and without training.

for a folder of images:
  cluster IMAGES               cluster them, with a report to look at and to name the clusters in
  export --labels labels.csv   copy the images that were named in the report, as other tools train from them
  assign IMAGES --run DIR      put images that come later into the clusters of a run
  update IMAGES --run DIR      the same, and group those that are of no known type
  watch FOLDER --run DIR       assign images as they come into a folder
  trends --run DIR             counts and shares of defects over time or by batch, with what has changed
  export-onnx --run DIR        a run as one ONNX file, which tells clusters without this package
  weights fetch NAME           weights of a network, to carry to a machine without a network connection

for research, each with a method and data (-c CONFIG, --model, --data; see configs/):
  test                         the paper's method and its variants, with all scores
  validate                     the same
  predict                      the same, without scores
  fit                          train a deep clustering method, or one of your own

'anomaly-clustering COMMAND --help' tells more of each.

examples:
  anomaly-clustering cluster --synthetic
  anomaly-clustering cluster photos --normal good_ones
  anomaly-clustering test -c configs/mic/weighted_average.yaml -c configs/data/mtd.yaml --data.root DIR
  anomaly-clustering fit -c configs/baselines/scan.yaml -c configs/data/mtd.yaml --data.root DIR"""
RESEARCH = ("test", "validate", "predict", "fit")
COMMANDS = (
    *("cluster", "export", "assign", "update", "watch", "trends", "export-onnx", "weights"),
    *RESEARCH,
)
# Set to anything, it shows where in the code an error was raised.
TRACEBACK = "ANOMALY_CLUSTERING_TRACEBACK"
TRACED = "Traceback (most recent call last)"


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; what the user can mend ends with one line and status 2, never with a traceback.

    Args:
        argv: words of the user; None for those that this program was started with, which then Ctrl-C and SIGTERM end
            within a second, whatever it computes.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # One for research may stand behind a file of options.
    command = next((word for word in words if word in COMMANDS), "")
    nothing_placed()
    try:
        if argv is None:
            outlast_readers()
            stop_on_signals(_interrupted)
            end_with_the_starter()
        work = _command(words)
        from anomaly_clustering.mic.quiet import quiet

        with quiet():
            work()
        if not is_all_written():
            sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as stop:
        status = status_of(stop)
        if status is None:
            raise
        if argv is None:
            end_after_all(status, _interrupted())
        print(_interrupted(), file=sys.stderr)
        sys.exit(status)
    except (ValueError, OSError, RuntimeError, MemoryError, ImportError) as error:
        if unread := no_images_came(error):
            # What reads them may never answer a wish to end.
            if argv is None:
                traced = format_exc() if os.environ.get(TRACEBACK) else ""
                end_after_all(2, f"{traced}error: {unread}")
            error = OSError(unread)
        if less := out_of_memory(error, command):
            error = OSError(less)
        lost = "Connection closed by peer" in str(error)
        if os.environ.get(TRACEBACK) or (isinstance(error, RuntimeError | ImportError) and not lost):
            raise
        if lost:
            sys.exit("error: another process failed; it says why")
        # The commands for research have options of the names that Python code has.
        said = _message(error) if command in RESEARCH else by_options(_message(error))
        print(f"error: {said}", file=sys.stderr)
        sys.exit(2)


def _command(words: list[str]) -> Callable[[], object]:
    """What there is to do. What a command needs takes seconds to import, so that its options are read before."""
    match words:
        case [] | ["-h" | "--help", *_]:
            return partial(print, HELP)
        case ["--version", *_]:
            return partial(print, f"anomaly-clustering {__version__}")
        case [word, *_] if word not in COMMANDS and not word.startswith("-"):
            raise ValueError(f"there is no command {word!r}; choose one of {', '.join(COMMANDS)}")
    from anomaly_clustering.cli import options as options_of

    match words:
        case ["cluster", *rest]:
            options = options_of.cluster_options(rest)
            keeping(UnfinishedFolder(options_of.folder_of_run(options)).kept)
            from anomaly_clustering.cli.cluster import cluster

            return partial(cluster, options)
        case ["assign" | "update" as word, *rest]:
            options = options_of.update_options(rest) if word == "update" else options_of.assign_options(rest)
            from anomaly_clustering.cli.assign import assign_images

            return partial(assign_images, options, propose=word == "update")
        case ["watch", *rest]:
            options = options_of.watch_options(rest)
            keeping(lambda: "what was assigned is kept: start the command again to go on")
            from anomaly_clustering.cli.watch import watch

            return partial(watch, options)
        case ["export", *rest]:
            options = options_of.export_options(rest)
            from anomaly_clustering.cli.export import export_labels

            return partial(export_labels, options)
        case ["trends", *rest]:
            options = options_of.trends_options(rest)
            from anomaly_clustering.cli.trends import show_trends

            return partial(show_trends, options)
        case ["export-onnx", *rest]:
            options = options_of.onnx_options(rest)
            from anomaly_clustering.cli.export_onnx import export_onnx

            return partial(export_onnx, options)
        case ["weights", *rest]:
            options = options_of.weights_options(rest)
            from anomaly_clustering.cli.weights import weights

            return partial(weights, options)
        case _:
            if "fit" in words:
                keeping(lambda: "epochs that have ended are kept: go on with --ckpt_path last, if there are any")
            _check_configs(words)
            from anomaly_clustering.cli.lightning import run

            return partial(run, words)


def _check_configs(words: Sequence[str]) -> None:
    """Name a file of options that is not there before seconds of imports."""
    given = [following for word, following in pairwise(words) if word in ("-c", "--config")]
    given += [word.partition("=")[2] for word in words if word.startswith("--config=")]
    for config in given:
        # Options themselves may stand there too, as YAML.
        if not set(config) & set("{}:\n"):
            if Path(config).is_dir():
                raise IsADirectoryError(f"config {config!r} is a folder; give a file in it")
            # A pipe of the shell is no file, and can be read as one.
            if not Path(config).exists():
                raise FileNotFoundError(f"config {config!r} does not exist")


def _interrupted() -> str:
    return f"error: interrupted; {what_is_kept()}" if is_first() else ""


def _message(error: Exception) -> str:
    """The error's own sentence in one line.

    What comes from a worker process has a traceback before it; what comes from jsonargparse lists types around it.
    """
    text = sentence_of(error)
    if TRACED in text:
        text = re.split(rf"^(?:\w+\.)*{type(error).__name__}: ", text, flags=re.MULTILINE)[-1]
    return shortened(without_types(text, "Given value: NestedArg", "Given value: Namespace"))
