"""Batches of images in; groups of images by type of defect out: the paper's method as a LightningModule."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning import LightningModule
from torch import Tensor

from anomaly_clustering.clustering.grouping import Grouping, Groups, NumClusters, group_distance, group_embeddings
from anomaly_clustering.clustering.methods import (
    LARGEST,
    ON_DISTANCES,
    ON_EMBEDDINGS,
    Method,
    cluster_distance,
    cluster_embeddings,
)
from anomaly_clustering.clustering.num_clusters import check_can_choose
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.cache import Cache, settings_digest
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.distance_names import (
    HAUSDORFF,
    PATCHWISE,
    POOLING,
    Distance,
    bag_of_words,
    directed_rows,
    join,
)
from anomaly_clustering.mic.drawing import draw_normals, draw_references
from anomaly_clustering.mic.processes import first_copies, gather, ring
from anomaly_clustering.mic.progress import progress_bar
from anomaly_clustering.mic.references import NormalPatches, ReferenceImages, Remembered, mean_scores, sample
from anomaly_clustering.mic.resampling import all_nearest, rarity_within, resampled_scores
from anomaly_clustering.mic.row_buffer import Rows
from anomaly_clustering.mic.scorer import Scorer
from anomaly_clustering.mic.weights import (
    Reduce,
    Shard,
    check_tau,
    choose_tau,
    mask_weights,
    patch_means,
    rarity,
    soften,
    weighted_average,
)
from anomaly_clustering.search.precision import Precision, resolve

Weights = Literal["uniform", "rarity", "novelty", "mask", "maps"]


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
            the normal images (Eq. 6), ground-truth 'mask', anomaly 'maps' of any other detector, or 'uniform' (the
            paper's 'average').
        reduce: how rarity summarises the distances to the other images (Eq. 10, Table 5).
        num_references: compare with so many images drawn by seed in place of all (Eq. 7); then no bag is kept.
        normal_fraction: share of the normal images that novelty uses, drawn by seed (Figure 8).
        normal_stride: novelty compares with every so-many-th row and column of the normal patches. Neighbours are much
            alike, so that 2 takes a quarter of the time for scores that are a little higher.
        tau: smoothness of the weights: small picks single patches, large weighs all alike.
        effective_patches: choose tau such that so many patches count on average, whatever the network, or
            the scale of the maps.
        top_k: let only the k highest scores count (Eq. 9; with an infinite tau Eq. 8).
        method: the clustering (Table 2).
        num_clusters: how many groups; 'auto' takes the knee of the merge heights; by default as many as there are
            classes.
        resamples: cluster so many random subsets of 90% of the images too, and report mean and standard error of the
            scores (Tables 9 and 10); distances between patches are computed once. On one process.
        precision: of the matrix products that choose the nearest patches: 'fp32', 'bf16', 'int8', or 'auto', which is
            what is fastest on the device. Distances to those chosen are exact in any case.
        cache: folder that keeps bags, and the results of comparing images, for runs to come: a sweep over tau or
            clusterings embeds and compares once. It may be deleted at any time.
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
        normal_stride: int = 1,
        tau: float = 0.02,
        effective_patches: float | None = None,
        top_k: int | None = None,
        method: Method = "ward",
        num_clusters: int | Literal["auto"] | None = None,
        resamples: int = 0,
        precision: Precision = "auto",
        cache: Path | str | None = None,
        seed: int = 0,
    ):
        super().__init__()
        check_tau(tau)
        choices = {
            "weights": (weights, Weights),
            "distance": (distance, Distance),
            "method": (method, Method),
            "precision": (precision, Precision),
        }
        for name, (value, known) in choices.items():
            if value not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {value!r}")
        if not 0 < normal_fraction <= 1:
            raise ValueError(f"normal_fraction must be above 0 and at most 1, got {normal_fraction}")
        if normal_stride < 1:
            raise ValueError(f"normal_stride must be at least 1, got {normal_stride}")
        if num_references is not None and num_references < 2:
            raise ValueError(f"num_references must be at least 2, got {num_references}")
        if isinstance(num_clusters, int) and num_clusters < 2:
            raise ValueError(f"num_clusters must be at least 2, or 'auto', got {num_clusters}")
        if resamples < 0 or resamples == 1:
            raise ValueError(f"resamples must be 0 (none) or at least 2, got {resamples}")
        # Resampling weighs the patches of each subset anew where weights depend on the other images.
        self.weighs_subsets = bool(resamples) and (distance, weights, num_references) == (
            "weighted_average",
            "rarity",
            None,
        )
        self.localises = distance == "weighted_average" and weights in ("rarity", "novelty", "maps")
        if distance in PATCHWISE and method in ON_EMBEDDINGS:
            raise ValueError(
                f"method {method!r} needs one vector an image, and distance {distance!r} has none; with it use one of "
                f"{tuple(ON_DISTANCES)}"
            )
        self.save_hyperparameters()
        self.backbone = Backbone(backbone, layer=layer, checkpoint=Path(checkpoint) if checkpoint else None)
        self.notices: list[str] = []
        self.cache = Cache(cache, self._notice) if cache else None
        self.features = Embedder(self.backbone, kernel_size, self.cache)
        self.distance: Distance = distance
        self.weights: Weights = weights
        self.reduce: Reduce = reduce
        self.num_references = num_references
        self.normal_fraction = normal_fraction
        self.normal_stride = normal_stride
        self.tau = tau
        self.effective_patches = effective_patches
        self.top_k = top_k
        self.method: Method = method
        self.num_clusters = num_clusters
        self.resamples = resamples
        self.precision: Precision = precision
        self.seed = seed
        self.scorer = Scorer()

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
        self.rows = Rows(expected=math.ceil(len(self._data.records) / self.trainer.world_size) if self._data else 0)
        self.notices = []
        self._check_num_clusters()
        # A device that cannot is told of before anything is embedded.
        resolve(self.precision, self.device)
        if self.trainer.precision != "32-true":
            raise ValueError(f"the trainer's precision must be '32-true' for MIC, got {self.trainer.precision!r}")
        if self.resamples and self.trainer.world_size > 1:
            raise ValueError(f"resamples run on one process, got {self.trainer.world_size}")
        # What subsets are weighed from: bags and their nearest distances.
        self.bags_and_nearest: tuple[Tensor, Tensor] | None = None
        self.drawn = self._draw()
        self.comparison_key = self._comparison_key()
        # One process looks for all: they must agree on what is still to be done.
        known = self._known() if self.trainer.is_global_zero and not self.weighs_subsets else None
        known = self.trainer.strategy.broadcast(known)
        self.references = Remembered(known) if known else self._embedded()
        # A sample of what patches were compared with, for images that come later; None where they were not compared.
        self.reference_bags = self.references.reference_bags if self.references else None

    def _collect(self, batch: Mapping[str, Any]) -> None:
        """Embed a batch; keep its bags only where comparing or weighing them takes all other images."""
        part = {"index": batch["index"], "target": batch["target"]}
        if "mask" in batch and self.localises:
            part["mask"] = batch["mask"] > 0.5
        if self.distance == "holistic":
            feature_map = self.backbone(batch["image"])
            self.grid = (feature_map.shape[2], feature_map.shape[3])
            part["embeddings"] = feature_map.mean((2, 3))
        else:
            bags = self.features(batch)
            self.grid = (bags.shape[1], bags.shape[2])
            self._keep_or_reduce(part, bags.flatten(1, 2), batch)
        self.rows.append(part)

    def _keep_or_reduce(self, part: dict[str, Tensor], bags: Float[Tensor, "b m d"], batch: Mapping[str, Any]) -> None:
        if self.distance in POOLING:
            part["embeddings"] = POOLING[self.distance](bags, self.grid)
        elif self.distance == "weighted_average" and self.weights in ("uniform", "mask"):
            self._weigh(part, bags, self._known_weights(part, bags, batch))
        else:
            if self.distance == "weighted_average" and self.weights == "maps":
                part["scores"] = self._map_scores(batch)
            elif self.references:
                part |= self.references(bags, part["index"])
            if "scores" in part and self.effective_patches is None:
                self._weigh(part, bags, soften(part["scores"], self.tau, self.top_k))
            elif "distance" not in part:
                part["bags"] = bags

    def _map_scores(self, batch: Mapping[str, Any]) -> Float[Tensor, "b m"]:
        if "map" not in batch:
            raise ValueError("weights 'maps' need anomaly maps, but the data has none: give their folder as data.maps")
        return patch_means(batch["map"], self.grid)

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
        own = self.rows.taken()
        kept = first_copies(own["index"])
        if not kept.all():
            own = {name: tensor[kept] for name, tensor in own.items()}
        if "bags" in own:
            self._compare(own)
        self._remember(own)
        own.pop("scores", None)
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
        records = self._data.records if self._data else None
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
                own["distance"] = directed_rows(self.distance, shard, self.precision, advance)
        else:
            if "scores" not in own:
                with self._progress("Comparing images", pairs) as advance:
                    own["scores"] = self._rarity(shard, advance)
                self.reference_bags = sample(shard)
                own["mean_scores"] = mean_scores(own["scores"], self.reduce)
            scores = own["scores"]
            if self.effective_patches is not None:
                self.tau = choose_tau(torch.cat(gather(scores)), self.effective_patches)
            self._weigh(own, shard.bags, soften(scores, self.tau, self.top_k))

    def _rarity(self, shard: Shard, advance: Callable[[int], object]) -> Float[Tensor, "n m"]:
        if not self.weighs_subsets:
            return rarity(
                shard.bags,
                self.reduce,
                positions=shard.positions,
                references=ring(shard),
                precision=self.precision,
                advance=advance,
            )
        if (shard.positions.diff() < 0).any():
            raise ValueError("resamples need the images in the order of the data set, but the loader shuffles them")
        if known := self._known():
            nearest = known["nearest"].to(shard.bags.device)
            advance(len(nearest) ** 2)
        else:
            nearest = all_nearest(shard.bags, precision=self.precision, advance=advance)
            self._keep({"nearest": nearest})
        self.bags_and_nearest = shard.bags, nearest
        return rarity_within(nearest, torch.arange(len(nearest), device=nearest.device), self.reduce)

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
            if (n := len(of_all["embeddings"])) > LARGEST:
                self._notice(f"{n} images: Ward's method does without distances between all pairs, which takes longer")
            return group_embeddings(of_all["embeddings"], num_clusters, self.method, seed=self.seed)
        distance = join(self.distance, torch.from_numpy(of_all["distance"]))
        return group_distance(distance.numpy(), num_clusters, self.method, seed=self.seed)

    def _score(self) -> None:
        """Metrics against known classes, and of the weights against masks where there are any."""
        share = slice(self.trainer.global_rank, None, self.trainer.world_size)
        scores = self.scorer.against_classes(self.grouping, share)
        if scores and self.resamples:
            scores |= self._resampled()
        if self.own_masks:
            scores |= self.scorer.against_masks(self.grouping, *self.own_masks)
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
        num_classes = getattr(self._data, "num_classes", 0)
        if num_classes < 2:
            raise ValueError(f"the data has {num_classes} known classes: give num_clusters, or 'auto'")
        return num_classes

    def _check_num_clusters(self) -> None:
        """Fail before the work, not after it."""
        records = getattr(self._data, "records", None)
        if records is None:
            return
        if len(records) == 1:
            raise ValueError(f"there is one image alone, {str(records[0].image)!r}: at least 2 are needed")
        if self.num_clusters == "auto":
            check_can_choose(len(records))
        elif self._known_num_clusters() > len(records):
            raise ValueError(
                f"num_clusters must be between 2 and {len(records)} (the number of images), "
                f"got {self._known_num_clusters()}"
            )

    # What images are compared with, and results of comparing them that are known.

    @property
    def _data(self) -> Any:
        """A DefectDataModule or the like; None where the trainer was given loaders alone."""
        return getattr(self.trainer, "datamodule", None)

    def _draw(self) -> Int[Tensor, " count"] | None:
        """Positions of the images to compare with, where these are not all."""
        if self.distance == "weighted_average" and self.weights == "novelty":
            return draw_normals(len(getattr(self._data, "normal_records", ())), self.normal_fraction, self.seed)
        if self.distance == "weighted_average" and self.weights == "rarity" and self.num_references is not None:
            return draw_references(len(getattr(self._data, "records", ())), self.num_references, self.seed)
        return None

    def _embedded(self) -> NormalPatches | ReferenceImages | None:
        """The images to compare with, where these are not all."""
        if self.drawn is None or self._data is None:
            return None
        if self.weights == "novelty":
            title, loader, stride = "Embedding normal images", self._data.normal_dataloader(), self.normal_stride
        else:
            title, loader, stride = "Embedding references", self._data.test_dataloader(), 1
        with self._progress(title, len(self.drawn)) as advance:
            bags = self.features.of(loader, self.drawn, advance, stride)
        if self.weights == "novelty":
            return NormalPatches(bags.flatten(0, 1), self.precision)
        return ReferenceImages(Shard(bags, self.drawn.to(self.device)), self.reduce, self.precision)

    def _comparison_key(self) -> str | None:
        """Names all that the result of comparing the images depends on; None where nothing is compared, or kept."""
        data, weighs = self._data, self.distance == "weighted_average" and self.weights in ("rarity", "novelty")
        if not self.cache or not data or not (weighs or self.distance in PATCHWISE):
            return None
        limits = (self.trainer.limit_test_batches, self.trainer.limit_val_batches, self.trainer.limit_predict_batches)
        if not all(isinstance(limit, float) and limit == 1 for limit in limits):
            # The name is that of all images.
            return None
        how: object = [self.weights, self.reduce] if weighs else HAUSDORFF.get(self.distance, [self.distance])[0]
        size = [data.image_size] * 2
        novel = weighs and self.weights == "novelty"
        drawn = [] if self.drawn is None else self.drawn.tolist()
        return settings_digest(
            images=[self.features.key(record.image, size) for record in data.records],
            normals=[self.features.key(data.normal_records[i].image, size) for i in drawn if novel],
            references=[i for i in drawn if not novel],
            how="nearest" if self.weighs_subsets else how,
            stride=self.normal_stride if novel else 1,
            precision=str(resolve(self.precision, self.device)),
        )

    def _known(self) -> dict[str, Tensor] | None:
        return self.cache.load("comparisons", self.comparison_key) if self.cache and self.comparison_key else None

    def _keep(self, results: Mapping[str, Tensor]) -> None:
        if self.cache and self.comparison_key and self.trainer.is_global_zero:
            self.cache.save("comparisons", self.comparison_key, results)

    def _remember(self, own: Mapping[str, Tensor]) -> None:
        if not self.comparison_key or self.weighs_subsets or isinstance(self.references, Remembered):
            return
        order = torch.cat(gather(own["index"])).argsort()
        names = own.keys() & {"scores", "mean_scores", "distance"}
        results = {name: torch.cat(gather(own[name]))[order] for name in sorted(names)}
        if self.reference_bags is not None:
            results["reference_bags"] = self.reference_bags
        self._keep(results)

    def _notice(self, text: str) -> None:
        self.notices.append(text)

    def _progress(self, description: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        shown = self.trainer.is_global_zero and bool(self.trainer.progress_bar_callback)
        return progress_bar(description, total, shown=shown)
