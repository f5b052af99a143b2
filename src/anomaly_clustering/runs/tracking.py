"""A run and what came of it in; a W&B run out, or the same artefacts in a folder. The one place that knows W&B."""

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wandb
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.processes import gather, shared_by
from anomaly_clustering.runs.artefacts import ClusteredImages, draw_confusion, write_artefacts
from anomaly_clustering.runs.assignments import in_order
from anomaly_clustering.runs.checkpoints import state_of
from anomaly_clustering.runs.tracked_run import Mode, TrackedRun, mode_of
from anomaly_clustering.runs.unusual import graded_grouping
from anomaly_clustering.system.attached import attached_data
from anomaly_clustering.system.files import real_path

PROJECT = "anomaly-clustering"
# Characters of a tag, as W&B takes them.
LONGEST_TAG = 64
# Under which a checkpoint of a training names the run that W&B holds of it.
IN_CHECKPOINT = "wandb_run"
UNLISTED = "pictures and assignments are not logged, since {} does not list image files; metrics and options are"


def run_of(checkpoint: Path, *, weights_only: bool | None = None) -> str | None:
    """The id of the run that W&B holds of a training.

    Args:
        checkpoint: of the training, written by Lightning.
        weights_only: as the training is to be read when it goes on, see `Trainer.fit`.

    Returns:
        The id; None where the training was not tracked.

    Raises:
        ValueError: the checkpoint is damaged, is not of a training, or could run code.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     state = {"state_dict": {}, "pytorch-lightning_version": "2.6", IN_CHECKPOINT: "31a2ecb6"}
        ...     torch.save(state, Path(folder) / "last.ckpt")
        ...     run_of(Path(folder) / "last.ckpt")
        '31a2ecb6'
    """
    # Weights stay on disk: Lightning reads them when it goes on.
    read = partial(torch.load, checkpoint, map_location="cpu", mmap=True, weights_only=weights_only)
    run: str | None = state_of(checkpoint, read).get(IN_CHECKPOINT)
    return run


class StepsOfTraining(WandbLogger):
    """Logs to W&B at the steps that the training has reached, so that one that goes on counts on from there.

    W&B counts calls, from 0 again where a run goes on without a connection, and what is logged under a step a second
    time replaces what was there.
    """

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics under the step of the training, or under the one that W&B has reached if that is later.

        Args:
            metrics: numbers by name.
            step: batches that the training has seen; None to leave the count to W&B.
        """
        if step is None:
            super().log_metrics(metrics)
            return
        reached = max(step, self.experiment.step)
        self.experiment.log({**metrics, "trainer/global_step": step}, step=reached)


def check_login(mode: Mode) -> None:
    """Fail before any work where W&B would take nothing.

    Args:
        mode: see `wandb_logger`.

    Raises:
        ValueError: there is no API key, W&B does not take it, or cannot be reached.
    """
    if mode_of(mode) != "online" or wandb.run is not None:
        return
    try:
        wandb.login()
    except wandb.errors.Error as error:
        raise ValueError(
            f"W&B cannot be logged to ({str(error).splitlines()[0].rstrip('.')}): log in with `wandb login`, set "
            "WANDB_API_KEY, or keep the run on this machine with --wandb offline"
        ) from error


def wandb_logger(mode: Mode, run: TrackedRun, *, folder: Path = Path()) -> WandbLogger | None:
    """A logger for Lightning's Trainer, None where W&B is off.

    One process of a run logs, the others are silent. Project and entity are those of W&B's own environment variables.

    Args:
        mode: 'off', 'online' or 'offline', see `mode_of`.
        run: how W&B lists it.
        folder: below which W&B keeps its files, in `wandb`.

    Returns:
        The logger.
    """
    mode = mode_of(mode)
    if mode == "off":
        return None
    # Absolute: the process that writes for W&B may have been started elsewhere.
    place = real_path(Path(os.environ.get("WANDB_DIR", folder)))
    place.mkdir(parents=True, exist_ok=True)
    # Thumbnails of tables wait here to be synced; W&B would put them into the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(place / "wandb" / "data"))
    return StepsOfTraining(
        name=f"{run.method}, {run.category}, seed {run.seed}",
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        save_dir=place,
        id=run.identity,
        mode=mode,
        group=run.experiment,
        job_type=run.method,
        tags=[run.category[:LONGEST_TAG], f"seed {run.seed}"],
        config=dict(run.config),
        settings=wandb.Settings(silent=True, console="off"),
        # Without a connection W&B continues nothing; that the id is the same suffices.
        resume=None if mode == "offline" else "allow",
    )


class Track(Callback):
    """When a run has ended, logs its clusters to W&B, writes them to a folder, or both.

    MIC is tracked after `test`, `validate` and `predict`. Of other modules `predict` is tracked, whose `predict_step`
    gives 'index' and 'label'; metrics of their epochs are logged by Lightning. Of images that a data module does not
    list as files, metrics alone are tracked, and a warning says so.

    Args:
        run: that is tracked.
        folder: for the artefacts; without it they go to W&B alone.
    """

    def __init__(self, run: TrackedRun, folder: Path | None = None):
        self.run = run
        self.folder = folder
        self.predicted: list[tuple[torch.Tensor, torch.Tensor]] = []

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[IN_CHECKPOINT] = self.run.identity

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.predicted = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if isinstance(outputs, Mapping) and {"index", "label"} <= outputs.keys():
            self.predicted.append((outputs["index"], outputs["label"]))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, MIC):
            self._track_mic(trainer, pl_module)
        elif (data := _listing(trainer)) is None or not self.predicted:
            self._track(trainer, None)
        else:
            with shared_by(trainer.world_size):
                index, labels = (torch.cat(gather(torch.cat(parts))) for parts in zip(*self.predicted, strict=True))
            self._track(trainer, _of_predictions(index.cpu().numpy(), labels.cpu().numpy(), data))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._track_mic(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._track_mic(trainer, pl_module)

    def _track_mic(self, trainer: Trainer, module: LightningModule) -> None:
        if isinstance(module, MIC):
            data = _listing(trainer)
            self._track(trainer, None if data is None else _of_mic(module, data))

    def _track(self, trainer: Trainer, clusters: ClusteredImages | None) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if clusters is None:
            summary = self.run.summary | metrics
            if _listing(trainer) is None:
                warnings.warn(UNLISTED.format(type(attached_data(trainer)).__name__), stacklevel=2)
        else:
            summary = self.run.summary | metrics | clusters.scores
        if self.folder and clusters:
            write_artefacts(self.folder, clusters, summary)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                _log(logger, clusters, summary)


def _listing(trainer: Trainer) -> DefectDataModule | None:
    """The data module, if it lists its images."""
    data = attached_data(trainer)
    return data if isinstance(data, DefectDataModule) else None


def _of_mic(mic: MIC, data: DefectDataModule) -> ClusteredImages:
    grouping, records = mic.grouping, data.records
    return ClusteredImages(
        images=[records[i].image for i in grouping.index],
        labels=grouping.labels,
        target=grouping.target,
        class_names=data.class_names,
        bits=data.bits_read,
        heat=graded_grouping(grouping, mic.recipe(data.image_size)).heat if mic.options.weighs_patches else None,
        distances=grouping.groups.distances,
    )


def _of_predictions(index: np.ndarray, labels: np.ndarray, data: DefectDataModule) -> ClusteredImages:
    if labels.min() < 0:
        raise ValueError(f"clusters are numbers from 0 on, but predict_step gave {labels.min()}")
    # A distributed sampler repeats images to fill up.
    index, first = np.unique(index, return_index=True)
    everything = data.records
    records = [everything[i] for i in index]
    target = np.array([-1 if record.label is None else record.label for record in records])
    images = [record.image for record in records]
    return ClusteredImages(images, labels[first], target, data.class_names, bits=data.bits_read)


def _log(logger: WandbLogger, clusters: ClusteredImages | None, summary: Mapping[str, Any]) -> None:
    """All that is to be seen of a run."""
    run = logger.experiment
    media = {} if clusters is None else _media(clusters)
    media["summary"] = wandb.Table(columns=list(summary), data=[list(summary.values())])
    run.log(media)
    if clusters:
        run.summary.update({f"final/{name}": value for name, value in clusters.scores.items()})


def _media(clusters: ClusteredImages) -> dict[str, Any]:
    media: dict[str, Any] = {name: wandb.Image(sheet) for name, sheet in clusters.sheets().items()}
    assignments = clusters.assignments()
    columns = in_order(assignments[0])
    rows = [
        [wandb.Image(thumbnail), *(row[name] for name in columns)]
        for thumbnail, row in zip(clusters.thumbnails, assignments, strict=True)
    ]
    media["assignments"] = wandb.Table(columns=["image", *columns], data=rows)
    if clusters.class_names:
        names, counts = clusters.matched_confusion()
        lines = [[name, *map(int, line)] for name, line in zip(names, counts, strict=True)]
        media["confusion"] = wandb.Table(columns=list[str | int](["cluster", *clusters.class_names]), data=lines)
        media["confusion_matrix"] = wandb.Image(draw_confusion(names, clusters.class_names, counts))
    return media


def log_table(
    mode: Mode, run: TrackedRun, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, folder: Path
) -> None:
    """Log one table as a run of its own: the summary of an experiment over all categories.

    Args:
        mode: 'off', in which nothing is logged, 'online' or 'offline'.
        run: how W&B lists it.
        columns: their names.
        rows: one value a column.
        folder: below which W&B keeps its files, in `wandb`.
    """
    logger = wandb_logger(mode, run, folder=folder)
    if logger:
        try:
            table = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
            logger.experiment.log({"per_category": table})
        except BaseException:
            finish(failed=True)
            raise
        finish()


def finish(*, failed: bool = False) -> None:
    """End the run that this process logs, if any; the next one starts anew.

    Args:
        failed: whether W&B lists it as failed.
    """
    wandb.finish(exit_code=int(failed))
