"""A training in; a line a minute, which says how far it is and how long it will take, out."""

import sys
import time
from datetime import timedelta

from lightning import Callback, LightningModule, Trainer

# Seconds from one line to the next, at least.
EVERY = 60.0


class EpochsTold(Callback):
    """Tells of a training that takes hours, where the next run that is finished may be far."""

    def __init__(self) -> None:
        self.started = self.told = 0.0
        self.first = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = self.told = time.monotonic()
        # One that goes on did the others in another process.
        self.first = trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now, done, total = time.monotonic(), trainer.current_epoch + 1, trainer.max_epochs
        if now - self.told < EVERY or total is None or done >= total:
            return
        self.told = now
        left = timedelta(seconds=round((now - self.started) / (done - self.first) * (total - done)))
        name = type(pl_module).__name__
        print(f"  {name}: {done} of {total} epochs, about {left} to the last", file=sys.stderr, flush=True)
