"""What a method has at hand of the images that it trains on, and lets go of when it is asked of others."""

from typing import Any


class AtHand:
    """Pixels and features of all images of a run, by their positions.

    The next run begins without them: it may be of other images, whose positions are the same.
    """

    images: Any = None
    """`Decoded`, from the start of a training."""
    clean: Any = None
    """Features [N, D] of the images as they are, where the network does not change."""
    bank: Any = None
    """Features [N, V, D] of V views of each."""

    def setup(self, stage: str) -> None:
        self.images = self.clean = self.bank = None
