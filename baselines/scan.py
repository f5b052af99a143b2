"""Nearest neighbours by pretrained features in; clusters that neighbours share out.

SCAN (Van Gansbeke et al., ECCV 2020). Its step 1, self-supervised pretraining, is replaced by ImageNet weights as in
'Anomaly Clustering', Appendix C.1. Step 2 learns heads such that neighbours agree and clusters are equally large; step
3 learns from what is confident (self_labelling.py).
Defaults are the authors' for ImageNet-50 (their `scan_imagenet_50` and `selflabel_imagenet_50`, commit 952ec31).
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anomaly_clustering.system.hyperparameters import save_plain_hyperparameters
from baselines import evaluation, scan_choice
from baselines.at_hand import AtHand
from baselines.decoded import decode
from baselines.features import Pooled, Standardised, centre_crop, frozen_features, seen_frozen
from baselines.global_batch import precise, share_batch_norm, training_seed, whole_batch, with_idle, world_size
from baselines.neighbours import nearest_neighbours, neighbour_purity, num_neighbours
from baselines.options import check_options
from baselines.pairs import known, seen, with_neighbour
from baselines.scan_loss import losses_of_heads, scan_loss
from baselines.self_labelling import Average, WeightAverage, self_label_loss
from baselines.views import Augmentation


class SCAN(AtHand):
    """Semantic clustering by adopting nearest neighbours. Run it with `fit`, for `scan_epochs` + `selflabel_epochs`.

    Args:
        backbone: network of timm, the default with torchvision's IMAGENET1K_V1, or 'embedded' (EfficientNet-Lite0).
        checkpoint, features: local file of weights; or .npy file of a vector an image, then without network and step 3.
        num_clusters: as many as there are classes by default.
        scan_epochs, selflabel_epochs: of steps 2 and 3. The paper does not say after which its figures are taken; the
            end of step 2 is reported too, as `last_of_stage_0`.
        train, heads: in step 2, the 'heads' alone or 'all'; how many heads, of which that of lowest loss counts.
        neighbours: how many; at most all others. 'auto', N // 2K but at most 50, suits classes of fewer images.
        entropy_weight, augmentation: of step 2.
        standardise: features to a mean of zero and a length of about one, since the authors' `lr` is for the short ones
            of their step 1 (on which MoCo's authors train linear classifiers with 30). Pretrained features are long and
            have much in common: as they are, the literal reading, that `lr` drives MTD into one cluster.
        cached_views: draw from so many augmented views of each image, computed once; 0: anew in every epoch.
        crop: side in pixels of what the network sees, of images resized to a square (the authors: the shorter side).
        batch_size: of all processes; at most the number of images. Where there are more, the tail is left out.
        optimizer, lr, weight_decay: and `batch_size` of step 2; with `selflabel_` before, of step 3.
        threshold, class_balance, ema, ema_decay: of step 3, see `self_label_loss` and `WeightAverage`.
    """

    precision_on_gpus = "bf16-mixed"

    def __init__(
        self,
        backbone: str = "resnet50.tv_in1k",
        *,
        checkpoint: Path | str | None = None,
        features: Path | str | None = None,
        num_clusters: int | None = None,
        scan_epochs: int = 100,
        selflabel_epochs: int = 25,
        train: Literal["heads", "all"] = "heads",
        heads: int = 10,
        neighbours: int | Literal["auto"] = 50,
        entropy_weight: float = 5.0,
        augmentation: Augmentation = "simclr",
        standardise: bool = True,
        cached_views: int = 0,
        crop: int = 224,
        batch_size: int = 512,
        optimizer: Literal["sgd", "adam"] = "sgd",
        lr: float = 5.0,
        weight_decay: float = 0.0,
        selflabel_batch_size: int = 512,
        selflabel_optimizer: Literal["sgd", "adam"] = "sgd",
        selflabel_lr: float = 0.03,
        selflabel_weight_decay: float = 0.0,
        threshold: float = 0.99,
        class_balance: bool = False,
        ema: Average = "writeback",
        ema_decay: float = 0.999,
    ):
        super().__init__()
        if features and (selflabel_epochs or train == "all"):
            raise ValueError("given features leave no network to train: set selflabel_epochs 0 and train 'heads'")
        if cached_views and train == "all":
            raise ValueError("cached_views are features of a frozen network; with train 'all' set them to 0")
        # All arguments above, which a checkpoint holds too.
        save_plain_hyperparameters(self)
        self.options: Any = self.hparams
        check_options(SCAN, self.options)
        self.automatic_optimization = False
        frozen = train == "heads" and not selflabel_epochs
        self.encoder = nn.Identity() if features else Pooled(backbone, checkpoint=checkpoint, frozen=frozen)
        self.evaluation = evaluation.Evaluation()
        self.head: Tensor
        self.register_buffer("head", torch.tensor(0))
        self.neighbours: Any = None  # Int[Tensor, "n k"], from the start of a training.
        self.best: dict[str, Any] = {"loss": float("inf")}  # The epoch and head of step 2 that step 3 starts from.
        self.average = WeightAverage(ema, ema_decay)
        self.seed = self.head_number = 0  # `head` in step 3, for which the device is not waited for.
        self.random_state = torch.get_rng_state()  # Lightning seeds anew before it starts several processes.

    @property
    def stage(self) -> int:
        """0 in step 2 of the paper, 1 in step 3, also where a checkpoint of it is evaluated, which knows no epoch."""
        over = self.current_epoch >= self.options.scan_epochs or bool(self.average.tensors)
        return int(self.options.selflabel_epochs > 0 and over)

    @property
    def network_is_fixed(self) -> bool:
        """Until the first epoch of step 3, also where the training ended before it."""
        return self.options.train == "heads" and not self.average.tensors

    # Before training: heads, neighbours, and the features that will not change.

    def configure_model(self) -> None:
        options = self.options
        self.read_given_features()
        if hasattr(self, "heads") or (options.features and not self.dim):
            return
        if self._trainer is not None:
            options.num_clusters = evaluation.known_num_clusters(self, options.num_clusters)
        channels = self.dim if options.features else cast(int, self.encoder.channels)
        self.standardised = Standardised(channels)
        torch.set_rng_state(self.random_state)
        self.heads = nn.ModuleList(nn.Linear(channels, options.num_clusters) for _ in range(options.heads))

    def setup(self, stage: str) -> None:
        """A training begins anew; one that is resumed gets its own from the checkpoint, which is read later."""
        super().setup(stage)
        if stage == "fit":
            self.neighbours, self.best, self.average.tensors = None, {"loss": float("inf")}, {}

    def on_fit_start(self) -> None:
        options, self.seed, self.head_number = self.options, training_seed(self), int(self.head)
        scan_choice.check_all_are_validated(self, options)
        share_batch_norm(self.encoder)
        # Batches may be of another size in step 3.
        changes = options.selflabel_epochs > 0 and options.selflabel_batch_size != options.batch_size
        self.trainer.reload_dataloaders_every_n_epochs = int(changes)  # type: ignore[attr-defined]
        if options.features:
            self.clean = self.clean.to(self.device)
            self.bank = self.clean[:, None]
        else:
            self.images = decode(self)
            if self.network_is_fixed or self.neighbours is None:
                self.clean = frozen_features(self.encoder, self.images, "none", crop=options.crop)[:, 0]
        if self.neighbours is None:
            k = num_neighbours(options.neighbours, evaluation.num_images(self), options.num_clusters)
            self.neighbours = nearest_neighbours(self.clean, k)
            if options.standardise:
                self.standardised.fit(self.clean)
        self.average.to(self.device)
        if (views := options.cached_views) and self.stage == 0:
            name, crop = options.augmentation, options.crop
            self.bank = frozen_features(self.encoder, self.images, name, crop=crop, views=views)
        # Pairs are drawn where the features lie, or else on the processor.
        self.neighbours = self.neighbours.to("cpu" if self.bank is None else self.device)

    def train_dataloader(self) -> DataLoader[Any]:
        size = self.options.selflabel_batch_size if self.stage else self.options.batch_size
        return evaluation.training_batches(self, batch_size=size, drop_last=True, batch_of=self._batch)

    def _batch(self, index: Int[Tensor, " b"]) -> dict[str, Tensor]:
        """Positions of images, with views of them unless features of all are known."""
        images, epoch, crop = self.images, self.current_epoch, self.options.crop
        if self.stage == 1:
            return {"index": index, "views": seen(images, (index, index), ("none", "strong"), epoch=epoch, crop=crop)}
        if self.bank is not None:
            return {"index": index}
        name, pair = self.options.augmentation, with_neighbour(self.seed, epoch, index, self.neighbours)
        return {"index": index, "views": seen(images, pair, (name, name), epoch=epoch, crop=crop)}

    def val_dataloader(self) -> DataLoader[Any]:
        known = self.clean is not None or self.images is not None
        return evaluation.scored_images(self, batch_size=self.options.batch_size, known=known, pixels=self._pixels)

    def _pixels(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h w"] | None:
        """Of images, unless features of all are known."""
        return None if self.clean is not None and self.network_is_fixed else self.images.clean(index)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        make: dict[str, Any] = {"sgd": partial(torch.optim.SGD, momentum=0.9), "adam": torch.optim.Adam}
        options, trained = self.options, self.heads if self.options.train == "heads" else self
        found = [make[options.optimizer](trained.parameters(), options.lr, weight_decay=options.weight_decay)]
        if options.selflabel_epochs:
            second, lr, decay = options.selflabel_optimizer, options.selflabel_lr, options.selflabel_weight_decay
            found.append(make[second](self.parameters(), lr, weight_decay=decay))
        return found

    # Training.

    def on_train_epoch_start(self) -> None:
        if self.stage == 1 and not self.average.tensors:  # The first epoch of step 3.
            self.load_state_dict(self.best.get("state", {}), strict=False)
            self.head_number = int(self.head)
            self.average.start(self._student())
        self.encoder.train(not self.network_is_fixed)

    def training_step(self, batch: Mapping[str, Any]) -> None:
        optimizers = self.optimizers()
        optimizer = optimizers[self.stage] if isinstance(optimizers, list) else optimizers
        loss = self._scan_step(batch) if self.stage == 0 else self._self_label_step(batch)
        optimizer.zero_grad()
        # On one process nobody waits for gradients of what has no part in the loss.
        idle = (p for p in self.parameters() if p.requires_grad) if world_size() > 1 else ()
        self.manual_backward(with_idle(loss, idle))
        optimizer.step()
        if self.stage == 1:
            self.average.update(self._student())
        self.evaluation.log_training(self, batch, train_loss=loss.detach())

    def _scan_step(self, batch: Mapping[str, Any]) -> Float[Tensor, ""]:
        if self.bank is not None:
            pair = with_neighbour(self.seed, self.current_epoch, batch["index"], self.neighbours)
            features = list(known(self.bank, self.seed, pair, epoch=self.current_epoch).unbind(1))
        else:
            with torch.set_grad_enabled(not self.network_is_fixed):
                features = [self.encoder(batch["views"][:, i]) for i in range(2)]
        anchors, others = (whole_batch(self._probabilities(part)).unbind(1) for part in features)
        with torch.autocast(self.device.type, enabled=False):
            losses = [scan_loss(*pair, self.options.entropy_weight) for pair in zip(anchors, others, strict=True)]
            return torch.stack(losses).sum()  # Not their mean, in the authors' code.

    def _self_label_step(self, batch: Mapping[str, Any]) -> Float[Tensor, ""]:
        student = nn.Sequential(self.encoder, self.standardised, self.heads[self.head_number])
        with torch.no_grad():
            weak = student(batch["views"][:, 0])
        strong = student(batch["views"][:, 1])
        with torch.autocast(self.device.type, enabled=False):
            # Of all processes, so that one without a confident sample takes part all the same.
            weak, strong = whole_batch(precise(weak).softmax(1)), whole_batch(precise(strong))
            threshold, balance = self.options.threshold, self.options.class_balance
            self.evaluation.log_training(self, batch, confident=(weak.amax(1) > threshold).float().mean())
            return self_label_loss(weak, strong, threshold=threshold, class_balance=balance)

    def _student(self) -> dict[str, Tensor]:
        kept = ("encoder.", f"heads.{self.head_number}.")
        return {name: tensor for name, tensor in self.state_dict(keep_vars=True).items() if name.startswith(kept)}

    # Evaluation: clusters of all images by the head of lowest loss.

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b heads k"]:
        """Probabilities of each head."""
        images = centre_crop(images, self.options.crop)
        return self._probabilities(seen_frozen(self.encoder, images) if self.network_is_fixed else self.encoder(images))

    def _probabilities(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b heads k"]:
        return precise(torch.stack([head(self.standardised(features)) for head in self.heads], 1)).softmax(2)

    def _predict(self, batch: Mapping[str, Any]) -> Float[Tensor, "b heads k"]:
        if self.clean is not None and self.network_is_fixed:
            return self._probabilities(self.clean.to(self.device)[batch["index"]])
        if self.average.tensors and self.options.ema == "teacher":
            return torch.func.functional_call(self, self.average.to(self.device), (batch["image"],))
        return self(batch["image"])

    def validation_step(self, batch: Mapping[str, Any]) -> None:
        self.evaluation.collect(batch, probabilities=self._predict(batch))

    def on_validation_epoch_end(self) -> None:
        images = self.evaluation.all_images()
        if self.trainer.sanity_checking or self.neighbours is None:
            return  # Before training.
        has_neighbours = len(images["index"]) == len(self.neighbours) and self.is_asked_of_its_own_images()
        losses = torch.full((self.options.heads,), torch.inf, device=self.device)
        if has_neighbours:
            losses = losses_of_heads(images["probabilities"], self.neighbours[:, :6].to(self.device))
            if self.stage == 0 and self.trainer.state.fn == "fit":  # Asked of other images, the head stays.
                self.head.copy_(losses.argmin())
                self._remember(losses)
        self.evaluation.log_scores(self, images["probabilities"][:, self.head].argmax(1), images, losses[self.head])
        self.log("stage", float(self.stage))
        if has_neighbours and (images["target"] >= 0).all():
            self.log("neighbour_purity", neighbour_purity(self.neighbours.to(self.device), images["target"]))

    def _remember(self, losses: Float[Tensor, " heads"]) -> None:
        """Keep the weights of the best epoch and head of step 2 so far; of the network only where it is trained."""
        if not self.options.selflabel_epochs or not losses.min() < self.best["loss"]:
            return
        kept = ("head",) if self.options.train == "heads" else ("head", "encoder.")
        state = {name: tensor.clone() for name, tensor in self.state_dict().items() if name.startswith(kept)}
        self.best = {"loss": float(losses.min()), "state": state}

    def predict_step(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        return evaluation.prediction(batch, self._predict(batch)[:, int(self.head)])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["scan"] = {"neighbours": self.neighbours, "best": self.best, "average": self.average.tensors}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if kept := checkpoint.get("scan"):  # Else it is of another method, as its weights will tell.
            self.neighbours, self.best, self.average.tensors = kept["neighbours"], kept["best"], kept["average"]
