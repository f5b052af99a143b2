"""Pairs of neighbours by frozen features in; clusters that an ensemble of heads agrees on out.

TEMI (Adaloglou, Michels, Kalisch, Kollmann: 'Exploring the Limits of Deep Image Clustering using Pretrained Models',
BMVC 2023). A teacher, the moving average of the student, gives the targets; what two neighbours share is measured by
pointwise mutual information, and pairs that the teachers hold for unlike weigh little. Defaults are those of the
authors' README (commit 3c00b24) for CIFAR-10, with the features as they come from the network.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anomaly_clustering.system.hyperparameters import save_plain_hyperparameters
from baselines.at_hand import AtHand
from baselines.decoded import decode
from baselines.draws import Draws
from baselines.evaluation import (
    Evaluation,
    choose_head,
    known_num_clusters,
    num_images,
    prediction,
    scored_images,
    training_batches,
)
from baselines.features import Pooled, Standardised, centre_crop, frozen_features, seen_frozen
from baselines.global_batch import precise, training_seed, whole_batch
from baselines.heads import UnitHeads
from baselines.neighbours import nearest_neighbours, num_neighbours
from baselines.options import check_options

Probabilities = Float[Tensor, "n k"]


def pointwise_mutual_information(
    student: Probabilities, teacher: Probabilities, marginal: Float[Tensor, " k"], beta: float = 0.6
) -> Float[Tensor, " n"]:
    """log sum_c (q_s(c|x) q_t(c|x'))^beta / q_t(c) of each pair; beta < 1 keeps clusters from dying out.

    A product that underflows counts as next to nothing, where the slope of its root would be infinite.
    """
    shared = (student * teacher).clamp_min(torch.finfo(student.dtype).tiny)
    return (shared.pow(beta) / marginal).sum(1).log()


def pair_weight(first: Float[Tensor, "n heads k"], second: Float[Tensor, "n heads k"]) -> Float[Tensor, " n"]:
    """How probably two images share a cluster, by the teachers' mean: sum_c q_t(c|x) q_t(c|x')."""
    return (first * second).sum(2).mean(1)


def temi_loss(
    students: tuple[Probabilities, Probabilities],
    teachers: tuple[Probabilities, Probabilities],
    marginal: Float[Tensor, " k"],
    weight: Float[Tensor, " n"],
    beta: float = 0.6,
) -> Float[Tensor, ""]:
    """Minus the weighed information of one head: student on one image, teacher on the other, both ways."""
    information = [pointwise_mutual_information(students[i], teachers[1 - i], marginal, beta) for i in range(2)]
    return -(weight * (information[0] + information[1]) / 2).mean()


class Heads(UnitHeads):
    """Heads side by side, whose clusters are directions of the bottleneck.

    The weight of each cluster is a direction and a length, as in DINO's head; lengths begin at one.
    """

    def __init__(self, channels: int, num_clusters: int, count: int):
        super().__init__(channels, num_clusters, count)
        self.length = nn.Parameter(torch.ones(count, num_clusters))

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b heads k"]:
        """Logits."""
        return super().forward(features) * self.length


class TEMI(AtHand):
    """Clustering heads on frozen features. Run it with `fit`.

    Args:
        backbone: network of timm whose last map is averaged, or 'embedded' (EfficientNet-Lite0).
        checkpoint: local file of weights.
        features: a .npy file of one vector an image to use in place of a network.
        standardise: features to a mean of zero and an overall deviation of one over the images.
        num_clusters: as many as there are classes by default.
        heads: trained side by side; the one of lowest loss counts.
        neighbours: how many; never more than the other images. 'auto' is N // 2K (at most 50), for small data.
        beta: below one spreads clusters.
        temperature: of student and teacher.
        momentum: of the teacher's moving average, in each step.
        marginal_momentum: of the moving average of how large clusters are.
        crop: side in pixels of what the network sees.
        batch_size: of all processes; at most the number of images. Where there are more, the tail is left out.
        lr: of AdamW for 256 images; it grows with the batch.
        warmup_epochs: in which the learning rate rises.
        weight_decay: of weights, not of biases.
    """

    def __init__(
        self,
        backbone: str = "resnet50.tv_in1k",
        *,
        checkpoint: Path | str | None = None,
        features: Path | str | None = None,
        standardise: bool = False,
        num_clusters: int | None = None,
        heads: int = 16,
        neighbours: int | Literal["auto"] = 50,
        beta: float = 0.6,
        temperature: float = 0.1,
        momentum: float = 0.996,
        marginal_momentum: float = 0.9,
        crop: int = 224,
        batch_size: int = 1024,
        lr: float = 1e-4,
        warmup_epochs: int = 20,
        weight_decay: float = 1e-4,
    ):
        super().__init__()
        # All arguments above, which a checkpoint holds too.
        save_plain_hyperparameters(self)
        self.options: Any = self.hparams
        check_options(TEMI, self.options)
        self.encoder = nn.Identity() if features else Pooled(backbone, checkpoint=checkpoint)
        self.evaluation = Evaluation()
        self.head: Tensor
        self.losses: Tensor
        self.register_buffer("head", torch.tensor(0))
        # Of the heads, in the mean over the last epoch.
        self.register_buffer("losses", torch.full((heads,), torch.inf))
        self.seed = 0
        # Heads are drawn from there on, since Lightning seeds anew before it starts several processes.
        self.random_state = torch.get_rng_state()

    # Before training: features and neighbours, which do not change.

    def configure_model(self) -> None:
        options = self.options
        self.read_given_features()
        if hasattr(self, "student") or (options.features and not self.dim):
            return
        if self._trainer is not None:
            options.num_clusters = known_num_clusters(self, options.num_clusters)
        channels = self.dim if options.features else cast(Pooled, self.encoder).channels
        self.standardised = Standardised(channels, length=channels**0.5)
        torch.set_rng_state(self.random_state)
        self.student = Heads(channels, options.num_clusters, options.heads)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.marginal: Tensor
        self.register_buffer("marginal", torch.full((options.heads, options.num_clusters), 1 / options.num_clusters))

    def on_fit_start(self) -> None:
        options, self.seed = self.options, training_seed(self)
        # DistributedDataParallel has given the students of all processes the same weights, and buffers.
        if options.features:
            self.clean = cast(Tensor, self.clean).to(self.device)
        else:
            self.clean = frozen_features(self.encoder, decode(self), "none", crop=options.crop)[:, 0]
        if options.standardise:
            self.standardised.fit(self.clean)
        # Others alone: an image beside itself teaches nothing, and the authors leave it out too.
        k = num_neighbours(options.neighbours, num_images(self), options.num_clusters)
        self.neighbours: Int[Tensor, "n k"] = nearest_neighbours(self.clean, k)[:, 1:]

    def train_dataloader(self) -> DataLoader[Any]:
        size = self.options.batch_size
        return training_batches(self, batch_size=size, drop_last=True, batch_of=lambda index: {"index": index})

    def val_dataloader(self) -> DataLoader[Any]:
        return scored_images(self, batch_size=num_images(self), known=self.clean is not None)

    def configure_optimizers(self) -> Any:
        options = self.options
        parameters = list(self.student.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
        lr = options.lr * min(options.batch_size, num_images(self)) / 256
        optimizer = torch.optim.AdamW(groups, lr, weight_decay=options.weight_decay)
        rise = torch.optim.lr_scheduler.LinearLR(
            optimizer, 1 / max(1, options.warmup_epochs), 1.0, options.warmup_epochs
        )
        return {"optimizer": optimizer, "lr_scheduler": rise}

    # Training.

    def training_step(self, batch: Mapping[str, Any]) -> Float[Tensor, ""]:
        features, index = cast(Tensor, self.clean), batch["index"]
        draws = Draws(self.seed, self.current_epoch, index)
        pair = [features[index], features[draws.one_of(self.neighbours[index])]]
        students = [whole_batch(self._probabilities(self.student, part)) for part in pair]
        with torch.no_grad():
            teachers = [whole_batch(self._probabilities(self.teacher, part)) for part in pair]
        with torch.autocast(self.device.type, enabled=False):
            self.marginal.lerp_(torch.cat(teachers).mean(0), 1 - self.options.marginal_momentum)
            weight = pair_weight(teachers[0], teachers[1])
            losses = torch.stack(
                [
                    temi_loss(
                        (students[0][:, h], students[1][:, h]),
                        (teachers[0][:, h], teachers[1][:, h]),
                        self.marginal[h].clone(),
                        weight,
                        self.options.beta,
                    )
                    for h in range(self.options.heads)
                ]
            )
        self.epoch_losses.add(losses, len(batch["index"]))
        choose_head(self.epoch_losses, self.losses, self.head)
        self.evaluation.log_training(self, batch, train_loss=losses.mean().detach())
        return losses.mean()

    @torch.no_grad()
    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """The teacher follows the student."""
        with torch.enable_grad():
            super().optimizer_step(*args, **kwargs)
        for average, weight in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            average.lerp_(weight, 1 - self.options.momentum)

    def _probabilities(self, heads: nn.Module, features: Float[Tensor, "b d"]) -> Float[Tensor, "b heads k"]:
        return (precise(heads(self.standardised(features))) / self.options.temperature).softmax(2)

    # Evaluation: clusters of all images by the teacher's head of lowest loss.

    def _predict(self, batch: Mapping[str, Any]) -> Float[Tensor, "b heads k"]:
        if self.clean is not None:
            features = self.clean.to(self.device)[batch["index"]]
        else:
            features = seen_frozen(self.encoder, centre_crop(batch["image"], self.options.crop))
        return self._probabilities(self.teacher, features)

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self.evaluation.collect(batch, labels=self._predict(batch).argmax(2))

    def on_validation_epoch_end(self) -> None:
        self.evaluation.log_head(self, self.losses, self.head)

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        return prediction(batch, self._predict(batch)[:, int(self.head)])
