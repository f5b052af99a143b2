"""Predictions on all images, collected in batches by any number of processes, in; metrics of the epoch out."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from lightning import LightningDataModule, LightningModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from anomaly_clustering.data.common_folders import common_folders
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.metrics.agreement import clustering_metrics
from anomaly_clustering.metrics.samples import each_once
from anomaly_clustering.system.attached import attached_data
from baselines.draws import InAnyOrder
from baselines.global_batch import rank, share, training_seed, whole_set, world_size


class MeanLosses:
    """The mean loss of each head, or of the method, over the images of an epoch so far."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.total, self.weight = torch.zeros(()), 0

    def add(self, losses: Float[Tensor, "*heads"], weight: int) -> None:
        """Count the losses of a step, by its number of images or whatever tells how much of the epoch it is."""
        self.total = self.total + losses.detach() * weight
        self.weight += weight

    def mean(self) -> Float[Tensor, "*heads"]:
        """Infinite before the first step."""
        return self.total / self.weight if self.weight else torch.full_like(self.total, torch.inf)


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
        """Log metrics against the known classes, the loss that needs none, and how many clusters are in use.

        Args:
            loss: infinite where it is not known yet; it is not logged then, or the first epoch would seem the best.

        Raises:
            ValueError: the loss is not a number.
        """
        if loss.isnan():
            raise ValueError(
                f"the training has diverged: in epoch {module.current_epoch} its loss is not a number. Set a lower "
                "--model.lr, or train in --trainer.precision 32-true"
            )
        is_asked = module._trainer is not None and not module._trainer.sanity_checking
        if is_asked and len(labels) < (total := num_images(module)):
            rank_zero_warn(f"scores are of {len(labels)} of {total} images: see --trainer.limit_val_batches")
        scores = {"loss": loss} if loss.isfinite() else {}
        scores["clusters_used"] = loss.new_tensor(len(labels.unique()))
        if (images["target"] >= 0).any():
            self.metrics.reset()
            self.metrics.update(labels, images["target"], images["index"])
            scores |= self.metrics.compute()
        for name, score in scores.items():
            module.log(name, score, prog_bar=name in ("loss", "nmi", "accuracy"))

    def log_head(self, module: LightningModule, losses: Float[Tensor, " heads"], head: Int[Tensor, ""]) -> None:
        """Log the scores of one of several heads, whose `labels` were collected, with its loss in the training."""
        images, best = self.all_images(), int(head)
        self.log_scores(module, images["labels"][:, best], images, loss_of_training(module, losses[best]))

    @staticmethod
    def log_training(module: LightningModule, batch: Mapping[str, Any], **values: Tensor) -> None:
        """Log values of a step of training by their mean over the epoch, since small data has few steps.

        Args:
            batch: of the step, with the `index` of its images.
            values: of the batch of all processes.
        """
        for name, value in values.items():
            # Alike in all processes; without `sync_dist` Lightning would warn of it.
            module.log(name, value, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch["index"]))


def loss_of_training(module: LightningModule, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """A loss that the steps of a training had, in that training; infinite where the method is asked of images later.

    These may be others, whose loss is not known.
    """
    return loss if module.trainer.state.fn == "fit" else torch.full_like(loss, torch.inf)


def choose_head(epoch_losses: MeanLosses, losses: Float[Tensor, " heads"], head: Int[Tensor, ""]) -> None:
    """Keep the losses of heads, and which of them is lowest, as they are in the epoch so far."""
    losses.copy_(epoch_losses.mean())
    head.copy_(losses.argmin())


def prediction(batch: Mapping[str, Any], probabilities: Float[Tensor, "b k"]) -> dict[str, Tensor]:
    """What `predict_step` returns of each image: its position, its cluster and how probable that is."""
    confidence, label = probabilities.max(1)
    return {"index": batch["index"], "label": label, "confidence": confidence}


def known_num_clusters(module: LightningModule, given: int | None) -> int:
    """The number of clusters: as given, or as many as the data has classes.

    Raises:
        ValueError: neither is known, or it does not lie between 2 and the number of images.
    """
    datamodule = attached_data(module.trainer)
    found: int = getattr(datamodule, "num_classes", 0) if given is None else given
    total = num_images(module)
    if given is None and found < 2:
        raise ValueError(f"the data has {found} known classes: give num_clusters")
    if not 2 <= found <= total:
        raise ValueError(f"num_clusters must be between 2 and {total} (the number of images), got {found}")
    return found


class Classes(Dataset):
    """`index` and `target` of the images to cluster: methods have the pixels, or features, of all at hand."""

    def __init__(self, images: DefectImages):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"index": index, "target": self.images.target(index)}


def scored_images(
    module: LightningModule,
    *,
    batch_size: int,
    known: bool,
    pixels: Callable[[Int[Tensor, " b"]], Float[Tensor, "b 3 h w"] | None] | None = None,
) -> DataLoader[Any]:
    """The loader of the images to cluster, in their order.

    Args:
        batch_size: of what is at hand.
        known: whether the method has features or pixels of all images at hand; else they come from files.
        pixels: of images by their positions; None where features serve.
    """
    loader: DataLoader[Any] = _datamodule(module).predict_dataloader()
    if not known or not isinstance(loader.dataset, DefectImages):
        return loader

    def batch_of(samples: list[Any]) -> dict[str, Tensor]:
        batch: dict[str, Tensor] = default_collate(samples)
        images = pixels(batch["index"]) if pixels else None
        return batch if images is None else {**batch, "image": images}

    return DataLoader(Classes(loader.dataset), min(batch_size, len(loader.dataset)), collate_fn=batch_of)


def training_batches(
    module: LightningModule,
    *,
    batch_size: int,
    drop_last: bool = False,
    batch_of: Callable[[Int[Tensor, " b"]], dict[str, Tensor]],
) -> DataLoader[Any]:
    """The loader of a training, whose batches are made of positions of images, in a random order: see `InAnyOrder`.

    Args:
        batch_size: of all processes; at most all images.
        drop_last: leave the tail out, where there are more images than in a batch.
    """
    total = num_images(module)
    return DataLoader(
        range(total),  # type: ignore[arg-type]
        share(batch_size, total),
        sampler=InAnyOrder(training_seed(module), total, rank(), world_size()),
        drop_last=drop_last and total > batch_size,
        collate_fn=lambda positions: batch_of(torch.tensor(positions)),
    )


def clean_images(module: LightningModule) -> Any:
    """The data set of the images to cluster, as they are evaluated."""
    return _datamodule(module).predict_dataloader().dataset


def _datamodule(module: LightningModule) -> LightningDataModule:
    datamodule: LightningDataModule | None = attached_data(module.trainer)
    if datamodule is None:
        raise ValueError(f"{type(module).__name__} needs a LightningDataModule with a predict_dataloader")
    return datamodule


def num_images(module: LightningModule) -> int:
    return len(clean_images(module))


def told_of_images(module: LightningModule) -> dict[str, Any]:
    """What tells the images to cluster from others: their number and, where they are files, their names.

    Returns:
        `count`, and `names`: a digest of the paths of files below the folder that holds them all, in the order of the
        data set. What that folder is called, and where it lies, makes no difference; without names it is empty.
        `with_folders` is that of earlier checkpoints, of the name of each file and of the folder that it lies in.
    """
    images = clean_images(module)
    files = (
        [Path(os.path.abspath(record.image)) for record in images.records] if isinstance(images, DefectImages) else []
    )
    below = [file.relative_to(above) for file, above in zip(files, common_folders(files), strict=True)]
    return {
        "count": len(images),
        "names": _digest([file.parts for file in below]),
        "with_folders": _digest([file.parts[-2:] for file in files]),
    }


def _digest(names: Sequence[tuple[str, ...]]) -> str:
    text = "\n".join("/".join(parts) for parts in names)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest() if names else ""
