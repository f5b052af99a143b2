from math import log
from pathlib import Path

import pytest
import torch
from conftest import MakeImage
from digits import digits, train

from anomaly_clustering.data import Folder
from baselines import IIC
from baselines.iic import iic_loss, joint_distribution
from baselines.iic_network import network_input, scratch_network


def one_hot(k: int) -> torch.Tensor:
    return torch.eye(k).repeat(8, 1)


@pytest.mark.parametrize("k", [2, 5, 9, 10])
@pytest.mark.parametrize("lamb", [1.0, 1.5])
def test_exact_values(k: int, lamb: float) -> None:
    balanced, uniform = one_hot(k), torch.full((8 * k, k), 1 / k)
    assert iic_loss(balanced, balanced, lamb) == pytest.approx((1 - 2 * lamb) * log(k), abs=1e-5)
    assert iic_loss(uniform, uniform) == pytest.approx(0, abs=1e-5)
    collapsed = torch.eye(k)[torch.zeros(8 * k, dtype=torch.long)]
    assert iic_loss(collapsed, collapsed) == pytest.approx(0, abs=1e-5)


def test_it_is_minus_the_mutual_information_of_the_joint_distribution() -> None:
    first, second = torch.rand(40, 4).softmax(1), torch.rand(40, 4).softmax(1)
    expected = torch.zeros(4, 4)
    for p, q in zip(first, second, strict=True):
        expected += (torch.outer(p, q) + torch.outer(q, p)) / 2 / 40
    assert torch.allclose(joint_distribution(first, second), expected, atol=1e-6)
    information = sum(
        expected[c, d] * torch.log(expected[c, d] / (expected[c].sum() * expected[:, d].sum()))
        for c in range(4)
        for d in range(4)
    )
    assert iic_loss(first, second) == pytest.approx(-float(information), abs=1e-6)


def test_gradients_are_finite_where_probabilities_are_zero() -> None:
    logits = torch.zeros(6, 3, requires_grad=True)
    probabilities = (logits * 200 + 200 * torch.eye(3).repeat(2, 1)).softmax(1)
    iic_loss(probabilities, probabilities).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_sobel_sees_edges_and_not_colours() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    across, down = network_input(image, "sobel")[0]
    assert across[3].abs().argmax() in (3, 4)
    assert across[3, 3].abs() == pytest.approx(4, abs=1e-3)
    assert down[3, 1:-1].abs().max() < 1e-6
    assert network_input(image, "rgb_sobel").shape == (1, 5, 8, 8)
    assert network_input(image, "rgb") is image


def test_stems() -> None:
    images = torch.rand(2, 2, 64, 64)
    network, length = scratch_network("resnet18", 2, small_stem=True)
    assert network.conv1.stride == (1, 1)
    assert network(images).shape == (2, length)
    # The authors average over maps of 5, 7 and 3 pixels at the end.
    network.avgpool = network.fc = torch.nn.Identity()
    maps = {side: network(torch.rand(1, 2, side, side)).shape[1] / length for side in (64, 96, 32)}
    assert maps == {64: 25, 96: 49, 32: 9}
    network, length = scratch_network("resnet50", 2, small_stem=False)
    assert network.conv1.kernel_size == (7, 7)
    assert length == 2048


def test_heads_take_turns(photos: Path) -> None:
    """Head B is not moved in a pass with head A, if it is to rest; else by its momentum alone, after its first turn."""
    data = Folder(photos, image_size=64, num_workers=0)
    for idle_momentum in (True, False):
        module = IIC(trunk="conv3", input_size=32, repeats=2, lr=1e-2, idle_momentum=idle_momentum, head_b_first=True)
        states = []
        module.on_validation_epoch_start = lambda m=module, s=states: s.append(  # type: ignore[method-assign]
            m.heads["b"][0].weight.detach().clone()
        )
        train(module, data, epochs=2, seed=0)
        after_b, after_a = states[-2:]
        assert torch.equal(after_b, after_a) is not idle_momentum


def test_the_head_of_lowest_loss_gives_the_clusters(photos: Path) -> None:
    data = Folder(photos, image_size=64, num_workers=0)
    module = IIC(trunk="conv3", input_size=32, repeats=2)
    rows = train(module, data, epochs=2, seed=0)
    assert module.best_sub_head == module.losses.argmin()
    assert rows["last"]["loss"] == pytest.approx(float(module.losses.min()))
    assert -log(3) <= rows["last"]["loss"] < 0
    # In the first pass head A is trained: nothing is known of head B, so it is not the best.
    assert rows["best_by_loss"]["epoch"] == 1
    assert rows["last"].keys() >= {"nmi", "ari", "f1", "accuracy", "purity", "clusters_used"}


def test_scores_of_a_part_of_the_images_are_told_as_such(photos: Path) -> None:
    data = Folder(photos, image_size=64, num_workers=0)
    module = IIC(trunk="conv3", input_size=32, repeats=1, batch_size=4)
    with pytest.warns(UserWarning, match="scores are of 4 of 15 images: see --trainer.limit_val_batches"):
        train(module, data, epochs=1, seed=0, limit_val_batches=1)


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match="input must be 'rgb', got 'sobel'"):
        IIC(pretrained="embedded")
    with pytest.raises(ValueError, match=r"crop must be a share above 0 and at most 1, got 2\.0"):
        IIC(crop=2.0)


def test_pretrained_network_is_trained(photos: Path, make_image: MakeImage) -> None:
    module = IIC(pretrained="embedded", input="rgb", input_size=64, repeats=1)
    before = module.trunk.backbone.network.conv_stem.weight.detach().clone()
    train(module, Folder(photos, image_size=64, num_workers=0), epochs=1, seed=0)
    assert not torch.equal(before, module.trunk.backbone.network.conv_stem.weight)


def test_a_last_batch_of_one_image_is_trained_on_or_told_of(photos: Path) -> None:
    data = Folder(photos, image_size=64, num_workers=0)
    train(IIC(trunk="resnet18", input_size=64, batch_size=14, repeats=1), data, epochs=1, seed=0)
    with pytest.raises(ValueError, match=r"larger --model.input_size than 32, or a --model.batch_size other than 14"):
        train(IIC(trunk="resnet18", input_size=32, batch_size=14, repeats=1), data, epochs=1, seed=0)


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    data, _ = digits(tmp_path)
    module = IIC(
        trunk="conv3",
        input="rgb",
        input_size=16,
        crop=0.85,
        flip=False,
        rotation=25.0,
        overclustering=5,
        head_b_epochs=2,
        repeats=3,
        lr=1e-3,
    )
    # Eight epochs of the authors: one pass with head A and two with head B each.
    rows = train(module, data, epochs=24, seed=0)
    # Measured: .538, with a loss of -1.18.
    assert rows["last"]["nmi"] > 0.45
    assert rows["last"]["loss"] < -0.8
