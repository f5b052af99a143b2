"""Cells that are missing in; computed and kept, or listed with how long they will take, out."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.runs.tracked_run import TrackedRun
from anomaly_clustering.system.messages import counted
from experiments.asked import Command, asked_otherwise, chosen_cells, plan_of, settings_of
from experiments.cells import Cell, Store, is_mic
from experiments.compute import Outcome
from experiments.executors import open_executor
from experiments.follow import Followed
from experiments.found import Found
from experiments.output import absent
from experiments.plan import Plan, estimate
from experiments.run import run


def _missing(name: str, plan: Plan, command: Command, store: Store) -> list[Cell]:
    """The cells to compute."""
    return (
        [] if command.finished else [cell for cell in chosen_cells(plan, command) if not store.read(cell, plan.needs)]
    )


def measured(name: str, command: Command, store: Store, failed: dict[str, str]) -> Found:
    """Compute what is missing of a table or figure; those that fail are put down, and not tried again."""
    plan = plan_of(name, command)
    missing = [cell for cell in _missing(name, plan, command, store) if cell.key not in failed]
    failed |= _compute(name, _with_weights(missing, plan), store, command)
    return Found(plan, store, settings_of(name, command), asked_otherwise(name, command))


def told_of_finished(parts: Sequence[tuple[str, Command]], store: Store) -> list[str]:
    """How many runs are finished already, and so are not logged, or have no artefacts: both come as a run is computed.

    Returns:
        Sentences for the user.
    """
    finished: dict[str, Path | None] = {}
    for name, command in parts:
        plan = plan_of(name, command)
        for cell in chosen_cells(plan, command):
            if store.read(cell, plan.needs):
                finished[cell.key] = _followed(name, cell, command).artefacts
    command = parts[0][1]
    bare = sum(folder is not None and not folder.is_dir() for folder in finished.values())
    ways = f"to compute them again, take their files out of {str(store.folder)!r}"
    notices = []
    if command.artefacts and bare:
        notices.append(f"{counted(bare, 'finished run')} without artefacts: --artefacts is for new ones; {ways}")
    if command.wandb != "off" and finished:
        notices.append(f"{counted(len(finished), 'finished run')} that --wandb does not log now; {ways}")
    return notices


def list_missing(name: str, parts: Sequence[tuple[str, Command]], store: Store) -> None:
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
    seconds, unlike = estimate(list(missing.values()), store)
    print(f"{name}: {len(missing)} of {len(all_cells)} runs to compute")
    if seconds:
        print(f"  one after the other they take {timedelta(seconds=round(seconds))}" + (" and more" if unlike else ""))
    if unlike:
        print(f"  how long these take is unknown, since none was run yet: {', '.join(unlike)}")


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
        return _followed(name, cell, command)

    with open_executor(
        command.executor,
        workers=min(command.workers, len(cells)),
        address=command.address,
        folder=command.out / "submitit",
        parameters=dict(command.parameters),
    ) as (executor, at_a_time):
        failed = run(cells, store, executor, at_a_time=at_a_time, report=report, followed=followed)
    return {cell.key: f"failed: {cell}\n{text}" for cell, text in failed.items()}


def _followed(name: str, cell: Cell, command: Command) -> Followed:
    return followed_run(TrackedRun(name, cell.method, str(cell.category), cell.seed, id=cell.key), command)


def followed_run(run: TrackedRun, command: Command) -> Followed:
    """A run that is seen where the command says."""
    # Absolute, since the worker may have been started elsewhere.
    out = command.out.absolute()
    return Followed(run, command.wandb, out, out / "artefacts" / run.identity if command.artefacts else None)
