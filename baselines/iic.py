"""Two views of each image in; clusters that tell most about one view from the other out.

IIC, Invariant Information Clustering (Ji, Henriques, Vedaldi, ICCV 2019). Defaults are the authors' for STL-10 (their
run 569, commit b7602b7), with the ResNet-50 of 'Anomaly Clustering', Appendix C.1, for images of 224 pixels.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from anomaly_clustering.system.hyperparameters import save_plain_hyperparameters
from baselines import views
from baselines.at_hand import AtHand
from baselines.decoded import Decoded, decode
from baselines.draws import Draws
from baselines.evaluation import (
    Evaluation,
    choose_head,
    known_num_clusters,
    prediction,
    scored_images,
    training_batches,
)
from baselines.features import Pooled
from baselines.global_batch import precise, share_batch_norm, whole_batch, with_idle
from baselines.iic_network import CHANNELS, Input, Trunk, network_input, scratch_network
from baselines.options import SHARE, check_options
from baselines.pixels import AugmentationPlan
from baselines.statistics import Statistics, in_any_order, measure_statistics
from baselines.views import Drawn

Probabilities = Float[Tensor, "n k"]
SMALLEST = sys.float_info.epsilon


def joint_distribution(first: Probabilities, second: Probabilities) -> Float[Tensor, "k k"]:
    """P_cc' = 1/n sum_i p_c(x_i) p_c'(g x_i), made symmetric (Eq. 2)."""
    joint = torch.einsum("nc,nd->cd", first, second)
    joint = (joint + joint.T) / 2
    return joint / joint.sum()


def iic_loss(first: Probabilities, second: Probabilities, lamb: float = 1.0) -> Float[Tensor, ""]:
    """Minus the mutual information of the clusters of two views, their entropies weighed by lamb (Eq. 3).

    -sum_cc' P_cc' (log P_cc' - lamb log P_c - lamb log P_c'), each probability at least the machine epsilon of float64.
    """
    joint = joint_distribution(first, second)
    rows, columns = joint.sum(1, keepdim=True), joint.sum(0, keepdim=True)
    joint, rows, columns = (p.clamp_min(SMALLEST) for p in (joint, rows, columns))
    return -(joint * (joint.log() - lamb * rows.log() - lamb * columns.log())).sum()


def first_view(draws: Draws, size: tuple[int, int], *, side: int) -> AugmentationPlan:
    """A crop at random."""
    return views.plan(views.corner(draws, size, side), draws.happens(0.0))


def second_view(draws: Draws, size: tuple[int, int], *, side: int, flip: bool, rotation: float) -> AugmentationPlan:
    """A crop at random, mirrored or not, turned or not, in other colours."""
    return views.plan(
        views.corner(draws, size, side),
        draws.happens(0.5 if flip else 0.0),
        views.sometimes(draws, 0.5 if rotation else 0.0, Drawn("affine", -rotation, rotation)),
        views.jitter(draws, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.125),
    )


class IIC(AtHand):
    """Invariant information clustering. Run it with `fit`.

    One epoch of the trainer is one pass over the images with one of two heads: A clusters more finely than asked and
    shapes the features, B gives the clusters. An epoch of the authors is `head_a_epochs` + `head_b_epochs` passes.

    Args:
        num_clusters: as many as there are classes by default.
        overclustering: clusters of head A for each of head B (7 for STL-10 and CIFAR-10, 5 for MNIST). The loss of A
            cannot fall below -log of them, nor below -log of the number of images, where it has learnt all by heart.
        sub_heads: of each head; that of lowest loss in the last pass with head B counts, since no label may choose it
            (the authors evaluate the loss in a pass of its own).
        head_a_epochs, head_b_epochs: passes in turn.
        head_b_first: which of the two begins.
        lamb: weight of the entropies of single views.
        trunk: the network; 'conv3' (three convolutions) is for images as small as digits.
        small_stem: for input of up to about 100 pixels.
        pretrained: in place of `trunk` a network of timm with its ImageNet weights, or 'embedded'; needs input 'rgb'.
            The paper does not say whether it started from ImageNet; the authors of IIC start from scratch.
        checkpoint: local file of weights for `pretrained`.
        input: 'sobel' as the authors; note that it hides defects that only have another colour.
        repeats: second views of each image in a batch.
        crop: side of random crops as a share of the image (64 of 96 pixels for STL-10).
        input_size: side in pixels to which crops are resized.
        flip: mirror second views at random (not for MNIST).
        rotation: turn half of the second views by up to so many degrees (25 for MNIST).
        batch_size: images of all processes; at most all. A smaller last batch is kept, as the authors do.
        lr: of Adam.
        idle_momentum: the head whose turn it is not moves on by its momentum, as in the authors' version of torch.
        statistics: by which batch normalisation scores images: 'running' means of training, which are of its views (the
            authors', for STL-10), or those of all 'images' as they are (the authors normalise each batch by its own for
            CIFAR-10).
    """

    precision_on_gpus = "bf16-mixed"

    def __init__(
        self,
        *,
        num_clusters: int | None = None,
        overclustering: int = 7,
        sub_heads: int = 5,
        head_a_epochs: int = 1,
        head_b_epochs: int = 1,
        head_b_first: bool = False,
        lamb: float = 1.0,
        trunk: Trunk = "resnet50",
        small_stem: bool = False,
        pretrained: str | None = None,
        checkpoint: Path | str | None = None,
        input: Input = "sobel",
        repeats: int = 5,
        crop: float = 2 / 3,
        input_size: int = 224,
        flip: bool = True,
        rotation: float = 0.0,
        batch_size: int = 140,
        lr: float = 1e-4,
        idle_momentum: bool = True,
        statistics: Statistics = "running",
    ):
        super().__init__()
        if pretrained and input != "rgb":
            raise ValueError(f"pretrained networks see colours: with {pretrained!r} input must be 'rgb', got {input!r}")
        # All arguments above, which a checkpoint holds too.
        save_plain_hyperparameters(self)
        self.options: Any = self.hparams
        check_options(IIC, self.options, crop=SHARE)
        if pretrained:
            network = Pooled(pretrained, checkpoint=checkpoint, frozen=False)
            self.trunk: nn.Module = network
            self.channels = network.channels
        else:
            self.trunk, self.channels = scratch_network(trunk, CHANNELS[input], small_stem=small_stem)
            self.trunk.to(memory_format=torch.channels_last)
        self.evaluation = Evaluation()
        self.best_sub_head: Tensor
        self.losses: Tensor
        self.register_buffer("best_sub_head", torch.tensor(0))
        # Of the sub-heads of head B, in the mean over the last pass with it.
        self.register_buffer("losses", torch.full((sub_heads,), torch.inf))
        # Heads are drawn from there on, since Lightning seeds anew before it starts several processes.
        self.random_state = torch.get_rng_state()

    @property
    def head(self) -> Literal["a", "b"]:
        """Whose turn it is in this pass."""
        options = self.options
        place = self.current_epoch % (options.head_a_epochs + options.head_b_epochs)
        if options.head_b_first:
            return "b" if place < options.head_b_epochs else "a"
        return "a" if place < options.head_a_epochs else "b"

    def configure_model(self) -> None:
        if hasattr(self, "heads"):
            return
        options = self.options
        if self._trainer is not None:
            options.num_clusters = known_num_clusters(self, options.num_clusters)
        sizes = {"a": options.overclustering * options.num_clusters, "b": options.num_clusters}
        torch.set_rng_state(self.random_state)
        self.heads = nn.ModuleDict(
            {
                name: nn.ModuleList(nn.Linear(self.channels, size) for _ in range(options.sub_heads))
                for name, size in sizes.items()
            }
        )
        for parameter_name, parameter in self.heads.named_parameters():
            if parameter_name.endswith("weight"):
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)

    def on_fit_start(self) -> None:
        share_batch_norm(self.trunk)
        self.images = decode(self)

    def train_dataloader(self) -> DataLoader[Any]:
        return training_batches(self, batch_size=self.options.batch_size, batch_of=self._batch)

    def val_dataloader(self) -> DataLoader[Any]:
        images, size = self.images, self.options.batch_size
        return scored_images(self, batch_size=size, known=images is not None, pixels=images.clean if images else None)

    def _batch(self, index: Int[Tensor, " b"]) -> dict[str, Tensor]:
        """Of each image one view of the first kind, and several of the second."""
        images = cast(Decoded, self.images)
        options, size = self.options, (self.options.input_size, self.options.input_size)
        side, repeats = math.floor(options.crop * min(images.size)), options.repeats
        draws = images.draws(index, epoch=self.current_epoch)
        first = images.views(index, first_view(draws, images.size, side=side), size)
        repeated, number = index.repeat_interleave(repeats), torch.arange(1, 1 + repeats).repeat(len(index))
        draws = images.draws(repeated, epoch=self.current_epoch, view=number)
        plan = second_view(draws, images.size, side=side, flip=options.flip, rotation=options.rotation)
        second = images.views(repeated, plan, size).unflatten(0, (len(index), repeats))
        return {"index": index, "views": torch.cat([first[:, None], second], 1)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.options.lr)

    # Training.

    def training_step(self, batch: Mapping[str, Any]) -> Float[Tensor, ""]:
        views = batch["views"]
        repeats = views.shape[1] - 1
        first = self._probabilities(views[:, 0], self.head).repeat_interleave(repeats, 0)
        second = self._probabilities(views[:, 1:].flatten(0, 1), self.head)
        first, second = whole_batch(first), whole_batch(second)
        with torch.autocast(self.device.type, enabled=False):
            losses = torch.stack(
                [iic_loss(first[:, h], second[:, h], self.options.lamb) for h in range(first.shape[1])]
            )
        if self.head == "b":
            self.epoch_losses.add(losses, len(batch["index"]))
            choose_head(self.epoch_losses, self.losses, self.best_sub_head)
        self.evaluation.log_training(self, batch, **{f"train_loss_{self.head}": losses.mean().detach()})
        return with_idle(losses.mean(), self._idle())

    def _idle(self) -> list[nn.Parameter]:
        return list(self.heads["b" if self.head == "a" else "a"].parameters())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if not self.options.idle_momentum:
            for parameter in self._idle():
                parameter.grad = None

    def _probabilities(self, images: Float[Tensor, "b 3 h w"], head: str) -> Float[Tensor, "b sub_heads k"]:
        try:
            features = self.trunk(network_input(images, self.options.input))
        except ValueError as error:
            # What batch normalisation says of a single value.
            if len(images) > 1 or not self.training:
                raise
            raise ValueError(
                "the network shrinks a batch of one image to one pixel, which leaves nothing to normalise by: set a "
                f"larger --model.input_size than {self.options.input_size}, or a --model.batch_size other than "
                f"{self.options.batch_size}, which leaves one image over"
            ) from error
        return precise(
            torch.stack([sub_head(features) for sub_head in cast(nn.ModuleList, self.heads[head])], 1)
        ).softmax(2)

    # Evaluation: clusters of all images by the sub-head of head B that had the lowest loss.

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b sub_heads k"]:
        """Probabilities of each sub-head of head B, for the middle of the images."""
        return self._probabilities(self._middle(images), "b")

    def _middle(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 side side"]:
        side = math.floor(self.options.crop * min(images.shape[-2:]))
        size = [self.options.input_size, self.options.input_size]
        return v2.functional.resize(v2.functional.center_crop(images, [side, side]), size, antialias=True)

    def measure(self) -> None:
        if self.images is not None and self.options.statistics == "images":
            clean = in_any_order(self.images, self.options.batch_size)
            inputs = (network_input(self._middle(batch), self.options.input) for batch in clean)
            measure_statistics(self, self.trunk, inputs)

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self.evaluation.collect(batch, labels=self(batch["image"]).argmax(2))

    def on_validation_epoch_end(self) -> None:
        self.evaluation.log_head(self, self.losses, self.best_sub_head)

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        return prediction(batch, self(batch["image"])[:, int(self.best_sub_head)])
