"""What the user asked for in; the tables and figures that it takes, and the cells of each, out."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anomaly_clustering.runs.tracked_run import Mode
from experiments.categories import MTD, MVTEC, SYNTHETIC, Category
from experiments.cells import Cell, Settings
from experiments.each_type import without_each
from experiments.executors import Name
from experiments.figures import FIGURES, Network
from experiments.methods import Method
from experiments.plan import Plan, make_plan
from experiments.reading import EACH_RUN, STABILITY
from experiments.tables import LABELLING, READINGS, RESAMPLES, TABLES

REPRODUCTION = "reproduction"
# The options of a command's one network, each with a value.
NETWORK = ("--backbone", "--checkpoint", "--last-layer")


@dataclass(frozen=True, eq=False)
class Command:
    """What was asked for."""

    names: Sequence[str]
    settings: Settings
    out: Path = Path("runs/experiments")
    seeds: int | None = None
    resamples: int | None = None
    folders: Sequence[Category] = ()
    networks: Sequence[Network] = ()
    only: Sequence[str] = ()
    categories: Sequence[Category] = ()
    dry_run: bool = False
    finished: bool = False
    """Compute nothing, and write what is finished."""
    measured: Path | None = None
    """A file of what is finished, here and elsewhere."""
    executor: Name = "inprocess"
    workers: int = 1
    address: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    wandb: Mode = "off"
    artefacts: bool = False
    report: Path | None = None
    """What 'reproduction' writes, where another file is asked for."""
    flags: str = ""


def parts_of(name: str, command: Command) -> list[tuple[str, Command]]:
    """A table or figure, with the command that makes it.

    'reproduction' is every table and figure, with each network that was named; those that compare networks once.
    """
    comparing = command if command.networks else _without_network(command)
    if name != REPRODUCTION:
        return [(name, comparing if compares_networks(name) else command)]
    each = [_with_network(command, network) for network in command.networks] or [command]
    return [(part, of) for part in (*TABLES, *FIGURES) for of in ([comparing] if compares_networks(part) else each)]


def all_parts(command: Command) -> list[tuple[str, Command]]:
    """All tables and figures of a command, each with the command that makes it."""
    return [part for name in command.names for part in parts_of(name, command)]


def _with_network(command: Command, network: Network) -> Command:
    checkpoint = Path(network.checkpoint) if network.checkpoint else None
    settings = replace(command.settings, backbone=network.name, checkpoint=checkpoint, last_layer=network.last_layer)
    flags = ["--backbone", network.name]
    flags += ["--checkpoint", network.checkpoint] if network.checkpoint else []
    flags += ["--last-layer", network.last_layer] if network.last_layer != "last" else []
    return replace(command, settings=settings, flags=f"{command.flags} {shlex.join(flags)}".lstrip())


def _without_network(command: Command) -> Command:
    """The command of a figure of several networks, which takes no network of its own."""
    usual = Settings()
    settings = replace(
        command.settings, backbone=usual.backbone, checkpoint=usual.checkpoint, last_layer=usual.last_layer
    )
    flags, words = [], iter(shlex.split(command.flags))
    for word in words:
        option, joined, _ = word.partition("=")
        if option not in NETWORK:
            flags.append(word)
        elif not joined:
            next(words, None)
    return replace(command, settings=settings, flags=shlex.join(flags))


def compares_networks(name: str) -> bool:
    """Whether it is a figure of several networks."""
    return name in FIGURES and bool(FIGURES[name].networks)


def plan_of(name: str, command: Command) -> Plan:
    """The cells of a table or figure."""
    settings, methods, seeds = settings_of(name, command), methods_of(name, command), command.seeds
    if name in TABLES:
        seeds = TABLES[name].seeds if seeds is None else seeds
    categories = categories_of(name, command)
    nothing_left: dict[Category, str] = {}
    if name in TABLES and TABLES[name].leaves_out:
        categories, nothing_left = without_each(categories, settings)
    plan = make_plan(methods, categories, 1 if seeds is None else seeds, settings)
    plan.missing |= nothing_left
    plan.needs = needs_of(name)
    return plan


def categories_of(name: str, command: Command) -> Sequence[Category]:
    """What a table or figure is measured on."""
    return [SYNTHETIC] if command.settings.synthetic else _own(name) or [*MVTEC, MTD, *command.folders]


def takes_folders(name: str) -> bool:
    """Whether a table or figure is measured on folders of the user's own too."""
    return not _own(name)


def _own(name: str) -> Sequence[Category]:
    if name in FIGURES:
        return FIGURES[name].categories
    return list(dict.fromkeys(member for group in TABLES[name].groups for member in group.members))


def needs_of(name: str) -> Collection[str]:
    """Metrics without which a run is not finished for a table: versions before these were measured did without."""
    shown = set(TABLES[name].metrics) if name in TABLES else set()
    every_run = {EACH_RUN: READINGS, LABELLING[0]: set(LABELLING), STABILITY: {STABILITY}}
    return [metric for metric, others in every_run.items() if shown & others]


def settings_of(name: str, command: Command) -> Settings:
    """Those of the command, with as many random subsets as a table or figure takes."""
    usual = TABLES[name].resamples if name in TABLES else RESAMPLES
    return replace(command.settings, resamples=usual if command.resamples is None else command.resamples)


def asked_otherwise(name: str, command: Command) -> list[str]:
    """Seeds, subsets and networks that were asked for in place of the usual ones: files are told by them."""
    table = TABLES.get(name)
    usual = {"seeds": table.seeds if table else 1, "subsets": table.resamples if table else RESAMPLES}
    asked = {"seeds": command.seeds, "subsets": command.resamples}
    numbers = [f"{asked[what]}{what}" for what in usual if asked[what] not in (None, usual[what])]
    compared = () if name in TABLES else FIGURES[name].networks
    networks = command.networks if compared and tuple(command.networks) != compared else ()
    return [*numbers, *(network.of_file for network in networks)]


def methods_of(name: str, command: Command) -> Mapping[str, Method]:
    """The rows of a table, or what a figure is drawn from."""
    if name in TABLES:
        return TABLES[name].methods
    return FIGURES[name].methods(command.settings, command.networks or FIGURES[name].networks)


def chosen_cells(plan: Plan, command: Command) -> list[Cell]:
    """The cells that --only and --categories leave."""
    begins = tuple(name.lower() for name in command.only)
    wanted = {
        cell.key
        for (name, category), cells in plan.cells.items()
        for cell in cells
        if (not begins or name.lower().startswith(begins))
        and (not command.categories or category.whole in command.categories)
    }
    return [cell for cell in plan.once() if cell.key in wanted]
