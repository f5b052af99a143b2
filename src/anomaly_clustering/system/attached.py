"""A trainer in; the data module whose images it reads now, out."""

from typing import Any

from lightning import LightningDataModule, Trainer


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
