"""Batches of images in; clusters of images by type of defect out: the paper's method as a LightningModule."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from lightning import Callback, LightningModule

from anomaly_clustering.clustering.methods import Method
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.cache import Cache
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.features.views import Views
from anomaly_clustering.mic.apart import apart
from anomaly_clustering.mic.batch import known_of, reduce_bags
from anomaly_clustering.mic.checks import check_limits, check_patches, num_clusters_of
from anomaly_clustering.mic.closing import Closing, early_first
from anomaly_clustering.mic.companions import Companions
from anomaly_clustering.mic.comparing import compare
from anomaly_clustering.mic.distance_names import Distance
from anomaly_clustering.mic.options import NumReferences, Options, Weights
from anomaly_clustering.mic.positions import note_positions, without_copies
from anomaly_clustering.mic.progress import progress_bar
from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.references import CachedResults
from anomaly_clustering.mic.result import Grouping, gathered, group, note_what_to_know
from anomaly_clustering.mic.run import Run
from anomaly_clustering.mic.scorer import Scorer
from anomaly_clustering.mic.scores import Reduce
from anomaly_clustering.mic.spread import Spread, means_and_errors, spreads
from anomaly_clustering.mic.start import start
from anomaly_clustering.search.precision import Precision
from anomaly_clustering.system.attached import attached_data
from anomaly_clustering.system.hyperparameters import save_plain_hyperparameters


class MIC(LightningModule):
    """Multiple instance clustering (Sohn et al., WACV 2023): the paper's method, all it is compared with but deep
    clustering, and what goes beyond it: signed residuals. Nothing is trained.

    The defaults are the paper's. `method_arguments` gives those of signed residuals, which group better.

    Run it with `Trainer.test` (metrics too), `Trainer.validate` or `Trainer.predict`, on any number of devices; then
    `grouping` holds the result. `Trainer.predict` returns batches of index, path and label.

    Args:
        backbone: a network of timm, or 'embedded' (EfficientNet-Lite0, installed with this package).
        layer: the network's layer, see `Backbone`; by default that of the paper. Patches of the first of several
            levels are weighed, those of all are averaged, each level on its own grid: 'pyramid'.
        checkpoint: local file of weights.
        kernel_size: side of the average pooling over the feature map; by default that of the paper for the network.
        distance: how two images are compared: by their 'weighted_average' (Eq. 1), by a Hausdorff distance between
            their patches (Table 5, Appendix C), or by one vector without weights (Table 9; 'holistic': Table 4).
        weights: of patches, for the weighted average: 'rarity' among the images to cluster (Eq. 5), 'novelty' against
            the normal images (Eq. 6), ground-truth 'mask', anomaly 'maps' of any other detector, or 'uniform' (the
            paper's 'average').
        reduce: how rarity summarises the distances to the other images (Eq. 10, Table 5), see `rarity`.
        num_references: compare with so many images drawn by seed in place of all (Eq. 7), or normal ones; then no bag
            is kept; 'auto' takes 64 of more than 2000 images, else 'all'. With `residual_share`, `views` or several
            levels 32, or 100 normal images, by default and for 'auto'.
        normal_fraction: share of the normal images that novelty uses, drawn by seed (Figure 8).
        normal_stride: novelty compares with every so-many-th row and column of the normal patches. Neighbours are much
            alike, so that 2 takes a quarter of the time for scores that are a little higher.
        tau: smoothness of the weights: small picks single patches, large weighs all alike.
        effective_patches: choose tau such that so many patches count on average, or below one such a share of them,
            whatever the network, or the scale of the maps.
        top_k: let only the k highest scores count (Eq. 9; with an infinite tau Eq. 8).
        residual_share: average what differs, each patch less its nearest patches in this share of the references, see
            `residual_average`; by default the patches themselves, as in the paper.
        signed_root: centre the averages, take signed roots, and bring each level to unit length, see `signed_root`.
        views: look at each image in so many ways and average what is seen: 2 turns it by a quarter too, 4 by all
            quarters, 8 mirrors these.
        method: the clustering (Table 2).
        num_clusters: how many clusters; 'auto' makes as many as are cheap to name, see `clusters_to_name`; by default
            as many as there are classes.
        resamples: cluster so many random subsets of 90% of the images too, and report mean and standard error of the
            scores (Tables 9 and 10); `spreads` holds all, and those of a band of tau if any (`Spread`). On one process.
        precision: of the matrix products that choose the nearest patches: 'fp32', 'fp16' (GPUs), 'bf16', 'int8'
            (processors), or 'auto', which is what is fastest on the device. Distances to those chosen are exact.
        cache: folder that keeps bags, and the results of comparing images, for runs to come: a sweep over tau or
            clusterings embeds and compares once. It may be deleted at any time.
        seed: draws references, normal images and codebooks, and starts k-means and the like.

    Raises:
        ValueError: an argument is not allowed, alone or together with another.

    Example:
        >>> from lightning import Trainer
        >>> from anomaly_clustering.data import Synthetic
        >>> mic = MIC("embedded", num_clusters=7)
        >>> trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        >>> _ = trainer.validate(mic, Synthetic(per_class=2, normals=2, image_size=64), verbose=False)
        >>> mic.grouping.labels.shape, mic.grouping.weights.shape
        ((14,), (14, 8, 8))
    """

    keeps_aspect = True  # Images may come on canvases, see `Embedder`.

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
        num_references: NumReferences | None = None,
        normal_fraction: float = 1.0,
        normal_stride: int = 1,
        tau: float = 0.02,
        effective_patches: float | None = None,
        top_k: int | None = None,
        residual_share: float | None = None,
        signed_root: bool = False,
        views: Views = 1,
        method: Method = "ward",
        num_clusters: int | Literal["auto"] | None = None,
        resamples: int = 0,
        precision: Precision = "auto",
        cache: Path | str | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.options = Options(
            backbone=backbone,
            layer=layer,
            checkpoint=checkpoint,
            kernel_size=kernel_size,
            distance=distance,
            weights=weights,
            reduce=reduce,
            num_references=num_references,
            normal_fraction=normal_fraction,
            normal_stride=normal_stride,
            tau=tau,
            effective_patches=effective_patches,
            top_k=top_k,
            residual_share=residual_share,
            signed_root=signed_root,
            views=views,
            method=method,
            num_clusters=num_clusters,
            resamples=resamples,
            precision=precision,
            cache=cache,
            seed=seed,
        )
        save_plain_hyperparameters(self)
        self.notices: list[str] = []
        self.cache = Cache(cache, partial(list.append, self.notices)) if cache else None
        self.backbone = Backbone(backbone, layer=layer, checkpoint=Path(checkpoint) if checkpoint else None).folded()
        self.embedder = Embedder(self.backbone, self.options.kernel_size, self.cache)
        self.scorer = Scorer()
        self.run: Run | None = None
        self.result: Grouping | None = None
        self.spreads: dict[str, Spread] = {}

    @property
    def grouping(self) -> Grouping:
        """The result of the last run.

        Raises:
            RuntimeError: there was none.
        """
        if self.result is None:
            raise RuntimeError(
                "nothing is grouped yet: run MIC with Trainer.test, Trainer.validate or Trainer.predict, on several "
                "devices with strategy 'ddp' (others begin processes that take the result with them)"
            )
        return self.result

    def recipe(self, image_size: int) -> Recipe:
        """How the last run made embeddings of images of a size, so that later images can be embedded alike."""
        options = self.options
        return Recipe(
            backbone=self.backbone.name,
            layer=self.backbone.layer,
            checkpoint=options.absolute_checkpoint,
            kernel_size=self.embedder.kernel_size,
            image_size=image_size,
            distance=options.distance,
            weights=options.weights,
            reduce=options.reduce,
            tau=self.grouping.tau,
            top_k=options.top_k,
            residual_share=options.residual_share,
            signed_root=options.signed_root,
            views=options.views,
            aspect="square" if self.embedder.side is None else "keep",
            network_digest=self.backbone.digest,
        )

    # Lightning's hooks, the same for test, validate and predict.

    def configure_callbacks(self) -> list[Callback]:
        return [Companions(), Closing(self)]

    def setup(self, stage: str) -> None:
        early_first(self.trainer)
        check_limits(self.trainer, stage)

    def on_test_start(self) -> None:
        self.run = self._start()

    def test_step(self, batch: Mapping[str, Any]) -> None:
        self._collect(batch)

    def on_validation_start(self) -> None:
        self.run = self._start()

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self._collect(batch)

    def on_predict_start(self) -> None:
        self.run = self._start()

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Index and, where it is told, path now; labels are known, and filled in, when the last image was seen."""
        self._collect(batch)
        told = {name: batch[name] for name in ("index", "path") if name in batch}
        # On the processor, where Lightning stores this very tensor; of one on another device it would store a copy now.
        prediction = {**told, "label": torch.full(batch["index"].shape, -1)}
        self._of_run.predictions.append(prediction)
        return prediction

    # Before the first batch, with each batch, after the last one.

    @apart
    def _start(self) -> Run:
        self.notices.clear()
        self.result, self.spreads = None, {}
        data, note = attached_data(self.trainer), self.notices.append
        return start(self.options, data, self.trainer, self.embedder, self.cache, self._progress, note)

    @apart
    def _collect(self, given: Mapping[str, Any]) -> None:
        """Embed a batch; keep its bags only where comparing or weighing them takes all other images."""
        run = self._of_run
        batch, rows = known_of(given, self.options)
        note_positions(rows["index"], run.seen)
        if self.options.distance == "holistic":
            rows["embeddings"], grid = self.embedder.means(batch["image"])
            run.check_grid(grid, batch["image"].shape[-2:])
        elif self.options.streams:
            rows |= run.stream(batch) if run.stream else cast(CachedResults, run.compared_with).at(batch["index"])
            run.check_grid(rows["weights"].shape[1:], batch["image"].shape[-2:])
        else:
            bags = self.embedder(batch)
            run.check_grid(bags.shape[1:3], batch["image"].shape[-2:])
            check_patches(self.options, bags.shape[1] * bags.shape[2])
            rows |= reduce_bags(bags, batch, self.options, run.compared_with)
        run.rows.append(rows)

    @apart
    def finish(self, *, score: bool) -> None:
        """Bring together what the processes hold, cluster on the first, and let all know.

        Args:
            score: whether by known classes and masks too.
        """
        run = self._of_run
        own = without_copies(run.rows.taken())
        if "bags" in own:
            own = compare(own, self.options, run, self._progress)
        if not (self.options.weighs_subsets or isinstance(run.compared_with, CachedResults)):
            run.results.save_rows(own, run.shared, streamed=self.options.streams)
        own.pop("scores", None)
        run.masks = (own["index"], own.pop("mask")) if "mask" in own else None
        rows = gathered(own)
        run.band = rows.pop("band", None)
        data = attached_data(self.trainer)
        note_what_to_know(rows, data, self.notices.append)
        self.result = group(rows, run, self.options, num_clusters_of(self.options, data))
        if score:
            self._score(run, self.result)
        self.run = None  # Its bags and distances are much, and nobody asks for them when it has ended.

    def _score(self, run: Run, grouping: Grouping) -> None:
        """Metrics against known classes, and of the weights against masks where there are any."""
        scores = self.scorer.against_classes(grouping, slice(self.trainer.global_rank, None, self.trainer.world_size))
        if scores and self.options.resamples:
            self.spreads = spreads(grouping, self.options, run.bags_and_nearest, run.band, self.notices.append)
            scores |= means_and_errors(self.spreads)
        if run.masks:
            scores |= self.scorer.against_masks(grouping, *run.masks, self.notices.append)
        self.log_dict(scores, sync_dist=True)

    @property
    def _of_run(self) -> Run:
        assert self.run is not None, "a run has not started"
        return self.run

    def _progress(self, description: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
        shown = self.trainer.is_global_zero and bool(self.trainer.progress_bar_callback)
        return progress_bar(description, total, shown=shown)
