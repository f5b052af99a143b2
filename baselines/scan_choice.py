"""What SCAN chooses by its loss on all images, and whether a training validates enough of them for that."""

from typing import Any

from lightning import LightningModule, Trainer

from baselines.evaluation import scored_images
from baselines.global_batch import world_size


def check_all_are_validated(module: LightningModule, options: Any) -> None:
    """Refuse a training that validates too little to choose the best of several heads, or the epoch to go on from.

    Args:
        module: the method, attached to its trainer.
        options: of it: `heads`, `selflabel_epochs` and `batch_size`.

    Raises:
        ValueError: only some images, or some epochs, are to be validated.
    """
    trainer, among_epochs = module.trainer, options.selflabel_epochs > 0
    every = trainer.check_val_every_n_epoch
    if (options.heads > 1 or among_epochs) and not _is_trial(trainer):
        batches = -(-len(scored_images(module, batch_size=options.batch_size, known=True)) // world_size())
        limit = trainer.limit_val_batches
        if limit < (1.0 if isinstance(limit, float) else batches):
            raise ValueError(
                "SCAN chooses by its loss on all images: leave --trainer.limit_val_batches at 1.0, "
                f"got {limit} of {batches} batches"
            )
    if among_epochs and every != 1:
        raise ValueError(
            f"SCAN goes on from the best epoch of step 2: leave --trainer.check_val_every_n_epoch at 1, got {every}"
        )


def _is_trial(trainer: Trainer) -> bool:
    """Whether a few batches are to show that all works, whatever is chosen."""
    return bool(getattr(trainer, "fast_dev_run", False) or getattr(trainer, "overfit_batches", 0))
