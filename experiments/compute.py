"""The configuration of a run in; its metrics, labels and circumstances out. Runs on whatever machine it is sent to."""

import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentError
from lightning import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities.model_helpers import is_overridden

from anomaly_clustering.metrics.agreement import clustering_metrics
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.quiet import quiet
from anomaly_clustering.runs.epochs import LastAndBest
from anomaly_clustering.runs.predictions import predicted
from anomaly_clustering.runs.training import precision_of_training
from anomaly_clustering.system.messages import without_types
from experiments.epochs_told import EpochsTold
from experiments.follow import Followed, follow
from experiments.kept import Kept
from experiments.labelling import labelling
from experiments.left_out import LeftOut, unknown_scores
from experiments.methods import REPOSITORY
from experiments.places import with_whole_paths
from experiments.reading import reading

# Lightning's chatter and files are of no use where hundreds of runs are one table.
QUIET = {
    "devices": 1,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
PARTS: dict[str, type[LightningModule] | type[LightningDataModule]] = {
    "model": LightningModule,
    "data": LightningDataModule,
}
# PyTorch's random numbers are the process's, and a worker of Dask may have as many threads as there are cores.
ALONE = Lock()
PACKAGES = ("anomaly-clustering", "torch", "torchvision", "lightning", "timm", "scikit-learn", "scipy", "numpy")


@dataclass(frozen=True)
class Outcome:
    """What is kept of a run: `record` as JSON, `arrays` as NumPy's."""

    record: dict[str, Any]
    arrays: dict[str, np.ndarray]


def compute(
    config: dict[str, Any],
    followed: Followed | None = None,
    unfinished: Path | None = None,
    *,
    folder: Path | None = None,
) -> Outcome:
    """Run a module on a DataModule: `fit` if it has a training step, `test` if not. One run at a time in a process.

    Args:
        config: `model` and `data` as class paths with arguments, `seed_everything`, and `trainer` where it matters.
        followed: where else the run is seen.
        unfinished: where a training is kept while it goes on, and from where it goes on.
        folder: that the paths of the configuration are relative to, where that is not the one of this process.

    Raises:
        BlockingIOError: another process goes on with the training in `unfinished`.
        ValueError: see `resolve`; or `unfinished` is of another version of the module.
    """
    with ALONE, quiet():
        return _compute(config, followed, unfinished, folder or Path.cwd())


def _compute(config: dict[str, Any], followed: Followed | None, unfinished: Path | None, folder: Path) -> Outcome:
    started = time.perf_counter()
    # Asked for here and not at import: each process may see a GPU of its own.
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    seed_everything(config["seed_everything"], workers=True, verbose=False)
    parsed = _parser().parse_object(with_whole_paths(config, folder))
    objects = _parser().instantiate(parsed)
    given = {name: value for name, value in objects.trainer.items() if value is not None}
    module, data, epochs = objects.model, objects.data, LastAndBest()
    given["precision"] = precision_of_training(module, given.get("precision"), accelerator)
    resolved = resolve(config)
    kept = Kept(unfinished, resolved)
    with follow(followed, resolved) as (logger, callbacks):
        # What is kept of the training has all that the others hold of its last epoch.
        callbacks = [*_listed(given.pop("callbacks", None)), epochs, EpochsTold(), *callbacks, kept]
        trainer = Trainer(**{**given, **QUIET, "accelerator": accelerator, "logger": logger, "callbacks": callbacks})
        if is_overridden("training_step", module, LightningModule):
            with kept.alone():
                _fit(trainer, module, data, kept.found())
        else:
            trainer.test(module, datamodule=data, verbose=False)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        arrays = _grouping(module) if isinstance(module, MIC) else _predicted(trainer, module)
        if isinstance(module, MIC):
            shown = reading(module, data) | labelling(module.grouping)
            shown |= unknown_scores(module, data) if isinstance(data, LeftOut) else {}
            metrics |= shown
            if logger:
                logger.log_metrics(shown)
    if not isinstance(module, MIC):
        for prefix, why in (("best_", "best_by_accuracy"), ("best_by_loss_", "best_by_loss")):
            metrics |= {f"{prefix}{name}": float(value) for name, value in epochs.chosen().get(why, {}).items()}
        metrics |= _scores(arrays)
    record = {
        "metrics": metrics,
        "spreads": _spreads(module) if isinstance(module, MIC) else {},
        "config": resolved,
        "num_images": len(arrays["labels"]),
        "notices": [*getattr(data, "notices", ()), *getattr(module, "notices", ()), *epochs.notices()],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": _commit(),
        "device": torch.cuda.get_device_name() if accelerator == "cuda" else _processor(),
        "duration_s": round(kept.before + time.perf_counter() - started, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Outcome(record, arrays)


def _fit(trainer: Trainer, module: LightningModule, data: LightningDataModule, kept: Path | None) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=kept, weights_only=True)
    except RuntimeError as error:
        if kept is None or "state_dict" not in str(error):
            raise
        raise ValueError(f"{str(kept)!r} is of another version of this method: delete it to begin anew") from error


def _grouping(mic: MIC) -> dict[str, np.ndarray]:
    """Labels, true classes and merges of MIC, and the weights of patches where it has chosen any."""
    grouping = mic.grouping
    arrays = {"index": grouping.index, "labels": grouping.labels, "target": grouping.target}
    arrays |= {"tree": grouping.groups.tree, "distances": grouping.groups.distances}
    if mic.options.weighs_patches:
        arrays["weights"] = grouping.weights.astype(np.float16)
    return arrays


def _spreads(mic: MIC) -> dict[str, dict[str, list[float]]]:
    """Scores of random subsets, and at each tau of a band, where the run has scored any."""
    return {
        metric: {over: [round(value, 6) for value in values] for over, values in spread._asdict().items()}
        for metric, spread in mic.spreads.items()
    }


def _predicted(trainer: Trainer, module: LightningModule) -> dict[str, np.ndarray]:
    """Labels that a module predicts, in the order of the data set."""
    table = predicted(trainer, module)
    if table is None:
        raise ValueError(
            f"{type(module).__name__} must have a predict_step that returns 'index' and 'label' of a batch"
        )
    records = trainer.datamodule.records  # type: ignore[attr-defined]
    index, labels = (np.array([row[name] for row in table]) for name in ("index", "label"))
    target = np.array([-1 if records[i].label is None else records[i].label for i in index])
    return {"index": index, "labels": labels, "target": target}


def _listed(callbacks: Callback | list[Callback] | None) -> list[Callback]:
    """As YAML may give them."""
    return callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []


def _scores(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The evaluator that all methods share, on the labels that a method gives in the end."""
    metrics = clustering_metrics()
    metrics.update(torch.from_numpy(arrays["labels"]), torch.from_numpy(arrays["target"]))
    return {name: float(value) for name, value in metrics.compute().items()}


def resolve(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of module and DataModule with all defaults filled in.

    Raises:
        ValueError: a class cannot be found, or an argument is not one of its.
    """
    parts = {name: _resolved(name, json.dumps(config[name], sort_keys=True)) for name in ("model", "data")}
    return {**parts, "seed_everything": config["seed_everything"], "trainer": config.get("trainer") or {}}


@lru_cache(maxsize=4096)
def _resolved(name: str, part: str) -> dict[str, Any]:
    """A table has many runs but few modules and categories; each is looked at once."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(PARTS[name], name, subclass_mode=True)
    try:
        complete: dict[str, Any] = parser.parse_object({name: json.loads(part)}).as_dict()
    except ArgumentError as error:
        # The value that was given is all of the configuration.
        raise ValueError(without_types(str(error), "Given value")) from None
    plain: dict[str, Any] = _json_value(complete[name])
    return plain


def _json_value(value: Any) -> Any:
    """As JSON has it, which knows no infinity."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@lru_cache(maxsize=1)
def _parser() -> LightningArgumentParser:
    parser = LightningArgumentParser(exit_on_error=False)
    for name, kind in PARTS.items():
        parser.add_lightning_class_args(kind, name, subclass_mode=True)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_argument("--seed_everything", type=int, default=0)
    return parser


@lru_cache(maxsize=1)
def _processor() -> str:
    """The name of the processor, and how many of its cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


@lru_cache(maxsize=1)
def _commit() -> str | None:
    """The commit of the clone that the code runs from, with '+' where it differs from it; None outside a clone."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
