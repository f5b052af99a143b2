"""Follows a training: a table of all epochs from what its module logs, and the last and the best of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from anomaly_clustering.system.replacing import OpenElsewhereError, check_closed
from anomaly_clustering.system.tables import write_csv

Epoch = Mapping[str, float | int]


class LastAndBest(Callback):
    """Follows a training in the metrics that its module logs in every validation epoch.

    The module logs those of `clustering_metrics()`, and under `loss` what it would choose an epoch by without labels.
    The paper reports the last epoch and the best by accuracy (Table 2).

    Args:
        table: a CSV file that holds a row for each epoch so far, at any time; None to write none.
        begin: is called before it is written.

    Attributes:
        rows: of the epochs so far.
        stopped_in: the epoch in whose middle the training stopped; None where it did not.
        ended_in: the last epoch; -1 before the first.
        every: epochs from one validation to the next, as the trainer was made.
        why_behind: why the table lacks the last epochs, as where another program has it open; '' where it has them.

    Example:
        >>> training = LastAndBest()
        >>> training.load_state_dict({"rows": [{"epoch": 0, "accuracy": 0.9}, {"epoch": 1, "accuracy": 0.7}]})
        >>> training.chosen()["best_by_accuracy"]["epoch"]
        0
    """

    def __init__(self, table: Path | None = None, begin: Callable[[], None] = lambda: None):
        self.table = table
        self.begin = begin
        self.rows: list[Epoch] = []
        self.stopped_in: int | None = None
        self.ended_in = -1
        self.every: int | None = None
        self.why_behind = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.every = trainer.check_val_every_n_epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch is scored at its end alone, however seldom or often others are: predictions will be of it."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1
            trainer.val_check_batch = float("inf")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.check_val_every_n_epoch = self.every
        if self.why_behind:
            self._save(trainer, patience=None)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        # A training that is resumed may have gone on after its last checkpoint.
        self.rows = [row for row in self.rows if row["epoch"] < trainer.current_epoch]
        # What was not logged in this epoch is as it was last, which Lightning knows but after a resumption.
        before = self.rows[-1] if self.rows else {}
        self.rows.append({**before, "epoch": trainer.current_epoch, **_logged(trainer)})
        self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Means over an epoch of training are known after its validation; before, those of the last one stand there."""
        self.ended_in = trainer.current_epoch
        self.stopped_in = None if trainer.is_last_batch else self.ended_in
        if self.rows and self.rows[-1]["epoch"] == trainer.current_epoch and not trainer.sanity_checking:
            self.rows[-1] = {**self.rows[-1], **_logged(trainer)}
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def chosen(self) -> dict[str, Epoch]:
        """The epochs to report, by why they were chosen; empty without a validation epoch.

        Returns:
            `last`; `best_by_accuracy` (the labels choose: an oracle); `best_by_loss` (no label chooses); and, if the
            training has stages and logs `stage`, `last_of_stage_0` and so on for those that are over. The first of
            equal epochs is taken.
        """
        if not self.rows:
            return {}
        chosen = {"last": self.rows[-1]}
        if with_accuracy := [row for row in self.rows if "accuracy" in row]:
            chosen["best_by_accuracy"] = max(with_accuracy, key=lambda row: row["accuracy"])
        if with_loss := [row for row in self.rows if "loss" in row]:
            chosen["best_by_loss"] = min(with_loss, key=lambda row: row["loss"])
        stages = [row["stage"] for row in self.rows if "stage" in row]
        for stage in sorted(set(stages)):
            if stage < stages[-1]:
                chosen[f"last_of_stage_{stage:.0f}"] = [row for row in self.rows if row.get("stage") == stage][-1]
        return chosen

    def notices(self) -> list[str]:
        """What is to be known of how the training ended.

        Example:
            >>> training = LastAndBest()
            >>> training.stopped_in = 2
            >>> training.notices()
            ['the training stopped in the middle of epoch 2, which is what its clusters are of']
        """
        found = []
        if self.stopped_in is not None:
            found += [
                f"the training stopped in the middle of epoch {self.stopped_in}, which is what its clusters are of"
            ]
        if self.rows and self.rows[-1]["epoch"] < self.ended_in:
            found += [f"scores are of epoch {self.rows[-1]['epoch']} at last, clusters of epoch {self.ended_in}"]
        if self.why_behind:
            found += [f"the table of epochs lacks the last ones: {self.why_behind}"]
        return found

    def _save(self, trainer: Trainer, *, patience: float | None = 0.0) -> None:
        if self.table is None or not trainer.is_global_zero:
            return
        self.begin()
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [[_digits(name, row[name]) if name in row else "" for name in names] for row in self.rows]
        try:
            check_closed([self.table], patience=patience)
            write_csv(self.table, names, lines)
            self.why_behind = ""
        except OpenElsewhereError as error:
            # Somebody looks at it in a spreadsheet, which ends no training: the next epoch is written with this one.
            self.why_behind = str(error)


def _logged(trainer: Trainer) -> dict[str, float]:
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def _digits(name: str, value: float | int) -> object:
    return value if name == "epoch" else f"{value:.6g}"
