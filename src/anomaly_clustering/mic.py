"""Batches of images in; groups of images by type of defect out: the paper's method as a LightningModule."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning import LightningModule
from rich.progress import Progress
from torch import Tensor

from anomaly_clustering.backbone import Backbone
from anomaly_clustering.bags import bag
from anomaly_clustering.clustering import Choice, choose_num_clusters, cut, distance_to_center, ward
from anomaly_clustering.metrics import clustering_metrics
from anomaly_clustering.ring import first_copies, gather, ring
from anomaly_clustering.weights import Shard, check_tau, mask_weights, novelty, rarity, soften, weighted_average

Weights = Literal["uniform", "rarity", "novelty", "mask"]
Clustered = tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n_minus_1 4"], Choice | None]


@dataclass(frozen=True)
class Grouping:
    """The result of a run, one row an image, in the order of the data set."""

    index: Int[np.ndarray, " n"]
    """Position in the data set."""
    target: Int[np.ndarray, " n"]
    """True class, -1 where unknown."""
    labels: Int[np.ndarray, " n"]
    """Cluster, 0 the largest."""
    distances: Float[np.ndarray, " n"]
    """Euclidean distance of the embedding to the mean of its cluster."""
    embeddings: Float[np.ndarray, "n d"]
    """Weighted averages of patches."""
    weights: Float[np.ndarray, "n h w"]
    """Weight of each patch on the patch grid; those of an image sum to one."""
    tree: Float[np.ndarray, "n_minus_1 4"]
    """All merges, as a linkage matrix of scipy."""
    choice: Choice | None
    """How the number of clusters was chosen, where it was."""


class MIC(LightningModule):
    """Multiple instance clustering with weighted average distances (Sohn et al., WACV 2023). Nothing is trained.

    Run it with `Trainer.test` (metrics too), `Trainer.validate` or `Trainer.predict`, on any number of devices; then
    `grouping` holds the result. `Trainer.predict` returns batches of index, path and label.

    Args:
        backbone: a network of timm, or 'embedded' (EfficientNet-Lite0, installed with this package).
        layer: the network's layer, see `Backbone`; by default that of the paper.
        checkpoint: local file of weights.
        kernel_size: side of the average pooling over the feature map; by default that of the paper for the network.
        weights: 'rarity' among the images to cluster (Eq. 5), 'novelty' against the normal images (Eq. 6), ground-truth
            'mask', or 'uniform'.
        tau: smoothness of the weights: small picks single patches, large weighs all alike.
        num_clusters: how many groups; 'auto' takes the knee of the merge heights; by default as many as there are
            classes.
    """

    grouping: Grouping

    def __init__(
        self,
        backbone: str = "wide_resnet50_2.racm_in1k",
        *,
        layer: str | None = None,
        checkpoint: Path | None = None,
        kernel_size: int | None = None,
        weights: Weights = "rarity",
        tau: float = 0.02,
        num_clusters: int | Literal["auto"] | None = None,
    ):
        super().__init__()
        check_tau(tau)
        if weights not in get_args(Weights):
            raise ValueError(f"weights must be one of {get_args(Weights)}, got {weights!r}")
        if isinstance(num_clusters, int) and num_clusters < 2:
            raise ValueError(f"num_clusters must be at least 2, or 'auto', got {num_clusters}")
        self.save_hyperparameters()
        self.backbone = Backbone(backbone, layer=layer, checkpoint=checkpoint)
        self.kernel_size = kernel_size or self.backbone.kernel_size
        self.weights = weights
        self.tau = tau
        self.num_clusters = num_clusters
        self.metrics = clustering_metrics()
        self.notices: list[str] = []

    # Lightning's hooks, the same for test, validate and predict.

    def on_test_start(self) -> None:
        self._start()

    def test_step(self, batch: Mapping[str, Any]) -> None:
        self._collect(batch)

    def on_test_epoch_end(self) -> None:
        self._finish()
        self._score()

    def on_validation_start(self) -> None:
        self._start()

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self._collect(batch)

    def on_validation_epoch_end(self) -> None:
        self._finish()
        self._score()

    def on_predict_start(self) -> None:
        self._start()
        self.predictions: list[dict[str, Any]] = []

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Index and path now; labels are known, and filled in, when the last image was seen."""
        self._collect(batch)
        prediction = {"index": batch["index"], "path": batch["path"], "label": torch.full_like(batch["index"], -1)}
        self.predictions.append(prediction)
        return prediction

    def on_predict_epoch_end(self) -> None:
        self._finish()
        labels = dict(zip(self.grouping.index.tolist(), self.grouping.labels.tolist(), strict=True))
        for prediction in self.predictions:
            prediction["label"].copy_(prediction["index"].new_tensor([labels[i] for i in prediction["index"].tolist()]))

    # The method.

    def _start(self) -> None:
        self.parts: list[dict[str, Tensor]] = []
        self.notices = []
        self._check_num_clusters()
        self.normal_patches = self._normal_patches() if self.weights == "novelty" else None

    def _collect(self, batch: Mapping[str, Any]) -> None:
        """Embed a batch, and weigh it at once unless that takes the other images."""
        feature_map = self.backbone(batch["image"])
        self.grid = (feature_map.shape[2], feature_map.shape[3])
        bags = bag(feature_map, self.kernel_size)
        part = {"index": batch["index"], "target": batch["target"]}
        if self.weights == "rarity":
            self.parts.append(part | {"bags": bags})
            return
        weights = self._weigh(bags, batch)
        self.parts.append(part | {"weights": weights, "embeddings": weighted_average(bags, weights)})

    def _weigh(self, bags: Float[Tensor, "b m d"], batch: Mapping[str, Any]) -> Float[Tensor, "b m"]:
        if self.normal_patches is not None:
            return soften(novelty(bags, self.normal_patches), self.tau)
        if self.weights == "uniform":
            return bags.new_full(bags.shape[:2], 1 / bags.shape[1])
        if "mask" not in batch:
            raise ValueError("weights 'mask' need ground-truth masks, but the data has none")
        weights, marked = mask_weights(batch["mask"], self.grid)
        self.notices += [
            f"empty mask, weights are uniform: {path}"
            for path, has in zip(batch["path"], marked, strict=True)
            if not has
        ]
        return weights

    def _finish(self) -> None:
        """Bring together what the processes hold, cluster on the first, and let all know."""
        own = {name: torch.cat([part[name] for part in self.parts]) for name in self.parts[0]}
        self.parts.clear()
        kept = first_copies(own["index"])
        own = {name: tensor[kept] for name, tensor in own.items()}
        if self.weights == "rarity":
            shard = Shard(own.pop("bags"), own["index"])
            pairs = len(shard.bags) * sum(map(len, gather(shard.positions)))
            with self._progress("Comparing images", pairs) as advance:
                scores = rarity(shard.bags, positions=shard.positions, references=ring(shard), advance=advance)
            own["weights"] = soften(scores, self.tau)
            own["embeddings"] = weighted_average(shard.bags, own["weights"])
        everything = {name: torch.cat(gather(tensor)) for name, tensor in own.items()}
        order = everything["index"].argsort()
        index, target, weights, embeddings = (
            everything[name][order].cpu().numpy() for name in ("index", "target", "weights", "embeddings")
        )
        clustered = self._cluster(embeddings) if self.trainer.is_global_zero else None
        labels, tree, choice = cast(Clustered, self.trainer.strategy.broadcast(clustered))
        self.grouping = Grouping(
            index=index,
            target=target,
            labels=labels,
            distances=distance_to_center(embeddings, labels),
            embeddings=embeddings,
            weights=weights.reshape(-1, *self.grid),
            tree=tree,
            choice=choice,
        )

    def _cluster(self, embeddings: Float[np.ndarray, "n d"]) -> Clustered:
        tree = ward(embeddings)
        choice = choose_num_clusters(tree) if self.num_clusters == "auto" else None
        num_clusters = choice.num_clusters if choice else self._known_num_clusters()
        return cut(tree, num_clusters), tree, choice

    def _score(self) -> None:
        if (self.grouping.target < 0).all():
            return
        self.metrics.reset()
        rank, world = self.trainer.global_rank, self.trainer.world_size
        labels, target, index = (
            torch.from_numpy(array[rank::world]).to(self.device)
            for array in (self.grouping.labels, self.grouping.target, self.grouping.index)
        )
        self.metrics.update(labels, target, index)
        self.log_dict(self.metrics.compute(), sync_dist=True)

    def _known_num_clusters(self) -> int:
        if isinstance(self.num_clusters, int):
            return self.num_clusters
        num_classes = getattr(getattr(self.trainer, "datamodule", None), "num_classes", 0)
        if num_classes < 2:
            raise ValueError("the data has no classes that give the number of clusters; set num_clusters, or 'auto'")
        return num_classes

    def _check_num_clusters(self) -> None:
        """Fail before the work, not after it."""
        records = getattr(getattr(self.trainer, "datamodule", None), "records", None)
        if records is not None and self.num_clusters != "auto" and self._known_num_clusters() > len(records):
            raise ValueError(
                f"num_clusters must be between 2 and {len(records)} (the number of images), "
                f"got {self._known_num_clusters()}"
            )

    def _normal_patches(self) -> Float[Tensor, "p d"]:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None or not datamodule.normal_records:
            raise ValueError("weights 'novelty' compare with normal images, but the data has none")
        patches = []
        with self._progress("Embedding normal images", len(datamodule.normal_records)) as advance:
            for batch in datamodule.normal_dataloader():
                patches.append(bag(self.backbone(batch["image"].to(self.device)), self.kernel_size).flatten(0, 1))
                advance(len(batch["image"]))
        return torch.cat(patches)

    def _progress(self, description: str, total: int) -> AbstractContextManager[Any]:
        return _Bar(description, total, shown=self.trainer.is_global_zero and bool(self.trainer.progress_bar_callback))


class _Bar(Progress):
    """A progress bar that hands out the function to advance it."""

    def __init__(self, description: str, total: int, *, shown: bool):
        super().__init__(disable=not shown, transient=True)
        self.task = self.add_task(description, total=total)

    def __enter__(self) -> Any:
        super().__enter__()
        return lambda done: self.advance(self.task, done)
