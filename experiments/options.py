"""The words of the user in; what there is to compute, to print and to write, out."""

import argparse
import json
import os
import shlex
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any, get_args

from anomaly_clustering.data.workers import number_of_workers
from anomaly_clustering.runs.tracked_run import Mode
from anomaly_clustering.system.whole_numbers import image_side
from experiments.asked import REPRODUCTION, Command
from experiments.categories import DEFECTIVE_MTD, MTD, MVTEC, SYNTHETIC, by_name, own_categories
from experiments.cells import Settings
from experiments.executors import Name
from experiments.figures import FIGURES, Network
from experiments.tables import TABLES

KNOWN = (*TABLES, *FIGURES, REPRODUCTION)
EXAMPLES = """\
DIR holds the data sets: mvtec (or the 15 category folders) and mtd (or the MT_* folders). What is not there is said to
be missing in the table. What was computed once is kept below --out and never computed again.

  python -m experiments table1 --data-root DIR --dry-run             what is missing, and how long it will take
  python -m experiments table1 table7 --data-root DIR                cells that two tables share are computed once
  python -m experiments table8 --data-root DIR --executor processes --workers 4
  python -m experiments table8 --data-root DIR --executor dask --address tcp://host:8786
  python -m experiments table1 --data synthetic --backbone embedded  without any data
  python -m experiments ladder --data-root DIR --backbone embedded --folders NEU-DET=FOLDER --cache DIR
  python -m experiments reproduction --data-root DIR --backbones embedded resnet18@layer3=FILE
                                                                     all of it with both, and REPRODUCTION.md
  python -m experiments reproduction --data-root DIR --finished      REPRODUCTION.md of what is there
  python -m experiments reproduction --data-root DIR --finished --measured experiments/measured.jsonl.xz
                                                                     ... and of what others have measured
"""


def command_of(words: list[str]) -> Command:
    """What was asked for.

    Raises:
        ValueError: an option has a value that it cannot have, or two for one name.
        FileNotFoundError: a file that was named is not there.
    """
    parser, actions = _parser()
    options = parser.parse_args(words)
    _check(options)
    known = {str(category): category for category in (*MVTEC, MTD, DEFECTIVE_MTD, SYNTHETIC)}
    folders, normals = (_texts(option, getattr(options, option)) for option in ("folders", "normals"))
    own = own_categories(folders, normals, known)
    known |= {str(category): category for category in own}
    trained = _pairs("trained", options.trained)
    by_name("--trained", [option.partition("@")[2] for option in trained if "@" in option], known)
    settings = Settings(
        data_root=options.data_root,
        synthetic=options.data == "synthetic",
        backbone=options.backbone,
        checkpoint=options.checkpoint,
        image_size=options.image_size,
        num_workers=options.num_workers,
        tau=options.tau,
        last_layer=options.last_layer,
        cache=options.cache,
        preset=options.preset,
        trained=trained,
    )
    return Command(
        names=options.names,
        settings=settings,
        out=options.out,
        seeds=options.seeds,
        resamples=options.resamples,
        folders=own,
        networks=[_network(text) for text in options.backbones],
        only=options.only,
        categories=by_name("--categories", options.categories, known),
        dry_run=options.dry_run,
        finished=options.finished,
        measured=options.measured,
        executor=options.executor,
        workers=options.workers,
        address=options.address,
        parameters=_pairs("parameter", options.parameter),
        wandb=options.wandb,
        artefacts=options.artefacts,
        report=options.report,
        flags=shlex.join(_flags(words, actions)),
    )


def _parser() -> tuple[argparse.ArgumentParser, list[argparse.Action]]:
    """The parser of a command, and its options one by one."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description="The paper's tables and figures, ours beside theirs, and what goes beyond them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions: list[argparse.Action] = []

    def add(*names: str, **how: Any) -> None:
        actions.append(parser.add_argument(*names, **how))

    # Given again, such an option adds to what it was given before.
    several: dict[str, Any] = {"nargs": "+", "default": [], "action": "extend"}
    add("names", nargs="+", choices=KNOWN, metavar="NAME", help=", ".join(KNOWN))
    add("--data-root", type=Path, metavar="DIR", help="folder with the data sets")
    add("--data", choices=("paper", "synthetic"), default="paper", help="the paper's data sets, or generated images")
    add("--folders", **several, metavar="NAME=DIR", help="more for some tables: folders of classes")
    add("--normals", **several, metavar="NAME=DIR", help="the normal images of some of these")
    add("--out", type=Path, default=Path("runs/experiments"), metavar="DIR", help="results (default runs/experiments)")
    add("--backbone", default=Settings.backbone, metavar="NAME", help="embedded, or any of timm (default: the paper's)")
    add("--checkpoint", type=Path, metavar="FILE", help="weights of the network in a local file")
    add("--last-layer", default="last", metavar="NAME", help="of the network, for Table 4, if its weights end early")
    add(
        "--backbones",
        **several,
        metavar="NETWORK",
        help="of Figures 9 to 11, and of all of 'reproduction': NAME[@LAST_LAYER][=FILE]",
    )
    add("--image-size", type=int, default=256, metavar="PIXELS")
    add("--tau", type=float, help="smoothness of the weights (default: the method's)")
    add(
        "--resamples",
        type=int,
        metavar="N",
        help="random subsets of the images (default 20; Tables 9 and 10: 100, 'unknown': none)",
    )
    add("--preset", default="", metavar="NAME", help="of trained methods, such as small_data: configs/*/*_NAME.yaml")
    add(
        "--trained",
        **several,
        metavar="NAME=VALUE",
        help="their options, and max_epochs, max_time, precision: max_epochs=100 SCAN.backbone=resnet18, on one "
        "category IIC.max_epochs@MTD=50; what is for one method comes before what is for one category",
    )
    add("--cache", type=Path, metavar="DIR", help="keep features and nearest patches, for runs that share them")
    add(
        "--seeds",
        type=int,
        metavar="N",
        help="runs of what draws random numbers (default 1; 3 beyond the paper's tables)",
    )
    add("--only", **several, metavar="METHOD", help="compute only methods whose names begin so")
    add("--categories", **several, metavar="NAME", help="compute only these, such as bottle or MTD")
    add("--dry-run", action="store_true", help="compute nothing; list what is missing and how long it will take")
    add("--finished", action="store_true", help="compute nothing; print and write what is finished")
    add(
        "--measured",
        type=Path,
        metavar="FILE",
        help="of 'reproduction --finished': runs of other machines, among which those that are finished here are put",
    )
    add("--executor", choices=get_args(Name), default="inprocess", help="where cells run (default inprocess)")
    add("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes, or SLURM jobs at a time")
    add("--address", metavar="URL", help="of a Dask scheduler; without it one is started here")
    add(
        "--parameter",
        **(several | {"nargs": "*"}),
        metavar="NAME=VALUE",
        help="of submitit, such as slurm_partition=gpu",
    )
    add("--num-workers", type=int, default=0, metavar="N", help="processes that load the images of a cell (default 0)")
    add("--wandb", choices=get_args(Mode), default="off", help="log runs to Weights & Biases (default off)")
    add("--artefacts", action="store_true", help="write contact sheets, heat maps and confusion of each run to --out")
    add("--report", type=Path, metavar="FILE", help="what 'reproduction' writes (default REPRODUCTION.md)")
    return parser, actions


def _check(options: argparse.Namespace) -> None:
    for name in ("seeds", "workers"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise ValueError(f"--{name} must be at least 1, got {number}")
    if options.resamples is not None and (options.resamples < 0 or options.resamples == 1):
        raise ValueError(f"--resamples must be 0 (none) or at least 2, got {options.resamples}")
    for name, check in (("image_size", image_side), ("num_workers", number_of_workers)):
        try:
            check(getattr(options, name))
        except ValueError as error:
            # As the user gave it, and not as a function calls it.
            raise ValueError(str(error).replace(name, f"--{name.replace('_', '-')}")) from None
    if options.measured and not (options.finished and options.names == [REPRODUCTION]):
        raise ValueError("--measured goes with 'reproduction --finished' alone: nothing can be drawn of its runs")
    if options.checkpoint and not options.checkpoint.is_file():
        raise FileNotFoundError(f"checkpoint {str(options.checkpoint)!r} does not exist")


def _flags(words: list[str], actions: Sequence[argparse.Action]) -> list[str]:
    """The options of a command as they were given, for another table; networks are those of some figures only."""
    at_most = {option: _most_values(action) for action in actions for option in action.option_strings}
    flags, keep, values = [], False, 0.0
    for text in words:
        if text.startswith("--"):
            option, joined, _ = text.partition("=")
            keep = option not in ("--report", "--backbones", "--finished", "--measured", "--")
            values = 0 if joined else at_most.get(option, 0)
        else:
            # A word that no option takes is the name of a table.
            keep, values = keep and values > 0, values - 1
        if keep:
            flags.append(text)
    return flags


def _most_values(action: argparse.Action) -> float:
    if action.nargs is None:
        return 1
    return action.nargs if isinstance(action.nargs, int) else inf


def _pairs(option: str, texts: list[str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in _texts(option, texts).items()}


def _texts(option: str, texts: list[str]) -> dict[str, str]:
    if wrong := [text for text in texts if "=" not in text]:
        raise ValueError(f"--{option}: {wrong[0]!r} is not of the form NAME=VALUE")
    found: dict[str, str] = {}
    for name, value in (text.split("=", 1) for text in texts):
        if name in found:
            raise ValueError(f"--{option}: {name!r} is given twice, as {found[name]!r} and as {value!r}; give it once")
        found[name] = value
    return found


def _value(text: str) -> Any:
    """A number, list, true, false or null as JSON has it; the text itself if it is none of these.

    Not YAML, in which `off` is false, `1:00:00` a number and `1e-4` none.
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def _network(text: str) -> Network:
    name, _, file = text.partition("=")
    name, _, last_layer = name.partition("@")
    return Network(name, file or None, last_layer or "last")
