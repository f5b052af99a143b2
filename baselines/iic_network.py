"""Images in; what IIC's network sees of them, and the networks that it trains from scratch, out."""

from itertools import pairwise
from typing import Literal

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.transforms import v2

Input = Literal["sobel", "rgb_sobel", "rgb"]
Trunk = Literal["resnet50", "resnet34", "resnet18", "conv3"]
CHANNELS: dict[Input, int] = {"sobel": 2, "rgb_sobel": 5, "rgb": 3}


def network_input(images: Float[Tensor, "b 3 h w"], kind: Input) -> Float[Tensor, "b c h w"]:
    """What the network sees: edges of the grey image (Sobel, two channels), the colours, or both."""
    if kind == "rgb":
        return images
    grey = v2.functional.rgb_to_grayscale(images)
    place = torch.arange(-1, 2, device=images.device, dtype=images.dtype)
    across = torch.outer(2 - place.abs(), -place)  # [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    edges = nn.functional.conv2d(grey, torch.stack([across, across.T])[:, None], padding=1)
    return edges if kind == "sobel" else torch.cat([images, edges], 1)


def scratch_network(name: Trunk, channels: int, *, small_stem: bool) -> tuple[nn.Module, int]:
    """A network from scratch, and the length of its output.

    Args:
        small_stem: the authors' for small images, 3x3 with stride 1 and 2x2 pooling, in place of ImageNet's 7x7.
    """
    if name == "conv3":
        layers: list[nn.Module] = []
        for before, after in pairwise((channels, 64, 128, 256)):
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 256
    # Initialised as the authors do: Kaiming normal by fan out, batch normalisation one and zero.
    resnet = torchvision.models.get_model(name, weights=None)
    length = resnet.fc.in_features
    resnet.fc = nn.Identity()
    size, stride, padding = (3, 1, 1) if small_stem else (7, 2, 3)
    resnet.conv1 = nn.Conv2d(channels, 64, size, stride, padding, bias=False)
    nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small_stem:
        resnet.maxpool = nn.MaxPool2d(2, 2, padding=1)
    return resnet, length
