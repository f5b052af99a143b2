"""Images in; what a frozen network makes of them, or vectors from a file, out, on every process."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.transforms import v2

from anomaly_clustering.features.backbone import Backbone
from baselines.decoded import Decoded
from baselines.global_batch import rank, whole_set, world_size
from baselines.views import Augmentation, augmentation

BATCH_SIZE = 32


class Pooled(nn.Module):
    """A network's last feature map, averaged over space.

    A ResNet's classifier sees the same (ResNet-50: 2048 channels); an EfficientNet's comes one layer later.
    """

    def __init__(self, backbone: str, *, checkpoint: Path | str | None = None, frozen: bool = True):
        super().__init__()
        weights = Path(checkpoint) if checkpoint else None
        self.backbone = Backbone(backbone, layer="last", checkpoint=weights, frozen=frozen)
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


def centre_crop(images: Float[Tensor, "b 3 h w"], size: int) -> Float[Tensor, "b 3 size size"]:
    """The middle of images, resized to `size` where they are smaller."""
    if min(images.shape[-2:]) < size:
        images = v2.functional.resize(images, [size], antialias=True)
    return v2.functional.center_crop(images, [size, size])


def seen_frozen(network: nn.Module, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
    """Features by a network that does not change, which are the same whatever precision the training around it has."""
    with torch.autocast(images.device.type, enabled=False):
        return network(images).float()


@torch.no_grad()
def frozen_features(
    network: nn.Module, images: Decoded, name: Augmentation, *, crop: int, views: int = 1
) -> Float[Tensor, "n v d"]:
    """Features of so many augmented views of all images, crop x crop pixels each; every process computes a share."""
    recipe = augmentation(name, crop)
    # Dealt out so that every process has one at least, where there are as many.
    own = torch.arange(rank(), len(images.pixels), world_size())
    network.eval()
    found = []
    for index in own.split(BATCH_SIZE):
        each = index.repeat_interleave(views)
        draws = images.draws(each, epoch=0, view=torch.arange(views).repeat(len(index)))
        seen = images.views(each, recipe(draws, images.size), (crop, crop))
        found.append(seen_frozen(network, seen).unflatten(0, (len(index), views)))
    order = whole_set(own.to(images.device)).argsort()
    return whole_set(torch.cat(found))[order]


def read_features(path: Path, num_images: int) -> Float[Tensor, "n d"]:
    """Vectors from a .npy file, a row an image in the order of the data set.

    Raises:
        ValueError: the file holds anything else.
    """
    what = f"features {str(path)!r} must be finite numbers [{num_images}, D], a row an image"
    try:
        # Not into memory yet: the file may say that it holds far more than it does.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, BadZipFile) as error:
        raise ValueError(f"features {str(path)!r} are not a .npy file of numbers: {error}") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{what}, in a .npy file, got an .npz archive: save one array by numpy.save")
    got = f"got {array.dtype} {list(array.shape)}"
    if array.dtype.kind not in "fiu" or array.ndim != 2 or len(array) != num_images or not array.size:
        raise ValueError(f"{what}, {got}")
    with np.errstate(over="ignore"):
        numbers = np.array(array, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{what}, {got} with some that are not finite as float32: scale or mend them")
    return torch.from_numpy(numbers)
