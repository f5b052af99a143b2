"""The name of a timm network, or a local checkpoint, in; a network from images to their feature maps out.

The one place that knows what a network of timm expects of its input, and where to cut it.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from anomaly_clustering.features.cache import tensors_digest
from anomaly_clustering.features.convolutions import exact_convolutions
from anomaly_clustering.features.folding import fold
from anomaly_clustering.features.plain_timm import timm
from anomaly_clustering.features.pretrained import load_into, weights_of
from anomaly_clustering.features.published import EMBEDDED, check_name

LAST = "last"
PYRAMID = "pyramid"
# timm's networks have methods and attributes that nn.Module does not declare.
Network = Any
_EMBEDDED_NETWORK = "tf_efficientnet_lite0"
# Networks of one grid that take images of any size, also where their patches do not fill them.
_ANY_SIZE = (timm.models.ConvMixer, timm.models.Xcit)


class Backbone(nn.Module):
    """A pretrained network, cut behind one layer; layers behind the cut are neither kept nor computed.

    Args:
        name: any network of timm that gives its intermediate features, such as 'resnet18' or
            'wide_resnet50_2.racm_in1k'; or 'embedded', the ImageNet EfficientNet-Lite0 that is installed with this
            package and needs no network connection.
        layer: timm's name of the layer, such as 'layer2' or 'blocks.6'; several joined by '+' are resized to the
            finest and concatenated. By default that of the paper's Table 6: stride 8 ('layer2' of a ResNet, 'Reduction
            3' of an EfficientNet), and of a network of one grid, as transformers are, the block after the middle (block
            7 of 12, 13 of 24). 'last' is that before the classifier's pooling. Levels, each with a grid of its own, are
            separated by commas; 'pyramid' is those that suit the network, see `pyramid`.
        checkpoint: weights in a local file, complete or ending at the cut. Without it timm's own are taken from the
            local cache, or downloaded once.
        frozen: never train it, as in the paper; batch normalisation then keeps to the statistics of the pretraining.

    Attributes:
        name: of the network.
        layer: at which it is cut, levels separated by commas.
        levels: positions of the layers of each level among those that timm knows.
        kernel_size: the average pooling that suits the network (Table 6): 1 where all blocks have one grid, as those of
            transformers, else 3.
        only_size: height and width in pixels of the images that it takes; None where it takes others too.
        patch: side in pixels of the patches that have to fill an image; 1 where they need not.

    Raises:
        ValueError: timm has no such network or layer, or the checkpoint does not fit.
        FileNotFoundError: the checkpoint does not exist.
        ConnectionError: timm's weights are not on this machine and cannot be downloaded.

    Example:
        >>> backbone = Backbone("embedded")
        >>> backbone.layer, backbone.channels, tuple(backbone(torch.rand(1, 3, 64, 64)).shape)
        ('blocks.2', 40, (1, 40, 8, 8))
    """

    network: Network
    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, layer: str | None = None, checkpoint: Path | None = None, frozen: bool = True):
        super().__init__()
        if name == EMBEDDED and checkpoint is not None:
            raise ValueError(f"backbone {EMBEDDED!r} comes with its weights; name the network of {str(checkpoint)!r}")
        self.name = name
        self._unfolded = ""
        self.network = _create(_EMBEDDED_NETWORK if name == EMBEDDED else name)
        self.frozen = frozen
        self.layer = _default_layer(self.network) if layer is None else _named(self.network, layer)
        self.levels = [_indices(self.network, level) for level in self.layer.split(",")]
        self.indices = sorted({i for level in self.levels for i in level})
        self.kernel_size = 1 if _has_one_grid(self.network) else 3
        self.only_size = _only_size(self.network)
        self.patch = _patch(self.network)
        complete = set(self.network.state_dict())
        self.network.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        state, source = weights_of(name, checkpoint)
        load_into(self.network, state, complete, source)
        config = self.network.pretrained_cfg
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1), persistent=False)
        # Single precision, whatever PyTorch's default is, or maps and digests would be those of another network; and
        # channels last, which is how processors compute convolutions fastest, and modern accelerators too.
        self.requires_grad_(not frozen).train(not frozen)
        self.to(torch.float32, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def digest(self) -> str:
        """Of the weights up to the cut, see `tensors_digest`, as they were loaded."""
        return self._unfolded or tensors_digest(self.network.state_dict())

    @property
    def channels(self) -> int:
        """Channels of the feature map, of the first level where there are several."""
        return self.channels_of_levels[0]

    @property
    def channels_of_levels(self) -> list[int]:
        """Channels of the feature map of each level."""
        return [sum(self.network.feature_info[i]["num_chs"] for i in level) for level in self.levels]

    def folded(self) -> "Backbone":
        """This network, frozen for good, with fewer steps: the same maps but for rounding, in less time, see `fold`."""
        assert self.frozen, "a network that is trained keeps its normalisation"
        self._unfolded = self.digest
        fold(self.network)
        return self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "Backbone":
        """A frozen network stays in evaluation mode: its batch normalisation is part of the pretrained weights."""
        return super().train(mode and not self.frozen)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """The feature map of images, of the first level where there are several.

        Args:
            images: red, green and blue in [0, 1] [B, 3, height, width].

        Raises:
            ValueError: the patches of a transformer do not fill the image, or it takes images of another size alone.
        """
        return self.maps(images)[0]

    def maps(self, images: Float[Tensor, "batch 3 height width"]) -> list[Float[Tensor, "batch _ _ _"]]:
        """The feature maps of images, one [B, D, h, w] for each level.

        Args:
            images: red, green and blue in [0, 1] [B, 3, height, width].

        Raises:
            ValueError: the patches of a transformer do not fill the image, or it takes images of another size alone.
        """
        self._check_size(images.shape[-2:])
        with exact_convolutions(images.device):
            maps = self.network.forward_intermediates(
                ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last),
                indices=self.indices,
                intermediates_only=True,
                stop_early=True,
            )
        of = dict(zip(self.indices, maps, strict=True))
        return [_joined([of[i] for i in level]) for level in self.levels]

    def _check_size(self, size: torch.Size) -> None:
        patch = self.patch
        if self.only_size is not None and tuple(size) != self.only_size:
            height, width = self.only_size
            raise ValueError(
                f"{self.name!r} takes images of {width}x{height} pixels alone, got {size[1]}x{size[0]}; set the image "
                f"size to {height}, and let all images be squares"
            )
        if any(side % patch for side in size):
            # Images that keep their aspect have sides in sixteenths of the square's.
            unit = patch if size[0] == size[1] else 16 * patch
            fits = max(1, round(size.numel() ** 0.5 / unit)) * unit
            raise ValueError(
                f"images of {size[1]}x{size[0]} pixels cannot be cut into the {patch}-pixel patches of {self.name!r}; "
                f"set the image size to {fits}"
            )


def _joined(maps: list[Tensor]) -> Tensor:
    """Channels of all maps, on the grid of the finest."""
    if len(maps) == 1:
        return maps[0]
    finest = max((m.shape[-2:] for m in maps), key=lambda size: size.numel())
    return torch.cat([F.interpolate(m, size=finest, mode="bilinear") for m in maps], dim=1)


def _create(name: str) -> Network:
    check_name(name)
    network = timm.create_model(name)
    if hasattr(network, "dynamic_img_size"):
        network = timm.create_model(name, dynamic_img_size=True)
    if not hasattr(network, "forward_intermediates"):
        raise ValueError(f"{name!r} gives no intermediate features in timm {timm.__version__}; choose another network")
    return network


def _has_one_grid(network: Network) -> bool:
    """Whether all blocks have the same stride, as in transformers of one stage; networks with stages get coarser."""
    strides = [layer["reduction"] for layer in network.feature_info]
    return len(strides) > 1 and len(set(strides)) == 1


def _only_size(network: Network) -> tuple[int, int] | None:
    """Height and width in pixels of the only images that a network of one grid takes; None where it takes others."""
    if not _has_one_grid(network):
        return None
    pixels = timm.models.tnt.PixelEmbed
    strict = [m for m in network.modules() if getattr(m, "strict_img_size", isinstance(m, pixels)) and m.img_size]
    return tuple(strict[0].img_size) if strict else None


def _patch(network: Network) -> int:
    """Side in pixels of the patches that have to fill an image; 1 where they need not."""
    if hasattr(network, "dynamic_img_size"):
        return network.patch_embed.patch_size[0]
    if _has_one_grid(network) and not isinstance(network, _ANY_SIZE):
        return network.feature_info[0]["reduction"]
    return 1


def _default_layer(network: Network) -> str:
    layers = network.feature_info
    if _has_one_grid(network):
        return layers[len(layers) // 2]["module"]
    return min(layers, key=lambda layer: abs(layer["reduction"] - 8))["module"]


def _named(network: Network, layer: str) -> str:
    if layer == PYRAMID:
        return ",".join(pyramid(network))
    return network.feature_info[-1]["module"] if layer == LAST else layer


def pyramid(network: Network) -> list[str]:
    """The layers that suit a network as levels: the paper's, which finds a defect, and deeper ones that tell its type.

    Strides 8, 16 and 32 of an EfficientNet and its like ('blocks.2', 'blocks.4', 'blocks.6'), measured; strides 8 and
    16 of a ResNet ('layer2' and 'layer3', measured on ResNet-18) and of a ConvNeXt, whose last stage serves the classes
    of ImageNet; of a network of one grid, as transformers are, the block after the middle, that after three quarters
    and the last.

    Args:
        network: of timm, not cut.

    Returns:
        Names of layers.

    Example:
        >>> pyramid(timm.create_model("resnet18"))
        ['layer2', 'layer3']
    """
    layers = network.feature_info
    if _has_one_grid(network):
        chosen = dict.fromkeys([len(layers) // 2, 3 * len(layers) // 4, len(layers) - 1])
        return [layers[i]["module"] for i in chosen]
    first = _default_layer(network)
    # timm calls the stages of EfficientNets, and of networks of their kind, blocks.
    deepest = 32 if first.startswith("blocks.") else 16
    stride = {layer["module"]: layer["reduction"] for layer in layers}
    return [first, *(name for name in stride if stride[first] < stride[name] <= deepest)]


def _indices(network: Network, layer: str) -> list[int]:
    known = [entry["module"] for entry in network.feature_info]
    unknown = [name for name in layer.split("+") if name not in known]
    if unknown:
        raise ValueError(f"layer {unknown[0]!r} is not one of {known}")
    return sorted(known.index(name) for name in layer.split("+"))
