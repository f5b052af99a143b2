"""A trainer in; the data module whose images it reads now, and whether files tell all of their pixels, out."""

from collections.abc import Iterable
from typing import Any

from lightning import LightningDataModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden

# Lightning's hooks, of a module and of a data module, that may change a batch.
ON_BATCHES = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def attached_data(trainer: Trainer) -> Any:
    """Lightning leaves `trainer.datamodule` as it was where the next run is given loaders: it is of other images then.

    Args:
        trainer: that runs, or has run.

    Returns:
        The data module; None where the trainer was given loaders alone, or nothing yet.

    Example:
        >>> attached_data(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)) is None
        True
    """
    loop = trainer._active_loop
    found = getattr(trainer, "datamodule", None) if loop is None else loop._data_source.instance
    return found if isinstance(found, LightningDataModule) else None


def attached_loaders(trainer: Trainer) -> list[Any]:
    """The loaders that a trainer reads now.

    Args:
        trainer: that tests, validates or predicts.

    Example:
        >>> attached_loaders(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False))
        []
    """
    combined = getattr(trainer._active_loop, "_combined_loader", None)
    return [] if combined is None else list(combined.flattened)


def told_by_files(trainer: Trainer, more: Iterable[Any] = ()) -> bool:
    """Whether files, and how they are read, tell all pixels that come: nothing of the user's own may change them.

    Args:
        trainer: that tests, validates or predicts.
        more: loaders that are read beside those of the trainer.

    Returns:
        Whether all loaders have data sets that say so, see `DefectImages.told_by_files`, and no hook changes a batch.

    Example:
        >>> told_by_files(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False), [["a batch"]])
        False
    """
    loaders = [*attached_loaders(trainer), *more]
    tell = [getattr(getattr(loader, "dataset", None), "told_by_files", None) for loader in loaders]
    if not all(told and told(loader.collate_fn) for told, loader in zip(tell, loaders, strict=True)):
        return False
    modules = [module for module in (trainer.lightning_module, attached_data(trainer)) if module is not None]
    return not any(is_overridden(hook, module) for hook in ON_BATCHES for module in modules)
