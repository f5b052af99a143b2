"""Where a run is seen beside its table, in; a logger and callbacks for the Trainer, ended with the run, out."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lightning import Callback
from lightning.pytorch.loggers import Logger

from anomaly_clustering.runs.tracked_run import Mode, TrackedRun, mode_of


@dataclass(frozen=True)
class Followed:
    """A run that W&B logs, or whose artefacts are written to a folder.

    Args:
        run: as W&B lists it, without its options, which are resolved where it is computed.
        wandb: whether W&B logs it.
        folder: below which W&B keeps its files.
        artefacts: folder for contact sheets and the like.
    """

    run: TrackedRun
    wandb: Mode
    folder: Path
    artefacts: Path | None = None


@contextmanager
def follow(
    followed: Followed | None, config: Mapping[str, Any]
) -> Iterator[tuple[Logger | Literal[False], list[Callback]]]:
    """Nothing where nobody looks; a run that fails is marked so.

    Args:
        config: resolved.
    """
    if followed is None:
        yield False, []
        return
    # Here, since importing W&B takes a second.
    from anomaly_clustering.runs.tracking import Track, finish, wandb_logger

    run = replace(followed.run, config=config)
    logger = wandb_logger(followed.wandb, run, folder=followed.folder)
    try:
        yield logger or False, [Track(run, followed.artefacts)]
    except BaseException:
        finish(failed=True)
        raise
    finish()


def log_summary(followed: Followed, columns: list[str], rows: list[list[Any]]) -> None:
    """The table of an experiment as a W&B run of its own."""
    from anomaly_clustering.runs.tracking import log_table

    log_table(followed.wandb, followed.run, columns, rows, folder=followed.folder)


def check_wandb(mode: Mode) -> None:
    """Fail before any work where W&B would take nothing.

    Raises:
        ValueError: see `tracking.check_login`.
    """
    if mode_of(mode) == "online":
        from anomaly_clustering.runs.tracking import check_login

        check_login(mode)
