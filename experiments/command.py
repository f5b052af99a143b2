"""Options of a command in; its cells computed, its tables and figures printed and written."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.system.files import remove_leftovers_below
from experiments.categories import MTD, MVTEC, SYNTHETIC, Category
from experiments.cells import Cell, Settings, Store, class_of, file_of, is_mic, takes
from experiments.compute import Outcome
from experiments.executors import Name, open_executor
from experiments.figures import FIGURES, Network
from experiments.follow import Followed, Mode, log_summary
from experiments.found import Found
from experiments.methods import REPOSITORY, Method
from experiments.output import absent, figure_as_text, per_category, table_as_text, write_figure, write_table
from experiments.plan import Plan, estimate, make_plan
from experiments.reproduction import Part, write_reproduction
from experiments.run import run
from experiments.tables import RESAMPLES, TABLES

REPRODUCTION = "reproduction"


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
    executor: Name = "inprocess"
    workers: int = 1
    address: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    wandb: Mode = "off"
    artefacts: bool = False
    report: Path = Path("REPRODUCTION.md")
    flags: str = ""


def make(command: Command) -> int:
    """Compute what is missing, then print and write each table and figure; 1 if cells failed.

    Raises:
        ValueError: an option names what there is not.
    """
    _check(command)
    store = Store(command.out / "cells")
    if not command.dry_run:
        remove_leftovers_below(command.out)
    failed: dict[str, str] = {}
    for name in command.names:
        parts = _parts(command) if name == REPRODUCTION else [(name, command)]
        if command.dry_run:
            _list(name, parts, store)
            continue
        found = {part: _measured(*part, store, failed) for part in parts}
        if name == REPRODUCTION:
            _reproduce(found, failed)
            continue
        print(write(name, found[name, command], command, failed), flush=True)
        if command.wandb != "off":
            summary = _followed(name, "summary", name, 0, f"{name}-{found[name, command].settings.name}", command)
            log_summary(summary, *per_category(found[name, command]))
    for text in failed.values():
        print(f"\n{text}", file=sys.stderr)
    return 1 if failed else 0


def _parts(command: Command) -> list[tuple[str, Command]]:
    """Every table and figure, with each network that was named; those that compare networks once."""
    each = [_with_network(command, network) for network in command.networks] or [command]
    return [(name, of) for name in (*TABLES, *FIGURES) for of in ([command] if _compares_networks(name) else each)]


def _with_network(command: Command, network: Network) -> Command:
    checkpoint = Path(network.checkpoint) if network.checkpoint else None
    settings = replace(command.settings, backbone=network.name, checkpoint=checkpoint, last_layer=network.last_layer)
    flags = ["--backbone", network.name]
    flags += ["--checkpoint", network.checkpoint] if network.checkpoint else []
    flags += ["--last-layer", network.last_layer] if network.last_layer != "last" else []
    return replace(command, settings=settings, flags=f"{command.flags} {shlex.join(flags)}".lstrip())


def _compares_networks(name: str) -> bool:
    return name in FIGURES and bool(FIGURES[name].networks)


def _missing(name: str, plan: Plan, command: Command, store: Store) -> list[Cell]:
    """The cells to compute."""
    return [] if command.finished else [cell for cell in _chosen(plan, command) if not store.read(cell)]


def _measured(name: str, command: Command, store: Store, failed: dict[str, str]) -> Found:
    """Compute what is missing of a table or figure; those that fail are put down, and not tried again."""
    plan = plan_of(name, command)
    missing = [cell for cell in _missing(name, plan, command, store) if cell.key not in failed]
    failed |= _compute(name, _with_weights(missing, plan), store, command)
    return Found(plan, store, settings_of(name, command))


def _check(command: Command) -> None:
    """Fail before any work: an option that nothing follows would go unnoticed for hours."""
    names = [name for asked in command.names for name in ((*TABLES, *FIGURES) if asked == REPRODUCTION else (asked,))]
    methods = list(dict.fromkeys(method for name in names for method in methods_of(name, command)))
    for begin in command.only:
        if not any(method.lower().startswith(begin.lower()) for method in methods):
            raise ValueError(f"--only {begin!r}: no method begins so; there are {methods}")
    settings = command.settings
    configs = {
        method.config: file_of(method, settings) for table in TABLES.values() for method in table.methods.values()
    }
    if settings.preset and all(file == REPOSITORY / config for config, file in configs.items()):
        raise ValueError(
            f"--preset {settings.preset!r}: there is no such file of any method, as scan_small_data.yaml is"
        )
    found = {class_of(file) for file in configs.values() if file.is_file()}
    classes = sorted(class_path for class_path in found if not is_mic(class_path))
    for option in settings.trained:
        if not any(takes(path, option) for path in classes):
            raise ValueError(f"--trained {option!r}: none of {', '.join(classes)} has it")


def _reproduce(found: Mapping[tuple[str, Command], Found], failed: Mapping[str, str]) -> None:
    """Write all tables and figures, and one report on them; what was finished before is not drawn anew."""
    (command, *_) = (command for _, command in found)
    if not command.finished:
        for (name, of), measured in found.items():
            write(name, measured, of, failed)
    write_reproduction(
        [
            Part(
                name,
                measured,
                text_of(name, measured, of),
                f"{of.flags} {_network_flags(name, of)}".rstrip(),
                of.settings.backbone if command.networks and not _compares_networks(name) else "",
            )
            for (name, of), measured in found.items()
        ],
        out=command.report,
    )
    print(f"Written to {command.report}")


def _network_flags(name: str, command: Command) -> str:
    if not command.networks or not _compares_networks(name):
        return ""
    return shlex.join(["--backbones", *map(str, command.networks)])


def write(name: str, found: Found, command: Command, failed: Mapping[str, str]) -> str:
    """Write a table or figure as far as it was measured; the text to print."""
    if name in TABLES:
        return write_table(name, TABLES[name], found, command.out, failed)
    return write_figure(name, FIGURES[name], command.networks or FIGURES[name].networks, found, command.out, failed)


def text_of(name: str, found: Found, command: Command) -> str:
    """What is known of a table or figure, without drawing it."""
    if name in TABLES:
        return table_as_text(name, TABLES[name], found, {})[0]
    return figure_as_text(name, FIGURES[name], command.networks or FIGURES[name].networks, found, {})[0]


def plan_of(name: str, command: Command) -> Plan:
    """The cells of a table or figure."""
    settings, methods, seeds = settings_of(name, command), methods_of(name, command), command.seeds
    categories: Sequence[Category] = FIGURES[name].categories if name in FIGURES else ()
    if name in TABLES:
        seeds = TABLES[name].seeds if seeds is None else seeds
        categories = list(dict.fromkeys(member for group in TABLES[name].groups for member in group.members))
    categories = [SYNTHETIC] if settings.synthetic else categories or [*MVTEC, MTD, *command.folders]
    return make_plan(methods, categories, 1 if seeds is None else seeds, settings)


def settings_of(name: str, command: Command) -> Settings:
    """Those of the command, with as many random subsets as a table or figure takes."""
    usual = TABLES[name].resamples if name in TABLES else RESAMPLES
    return replace(command.settings, resamples=usual if command.resamples is None else command.resamples)


def methods_of(name: str, command: Command) -> Mapping[str, Method]:
    """The rows of a table, or what a figure is drawn from."""
    if name in TABLES:
        return TABLES[name].methods
    return FIGURES[name].methods(command.settings, command.networks or FIGURES[name].networks)


def _chosen(plan: Plan, command: Command) -> list[Cell]:
    """The cells that --only and --categories leave."""
    begins = tuple(name.lower() for name in command.only)
    wanted = {
        cell.key
        for (name, category), cells in plan.cells.items()
        for cell in cells
        if (not begins or name.lower().startswith(begins))
        and (not command.categories or category in command.categories)
    }
    return [cell for cell in plan.once() if cell.key in wanted]


def _list(name: str, parts: Sequence[tuple[str, Command]], store: Store) -> None:
    """Print the runs that are missing, each once, and how long they take."""
    all_cells: dict[str, Cell] = {}
    missing: dict[str, Cell] = {}
    absences: dict[str, str] = {}
    for part, command in parts:
        plan = plan_of(part, command)
        all_cells |= {cell.key: cell for cell in plan.once()}
        missing |= {cell.key: cell for cell in _missing(part, plan, command, store)}
        absences |= absent(plan)
    for cell in missing.values():
        print(f"  {cell}")
    for what, why in absences.items():
        print(f"  missing: {what}: {why}")
    seconds = estimate(list(missing.values()), store)
    took = "unknown, since nothing was measured yet" if seconds is None else str(timedelta(seconds=round(seconds)))
    print(f"{name}: {len(missing)} of {len(all_cells)} runs to compute; one after the other they take {took}")


def _with_weights(cells: Sequence[Cell], plan: Plan) -> list[Cell]:
    """Cells whose network can be had; the methods of the others are put down as unavailable."""
    problems: dict[tuple[str, ...], str | None] = {}
    ready = []
    for cell in cells:
        model = cell.config["model"]
        if is_mic(model["class_path"]):
            options = [model["init_args"].get(name) for name in ("backbone", "layer", "checkpoint")]
            network = tuple(map(str, options))
            if network not in problems:
                problems[network] = _problem(*options)
            if why := problems[network]:
                plan.unavailable[cell.method] = why
                continue
        ready.append(cell)
    return ready


def _problem(name: str, layer: str | None, checkpoint: str | None) -> str | None:
    try:
        Backbone(name, layer=layer, checkpoint=Path(checkpoint) if checkpoint else None)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def _compute(name: str, cells: Sequence[Cell], store: Store, command: Command) -> dict[str, str]:
    """Tracebacks of those that failed, by key."""
    if not cells:
        return {}
    done = 0

    def report(cell: Cell, outcome: Outcome | None) -> None:
        nonlocal done
        done += 1
        result = "failed"
        if outcome:
            metrics = outcome.record["metrics"]
            result = f"NMI {metrics.get('nmi', float('nan')):.3f} in {outcome.record['duration_s']:.1f} s"
        print(f"[{done}/{len(cells)}] {cell}: {result}", file=sys.stderr, flush=True)

    def followed(cell: Cell) -> Followed | None:
        if command.wandb == "off" and not command.artefacts:
            return None
        return _followed(name, cell.method, str(cell.category), cell.seed, cell.key, command)

    with open_executor(
        command.executor,
        workers=min(command.workers, len(cells)),
        address=command.address,
        folder=command.out / "submitit",
        parameters=dict(command.parameters),
    ) as (executor, at_a_time):
        failed = run(cells, store, executor, at_a_time=at_a_time, report=report, followed=followed)
    return {cell.key: f"failed: {cell}\n{text}" for cell, text in failed.items()}


def _followed(name: str, method: str, category: str, seed: int, id: str, command: Command) -> Followed:
    artefacts = command.out / "artefacts" / id if command.artefacts else None
    return Followed(command.wandb, name, method, category, seed, id, command.out, artefacts)
