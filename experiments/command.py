"""Options of a command in; its cells computed, its tables and figures printed and written."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from anomaly_clustering.runs.tracked_run import TrackedRun
from anomaly_clustering.system.files import remove_leftovers_below
from experiments.asked import REPRODUCTION, Command, all_parts, chosen_cells, compares_networks, parts_of
from experiments.cells import Store
from experiments.figures import FIGURES
from experiments.follow import check_wandb, log_summary
from experiments.followed_options import check_followed, told_of_unfollowed
from experiments.found import Found
from experiments.gathered import read_gathered, write_gathered
from experiments.missing import followed_run, list_missing, measured, told_of_finished
from experiments.output import figure_as_text, name_of, per_category, table_as_text, write_figure, write_table
from experiments.reproduction import Part, write_reproduction
from experiments.tables import TABLES

REPORT = Path("REPRODUCTION.md")


def make(command: Command) -> int:
    """Compute what is missing, then print and write each table and figure.

    Returns:
        1 if cells failed; 2 if nothing of a table or figure could be computed, as where its data is not there; else 0.

    Raises:
        ValueError: an option names what there is not.
    """
    check_followed(command)
    for notice in told_of_unfollowed(command):
        print(f"Notice: {notice}", file=sys.stderr)
    if not command.dry_run:
        check_wandb(command.wandb)
    gathered = read_gathered(command.measured) if command.measured else {}
    store = Store(command.out / "cells", gathered)
    if not command.dry_run:
        remove_leftovers_below(command.out)
    if (command.artefacts or command.wandb != "off") and not (command.dry_run or command.finished):
        for notice in told_of_finished(all_parts(command), store):
            print(f"Notice: {notice}", file=sys.stderr)
    failed: dict[str, str] = {}
    empty: list[str] = []
    for name in command.names:
        parts = parts_of(name, command)
        if command.dry_run:
            list_missing(name, parts, store)
            continue
        found = {part: measured(*part, store, failed) for part in parts}
        if name == REPRODUCTION:
            _reproduce(found, failed)
            if command.measured:
                write_gathered(command.measured, store)
                print(f"Gathered in {command.measured}")
        else:
            (made,) = found.values()
            print(write(name, made, command, failed), flush=True)
            if _came_to_nothing(made, command):
                empty.append(name)
        if command.wandb != "off":
            failed |= _log(found)
    for text in failed.values():
        print(f"\n{text}", file=sys.stderr)
    if failed:
        return 1
    if empty:
        print(f"error: nothing of {', '.join(empty)} could be computed; above is told what is missing", file=sys.stderr)
    return 2 if empty else 0


def _log(found: Mapping[tuple[str, Command], Found]) -> dict[str, str]:
    """Log tables and figures to W&B, each as a run of its own; what W&B says of those that it does not take."""
    refused: dict[str, str] = {}
    for (name, command), of in found.items():
        summary = TrackedRun(name, "summary", name, 0, id=name_of(name, of))
        try:
            log_summary(followed_run(summary, command), *per_category(of))
        except Exception as error:
            # Whatever it is, the table is written, and others may follow.
            refused[f"summary of {name}"] = f"failed: W&B has not taken the summary of {name}: {error}"
    return refused


def _came_to_nothing(found: Found, command: Command) -> bool:
    """Whether nothing could be computed of what was asked for: its data or its networks are not there."""
    asked_for = bool(chosen_cells(found.plan, command)) or not found.plan.cells
    return asked_for and not (found.categories or command.finished)


def _reproduce(found: Mapping[tuple[str, Command], Found], failed: Mapping[str, str]) -> None:
    """Write all tables and figures, and one report on them; where nothing was computed, the report alone."""
    parts = []
    for (name, command), of in found.items():
        if not command.finished:
            write(name, of, command, failed)
        flags = f"{command.flags} {_network_flags(name, command)}".rstrip()
        network = command.settings.backbone if command.networks and not compares_networks(name) else ""
        parts.append(Part(name, of, text_of(name, of, command), flags, network))
    report = next(command for _, command in found).report or REPORT
    write_reproduction(parts, out=report)
    print(f"Written to {report}")


def _network_flags(name: str, command: Command) -> str:
    if not command.networks or not compares_networks(name):
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
