"""The options of a run in; what W&B lists it by out. Knows nothing of W&B but its environment variables."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["off", "online", "offline"]
# Where a run leaves its files, and whether it replaces others, is not what it is.
INCIDENTAL = ("out", "overwrite", "wandb", "ckpt_path")
# The category of a method that brings its own data.
OF_METHOD = "own data"
# What `WANDB_MODE` forbids; 'dryrun' is what W&B called 'offline' before.
LEAST: Mapping[str, Mode] = {"disabled": "off", "offline": "offline", "dryrun": "offline"}


@dataclass(frozen=True)
class TrackedRun:
    """How W&B lists a run.

    Args:
        experiment: the group, such as 'table8'.
        method: the type of job.
        category: of the data set, or the data set.
        seed: of the run.
        config: all options, resolved.
        id: by which a run is continued; by default that of `wandb agent`, or else it follows from `config`, so the same
            options are the same run.

    Example:
        >>> model, data = {"class_path": "MIC"}, {"class_path": "MVTec", "init_args": {"category": "tile"}}
        >>> describe("test", {"model": model, "data": data}).summary
        {'method': 'MIC', 'category': 'tile', 'seed': 0}
    """

    experiment: str
    method: str
    category: str
    seed: int
    config: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None

    @property
    def identity(self) -> str:
        """The id by which W&B knows the run: the given one, that of `wandb agent`, or a digest of the options."""
        kept = {name: value for name, value in self.config.items() if name not in INCIDENTAL}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]
        return self.id or os.environ.get("WANDB_RUN_ID") or digest

    @property
    def summary(self) -> dict[str, Any]:
        """A row of the table over all categories."""
        return {"method": self.method, "category": self.category, "seed": self.seed}


def describe(command: str, config: Mapping[str, Any], *, goes_on: str | None = None) -> TrackedRun:
    """The run of a command of the command line, out of its resolved options.

    Args:
        command: its name, by which W&B groups runs unless `WANDB_RUN_GROUP` is set.
        config: all options, resolved, with `model` and `data` as classes and their arguments, if they have any.
        goes_on: id of the run of a training that goes on, see `run_of`: options such as the number of epochs may be
            other ones now. A run that `wandb agent` has named is its own.

    Returns:
        How W&B lists the run.

    Example:
        >>> model, data = {"class_path": "baselines.SCAN"}, {"class_path": "data.MTD", "init_args": {}}
        >>> run = describe("fit", {"model": model, "data": data, "seed_everything": 3})
        >>> run.method, run.category, run.seed
        ('SCAN', 'MTD', 3)
    """
    model, data = (_part(config, name) for name in ("model", "data"))
    category = data["init_args"].get("category") or data["class_path"].rpartition(".")[2] or OF_METHOD
    method = model["class_path"].rpartition(".")[2]
    given = model["init_args"].get("seed", config.get("seed_everything"))
    seed = given if isinstance(given, int) and not isinstance(given, bool) else 0
    group = os.environ.get("WANDB_RUN_GROUP", command)
    known = None if "WANDB_RUN_ID" in os.environ else goes_on
    return TrackedRun(group, method, category, seed, config, known)


def _part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = config.get(name) or {}
    return {"class_path": part.get("class_path", ""), "init_args": part.get("init_args") or {}}


def mode_of(asked: Mode) -> Mode:
    """How a run is logged: as it was asked for, or with less where `WANDB_MODE` says so for this machine.

    Args:
        asked: by the options of the command.

    Example:
        >>> os.environ["WANDB_MODE"] = "offline"
        >>> mode_of("online"), mode_of("off")
        ('offline', 'off')
        >>> del os.environ["WANDB_MODE"]
        >>> mode_of("online")
        'online'
    """
    machine = LEAST.get(os.environ.get("WANDB_MODE", ""), "online")
    order: tuple[Mode, ...] = ("off", "offline", "online")
    return min(asked, machine, key=order.index)
