"""A method that is trained, as small as can be: what users bring by its class path."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.metrics import clustering_metrics


class Brightness(LightningModule):
    """Images are moved towards `clusters` levels of grey that are learned; each takes the nearest."""

    def __init__(self, clusters: int = 3, learning_rate: float = 0.1):
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = learning_rate
        self.levels = torch.nn.Parameter(torch.rand(clusters))
        self.metrics = clustering_metrics()

    def forward(self, images: Tensor) -> Tensor:
        return (images.mean((1, 2, 3))[:, None] - self.levels).abs()

    def training_step(self, batch: Mapping[str, Any]) -> Tensor:
        loss = self(batch["image"]).amin(1).mean()
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self.seen.append((self(batch["image"]).argmin(1), batch["target"]))

    def on_validation_epoch_end(self) -> None:
        preds, target = (torch.cat(parts) for parts in zip(*self.seen, strict=True))
        self.metrics.reset()
        self.metrics.update(preds, target)
        self.log_dict(self.metrics.compute())

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return {"index": batch["index"], "path": batch["path"], "label": self(batch["image"]).argmin(1)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)


class Greys(LightningDataModule):
    """Images that are in no files, and of which nothing else is known."""

    def train_dataloader(self) -> DataLoader[Any]:
        greys = [torch.full((3, 8, 8), i / 6) for i in range(6)]
        samples = [{"index": i, "path": "", "image": grey, "target": i // 2} for i, grey in enumerate(greys)]
        return DataLoader(samples, batch_size=3)  # type: ignore[arg-type]

    val_dataloader = predict_dataloader = train_dataloader
