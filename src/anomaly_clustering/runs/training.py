"""A training in; a folder with `checkpoints`, `epochs.csv`, `assignments.csv`, `metrics.json` and `config.yaml` out.

Checkpoints and the table of epochs grow while it runs, so unlike the folder of a run this one is there from the start.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.files import UNFINISHED, whole_file
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.epochs import Epoch
from anomaly_clustering.runs.file_names import ASSIGNMENTS, CHECKPOINTS, CONFIG, EPOCHS, METRICS
from anomaly_clustering.runs.run_folder import check_free

FILES = frozenset({CHECKPOINTS, EPOCHS, ASSIGNMENTS, CONFIG, METRICS})
# What `last` names to Lightning.
LAST = f"{CHECKPOINTS}/last.ckpt"


def check_free_to_train(out: Path, *, ckpt_path: str | None, overwrite: bool) -> None:
    """Fail before the work if the folder cannot take a training, or holds one already.

    Args:
        out: the folder of the training to come.
        ckpt_path: a checkpoint to go on from, or 'last', the last one in the folder; None to start anew.
        overwrite: whether a training that the folder holds may be lost.

    Raises:
        FileExistsError: the folder holds a training and neither `ckpt_path` nor `overwrite` is set, or anything else.
        FileNotFoundError: there is no last checkpoint to go on from.
        PermissionError: nothing can be written there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_free_to_train(Path(folder), ckpt_path="last", overwrite=False)
        Traceback (most recent call last):
        FileNotFoundError: there is no training in '...' to go on with: no '...'
    """
    if ckpt_path == "last" and not (out / LAST).exists():
        raise FileNotFoundError(f"there is no training in {str(out)!r} to go on with: no {str(out / LAST)!r}")
    if not _holds_training(out):
        check_free(out, overwrite=False)
    elif not (ckpt_path or overwrite):
        raise FileExistsError(
            f"{str(out)!r} already holds a training; go on with it with --ckpt_path last, choose another folder with "
            "--out, or --overwrite it"
        )


def clear(out: Path) -> None:
    """Remove the training that a folder holds; a folder that holds anything else stays.

    Args:
        out: the folder, which need not be there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder) / "out"
        ...     out.mkdir()
        ...     (out / "epochs.csv").touch()
        ...     clear(out)
        ...     out.exists()
        False
    """
    if _holds_training(out):
        shutil.rmtree(out)


def _holds_training(out: Path) -> bool:
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    # What a process left that was killed while it wrote.
    names = {name for name in names if not name.endswith(UNFINISHED)}
    return bool(names & {CHECKPOINTS, EPOCHS}) and names <= FILES


def precision_of_training(
    module: LightningModule, given: str | int | None, accelerator: str = "auto"
) -> str | int | None:
    """Say in which precision a module is trained.

    Args:
        module: whose attribute `precision_on_gpus` names one of Lightning's, if it has any.
        given: by the user, which counts; None where nothing is given.
        accelerator: of the Trainer, as the user gave it.

    Returns:
        What the Trainer takes, None for its default.

    Example:
        >>> precision_of_training(LightningModule(), "64-true")
        '64-true'
    """
    if given is not None or not torch.cuda.is_available() or accelerator not in ("auto", "gpu", "cuda"):
        return given
    return getattr(module, "precision_on_gpus", None)


def predicted(trainer: Trainer, module: LightningModule) -> list[dict[str, Any]] | None:
    """What the trained module predicts for each image, in the order of the data set; None where it predicts nothing.

    Args:
        trainer: with the data module of the training.
        module: whose `predict_step` returns a dict: `index` int [B], `label` int [B], the cluster, and optionally
            `confidence` [B].

    Returns:
        A row for each image of all processes, with the names of that dict; None where there is no `predict_step`.
    """
    if not is_overridden("predict_step", module):
        return None
    batches: Any = trainer.predict(module, datamodule=trainer.datamodule)  # type: ignore[attr-defined]
    columns = [name for name in ("index", "label", "confidence") if name in batches[0]]
    rows = [
        dict(zip(columns, values, strict=True))
        for batch in batches
        for values in zip(*(batch[name].tolist() for name in columns), strict=True)
    ]
    if dist.is_initialized():
        everywhere: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everywhere, rows)
        rows = [row for part in everywhere for row in part]
    # A distributed sampler repeats images to fill up.
    once = {row["index"]: row for row in rows}
    return [once[index] for index in sorted(once)]


def write_training(
    out: Path,
    table: Sequence[Mapping[str, Any]] | None,
    datamodule: LightningDataModule | None,
    *,
    chosen: Mapping[str, Epoch],
    config: str,
) -> None:
    """Write what is known when a training has ended.

    Args:
        out: the folder of the training.
        table: a row for each image, see `predicted`; None where nothing was predicted.
        datamodule: knows files and classes, if it is one of this package.
        chosen: the epochs to report, see `LastAndBest.chosen`.
        config: the options of the training, as YAML.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_training(Path(folder), [{"index": 0, "label": 1}], None, chosen={}, config="seed: 0")
        ...     (Path(folder) / "assignments.csv").read_text()
        'index,cluster\\n0,1\\n'
    """
    metrics: dict[str, object] = {name: dict(row) for name, row in chosen.items()}
    if isinstance(datamodule, DefectDataModule):
        metrics["notices"] = list(datamodule.notices)
    texts = {CONFIG: config, METRICS: json.dumps(metrics, indent=2) + "\n"}
    for name, text in texts.items():
        with whole_file(out / name) as part:
            part.write_text(text)
    if table is not None:
        write_assignments(out / ASSIGNMENTS, [_assignment(row, datamodule) for row in table])


def _assignment(row: Mapping[str, Any], datamodule: LightningDataModule | None) -> dict[str, Any]:
    known = {name: value for name, value in row.items() if name not in ("index", "label")} | {"cluster": row["label"]}
    if not isinstance(datamodule, DefectDataModule):
        return known | {"index": row["index"]}
    record = datamodule.records[row["index"]]
    return known | {
        "path": record.image,
        "class": "" if record.label is None else datamodule.class_names[record.label],
    }
