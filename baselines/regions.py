"""Images in; the embeddings of their weighted regions, which our own method clusters, out."""

from typing import Any

import torch
from jaxtyping import Float
from lightning import LightningDataModule
from torch import Tensor

from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import Preset, method_arguments
from anomaly_clustering.mic.trainer import plain_trainer


def region_embeddings(
    data: LightningDataModule, preset: Preset, *, num_clusters: int, **arguments: Any
) -> Float[Tensor, "n d"]:
    """One vector an image, in the order of the data set: those that `cluster` would cluster by this method.

    Args:
        data: the images.
        preset: 'signed_residuals', our default, or 'paper': weighted averages of patches.
        num_clusters: MIC clusters its embeddings too; what it finds is not looked at.
        arguments: of MIC, such as its network.
    """
    mic = MIC(**method_arguments(preset, normals=False, method="ward", num_clusters=num_clusters, **arguments))
    # The data module knows one trainer, and asks it which module's batches it makes.
    trainer = data.trainer
    try:
        plain_trainer(progress_bar=False).predict(mic, datamodule=data, return_predictions=False)
    finally:
        data.trainer = trainer
    grouping = mic.grouping
    assert grouping.embeddings is not None
    return torch.from_numpy(grouping.embeddings[grouping.index.argsort()]).float()
