"""Where and how one run of MIC is computed if nobody says so: a Trainer for this machine."""

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.plugins.environments import LightningEnvironment

# Not 'auto': Apple's MPS has no float64, which sums and scores need.
ACCELERATOR = "cuda" if torch.cuda.is_available() else "cpu"


class EmbeddingBar(RichProgressBar):
    """Says what a pass over the images is, which Lightning calls a validation."""

    @property
    def validation_description(self) -> str:
        """What stands before the bar."""
        return "Embedding photographs"


def plain_trainer(*, progress_bar: bool) -> Trainer:
    """A Trainer on one device that writes no files and says nothing of itself."""
    return Trainer(
        accelerator=ACCELERATOR,
        devices=1,
        # In a job of several tasks each would be taken for one process of many.
        plugins=[LightningEnvironment()],
        callbacks=[EmbeddingBar()] if progress_bar else [],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress_bar,
    )
