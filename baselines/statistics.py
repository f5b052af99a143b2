"""Images as they are in; the statistics by which a network's batch normalisation scores them, out.

A training leaves running means of augmented views. Images of one product differ less than the views of any one of them:
normalised by the statistics of views they can look all alike.
"""

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from baselines.decoded import Decoded

Statistics = Literal["running", "images"]


def measure_statistics(
    module: LightningModule, network: nn.Module, batches: Iterable[Float[Tensor, "b c h w"]]
) -> None:
    """Put the statistics of what a network sees in the place of its running means.

    The mean over batches, which should be of images in any order.

    Args:
        module: in whose precision the network runs.
        batches: the network's input. The training is not changed by this, since it normalises by its own batches.
    """
    precision = module.trainer.precision_plugin
    with precision.forward_context():
        update_bn(map(precision.convert_input, batches), network)


def in_any_order(images: Decoded, size: int) -> Iterable[Float[Tensor, "b 3 h w"]]:
    """All images as they are, each once, in batches of a size, in an order that the seed tells."""
    count = len(images.pixels)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(images.seed), device="cpu")
    # Batches of equal size to within an image, since each counts alike.
    return map(images.clean, order.tensor_split(-(-count // size)))
