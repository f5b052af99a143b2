"""The state of a training in; a checkpoint that is whole, or the one before it, out; one that is damaged is named.

Lightning writes a checkpoint where temporary files lie, and copies it over the old one where that is another disk.
"""

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from anomaly_clustering.runs.mark import is_free_for, read_mark, write_mark
from anomaly_clustering.system.files import digest, real_path, whole_file

# The state of this callback is in every checkpoint that `fit` writes.
FOLLOWED_BY = "LastAndBest"


class OfWholeEpochs(ModelCheckpoint):
    """Keeps the last epoch that was trained to its end, which a training can go on from.

    Lightning would count one in whose middle the training stopped, as by `max_time`, as over, and skip the rest of it.

    Args:
        folder: where `last.ckpt` goes.

    Example:
        >>> OfWholeEpochs(Path("run/checkpoints")).filename
        'last'
    """

    def __init__(self, folder: Path):
        # When an epoch is over, so that its row in the table of epochs is complete, also where few are validated.
        super().__init__(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints beside the old ones, which they then replace, and lists them among the files of the training.

    Args:
        out: the folder of the training. Checkpoints that a user's callback puts elsewhere are written whole as well.
        begin: is called before the first one is written.

    Attributes:
        options: of the module whose checkpoint was read last, as far as that tells them.
    """

    def __init__(self, out: Path, begin: Callable[[], None]):
        self.out = real_path(out)
        self.begin = begin
        self.options: Mapping[str, object] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: the state of the training.
            path: where it goes; what Lightning names by a URL is left to Lightning.
            storage_options: as Lightning has it, which knows none here.

        Raises:
            FileExistsError: there is a file that is not of the training.
            OSError: the disk is full.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        self.begin()
        self._list(Path(path))
        with whole_file(Path(path)) as part:
            torch.save(checkpoint, part)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, location: storage,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Args:
            path: of the checkpoint.
            map_location: as PyTorch has it.
            weights_only: as PyTorch has it.

        Returns:
            The state of the training.

        Raises:
            ValueError: the file is damaged, no checkpoint of a training, or could run code.
        """
        mark, name = read_mark(self.out), self._name(Path(path))
        known = mark.files.get(name) if mark and name else None
        if known and known != digest(Path(path)):
            raise damaged(path)
        state = state_of(path, partial(super().load_checkpoint, path, map_location, weights_only))
        told = state.get("hyper_parameters")
        self.options = told if isinstance(told, Mapping) else {}
        return state

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, unless it lies among the files of the training and is not one of them.

        Args:
            path: of the checkpoint.
        """
        mark, name = read_mark(self.out), self._name(Path(path))
        if mark is None or name is None or (name in mark.files and is_free_for(self.out, name, mark)):
            super().remove_checkpoint(path)

    def _name(self, path: Path) -> str | None:
        """In the folder of the training; None elsewhere."""
        place = path.absolute()
        return place.relative_to(self.out).as_posix() if place.is_relative_to(self.out) else None

    def _list(self, path: Path) -> None:
        mark, name = read_mark(self.out), self._name(path)
        if mark is None or name is None:
            return
        if not is_free_for(self.out, name, mark):
            raise FileExistsError(
                f"{str(path)!r} is not of this training, so it was not replaced; move it away, or choose another "
                "folder with --out"
            )
        if name not in mark.files:
            write_mark(self.out, replace(mark, files={**mark.files, name: None}))


def told_of_options(then: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What to say of a training that is asked with other options than it was made with.

    Args:
        then: options of the training, by name.
        now: options of the module that has its weights; what only one of the two has is of another version.

    Example:
        >>> told_of_options({"crop": 0.7, "lr": 0.1}, {"crop": 0.8, "lr": 0.1, "flip": True})
        ['the training had other options, with which its clusters may be others: crop 0.7 in place of 0.8']
    """
    told = {name: (repr(then[name]), repr(option)) for name, option in now.items() if name in then}
    others = ", ".join(
        f"{name} {before} in place of {after}" for name, (before, after) in told.items() if before != after
    )
    return [f"the training had other options, with which its clusters may be others: {others}"] if others else []


def state_of(path: str | Path, read: Callable[[], Any]) -> dict[str, Any]:
    """The state of a training, or an error that says what is wrong with its checkpoint.

    Args:
        path: of the checkpoint, for the error.
        read: reads it by PyTorch.

    Raises:
        ValueError: the file is damaged, no checkpoint of a training, or could run code.

    Example:
        >>> state_of("last.ckpt", lambda: [0.5])
        Traceback (most recent call last):
        ValueError: checkpoint 'last.ckpt' is damaged, or is not of a training; ...
    """
    try:
        found = read()
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise ValueError(
                f"checkpoint {str(path)!r} holds more than tensors, and loading it could run code; if it is yours, "
                "add --weights_only false"
            ) from error
        raise damaged(path) from error
    if not (isinstance(found, dict) and {"state_dict", "pytorch-lightning_version"} <= found.keys()):
        raise damaged(path)
    return found


def damaged(path: str | Path) -> ValueError:
    """The error that names a checkpoint which cannot be read.

    Args:
        path: of the checkpoint.
    """
    return ValueError(
        f"checkpoint {str(path)!r} is damaged, or is not of a training; give another one with --ckpt_path, or start "
        "anew with --overwrite"
    )


def is_of_training(path: Path) -> bool:
    """Whether a file is a checkpoint that `fit` wrote, as far as it can be told without running code of it.

    Args:
        path: any; it need not exist.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"callbacks": {"LastAndBest": {"rows": []}}}, Path(folder) / "last.ckpt")
        ...     is_of_training(Path(folder) / "last.ckpt")
        True
    """
    if path.is_symlink() or not path.is_file():
        return False
    try:
        found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return FOLLOWED_BY in found["callbacks"]
    except Exception:
        # Whatever PyTorch says of it: it is not ours for sure.
        return False
