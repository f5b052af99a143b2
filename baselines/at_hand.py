"""What a method has at hand of the images that it trains on, and lets go of when it is asked of others."""

from typing import Any

from lightning import LightningModule


class AtHand(LightningModule):
    """Pixels and features of all images of a run, by their positions.

    The next run begins without them: it may be of other images, whose positions are the same.
    """

    images: Any = None
    """`Decoded`, from the start of a training."""
    clean: Any = None
    """Features [N, D] of the images as they are, where the network does not change."""
    bank: Any = None
    """Features [N, V, D] of V views of each."""

    dim: int = 0
    """Of features that are given, or of regions; known from the first run on, or by a checkpoint."""

    def setup(self, stage: str) -> None:
        self.images = self.clean = self.bank = None

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint alone makes is made for features as long as its own."""
        weights = checkpoint["state_dict"]
        if "standardised.mean" in weights and not hasattr(self, "standardised"):
            self.dim = len(weights["standardised.mean"])
            self.configure_model()
