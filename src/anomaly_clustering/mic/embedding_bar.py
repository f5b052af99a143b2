"""Batches of images, as MIC embeds them, in; a progress bar of images, and how long all will take, out."""

import time
from collections.abc import Callable
from typing import Any, cast

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from torch.utils.data import DataLoader

from anomaly_clustering.mic.closing import Early
from anomaly_clustering.mic.estimate import how_long
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.pace import Pace
from anomaly_clustering.mic.progress import bars
from anomaly_clustering.system.attached import attached_data

# Seconds that must be measured before the user is told, or a tenth of the images, where that comes first.
ENOUGH = 5.0


class EmbeddingBar(Early, ProgressBar):
    """Shows how many photographs are embedded, and says once, as soon as that is measured, how long all will take.

    Attributes:
        now: the time in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now: Callable[[], float] = time.monotonic
        self.pace = Pace(0)
        self.left = 0
        self.told = False
        self.shown = True
        self.bars = bars(shown=False, transient=False)

    def disable(self) -> None:
        """On all processes but the first."""
        self.shown = False

    def enable(self) -> None:
        """On the first process."""
        self.shown = True

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """With the first batch the bar appears: what the images are compared with is known now."""
        if batch_idx > 0 or not trainer.is_global_zero:
            return
        loader: DataLoader[Any] = cast(Any, trainer).val_dataloaders
        total = len(attached_data(trainer).records)
        self.left = min(total, _images_of(loader) * trainer.world_size)
        self.pace = Pace(total, done=total - self.left, a_round=loader.num_workers, now=self.now)
        self.told = False
        self.bars = bars(shown=self.shown, transient=False)
        self.bars.start()
        self.bars.add_task("Embedding photographs", total=total, completed=total - self.left, pace=self.pace)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """A step further; all processes are as far as the first one."""
        if not trainer.is_global_zero:
            return
        self.pace.advance(min(len(batch["index"]) * trainer.world_size, self.pace.total - self.pace.done))
        self.bars.update(self.bars.task_ids[0], completed=self.pace.done)
        measured = self.pace.measured >= ENOUGH or self.pace.done - (self.pace.total - self.left) >= self.left / 10
        if measured and self.pace.rate and not self.told:
            self.told = True
            assert isinstance(pl_module, MIC)
            assert pl_module.run is not None
            arguments = self.pace.total, self.left, self.pace.rate, trainer.world_size
            if said := how_long(pl_module.run, pl_module.options, *arguments):
                self.bars.console.print(said, markup=False, highlight=False, soft_wrap=True)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What follows has bars of its own."""
        self.bars.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The terminal is given back."""
        self.bars.stop()


def _images_of(loader: DataLoader[Any]) -> int:
    """How many images a loader of batches reads."""
    assert loader.batch_sampler is not None
    return sum(map(len, loader.batch_sampler))
