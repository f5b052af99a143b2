"""Batches of images in; groups of images by type of defect out: the paper's method as a LightningModule."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from anomaly_clustering.backbone import Backbone
from anomaly_clustering.bags import bag
from anomaly_clustering.clustering import (
    ON_DISTANCES,
    ON_EMBEDDINGS,
    Method,
    cluster_distance,
    cluster_embeddings,
)
from anomaly_clustering.comparison import PATCHWISE, POOLING, Distance, bag_of_words, directed_rows, join
from anomaly_clustering.grouping import Grouping, Groups, NumClusters, group_distance, group_embeddings
from anomaly_clustering.localisation import LocalisationAUROC
from anomaly_clustering.metrics import clustering_metrics
from anomaly_clustering.progress import progress_bar
from anomaly_clustering.purity_curve import mean_auc, purity_curve, reduction_at
from anomaly_clustering.resampling import all_nearest, rarity_within, resampled_scores
from anomaly_clustering.ring import first_copies, gather, ring
from anomaly_clustering.weights import (
    Reduce,
    Shard,
    check_tau,
    choose_tau,
    mask_weights,
    novelty,
    rarity,
    soften,
    weighted_average,
)

Weights = Literal["uniform", "rarity", "novelty", "mask"]

# What later images are compared with: so many images, and so many patches of normal images. On MTD (ResNet-18) 16 and
# 32 images give embeddings at a median distance of .087 and .082 from those that all 582 others give, where images are
# at .36 from the mean of their cluster.
KEPT_IMAGES = 32
KEPT_PATCHES = 2**16


class MIC(LightningModule):
    """Multiple instance clustering (Sohn et al., WACV 2023): the paper's method and all it is compared with but deep
    clustering. Nothing is trained.

    Run it with `Trainer.test` (metrics too), `Trainer.validate` or `Trainer.predict`, on any number of devices; then
    `grouping` holds the result. `Trainer.predict` returns batches of index, path and label.

    Args:
        backbone: a network of timm, or 'embedded' (EfficientNet-Lite0, installed with this package).
        layer: the network's layer, see `Backbone`; by default that of the paper.
        checkpoint: local file of weights.
        kernel_size: side of the average pooling over the feature map; by default that of the paper for the network.
        distance: how two images are compared: by their 'weighted_average' (Eq. 1), by a Hausdorff distance between
            their patches (Table 5, Appendix C), or by one vector without weights (Table 9; 'holistic': Table 4).
        weights: of patches, for the weighted average: 'rarity' among the images to cluster (Eq. 5), 'novelty' against
            the normal images (Eq. 6), ground-truth 'mask', or 'uniform' (the paper's 'average').
        reduce: how rarity summarises the distances to the other images (Eq. 10, Table 5).
        num_references: compare with so many images drawn by seed in place of all (Eq. 7); then no bag is kept.
        normal_fraction: share of the normal images that novelty uses, drawn by seed (Figure 8).
        tau: smoothness of the weights: small picks single patches, large weighs all alike.
        effective_patches: choose tau such that so many patches count on average, whatever the network.
        top_k: let only the k highest scores count (Eq. 9; with an infinite tau Eq. 8).
        method: the clustering (Table 2).
        num_clusters: how many groups; 'auto' takes the knee of the merge heights; by default as many as there are
            classes.
        resamples: cluster so many random subsets of 90% of the images too, and report mean and standard error of the
            scores (Tables 9 and 10); distances between patches are computed once. On one process.
        seed: draws references, normal images and codebooks, and starts k-means and the like.
    """

    grouping: Grouping

    def __init__(
        self,
        backbone: str = "wide_resnet50_2.racm_in1k",
        *,
        layer: str | None = None,
        checkpoint: Path | str | None = None,
        kernel_size: int | None = None,
        distance: Distance = "weighted_average",
        weights: Weights = "rarity",
        reduce: Reduce = "mean",
        num_references: int | None = None,
        normal_fraction: float = 1.0,
        tau: float = 0.02,
        effective_patches: float | None = None,
        top_k: int | None = None,
        method: Method = "ward",
        num_clusters: int | Literal["auto"] | None = None,
        resamples: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        check_tau(tau)
        choices = {"weights": (weights, Weights), "distance": (distance, Distance), "method": (method, Method)}
        for name, (value, known) in choices.items():
            if value not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {value!r}")
        if not 0 < normal_fraction <= 1:
            raise ValueError(f"normal_fraction must be above 0 and at most 1, got {normal_fraction}")
        if num_references is not None and num_references < 2:
            raise ValueError(f"num_references must be at least 2, got {num_references}")
        if isinstance(num_clusters, int) and num_clusters < 2:
            raise ValueError(f"num_clusters must be at least 2, or 'auto', got {num_clusters}")
        if resamples < 0 or resamples == 1:
            raise ValueError(f"resamples must be 0 (none) or at least 2, got {resamples}")
        self.localises = distance == "weighted_average" and weights in ("rarity", "novelty")
        if distance in PATCHWISE and method in ON_EMBEDDINGS:
            raise ValueError(
                f"method {method!r} needs one vector an image, and distance {distance!r} has none; with it use one of "
                f"{tuple(ON_DISTANCES)}"
            )
        self.save_hyperparameters()
        self.backbone = Backbone(backbone, layer=layer, checkpoint=Path(checkpoint) if checkpoint else None)
        self.kernel_size = kernel_size or self.backbone.kernel_size
        self.distance: Distance = distance
        self.weights: Weights = weights
        self.reduce: Reduce = reduce
        self.num_references = num_references
        self.normal_fraction = normal_fraction
        self.tau = tau
        self.effective_patches = effective_patches
        self.top_k = top_k
        self.method: Method = method
        self.num_clusters = num_clusters
        self.resamples = resamples
        self.seed = seed
        self.metrics = clustering_metrics()
        self.localisation = LocalisationAUROC()
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

    # The method: before the images, with each batch of them, after them.

    def _start(self) -> None:
        self.parts: list[dict[str, Tensor]] = []
        self.notices = []
        self._check_num_clusters()
        if self.resamples and self.trainer.world_size > 1:
            raise ValueError(f"resamples run on one process, got {self.trainer.world_size}")
        # What resampling starts from: bags and their nearest distances, where weights depend on the other images.
        self.bags_and_nearest: tuple[Tensor, Tensor] | None = None
        self.normal_patches: Tensor | None = None
        self.references: Shard | None = None
        # A sample of what patches were compared with, for images that come later; None where they were not compared.
        self.reference_bags: Float[Tensor, "r p d"] | None = None
        if self.distance != "weighted_average":
            return
        if self.weights == "novelty":
            self.normal_patches = self._normals()
            self.reference_bags = self.normal_patches[self._draw(len(self.normal_patches), KEPT_PATCHES)][None].half()
        elif self.weights == "rarity" and self.num_references is not None:
            self.references = self._references(self.num_references)
            self.reference_bags = self.references.bags[self._draw(self.num_references, KEPT_IMAGES)].half()

    def _collect(self, batch: Mapping[str, Any]) -> None:
        """Embed a batch; keep its bags only where comparing or weighing them takes all other images."""
        feature_map = self.backbone(batch["image"])
        self.grid = (feature_map.shape[2], feature_map.shape[3])
        part = {"index": batch["index"], "target": batch["target"]}
        if "mask" in batch and self.localises:
            part["mask"] = batch["mask"] > 0.5
        self.parts.append(part)
        if self.distance == "holistic":
            part["embeddings"] = feature_map.mean((2, 3))
            return
        bags = bag(feature_map, self.kernel_size)
        if self.distance in POOLING:
            part["embeddings"] = POOLING[self.distance](bags, self.grid)
        elif self.distance != "weighted_average":
            part["bags"] = bags
        elif self.weights in ("uniform", "mask"):
            self._weigh(part, bags, self._known_weights(part, bags, batch))
        else:
            self._keep_or_weigh(part, bags)

    def _keep_or_weigh(self, part: dict[str, Tensor], bags: Float[Tensor, "b m d"]) -> None:
        if self.normal_patches is not None:
            part["scores"] = novelty(bags, self.normal_patches)
            # Against fewer patches all distances are larger, so those of later images would not compare with these.
            kept = cast(Tensor, self.reference_bags)[0]
            every = len(kept) == len(self.normal_patches)
            part["mean_scores"] = (part["scores"] if every else novelty(bags, kept.to(bags))).mean(1)
        elif self.references is not None:
            part["scores"] = rarity(bags, self.reduce, positions=part["index"], references=[self.references])
            part["mean_scores"] = self._mean_scores(part["scores"])
        if "scores" in part and self.effective_patches is None:
            self._weigh(part, bags, soften(part.pop("scores"), self.tau, self.top_k))
        else:
            part["bags"] = bags

    def _weigh(self, part: dict[str, Tensor], bags: Float[Tensor, "b m d"], weights: Float[Tensor, "b m"]) -> None:
        part["weights"] = weights
        part["embeddings"] = weighted_average(bags, weights)

    def _known_weights(
        self, part: dict[str, Tensor], bags: Float[Tensor, "b m d"], batch: Mapping[str, Any]
    ) -> Float[Tensor, "b m"]:
        if self.weights == "uniform":
            return bags.new_full(bags.shape[:2], 1 / bags.shape[1])
        if "mask" not in batch:
            raise ValueError("weights 'mask' need ground-truth masks, but the data has none")
        weights, part["marked"] = mask_weights(batch["mask"], self.grid)
        return weights

    def _finish(self) -> None:
        """Bring together what the processes hold, cluster on the first, and let all know."""
        own = {name: torch.cat([part[name] for part in self.parts]) for name in self.parts[0]}
        self.parts.clear()
        kept = first_copies(own["index"])
        own = {name: tensor[kept] for name, tensor in own.items()}
        if "bags" in own:
            self._compare(own)
        self.own_masks = (own["index"], own.pop("mask")) if "mask" in own else None
        everything = {name: torch.cat(gather(tensor)) for name, tensor in own.items()}
        order = everything["index"].argsort()
        of_all = {name: tensor[order].cpu().numpy() for name, tensor in everything.items()}
        if "marked" in of_all:
            self._note_empty_masks(of_all["index"][~of_all["marked"]])
        groups = self._cluster_once(of_all)
        patches = self.grid[0] * self.grid[1]
        uniform = np.full((len(order), patches), 1 / patches, dtype=np.float32)
        self.grouping = Grouping(
            index=of_all["index"],
            target=of_all["target"],
            weights=of_all.get("weights", uniform).reshape(-1, *self.grid),
            embeddings=of_all.get("embeddings"),
            distance=join(self.distance, torch.from_numpy(of_all["distance"])).numpy()
            if "distance" in of_all
            else None,
            groups=groups,
            mean_scores=of_all.get("mean_scores", np.full(len(order), np.nan, dtype=np.float32)),
        )

    def _note_empty_masks(self, index: Int[np.ndarray, " n"]) -> None:
        """Of images that should have a mask: what is known to be good may do without."""
        records = getattr(getattr(self.trainer, "datamodule", None), "records", None)
        names = [str(records[i].image) for i in index if records[i].mask] if records else [f"image {i}" for i in index]
        if names:
            more = f" and {len(names) - 5} more" * (len(names) > 5)
            self.notices.append(f"empty mask, so weights are uniform: {', '.join(names[:5])}{more}")

    def _compare(self, own: dict[str, Tensor]) -> None:
        """Replace this process's bags by what follows from comparing them with those of all processes."""
        shard = Shard(own.pop("bags"), own["index"])
        pairs = len(shard.bags) * sum(map(len, gather(shard.positions)))
        if self.distance == "bag_of_words":
            own["embeddings"] = bag_of_words(shard, self.seed)
        elif self.distance in PATCHWISE:
            with self._progress("Comparing images", pairs) as advance:
                own["distance"] = directed_rows(self.distance, shard, advance)
        else:
            if "scores" not in own:
                with self._progress("Comparing images", pairs) as advance:
                    own["scores"] = self._rarity(shard, advance)
                self.reference_bags = self._sample(shard)
                own["mean_scores"] = self._mean_scores(own["scores"])
            scores = own.pop("scores")
            if self.effective_patches is not None:
                self.tau = choose_tau(torch.cat(gather(scores)), self.effective_patches)
            self._weigh(own, shard.bags, soften(scores, self.tau, self.top_k))

    def _rarity(self, shard: Shard, advance: Callable[[int], object]) -> Float[Tensor, "n m"]:
        if not self.resamples:
            return rarity(shard.bags, self.reduce, positions=shard.positions, references=ring(shard), advance=advance)
        nearest = all_nearest(shard.bags, advance=advance)
        self.bags_and_nearest = shard.bags, nearest
        return rarity_within(nearest, torch.arange(len(nearest), device=nearest.device), self.reduce)

    def _mean_scores(self, scores: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
        """Comparable with those against a sample of the references, except for their maximum or minimum."""
        return scores.mean(1) if self.reduce == "mean" else scores.new_full((len(scores),), torch.nan)

    def _sample(self, shard: Shard) -> Float[Tensor, "r m d"]:
        """Bags of some of the images of all processes, drawn by seed, in the order of the data set."""
        positions = torch.cat(gather(shard.positions)).sort().values
        own = torch.isin(shard.positions, positions[self._draw(len(positions), KEPT_IMAGES).to(positions.device)])
        bags, order = torch.cat(gather(shard.bags[own])), torch.cat(gather(shard.positions[own])).argsort()
        return bags[order].half()

    def _cluster_once(self, of_all: Mapping[str, np.ndarray]) -> Groups:
        """On the first process; all get its result, or fail as it does."""
        outcome: Groups | ValueError | None = None
        if self.trainer.is_global_zero:
            try:
                outcome = self._cluster(of_all)
            except ValueError as error:
                outcome = error
        outcome = cast(Groups | ValueError, self.trainer.strategy.broadcast(outcome))
        if isinstance(outcome, ValueError):
            raise outcome
        return outcome

    def _cluster(self, of_all: Mapping[str, np.ndarray]) -> Groups:
        num_clusters: NumClusters = "auto" if self.num_clusters == "auto" else self._known_num_clusters()
        if "distance" not in of_all:
            return group_embeddings(of_all["embeddings"], num_clusters, self.method, seed=self.seed)
        distance = join(self.distance, torch.from_numpy(of_all["distance"]))
        return group_distance(distance.numpy(), num_clusters, self.method, seed=self.seed)

    def _score(self) -> None:
        """Metrics against known classes, and of the weights against masks where there are any."""
        scores: dict[str, Tensor] = {}
        target = torch.from_numpy(self.grouping.target)
        if (target >= 0).any():
            self.metrics.reset()
            # All processes hold all labels; each counts its share.
            share = slice(self.trainer.global_rank, None, self.trainer.world_size)
            arrays = (self.grouping.labels, self.grouping.target, self.grouping.index)
            self.metrics.update(*(torch.from_numpy(array[share]).to(self.device) for array in arrays))
            curve = purity_curve(self.grouping.groups.tree, target)
            scores |= self.metrics.compute() | {"mauc": mean_auc(curve)}
            scores |= {f"r@{purity:.0%}": reduction_at(curve, purity) for purity in (0.9, 0.95, 0.99)}
            if self.resamples:
                scores |= self._resampled()
        if self.own_masks:
            index, masks = self.own_masks
            maps = torch.from_numpy(self.grouping.weights[np.searchsorted(self.grouping.index, index.cpu().numpy())])
            self.localisation.reset()
            self.localisation.update(maps.to(self.device), masks.float(), index)
            scores["localisation_auroc"] = self.localisation.compute()
        self.log_dict(scores, sync_dist=True)

    def _resampled(self) -> dict[str, Tensor]:
        target, num_clusters = self.grouping.target, self.grouping.num_clusters

        def labels_of(chosen: Int[np.ndarray, " s"]) -> Int[np.ndarray, " s"]:
            if self.grouping.distance is not None:
                within = self.grouping.distance[np.ix_(chosen, chosen)]
                return cluster_distance(within, num_clusters, self.method, seed=self.seed)
            embeddings = cast(np.ndarray, self.grouping.embeddings)[chosen]
            if self.bags_and_nearest is not None:
                bags, nearest = self.bags_and_nearest
                some = torch.from_numpy(chosen).to(bags.device)
                weights = soften(rarity_within(nearest, some, self.reduce), self.tau, self.top_k)
                embeddings = weighted_average(bags[some], weights).cpu().numpy()
            return cluster_embeddings(embeddings, num_clusters, self.method, seed=self.seed)

        found = resampled_scores(labels_of, target, count=self.resamples, seed=self.seed)
        self.bags_and_nearest = None
        return {name: torch.tensor(value) for name, value in found.items()}

    def _known_num_clusters(self) -> int:
        if isinstance(self.num_clusters, int):
            return self.num_clusters
        num_classes = getattr(getattr(self.trainer, "datamodule", None), "num_classes", 0)
        if num_classes < 2:
            raise ValueError(f"num_clusters must be given, or 'auto': the data has {num_classes} known classes")
        return num_classes

    def _check_num_clusters(self) -> None:
        """Fail before the work, not after it."""
        records = getattr(getattr(self.trainer, "datamodule", None), "records", None)
        if records is not None and self.num_clusters != "auto" and self._known_num_clusters() > len(records):
            raise ValueError(
                f"num_clusters must be between 2 and {len(records)} (the number of images), "
                f"got {self._known_num_clusters()}"
            )

    # Images beside those of the batch.

    def _normals(self) -> Float[Tensor, "p d"]:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None or not datamodule.normal_records:
            raise ValueError("weights 'novelty' compare with normal images, but the data has none")
        total = len(datamodule.normal_records)
        chosen = self._draw(total, max(1, round(self.normal_fraction * total)))
        return self._embed("Embedding normal images", datamodule.normal_dataloader(), chosen).flatten(0, 1)

    def _references(self, count: int) -> Shard:
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None or count > len(datamodule.records):
            total = len(datamodule.records) if datamodule else 0
            raise ValueError(f"num_references must be at most {total} (the number of images), got {count}")
        chosen = self._draw(len(datamodule.records), count)
        return Shard(self._embed("Embedding references", datamodule.test_dataloader(), chosen), chosen.to(self.device))

    def _draw(self, total: int, count: int) -> Int[Tensor, " count"]:
        """Sorted positions, drawn by seed; all of them need no drawing."""
        return torch.randperm(total, generator=torch.Generator().manual_seed(self.seed))[:count].sort().values

    def _embed(
        self, description: str, loader: DataLoader[Any], chosen: Int[Tensor, " count"]
    ) -> Float[Tensor, "count m d"]:
        images = DataLoader(
            Subset(loader.dataset, chosen.tolist()), batch_size=loader.batch_size, num_workers=loader.num_workers
        )
        bags = []
        with self._progress(description, len(chosen)) as advance:
            for batch in images:
                bags.append(bag(self.backbone(batch["image"].to(self.device)), self.kernel_size))
                advance(len(batch["image"]))
        return torch.cat(bags)

    def _progress(self, description: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        shown = self.trainer.is_global_zero and bool(self.trainer.progress_bar_callback)
        return progress_bar(description, total, shown=shown)
