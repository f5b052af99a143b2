"""Images in; what a frozen network makes of them, or vectors from a file, out, on every process."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from anomaly_clustering.features.backbone import Backbone
from baselines.evaluation import clean_images, num_workers
from baselines.global_batch import rank, whole_set, world_size
from baselines.views import Transform, Views

BATCH_SIZE = 32


class Pooled(nn.Module):
    """A network's last feature map, averaged over space.

    A ResNet's classifier sees the same (ResNet-50: 2048 channels); an EfficientNet's comes one layer later.
    """

    def __init__(self, backbone: str, *, checkpoint: Path | None = None, frozen: bool = True):
        super().__init__()
        self.backbone = Backbone(backbone, layer="last", checkpoint=checkpoint, frozen=frozen)
        self.channels = self.backbone.channels

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        return self.backbone(images).mean((2, 3))


class Standardised(nn.Module):
    """Features minus their mean, scaled to a root mean square length, once `fit` has seen them; before, as they are.

    A step of gradient descent in a linear head grows with the square of the length of the features: a large mean that
    all images share can drive all of them into one cluster.

    Args:
        length: to which they are scaled.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, *, length: float = 1.0):
        super().__init__()
        self.length = length
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, features: Float[Tensor, "n d"]) -> None:
        self.mean.copy_(features.mean(0))
        squared_length = (features - features.mean(0)).square().sum(1).mean()
        self.scale.copy_((squared_length.sqrt() / self.length).clamp_min(1e-6))

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return (features - self.mean) / self.scale


@torch.no_grad()
def frozen_features(network: nn.Module, module: LightningModule, views: Sequence[Transform]) -> Float[Tensor, "n v d"]:
    """Features of views of all images that the module is to cluster; each process computes a share."""
    images = clean_images(module)
    # Dealt out so that every process has one at least, where there are as many.
    own = Subset(Views(images, views), range(rank(), len(images), world_size()))
    network.eval()
    found, index = [], []
    for batch in DataLoader(own, batch_size=BATCH_SIZE, num_workers=num_workers(module)):
        flat = batch["views"].flatten(0, 1).to(module.device)
        found.append(network(flat).float().unflatten(0, batch["views"].shape[:2]))
        index.append(batch["index"].to(module.device))
    order = whole_set(torch.cat(index)).argsort()
    return whole_set(torch.cat(found))[order]


def read_features(path: Path, num_images: int) -> Float[Tensor, "n d"]:
    """Vectors from a .npy file, a row an image in the order of the data set.

    Raises:
        ValueError: the file holds anything else.
    """
    try:
        # Not into memory yet: the file may say that it holds far more than it does.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"features {str(path)!r} are not a .npy file of numbers: {error}") from None
    if array.ndim != 2 or len(array) != num_images or not np.isfinite(array).all():
        raise ValueError(
            f"features {str(path)!r} must be finite numbers [{num_images}, D], a row an image, got {array.dtype} "
            f"{list(array.shape)}"
        )
    return torch.from_numpy(np.array(array)).float()
