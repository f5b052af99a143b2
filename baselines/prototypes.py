"""Pairs of neighbours by embeddings of weighted regions in; clusters that predict one another's balanced targets out.

What is trained on top of our own localisation, to be compared with clustering the same embeddings: self-labelling as
it is done to discover classes without labels. Clusters are prototypes, directions on a sphere. Of each batch the
predictions are turned into targets in which all clusters are equally large, by the algorithm of Sinkhorn (Cuturi:
'Sinkhorn Distances', NeurIPS 2013; Asano, Rupprecht, Vedaldi: 'Self-labelling via simultaneous clustering and
representation learning', ICLR 2020), and the target of an image is predicted from its neighbour, and the other way
(Caron et al.: 'Unsupervised Learning of Visual Features by Contrasting Cluster Assignments', SwAV, NeurIPS 2020; for
new classes Fini et al.: 'A Unified Objective for Novel Class Discovery', ICCV 2021). The two views of SwAV are here an
image and one of those whose embeddings are nearest, since the embeddings are frozen.

Nothing was tuned: temperature and epsilon are SwAV's, and the number of heads that of UNO's commands (commit 026fc0a);
the heads themselves and all else are those of our preset of TEMI for small data.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.mic.presets import Preset
from anomaly_clustering.system.attached import attached_data
from anomaly_clustering.system.hyperparameters import save_plain_hyperparameters
from baselines.at_hand import AtHand
from baselines.evaluation import (
    Evaluation,
    choose_head,
    known_num_clusters,
    num_images,
    prediction,
    scored_images,
    training_batches,
)
from baselines.features import Standardised, read_features
from baselines.global_batch import precise, training_seed, world_size
from baselines.heads import UnitHeads
from baselines.neighbours import nearest_neighbours, num_neighbours
from baselines.options import check_options
from baselines.pairs import with_neighbour
from baselines.regions import region_embeddings


def balanced(
    scores: Float[Tensor, "*heads n k"], *, epsilon: float = 0.05, tolerance: float = 1e-4, most: int = 1000
) -> Float[Tensor, "*heads n k"]:
    """Targets that follow the scores and in which all clusters are equally large.

    They maximise sum(Q * scores) + epsilon * entropy(Q), where each image has a mass of one and each cluster of n / k
    (Cuturi 2013, Eq. 2 and Algorithm 1; SwAV, Eq. 3 to 5): Q = exp((scores + a_image + b_cluster) / epsilon). A small
    epsilon makes them sharp. SwAV takes three rounds; here they go on until the marginals are right.

    Args:
        scores: cosines, or others; each head by itself.
        epsilon: how much entropy counts.
        tolerance: by which share the mass of a cluster may be off.
        most: rounds.

    Returns:
        Probabilities of clusters; rows sum to one.
    """
    n, k = scores.shape[-2:]
    log_q = scores / epsilon
    for _ in range(most):
        log_q = log_q - log_q.logsumexp(-2, keepdim=True) + math.log(n / k)
        log_q = log_q - log_q.logsumexp(-1, keepdim=True)
        if (log_q.logsumexp(-2).exp() * k / n - 1).abs().max() < tolerance:
            break
    return log_q.exp()


def swapped_loss(
    first: Float[Tensor, "*heads n k"],
    second: Float[Tensor, "*heads n k"],
    *,
    temperature: float = 0.1,
    epsilon: float = 0.05,
) -> Float[Tensor, "*heads"]:
    """Cross-entropy between the target of each image and what its partner predicts, both ways (SwAV, Eq. 1 and 2).

    Args:
        first: cosines of images and clusters, of each head.
        second: the same of their partners.
        temperature: of the predictions.
        epsilon: of the targets, which have no gradient.
    """
    pairs = torch.stack([first, second])  # [2, ..., N, K]
    targets = balanced(pairs.detach(), epsilon=epsilon)  # [2, ..., N, K]
    predicted = (pairs / temperature).log_softmax(-1)  # [2, ..., N, K]
    return -(targets * predicted.flip(0)).sum(-1).mean(-1).mean(0)


class Prototypes(AtHand):
    """Prototypes on the embeddings of weighted regions, by self-labelling. Run it with `fit`, on one device.

    Args:
        embedding: 'signed_residuals', what `cluster` clusters by default, or 'paper': weighted averages of patches.
        backbone: network of timm by which regions are found and embedded, or 'embedded' (EfficientNet-Lite0).
        layer: of it, see `MIC`; by default that of the embedding.
        checkpoint: local file of weights.
        tau: smoothness of the weights of patches, see `MIC`; by default that of the embedding.
        cache: folder that keeps what MIC computes of images for runs to come.
        seed: draws the images that patches are compared with; those of the training come from `seed_everything`.
        features: a .npy file of one vector an image to use in place of all these.
        num_clusters: as many as there are classes by default.
        heads: trained side by side; the one of lowest loss counts.
        neighbours: how many; never more than the other images. 'auto' is N // 2K (at most 50).
        temperature: of predictions.
        epsilon: of targets, which are the sharper the smaller it is.
        batch_size: at most the number of images. Where there are more, the tail is left out.
        lr: of AdamW for 256 images; it grows with the batch.
        warmup_epochs: in which the learning rate rises.
        weight_decay: of all weights.
    """

    def __init__(
        self,
        embedding: Preset = "signed_residuals",
        *,
        backbone: str = "wide_resnet50_2.racm_in1k",
        layer: str | None = None,
        checkpoint: Path | str | None = None,
        tau: float | None = None,
        cache: Path | str | None = None,
        seed: int = 0,
        features: Path | str | None = None,
        num_clusters: int | None = None,
        heads: int = 4,
        neighbours: int | Literal["auto"] = "auto",
        temperature: float = 0.1,
        epsilon: float = 0.05,
        batch_size: int = 128,
        lr: float = 4e-3,
        warmup_epochs: int = 5,
        weight_decay: float = 1e-4,
    ):
        super().__init__()
        # All arguments above, which a checkpoint holds too.
        save_plain_hyperparameters(self)
        self.options: Any = self.hparams
        check_options(Prototypes, self.options)
        self.evaluation = Evaluation()
        self.training_seed = 0
        self.head: Tensor
        self.losses: Tensor
        self.register_buffer("head", torch.tensor(0))
        # Of the heads, in the mean over the last epoch.
        self.register_buffer("losses", torch.full((heads,), torch.inf))

    # Before training: embeddings and neighbours, which do not change.

    def configure_model(self) -> None:
        options, is_made = self.options, hasattr(self, "heads")
        if self._trainer is not None:
            if not is_made:
                options.num_clusters = known_num_clusters(self, options.num_clusters)
            self.clean = self._embeddings()
            self.dim = self.clean.shape[1]
        if is_made or not self.dim:
            return
        self.standardised = Standardised(self.dim, length=self.dim**0.5)
        self.heads = UnitHeads(self.dim, options.num_clusters, options.heads)

    def _embeddings(self) -> Float[Tensor, "n d"]:
        options = self.options
        if world_size() > 1:
            raise ValueError("regions are found, and heads trained, on one device: leave trainer.devices at 1")
        if options.features:
            return read_features(Path(options.features), num_images(self))
        given = {name: options[name] for name in ("backbone", "layer", "checkpoint", "tau", "cache", "seed")}
        data = attached_data(self.trainer)
        # Lightning lets a module make its layers where it is trained, which a run of MIC decides for itself.
        with torch.device("cpu"):
            return region_embeddings(data, options.embedding, num_clusters=options.num_clusters, **given)

    def on_fit_start(self) -> None:
        options, self.training_seed = self.options, training_seed(self)
        self.clean = cast(Tensor, self.clean).to(self.device)
        self.standardised.fit(self.clean)
        k = num_neighbours(options.neighbours, num_images(self), options.num_clusters)
        # Without the image itself, which teaches nothing.
        self.neighbours: Int[Tensor, "n k"] = nearest_neighbours(self.standardised(self.clean), k)[:, 1:]

    def train_dataloader(self) -> DataLoader[Any]:
        size = self.options.batch_size
        return training_batches(self, batch_size=size, drop_last=True, batch_of=lambda index: {"index": index})

    def val_dataloader(self) -> DataLoader[Any]:
        return scored_images(self, batch_size=num_images(self), known=self.clean is not None)

    def configure_optimizers(self) -> Any:
        options = self.options
        lr = options.lr * min(options.batch_size, num_images(self)) / 256
        optimizer = torch.optim.AdamW(self.heads.parameters(), lr, weight_decay=options.weight_decay)
        rise = torch.optim.lr_scheduler.LinearLR(
            optimizer, 1 / max(1, options.warmup_epochs), 1.0, options.warmup_epochs
        )
        return {"optimizer": optimizer, "lr_scheduler": rise}

    # Training.

    def training_step(self, batch: Mapping[str, Any]) -> Float[Tensor, ""]:
        options = self.options
        pair = with_neighbour(self.training_seed, self.current_epoch, batch["index"], self.neighbours)
        first, second = (self._cosines(index).transpose(0, 1) for index in pair)  # [heads, B, K] each
        losses = swapped_loss(first, second, temperature=options.temperature, epsilon=options.epsilon)  # [heads]
        self.epoch_losses.add(losses, len(batch["index"]))
        choose_head(self.epoch_losses, self.losses, self.head)
        self.evaluation.log_training(self, batch, train_loss=losses.mean().detach())
        return losses.mean()

    def _cosines(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b heads k"]:
        return precise(self.heads(self.standardised(cast(Tensor, self.clean).to(self.device)[index])))

    # Evaluation: clusters of all images by the head of lowest loss.

    def _probabilities(self, batch: Mapping[str, Any]) -> Float[Tensor, "b heads k"]:
        return (self._cosines(batch["index"]) / self.options.temperature).softmax(2)

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self.evaluation.collect(batch, labels=self._probabilities(batch).argmax(2))

    def on_validation_epoch_end(self) -> None:
        self.evaluation.log_head(self, self.losses, self.head)

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        return prediction(batch, self._probabilities(batch)[:, int(self.head)])
