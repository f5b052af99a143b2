"""A network with fewer steps makes the same maps."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.folding import fold


def as_if_trained(network: nn.Module) -> nn.Module:
    """Statistics, scales and offsets that differ from channel to channel, as after a training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                assert tensor is not None
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.running_mean, module.bias.data):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.5)
    return network.eval()


# With every kind of block that the families have: bottlenecks, deep stems, anti-aliasing, squeeze and excitation.
@pytest.mark.parametrize(
    "name", ["resnet18", "resnet26d", "seresnext26d_32x4d", "resnetblur18", "tf_efficientnet_lite0"]
)
def test_a_folded_network_gives_the_same_but_for_rounding(name: str) -> None:
    network = as_if_trained(timm.create_model(name, num_classes=0))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = network(images)
        fold(network)
        after = network(images)
    assert (after - before).norm() < 1e-4 * before.norm()
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) <= 1


def test_networks_of_other_families_are_left_as_they_are() -> None:
    network = timm.create_model("mobilevitv2_050").eval()
    names = list(network.state_dict())
    fold(network)
    assert list(network.state_dict()) == names


def test_a_network_that_is_trained_is_not_folded(tmp_path: Path) -> None:
    timm_network = timm.create_model("resnet18")
    torch.save(timm_network.state_dict(), tmp_path / "weights.pth")
    backbone = Backbone("resnet18", checkpoint=tmp_path / "weights.pth", frozen=False)
    with pytest.raises(AssertionError, match="is trained"):
        backbone.folded()
