"""What a method has at hand of the images that it trains on, and lets go of when it is asked of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule

from baselines import evaluation
from baselines.features import read_features


class AtHand(LightningModule):
    """Pixels and features of all images of a run, by their positions.

    The next run begins without them: it may be of other images, whose positions are the same. A training, though, goes
    on with its own ones alone: positions are what it knows of them.
    """

    options: Any
    """Of the method, by name."""
    images: Any = None
    """`Decoded`, from the start of a training."""
    clean: Any = None
    """Features [N, D] of the images as they are, where the network does not change."""
    bank: Any = None
    """Features [N, V, D] of V views of each."""

    measured_after: int = -1
    """So many steps of the training `measure` was last asked."""

    dim: int = 0
    """Of features that are given, or of regions; known from the first run on, or by a checkpoint."""

    trained_on: dict[str, Any] | None = None
    """What tells the images of the training from others; None of a checkpoint that does not say it."""

    def __init__(self) -> None:
        super().__init__()
        # Of the steps of an epoch so far, where the method knows its loss by these.
        self.epoch_losses = evaluation.MeanLosses()

    def setup(self, stage: str) -> None:
        """Begin a run.

        Raises:
            ValueError: all would be computed in half precision, also probabilities and losses.
        """
        if self.trainer.precision in ("16-true", "bf16-true"):
            raise ValueError(
                f"{type(self).__name__} has probabilities and losses in 32 bits at least: set --trainer.precision to "
                f"'32-true', '64-true' or 'bf16-mixed', got {self.trainer.precision!r}"
            )
        self.images = self.clean = self.bank = None
        self.measured_after = -1
        if stage == "fit":
            self.trained_on = evaluation.told_of_images(self)

    def measure(self) -> None:
        """Measure what images are scored by, where that is of the images themselves."""

    def on_train_epoch_start(self) -> None:
        self.epoch_losses.clear()

    def on_validation_epoch_start(self) -> None:
        self._measure_once()

    def on_train_end(self) -> None:
        """Also where the last epoch was not validated, or stopped after its validation."""
        self._measure_once()

    def _measure_once(self) -> None:
        if self.measured_after != self.global_step:
            self.measure()
            self.measured_after = self.global_step

    def read_given_features(self) -> None:
        """Where a run has images, and `features` are given in place of a network."""
        if self._trainer is not None and self.options.features:
            self.clean = read_features(Path(self.options.features), evaluation.num_images(self))
            self.dim = self.clean.shape[1]

    def is_asked_of_its_own_images(self) -> bool:
        """Whether the images of this run are those of the training, as far as that is known."""
        if self.trainer.state.fn == "fit":
            return True
        return self.trained_on is not None and _are_the_same(self.trained_on, evaluation.told_of_images(self))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Also of an epoch that was not validated the checkpoint has what images are scored by."""
        if self._trainer is not None and self.trainer.state.fn == "fit":
            self._measure_once()
            checkpoint["state_dict"] = self.state_dict()
        checkpoint["images"] = self.trained_on

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint alone makes is made for features as long as its own.

        Raises:
            ValueError: a training was of other images than that which is to go on.
        """
        before = checkpoint.get("images")
        if self._trainer is None or self._trainer.state.fn != "fit":
            self.trained_on = before
        elif before is not None and not _are_the_same(before, self.trained_on or {}):
            now = self.trained_on or {}
            others = f"{now['count']}" if now["count"] != before["count"] else "others, by their names"
            raise ValueError(
                f"the training was of {before['count']} images, and these are {others}: go on with those, or begin "
                "anew, without --ckpt_path"
            )
        weights = checkpoint["state_dict"]
        if "standardised.mean" in weights and not hasattr(self, "standardised"):
            self.dim = len(weights["standardised.mean"])
            self.configure_model()


def _are_the_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """An earlier checkpoint has names with the folder of each file, which may be that of all images."""
    names = now["names"] if "with_folders" in before else now["with_folders"]
    return bool(before["count"] == now["count"] and before["names"] == names)
