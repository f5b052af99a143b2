"""Clean and transformed images in; clusters whose attended regions tell them apart out.

GATCluster, Self-Supervised Gaussian-Attention Network (Niu, Zhang, Wang, Liang, ECCV 2020). Defaults are the authors'
for ImageNet-10 (commit cf0e20f), as in 'Anomaly Clustering', Appendix C.1.
"""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from anomaly_clustering.system.hyperparameters import save_plain_hyperparameters
from baselines import evaluation, views
from baselines.at_hand import AtHand
from baselines.decoded import Decoded, decode
from baselines.draws import ORDER, Draws
from baselines.gatcluster_network import AttentionNetwork, BackboneName
from baselines.global_batch import of_first_process, rank, share, share_batch_norm, whole_batch, world_size
from baselines.options import COUNT, check_options
from baselines.pixels import AugmentationPlan
from baselines.statistics import Statistics, in_any_order, measure_statistics

Probabilities = Float[Tensor, "n k"]
SMALL = 1e-5
EVALUATED_AT_ONCE = 100


class Targets(NamedTuple):
    """What an iteration learns from, one row an image."""

    balanced: Float[Tensor, "n k"]
    sharp: Float[Tensor, "n k"]
    relation: Int[Tensor, " n"]
    """Images are related where these numbers are equal."""


def balanced_target(probabilities: Probabilities) -> Probabilities:
    """Probabilities over the size of their cluster, rows summing to one: for transformation invariance."""
    return _rows_to_one(probabilities / (probabilities.sum(0) + SMALL))


def sharp_target(probabilities: Probabilities) -> Probabilities:
    """Squared probabilities over the size of their cluster, rows summing to one (as DEC): for the attention."""
    return _rows_to_one(probabilities.square() / (probabilities.sum(0) + SMALL))


def _rows_to_one(x: Probabilities) -> Probabilities:
    return x / (x.sum(1, keepdim=True) + SMALL)


def relation_target(sharp: Probabilities, num_clusters: int, *, seed: int) -> Int[Tensor, " n"]:
    """k-means clusters of the sharpened targets: images are related within them.

    Where k-means finds fewer clusters than asked, or one of less than a tenth of the mean size, all numbers differ:
    each image is related to itself alone.
    """
    alone = torch.arange(len(sharp), device=sharp.device)
    if len(sharp) < num_clusters:
        return alone
    points = sharp.double().cpu().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Fewer clusters are looked for below.
        labels = torch.from_numpy(KMeans(num_clusters, n_init=20, random_state=seed).fit_predict(points)).long()
    sizes = labels.bincount(minlength=num_clusters)
    if sizes.min() < max(1, 0.1 * len(labels) / num_clusters):
        return alone
    return labels.to(sharp.device)


def invariance_loss(transformed: Probabilities, target: Probabilities) -> Float[Tensor, ""]:
    """-1/n sum_i <p(T x_i), t_i>: a transformed image belongs where the image does."""
    return -(transformed * target).sum(1).mean()


def entropy_loss(probabilities: Probabilities) -> Float[Tensor, ""]:
    """sum_k m_k log m_k of the mean m: no cluster is empty."""
    mean = probabilities.mean(0).clamp_min(SMALL)
    return (mean * mean.log()).sum()


def relation_loss(probabilities: Probabilities, relation: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Cross-entropy of cos(p_i, p_j) to whether i and j are related, over all pairs i >= j: clusters are separate."""
    unit = probabilities / (probabilities.norm(dim=1, keepdim=True) + SMALL)
    likeness = (unit @ unit.T).clamp(0, 1)
    related = (relation[:, None] == relation).to(likeness)
    # By their positions: for a mask a GPU would be waited for, to know how many they are.
    first, second = torch.tril_indices(*likeness.shape, device=likeness.device)
    return F.binary_cross_entropy(likeness[first, second], related[first, second])


def attention_loss(attended: Probabilities, sharp: Probabilities) -> Float[Tensor, ""]:
    """Cross-entropy of the attention's prediction to the sharpened one: what is attended to tells the cluster."""
    return F.binary_cross_entropy(attended, sharp)


def gatcluster_loss(
    original: Probabilities, attended: Probabilities, targets: Targets, weights: tuple[float, float, float, float]
) -> Float[Tensor, ""]:
    """Sum of the four tasks, weighed: invariance, entropy (of both branches), relation, attention."""
    invariance, entropy, relation, attention = weights
    return (
        invariance * invariance_loss(original, targets.balanced)
        + entropy * (entropy_loss(original) + entropy_loss(attended))
        + relation * relation_loss(original, targets.relation)
        + attention * attention_loss(attended, targets.sharp)
    )


def transformed_view(
    draws: Draws, size: tuple[int, int], *, side: int, flip: bool, scale: tuple[float, float]
) -> AugmentationPlan:
    """The whole image in other colours, mirrored or not, turned, moved, scaled and sheared."""
    return views.plan(
        views.whole(draws, size).box,
        draws.happens(0.5 if flip else 0.0),
        views.jitter(draws, brightness=0.3, contrast=0.3, hue=0.2),
        views.affine(draws, side, angle=10.0, shift=0.1, scale=scale, shear=10.0),
    )


class GATCluster(AtHand):
    """Clustering with Gaussian attention. Run it with `fit`; one step of the trainer is one iteration of the authors.

    An iteration takes a batch of images, derives targets from them, and learns from their transformed views in several
    passes of small steps. The authors run 6000 iterations, which on their 13,000 images are 461 epochs.

    Args:
        num_clusters: as many as there are classes by default.
        features: channels of the last map; the authors' equals their number of clusters.
        backbone: 'imagenet10', or 'small' (three padded convolutions) for images as small as digits.
        input_size: side in pixels of the grey images that the network sees.
        batch_size: images of an iteration, of all processes; at most all.
        step_size: images of a step, of all processes; at most those of the iteration, of which the tail is left out.
        passes: over the batch, in each iteration.
        weights: of invariance, entropy, relation and attention.
        width: lambda of the attention, its width at most.
        official_indexing: take the attention's second coordinate from its width, as the authors' code does; the paper
            has three parameters.
        flip: mirror images at random.
        scale: of random affine maps (0.8 to 1.2 for STL-10).
        lr: of Adam.
        seed: of k-means.
        statistics: by which batch normalisation scores images, and derives targets from them: 'running' means of
            training, which are of transformed views (the authors'), or those of the 'images' as they are.
    """

    precision_on_gpus = "bf16-mixed"

    def __init__(
        self,
        *,
        num_clusters: int | None = None,
        features: int = 10,
        backbone: BackboneName = "imagenet10",
        input_size: int = 128,
        batch_size: int = 1000,
        step_size: int = 32,
        passes: int = 8,
        weights: tuple[float, float, float, float] = (5.0, 3.0, 1.0, 5.0),
        width: float = 0.05,
        official_indexing: bool = False,
        flip: bool = True,
        scale: tuple[float, float] = (0.7, 1.3),
        lr: float = 1e-3,
        seed: int = 0,
        statistics: Statistics = "running",
    ):
        super().__init__()
        # All arguments above, which a checkpoint holds too.
        save_plain_hyperparameters(self)
        self.options: Any = self.hparams
        check_options(GATCluster, self.options, features=COUNT)
        self.automatic_optimization = False
        self.evaluation = evaluation.Evaluation()

    def configure_model(self) -> None:
        if hasattr(self, "network"):
            return
        options = self.options
        if self._trainer is not None:
            options.num_clusters = evaluation.known_num_clusters(self, options.num_clusters)
        self.network = AttentionNetwork(
            options.num_clusters,
            features=options.features,
            backbone=options.backbone,
            input_size=options.input_size,
            width=options.width,
            official_indexing=options.official_indexing,
        ).to(memory_format=torch.channels_last)

    def on_fit_start(self) -> None:
        share_batch_norm(self.network)
        self.images = decode(self)

    def train_dataloader(self) -> DataLoader[Any]:
        return evaluation.training_batches(self, batch_size=self.options.batch_size, batch_of=self._batch)

    def val_dataloader(self) -> DataLoader[Any]:
        pixels = self.images.clean if self.images else None
        return evaluation.scored_images(self, batch_size=EVALUATED_AT_ONCE, known=pixels is not None, pixels=pixels)

    def _batch(self, index: Int[Tensor, " b"]) -> dict[str, Tensor]:
        """Each image as it is, and transformed."""
        images = cast(Decoded, self.images)
        options, draws = self.options, images.draws(index, epoch=self.current_epoch)
        side = options.input_size
        plans = [
            views.whole(draws, images.size),
            transformed_view(draws, images.size, side=side, flip=options.flip, scale=tuple(options.scale)),
        ]
        return {"index": index, "views": torch.stack([images.views(index, p, (side, side)) for p in plans], 1)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.options.lr)

    # Training: targets first, then steps towards them.

    def training_step(self, batch: Mapping[str, Any]) -> None:
        clean, transformed = (self._grey(batch["views"][:, view]) for view in range(2))
        targets = self._targets(clean)
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        size = share(self.options.step_size, world_size() * len(clean))
        draws = cast(Decoded, self.images).draws(batch["index"], epoch=self.current_epoch, view=ORDER)
        losses: list[Tensor] = []
        for _ in range(self.options.passes):
            order = draws.uniform(1)[:, 0].argsort(stable=True)
            order = order[: len(order) // size * size]
            for images, *own in zip(*(part[order].split(size) for part in (transformed, *targets)), strict=True):
                original, attended = self.network(images)
                loss = self._loss(original, attended, Targets(*own))
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()
                losses.append(loss.detach())
        mean = torch.stack(losses).mean()
        self.epoch_losses.add(mean, len(losses))
        self.evaluation.log_training(self, batch, train_loss=mean)

    def _loss(
        self, original: Float[Tensor, "b k"], attended: Float[Tensor, "b k"], targets: Targets
    ) -> Float[Tensor, ""]:
        whole = (whole_batch(part) for part in (original.softmax(1), attended.softmax(1), *targets))
        with torch.autocast(self.device.type, enabled=False):
            first, second, *rest = whole
            return gatcluster_loss(first, second, Targets(*rest), tuple(self.options.weights))

    @torch.no_grad()
    def _targets(self, clean: Float[Tensor, "b 1 h w"]) -> Targets:
        """What this process's images learn from, by the predictions for the images of all processes."""
        if self.options.statistics == "images":
            # Batches of equal size to within an image, since each counts alike.
            measure_statistics(self, self.network, clean.tensor_split(-(-len(clean) // EVALUATED_AT_ONCE)))
        self.network.eval()
        own = torch.cat([self.network(part)[0].softmax(1) for part in clean.split(EVALUATED_AT_ONCE)])
        self.network.train()
        everything = whole_batch(own)
        balanced, sharp = balanced_target(everything), sharp_target(everything)
        relation = relation_target(sharp, self.options.num_clusters, seed=self.options.seed)
        # k-means may differ from machine to machine.
        relation = of_first_process(relation)
        start = rank() * len(own)
        return Targets(*(target[start : start + len(own)] for target in (balanced, sharp, relation)))

    def _grey(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        return (v2.functional.rgb_to_grayscale(images) - 0.449) / 0.226

    # Evaluation.

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Probabilities; the attention is for training alone."""
        return self.network(self._seen(images))[0].softmax(1)

    def _seen(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 side side"]:
        size = [self.options.input_size, self.options.input_size]
        return self._grey(v2.functional.resize(images, size, antialias=True))

    def measure(self) -> None:
        if self.images is not None and self.options.statistics == "images":
            measure_statistics(self, self.network, map(self._seen, in_any_order(self.images, EVALUATED_AT_ONCE)))

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self.evaluation.collect(batch, labels=self(batch["image"]).argmax(1))

    def on_validation_epoch_end(self) -> None:
        images = self.evaluation.all_images()
        loss = evaluation.loss_of_training(self, self.epoch_losses.mean().to(self.device))
        self.evaluation.log_scores(self, images["labels"], images, loss)

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        return evaluation.prediction(batch, self(batch["image"]))
