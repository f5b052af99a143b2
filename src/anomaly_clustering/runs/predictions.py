"""What a method that leaves no report says of each image in; rows of assignments, and the folder of its run, out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.records import Record
from anomaly_clustering.mic.processes import several, shared_by
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.file_names import ASSIGNMENTS, CONFIG, METRICS
from anomaly_clustering.runs.run_folder import new_run
from anomaly_clustering.system.attached import attached_data

# One row of what a method says of each image.
Table = Sequence[Mapping[str, Any]]


def predicted(trainer: Trainer, module: LightningModule) -> list[dict[str, Any]] | None:
    """What a module predicts for each image, in the order of the data set; None where it predicts nothing.

    Args:
        trainer: that has run, with the data module of that run.
        module: whose `predict_step` returns a dict, see `rows_of`.

    Returns:
        See `rows_of`; None where there is no `predict_step`, or no `predict_dataloader`.

    Raises:
        ValueError: `predict_step` returns something else.
    """
    data = attached_data(trainer)
    asked = [source for source in (data, module) if source is not None]
    if not is_overridden("predict_step", module):
        return None
    if not any(is_overridden("predict_dataloader", source) for source in asked):
        return None
    batches = trainer.predict(module, datamodule=data)
    with shared_by(trainer.world_size):
        return rows_of(batches)


def rows_of(batches: Any) -> list[dict[str, Any]]:
    """What was predicted for each image by all processes, in the order of the data set.

    Args:
        batches: of this process, each a dict: `index` int [B], `label` int [B], the cluster, and optionally
            `confidence` [B].

    Returns:
        A row for each image, with the names of that dict.

    Raises:
        ValueError: a batch is something else.

    Example:
        >>> import torch
        >>> rows_of([{"index": torch.tensor([2, 0]), "label": torch.tensor([1, 0])}])
        [{'index': 0, 'label': 0}, {'index': 2, 'label': 1}]
    """
    batches = list(batches or ())
    for batch in batches:
        if not (isinstance(batch, Mapping) and {"index", "label"} <= batch.keys()):
            raise ValueError(
                "predict_step must return a dict with 'index', the positions of the images of a batch, and 'label', "
                f"their clusters, but it returned {_kind(batch)}"
            )
    columns = [name for name in ("index", "label", "confidence") if batches and name in batches[0]]
    rows = [
        dict(zip(columns, values, strict=True))
        for batch in batches
        for values in zip(*(batch[name].tolist() for name in columns), strict=True)
    ]
    if several():
        everywhere: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(everywhere, rows)
        rows = [row for part in everywhere for row in part]
    # A distributed sampler repeats images to fill up.
    once = {row["index"]: row for row in rows}
    return [once[index] for index in sorted(once)]


def _kind(batch: Any) -> str:
    return f"a dict of {', '.join(map(repr, batch))}" if isinstance(batch, Mapping) else f"a {type(batch).__name__}"


def assignments_of(table: Table, datamodule: LightningDataModule | None) -> list[dict[str, Any]]:
    """Rows of `assignments.csv`.

    Args:
        table: a row for each image, see `rows_of`.
        datamodule: knows files and classes, if it is one of this package.

    Example:
        >>> assignments_of([{"index": 0, "label": 1}], None)
        [{'cluster': 1, 'index': 0}]
    """
    data = datamodule if isinstance(datamodule, DefectDataModule) else None
    records = data.records if data else []
    names = data.class_names if data else []
    return [_assignment(row, records, names) for row in table]


def _assignment(row: Mapping[str, Any], records: Sequence[Record], class_names: Sequence[str]) -> dict[str, Any]:
    known = {name: value for name, value in row.items() if name not in ("index", "label")} | {"cluster": row["label"]}
    if not records:
        return known | {"index": row["index"]}
    record = records[row["index"]]
    return known | {
        "path": record.image,
        "class": "" if record.label is None else class_names[record.label],
    }


def write_predictions(
    out: Path,
    table: Table | None,
    datamodule: LightningDataModule | None,
    *,
    metrics: Mapping[str, float],
    config: str,
    overwrite: bool = False,
) -> None:
    """Write the folder of a run of a method that leaves no report.

    Args:
        out: the folder; it appears when all of it is written.
        table: a row for each image, see `rows_of`; None where nothing was predicted.
        datamodule: see `assignments_of`.
        metrics: that the method logged; empty where it logged none.
        config: the options of the run, as YAML.
        overwrite: whether a run that the folder holds may be lost.

    Raises:
        OSError: the folder is not free, see `reserved`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder) / "run"
        ...     write_predictions(out, [{"index": 0, "label": 1}], None, metrics={}, config="seed: 0")
        ...     sorted(path.name for path in out.iterdir()), (out / "assignments.csv").read_text()
        (['assignments.csv', 'config.yaml', 'metrics.json', 'run.json'], 'index,cluster\\n0,1\\n')
    """
    found: dict[str, Any] = dict(metrics)
    if table:
        found |= {"num_images": len(table), "num_clusters": len({row["label"] for row in table})}
    if isinstance(datamodule, DefectDataModule):
        found["notices"] = list(datamodule.notices)
    with new_run(out, overwrite=overwrite) as folder:
        (folder / CONFIG).write_text(config, encoding="utf-8")
        (folder / METRICS).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        if table:
            write_assignments(folder / ASSIGNMENTS, assignments_of(table, datamodule))
