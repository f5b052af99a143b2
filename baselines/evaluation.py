"""Predictions on all images, collected in batches by any number of processes, in; metrics of the epoch out."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from lightning import LightningModule
from torch import Tensor, nn

from anomaly_clustering.metrics import clustering_metrics, each_once
from baselines.global_batch import whole_set


class Evaluation(nn.Module):
    """The evaluator that all baselines share.

    `collect` what is known of each batch, then take it for `all_images`, decide on labels, and `log_scores`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.metrics = clustering_metrics()
        self.parts: list[Mapping[str, Tensor]] = []

    def collect(self, batch: Mapping[str, Any], **predictions: Shaped[Tensor, "b ..."]) -> None:
        """Keep predictions for a batch, with its `index` and `target`."""
        self.parts.append({"index": batch["index"], "target": batch["target"], **predictions})

    def all_images(self) -> dict[str, Tensor]:
        """What was collected by all processes, a row an image in the order of the data set; forgets it."""
        everything = {name: whole_set(torch.cat([part[name] for part in self.parts])) for name in self.parts[0]}
        self.parts.clear()
        ordered = each_once([everything["index"]], *([column] for column in everything.values()))
        return dict(zip(everything, ordered, strict=True))

    def log_scores(
        self, module: LightningModule, labels: Int[Tensor, " n"], images: Mapping[str, Tensor], loss: Float[Tensor, ""]
    ) -> None:
        """Log metrics against the known classes, the loss that needs none, and how many clusters are in use."""
        scores = {"loss": loss, "clusters_used": loss.new_tensor(len(labels.unique()))}
        if (images["target"] >= 0).any():
            self.metrics.reset()
            self.metrics.update(labels, images["target"], images["index"])
            scores |= self.metrics.compute()
        for name, score in scores.items():
            module.log(name, score, prog_bar=name in ("loss", "nmi", "accuracy"))


def known_num_clusters(module: LightningModule, given: int | None) -> int:
    """The number of clusters: as given, or as many as the data has classes.

    Raises:
        ValueError: neither is known, or it does not lie between 2 and the number of images.
    """
    datamodule = getattr(module.trainer, "datamodule", None)
    found: int = getattr(datamodule, "num_classes", 0) if given is None else given
    total = num_images(module)
    if given is None and found < 2:
        raise ValueError(f"num_clusters must be given: the data has {found} known classes")
    if not 2 <= found <= total:
        raise ValueError(f"num_clusters must be between 2 and {total} (the number of images), got {found}")
    return found


def clean_images(module: LightningModule) -> Any:
    """The data set of the images to cluster, as they are evaluated."""
    datamodule = getattr(module.trainer, "datamodule", None)
    if datamodule is None:
        raise ValueError(f"{type(module).__name__} needs a LightningDataModule with a val_dataloader")
    return datamodule.val_dataloader().dataset


def num_images(module: LightningModule) -> int:
    return len(clean_images(module))


def num_workers(module: LightningModule) -> int:
    """As the data module is set."""
    return int(getattr(getattr(module.trainer, "datamodule", None), "num_workers", 0))
