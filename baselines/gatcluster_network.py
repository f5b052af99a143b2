"""Grey images in; logits of clusters by the whole map, and by where a Gaussian attends, out (GATCluster)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines.global_batch import precise

BackboneName = Literal["imagenet10", "small"]


class AttentionNetwork(nn.Module):
    """A convolutional network, Gaussian attention on its last map, and two heads.

    Args:
        features: channels of the last map.
        backbone: the authors' for 'imagenet10', or a 'small' one.
        input_size: side in pixels; 128 gives a map of 6 x 6.
        width, official_indexing: see `gaussian`.
    """

    def __init__(
        self,
        num_clusters: int,
        *,
        features: int = 10,
        backbone: BackboneName = "imagenet10",
        input_size: int = 128,
        width: float = 0.05,
        official_indexing: bool = False,
    ):
        super().__init__()
        self.width, self.official_indexing = width, official_indexing
        self.backbone = imagenet10(features) if backbone == "imagenet10" else small(features)
        self.side = _map_side(input_size) if backbone == "imagenet10" else input_size // 4
        self.feature_conv = nn.Sequential(*_conv(features, features, 1))
        self.attention = nn.Linear(self.side**2 * features, 3)
        self.original_head = _head(features, num_clusters)
        self.attended_head = _head(features, num_clusters)

    def forward(self, images: Float[Tensor, "b 1 h w"]) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
        """Logits of the original branch and of the attended one."""
        maps = self.backbone(images)
        theta = precise(self.attention(maps.flatten(1))).sigmoid()
        features = self.feature_conv(maps)
        weights = gaussian(theta, self.side, width=self.width, official_indexing=self.official_indexing)
        attended = torch.einsum("bchw,bhw->bc", features, weights.to(features))
        return precise(self.original_head(features.mean((2, 3)))), precise(self.attended_head(attended))


def gaussian(
    theta: Float[Tensor, "b 3"], side: int, *, width: float = 0.05, official_indexing: bool = False
) -> Float[Tensor, "b side side"]:
    """a(u) = exp(-|u - mu|^2 / (2 width delta)), u on the unit square, mu = theta[:2] (row, column), delta = theta[2].

    Args:
        official_indexing: the column is delta too, as in the authors' code, whose second parameter does nothing.
    """
    row, column, delta = theta.unbind(1)
    if official_indexing:
        column = delta
    place = torch.linspace(0, 1, side, device=theta.device, dtype=theta.dtype)
    away = (place - row[:, None]).square()[:, :, None] + (place - column[:, None]).square()[:, None, :]
    return torch.exp(-away / (2 * width * delta + 1e-5)[:, None, None])


def imagenet10(features: int) -> nn.Sequential:
    """The authors' for ImageNet-10, without padding: eleven 3x3 convolutions and one 1x1.

    3,105,310 parameters with ten features.
    """
    layers: list[nn.Module] = []
    before = 1
    for channels in (64, 128, 256):
        for _ in range(3):
            layers += _conv(before, channels, 3)
            before = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *_conv(256, 256, 3), *_conv(256, 256, 3), *_conv(256, features, 1))


def small(features: int) -> nn.Sequential:
    """Three padded convolutions and one 1x1, for images as small as digits: 16 pixels give a map of 4 x 4."""
    return nn.Sequential(
        *_conv(1, 32, 3, padding=1),
        nn.MaxPool2d(2),
        *_conv(32, 64, 3, padding=1),
        nn.MaxPool2d(2),
        *_conv(64, 128, 3, padding=1),
        *_conv(128, features, 1),
    )


def _map_side(input_size: int) -> int:
    """The side of the backbone's map.

    Raises:
        ValueError: the input is so small that nothing remains.
    """
    side = input_size
    for _ in range(3):
        side = (side - 6) // 2
    side -= 4
    if side < 1:
        raise ValueError(f"input_size must be at least 82 pixels, got {input_size}")
    return side


def _conv(before: int, channels: int, size: int, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(before, channels, size, padding=padding), nn.BatchNorm2d(channels), nn.ReLU()]


def _head(features: int, num_clusters: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, num_clusters), nn.ReLU(), nn.Linear(num_clusters, num_clusters))
