"""Options of a command in; its cells computed, its tables and figures printed and written."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from experiments.categories import MVTEC, SYNTHETIC, Category, single
from experiments.cells import Cell, Settings, Store, write_whole
from experiments.compute import Outcome
from experiments.executors import Name, open_executor
from experiments.plan import Plan, estimate, make_plan
from experiments.published import published
from experiments.run import run
from experiments.summary import LEGEND, Results, as_csv, entries, markdown
from experiments.tables import TABLES, Table


@dataclass(frozen=True)
class Command:
    """What was asked for."""

    names: Sequence[str]
    settings: Settings
    synthetic: bool = False
    out: Path = Path("runs/experiments")
    seeds: int = 1
    only: Sequence[str] = ()
    categories: Sequence[Category] = ()
    dry_run: bool = False
    executor: Name = "inprocess"
    workers: int = 1
    address: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def make(command: Command) -> int:
    """Compute what is missing, then print and write each table; 1 if cells failed."""
    store = Store(command.out / "cells")
    failed: dict[str, str] = {}
    for name in command.names:
        table = _table(name, command)
        plan = _plan(table, command)
        missing = [cell for cell in _chosen(plan, table, command) if not store.read(cell) and cell.key not in failed]
        if command.dry_run:
            _list(name, missing, plan, store)
            continue
        failed |= _compute(missing, store, command)
        _write_table(name, table, plan, store, command, failed)
    for text in failed.values():
        print(f"\n{text}", file=sys.stderr)
    return 1 if failed else 0


def _table(name: str, command: Command) -> Table:
    table = TABLES[name]
    return replace(table, groups=(single(SYNTHETIC),)) if command.synthetic else table


def _plan(table: Table, command: Command) -> Plan:
    categories = dict.fromkeys(member for group in table.groups for member in group.members)
    settings = command.settings if table.resample else replace(command.settings, resamples=0)
    return make_plan(table.methods, categories, command.seeds, settings)


def _chosen(plan: Plan, table: Table, command: Command) -> list[Cell]:
    """The cells that --only and --categories leave."""
    begins = tuple(name.lower() for name in command.only)
    if begins and not any(name.lower().startswith(begins) for name in table.methods):
        raise ValueError(f"--only {' '.join(command.only)}: no method begins so; there are {list(table.methods)}")
    return [
        cell
        for cell in plan.once()
        if (not begins or cell.method.lower().startswith(begins))
        and (not command.categories or cell.category in command.categories)
    ]


def _list(name: str, missing: Sequence[Cell], plan: Plan, store: Store) -> None:
    for cell in missing:
        print(f"  {cell}")
    for what, why in _absent(plan).items():
        print(f"  missing: {what}: {why}")
    seconds = estimate(missing, store)
    took = "unknown, since nothing was measured yet" if seconds is None else str(timedelta(seconds=round(seconds)))
    print(f"{name}: {len(missing)} of {len(plan.once())} runs to compute; one after the other they take {took}")


def _compute(cells: Sequence[Cell], store: Store, command: Command) -> dict[str, str]:
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

    with open_executor(
        command.executor,
        workers=min(command.workers, len(cells)),
        address=command.address,
        folder=command.out / "submitit",
        parameters=dict(command.parameters),
    ) as (executor, at_a_time):
        failed = run(cells, store, executor, at_a_time=at_a_time, report=report)
    return {cell.key: f"failed: {cell}\n{text}" for cell, text in failed.items()}


def _write_table(
    name: str, table: Table, plan: Plan, store: Store, command: Command, failed: Mapping[str, str]
) -> None:
    results: Results = {
        place: [record for cell in cells if (record := store.read(cell))] for place, cells in plan.cells.items()
    }
    found = entries(table, {} if command.synthetic else published(name), results)
    file = command.out / "tables" / file_name(name, command)
    number = name.removeprefix("table")
    title = f"Table {number}. {table.title}" if number.isdecimal() else table.title
    text = "\n\n".join(
        [
            f"# {title}{' (synthetic set, not the data of the paper)' * command.synthetic}",
            _circumstances(plan, store, command, failed),
            LEGEND,
            markdown(table, found),
            table.note.format(resamples=command.settings.resamples),
        ]
    )
    write_whole(file.with_name(f"{file.name}.md"), text.rstrip() + "\n")
    write_whole(file.with_name(f"{file.name}.csv"), as_csv(name, found))
    print(f"{text}\n\nWritten to {file}.md and .csv", flush=True)


def file_name(name: str, command: Command) -> str:
    """Of what comes out, without ending: results of one setting do not replace those of another."""
    return f"{name}-{'synthetic-' * command.synthetic}{command.settings.name}"


def _circumstances(plan: Plan, store: Store, command: Command, failed: Mapping[str, str]) -> str:
    """What was measured with what, and what was not."""
    cells = plan.once()
    records = [record for cell in cells if (record := store.read(cell))]
    settings = command.settings
    weights = f" from {settings.checkpoint.name}" if settings.checkpoint else ""
    lines = [
        f"Measured with {settings.backbone}{weights} on images of {settings.image_size} pixels: "
        f"{len(records)} of {len(cells)} runs.",
        *(f"Missing: {what} ({why})." for what, why in _absent(plan).items()),
    ]
    if broken := [cell for cell in cells if cell.key in failed]:
        lines.append(f"Failed: {'; '.join(map(str, broken))}.")
    return "\n".join(lines)


def _absent(plan: Plan) -> dict[str, str]:
    """Categories and methods that cannot be measured, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    whole = set(MVTEC) <= plan.missing.keys()
    categories = {category.dataset if whole else str(category): why for category, why in plan.missing.items()}
    for what, why in (categories | plan.unavailable).items():
        reasons.setdefault(why, []).append(what)
    return {", ".join(names): why for why, names in reasons.items()}
