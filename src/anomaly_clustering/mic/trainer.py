"""Where and how one run of MIC is computed if nobody says so: a Trainer for this machine."""

from collections.abc import Sequence

import torch
from lightning import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment

from anomaly_clustering.mic.embedding_bar import EmbeddingBar

# Not 'auto': Apple's MPS has no float64, which sums and scores need.
ACCELERATOR = "cuda" if torch.cuda.is_available() else "cpu"


def plain_trainer(
    *,
    progress_bar: bool,
    accelerator: str = ACCELERATOR,
    devices: int = 1,
    num_nodes: int = 1,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """A Trainer that writes no files and says nothing of itself; on one device, unless more are asked for: of several
    GPUs on the one that PyTorch would take here, as each process of somebody's script has set its own.

    Args:
        progress_bar: whether one is shown.
        accelerator: 'cpu' or 'cuda'.
        devices: on each machine, a process each. A launcher such as torchrun or SLURM starts them, or this one does.
        num_nodes: machines, which a launcher starts.
        callbacks: beside the bar. With several devices one of them shares out the images.
    """
    alone = devices * num_nodes == 1
    on_gpu = accelerator == "cuda" and torch.cuda.is_available()
    return Trainer(
        accelerator=accelerator,
        # By their number Lightning takes the first ones, and leaves the last of these set.
        devices=[torch.cuda.current_device()] if alone and on_gpu else devices,
        num_nodes=num_nodes,
        strategy="auto" if alone else "ddp",
        # In a job of several tasks each would be taken for one process of many.
        plugins=[LightningEnvironment()] if alone else [],
        callbacks=[*([EmbeddingBar()] if progress_bar else []), *callbacks],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress_bar,
    )
