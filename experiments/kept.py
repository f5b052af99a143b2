"""A training that takes hours in; a checkpoint of it every few minutes, from which it goes on if it was ended, out."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.locks import working_on
from experiments.agreement import agree

# Seconds from one checkpoint to the next, at least.
EVERY = 120.0


class Kept(Callback):
    """Keeps a training in a file while it goes on. One that goes on from there ends as if it had never been ended.

    Args:
        file: the checkpoint; None, or a file in a folder that this machine does not have, to keep none.
        config: of the training, resolved. One that was begun with other options is not gone on with.

    Example:
        >>> Kept(None).found() is None
        True
    """

    def __init__(self, file: Path | None, config: Mapping[str, Any] | None = None):
        self.file = file if file is not None and file.parent.is_dir() else None
        self.config = config or {}
        self.before = 0.0
        """Seconds that the training took in processes that were ended."""
        self.started = self.kept = time.monotonic()

    @property
    def seconds(self) -> float:
        """That the training has taken so far, in all processes."""
        return self.before + time.monotonic() - self.started

    def found(self) -> Path | None:
        """The checkpoint to go on from; None where there is none that can be read."""
        if self.file is None or not self.file.is_file():
            return None
        try:
            checkpoint = torch.load(self.file, map_location="cpu", mmap=True, weights_only=True)
            epoch, begun = checkpoint["epoch"], checkpoint["callbacks"][self.state_key]
        except Exception as error:
            # Whatever PyTorch says of it: the training can be had again.
            _tell(f"{str(self.file)!r} cannot be read ({error}): the training begins anew")
            return None
        if not agree(begun.get("config", {}), self.config):
            _tell(f"{str(self.file)!r} was begun with other options: the training begins anew")
            return None
        _tell(f"goes on after epoch {epoch + 1}, which {str(self.file)!r} holds")
        return self.file

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from going on with the same training meanwhile.

        Raises:
            BlockingIOError: another process does.
        """
        if self.file is None:
            yield
            return
        with working_on(self.file, replaceable=False):
            yield

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # One in whose middle the training stopped would be taken for over by Lightning.
        if self.file is None or not trainer.is_last_batch or time.monotonic() - self.kept < EVERY:
            return
        with whole_file(self.file) as part:
            trainer.save_checkpoint(part)
        self.kept = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "config": self.config}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before = state_dict["seconds"]


def _tell(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)
