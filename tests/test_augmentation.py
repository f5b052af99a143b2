"""Views of whole batches beside torchvision's of single images: equal pixels for equal numbers, equal distributions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from baselines import views
from baselines.draws import Draws, box
from baselines.gatcluster import transformed_view
from baselines.iic import first_view, second_view
from baselines.pixels import OPERATIONS, AugmentationPlan, augmented, resized

MANY = 10_000
f = v2.functional


def photos(count: int, height: int = 48, width: int = 48) -> Tensor:
    """Coloured noise with smooth parts, 8 bits."""
    coarse = torch.rand(count, 3, 6, 6)
    smooth = f.resize(coarse, [height, width], antialias=True)
    return ((smooth + 0.2 * torch.rand(count, 3, height, width)).clamp(0, 1) * 255).round().to(torch.uint8)


# Pixels.


@pytest.mark.parametrize("size", [(20, 20), (48, 48), (70, 61), (9, 30)])
def test_parts_are_cut_and_resized_as_torchvision_does(size: tuple[int, int]) -> None:
    images = photos(5, 48, 40)
    parts = torch.tensor([[0, 0, 48, 40], [3, 5, 20, 20], [10, 1, 9, 30], [40, 30, 8, 10], [0, 2, 47, 38]])
    flip = torch.tensor([True, False, True, False, True])
    found = resized(images, parts, flip, size)
    for image, part, mirrored, view in zip(images, parts.tolist(), flip, found, strict=True):
        expected = f.resized_crop(f.to_dtype(image, torch.float32, scale=True), *part, list(size), antialias=True)
        expected = expected.flip(-1) if mirrored else expected
        assert (view - expected).abs().max() < 2e-6


def test_what_is_not_resized_keeps_its_pixels() -> None:
    images = photos(3)
    found = resized(images, torch.tensor([[0, 0, 48, 48]] * 3), torch.zeros(3, dtype=torch.bool), (48, 48))
    assert torch.equal(found, f.to_dtype(images, torch.float32, scale=True))


def near(images: Tensor, expected: Tensor) -> bool:
    """But for rounding, which may move a pixel over a threshold or to its neighbour."""
    return float(((images - expected).abs().amax(-3) > 1e-5).float().mean()) < 0.003


SINGLE: dict[str, Callable[[Tensor, list[float]], Tensor]] = {
    "identity": lambda image, numbers: image,
    "brightness": lambda image, numbers: f.adjust_brightness(image, numbers[0]),
    "contrast": lambda image, numbers: f.adjust_contrast(image, numbers[0]),
    "saturation": lambda image, numbers: f.adjust_saturation(image, numbers[0]),
    "hue": lambda image, numbers: f.adjust_hue(image, numbers[0] - 1),
    "affine": lambda image, numbers: f.affine(
        image, 20 * numbers[0], [round(3 * numbers[1]), -2], 0.5 + numbers[2], [9 * numbers[3], -7 * numbers[4]]
    ),
    "autocontrast": lambda image, numbers: f.autocontrast(image),
    "equalize": lambda image, numbers: f.equalize(image),
    "solarize": lambda image, numbers: f.solarize(image, numbers[0] / 2),
    "sharpness": lambda image, numbers: f.adjust_sharpness(image, numbers[0]),
    "posterize": lambda image, numbers: f.posterize(image, round(numbers[0]) + 3),
    "hole": lambda image, numbers: cut(image, round(9 * numbers[0]) + 1, round(40 * numbers[1] / 2), 47),
}


def cut(image: Tensor, side: int, y: int, x: int) -> Tensor:
    image = image.clone()
    image[:, max(0, y - side // 2) : y - side // 2 + side, max(0, x - side // 2) : x - side // 2 + side] = 0.45
    return image


def own_numbers(name: str, numbers: Tensor) -> Tensor:
    """The numbers that the operation takes for what `SINGLE` does with these."""
    found = torch.zeros(len(numbers), 6)
    found[:, 0] = numbers[:, 0]
    if name == "hue":
        found[:, 0] -= 1
    if name == "solarize":
        found[:, 0] /= 2
    if name == "posterize":
        found[:, 0] = numbers[:, 0].round() + 3
    if name == "hole":
        found[:, 0] = (9 * numbers[:, 0]).round() + 1
        found[:, 1], found[:, 2] = (40 * numbers[:, 1] / 2).round(), 47
    if name == "affine":
        columns = [20 * numbers[:, 0], (3 * numbers[:, 1]).round(), -2, (0.5 + numbers[:, 2]).log()]
        for column, values in enumerate([*columns, 9 * numbers[:, 3], -7 * numbers[:, 4]]):
            found[:, column] = values
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_does_with_each_image_what_torchvision_does_with_one(name: str) -> None:
    images = photos(12) / 255
    images[0] = 0.3  # Without any contrast.
    images[1, 1:] = images[1, :1]  # Grey.
    numbers = 0.5 + torch.rand(12, 6)
    found = OPERATIONS[name](images.clone(), own_numbers(name, numbers))
    expected = torch.stack([SINGLE[name](image, row) for image, row in zip(images, numbers.tolist(), strict=True)])
    assert near(found, expected)
    assert 0 <= found.min() <= found.max() <= 1


def test_each_image_has_its_own_operations_in_its_own_order() -> None:
    images = photos(2)
    names = [["brightness", "hue"], ["hue", "brightness"]]
    numbers = torch.zeros(2, 2, 6)
    numbers[:, :, 0] = torch.tensor([[1.8, 0.3], [0.3, 1.8]])
    operations = torch.tensor([[views.PLACE[name] for name in row] for row in names])
    plan = AugmentationPlan(torch.tensor([[0, 0, 48, 48]] * 2), torch.zeros(2, dtype=torch.bool), operations, numbers)
    bright, turned = augmented(images, plan, (48, 48))
    first, second = f.to_dtype(images, torch.float32, scale=True)
    assert near(bright, f.adjust_hue(f.adjust_brightness(first, 1.8), 0.3))
    assert near(turned, f.adjust_brightness(f.adjust_hue(second, 0.3), 1.8))
    assert not near(bright, f.adjust_brightness(f.adjust_hue(first, 0.3), 1.8))


# Numbers.


def draws(count: int = MANY, *, seed: int = 0, epoch: int = 3) -> Draws:
    return Draws(seed, epoch, torch.arange(count))


def alike(found: Tensor, expected: Tensor) -> None:
    """Mean and deviation of two samples agree within four standard errors, and so do all quantiles."""
    found, expected = found.double().flatten(), expected.double().flatten()
    deviation = float(expected.std())
    error = 4 * deviation * (1 / len(found) + 1 / len(expected)) ** 0.5
    assert abs(float(found.mean() - expected.mean())) <= error
    assert abs(float(found.std() - expected.std())) <= error
    levels = torch.linspace(0, 1, 2001).double()
    # Of the largest distance between cumulative distributions (Kolmogorov and Smirnov), one in 10,000 is so large.
    at = torch.cat([expected.quantile(levels), found.quantile(levels)])
    shares = [torch.searchsorted(sample.sort().values, at, right=True) / len(sample) for sample in (found, expected)]
    assert (shares[0] - shares[1]).abs().max() < 2.23 * (1 / len(found) + 1 / len(expected)) ** 0.5


def test_numbers_are_uniform_and_independent() -> None:
    numbers = draws().uniform(4, -1.0, 3.0)
    assert ((numbers >= -1) & (numbers < 3)).all()
    for column in numbers.unbind(1):
        alike(column, torch.empty(MANY).uniform_(-1, 3))
    # Of columns, images, epochs, seeds and views.
    others = [draws(epoch=4), draws(seed=1), Draws(0, 3, torch.arange(MANY), 1)]
    samples = torch.stack([*numbers.unbind(1), numbers[:, 0].roll(1), *(d.uniform(1)[:, 0] for d in others)])
    assert (samples.corrcoef() - torch.eye(len(samples))).abs().max() < 0.045
    whole = draws().between(2, 5)
    assert whole.unique().tolist() == [2, 3, 4, 5]
    alike(whole, torch.randint(2, 6, (MANY,)))
    orders = draws().permutation(3)
    assert orders.unique(dim=0, return_counts=True)[1].tolist() == pytest.approx([MANY / 6] * 6, rel=0.1)


def test_an_image_has_the_same_numbers_in_any_batch() -> None:
    whole = views.augmentation("strong", 40)(draws(100), (48, 48))
    order = torch.randperm(100)
    for part in order.split(17):
        own = views.augmentation("strong", 40)(Draws(0, 3, part), (48, 48))
        assert all(torch.equal(a, b[part]) for a, b in zip(own, whole, strict=True))


# Distributions: 10,000 draws beside as many of torchvision's transforms.


def of_torchvision(transform: Any, image: Tensor) -> list[dict[str, Any]]:
    return [transform.make_params([image]) for _ in range(MANY)]


def test_resized_crops_are_those_of_torchvision() -> None:
    for scale, size in (((0.2, 1.0), (64, 64)), ((0.9, 1.0), (40, 90))):
        expected = of_torchvision(v2.RandomResizedCrop(32, scale=scale), torch.zeros(3, *size))
        found = box(draws(), size, scale=scale)
        for column, name in enumerate(["top", "left", "height", "width"]):
            alike(found[:, column], torch.tensor([row[name] for row in expected]).double())
        height, width = found[:, 2:].unbind(1)
        alike(height * width, torch.tensor([row["height"] * row["width"] for row in expected]).double())
        alike(width / height, torch.tensor([row["width"] / row["height"] for row in expected]).double())


def test_crops_and_flips_are_those_of_torchvision() -> None:
    expected = of_torchvision(v2.RandomCrop(42), torch.zeros(3, 64, 64))
    for plan in (
        first_view(draws(), (64, 64), side=42),
        second_view(draws(), (64, 64), side=42, flip=True, rotation=0.0),
        views.augmentation("strong", 42)(draws(), (64, 64)),
    ):
        assert (plan.box[:, 2:] == 42).all()
        for column, name in enumerate(["top", "left"]):
            alike(plan.box[:, column], torch.tensor([row[name] for row in expected]).double())
    flips = [
        second_view(draws(), (64, 64), side=42, flip=True, rotation=0.0).flip,
        views.augmentation("simclr", 42)(draws(), (64, 64)).flip,
        views.augmentation("strong", 42)(draws(), (64, 64)).flip,
        transformed_view(draws(), (64, 64), side=32, flip=True, scale=(0.7, 1.3)).flip,
    ]
    # Four standard errors of a share of one half.
    assert all(flip.float().mean() == pytest.approx(0.5, abs=0.02) for flip in flips)
    assert not first_view(draws(), (64, 64), side=42).flip.any()
    assert not second_view(draws(), (64, 64), side=42, flip=False, rotation=0.0).flip.any()


JITTERS = {
    "IIC": (
        lambda: second_view(draws(), (64, 64), side=42, flip=True, rotation=0.0),
        v2.ColorJitter(0.4, 0.4, 0.4, 0.125),
        1.0,
    ),
    "GATCluster": (
        lambda: transformed_view(draws(), (64, 64), side=32, flip=True, scale=(0.7, 1.3)),
        v2.ColorJitter(brightness=0.3, contrast=0.3, hue=0.2),
        1.0,
    ),
    "SimCLR": (lambda: views.simclr(draws(), (64, 64)), v2.ColorJitter(0.4, 0.4, 0.4, 0.1), 0.8),
}


@pytest.mark.parametrize("method", JITTERS)
def test_colours_change_as_by_torchvision(method: str) -> None:
    make, transform, share = JITTERS[method]
    plan = make()
    expected = of_torchvision(transform, torch.zeros(3, 8, 8))
    names = ["brightness", "contrast", "saturation", "hue"]
    kept = [name for name in names if expected[0][f"{name}_factor"] is not None]
    if method == "SimCLR":
        grey = plan.operations[:, -1] == views.PLACE["saturation"]
        assert grey.float().mean() == pytest.approx(0.2, abs=0.016)
        assert (plan.numbers[:, -1] == 0).all()
        plan = plan._replace(operations=plan.operations[:, :-1], numbers=plan.numbers[:, :-1])
    changed = (plan.operations == views.PLACE["hue"]).any(1)
    assert changed.float().mean() == pytest.approx(share, abs=0.016)
    places = {}
    for name in kept:
        row, step = (plan.operations == views.PLACE[name]).nonzero(as_tuple=True)
        assert torch.equal(row, changed.nonzero()[:, 0])
        places[name] = step
        alike(plan.numbers[row, step, 0], torch.tensor([params[f"{name}_factor"] for params in expected]))
    # All orders are as probable: which of them brightness is among.
    order = torch.stack([places[name] for name in kept], 1).argsort(1)
    expected_order = torch.stack([params["fn_idx"] for params in expected])
    expected_order = torch.stack([order[[names[i] in kept for i in order]] for order in expected_order])
    for name in kept:
        place = (order == kept.index(name)).nonzero()[:, 1]
        alike(place, (expected_order == names.index(name)).nonzero()[:, 1])


def test_affine_maps_are_those_of_torchvision() -> None:
    transform = v2.RandomAffine(10, translate=(0.1, 0.1), scale=(0.7, 1.3), shear=10)
    expected = of_torchvision(transform, torch.zeros(3, 128, 128))
    plan = transformed_view(draws(), (256, 256), side=128, flip=True, scale=(0.7, 1.3))
    assert (plan.operations[:, -1] == views.PLACE["affine"]).all()
    angle, right, down, scale, shear_x, shear_y = plan.numbers[:, -1].unbind(1)
    alike(angle, torch.tensor([row["angle"] for row in expected]))
    alike(right, torch.tensor([row["translate"][0] for row in expected]))
    alike(down, torch.tensor([row["translate"][1] for row in expected]))
    alike(scale.exp(), torch.tensor([row["scale"] for row in expected]))
    alike(shear_x, torch.tensor([row["shear"][0] for row in expected]))
    assert not shear_y.any()
    assert {row["shear"][1] for row in expected} == {0.0}


def test_rotations_of_iic_are_those_of_torchvision() -> None:
    plan = second_view(draws(), (64, 64), side=42, flip=False, rotation=25.0)
    turned = plan.operations[:, 0] == views.PLACE["affine"]
    assert turned.float().mean() == pytest.approx(0.5, abs=0.02)
    expected = of_torchvision(v2.RandomRotation(25), torch.zeros(3, 8, 8))
    alike(plan.numbers[turned, 0, 0], torch.tensor([row["angle"] for row in expected]))


def test_the_strong_augmentation_takes_four_of_fourteen_operations_and_a_hole() -> None:
    crop = 224
    plan = views.augmentation("strong", crop)(draws(), (256, 256))
    choices = views.operations(crop)
    assert len(choices) == 14
    assert plan.operations.shape == (MANY, 5)
    assert (plan.operations[:, -1] == views.PLACE["hole"]).all()
    side, y, x = plan.numbers[:, -1, :3].unbind(1)
    alike(side, torch.randint(1, 76, (MANY,)))
    alike(y, torch.randint(0, 224, (MANY,)))
    alike(x, torch.randint(0, 224, (MANY,)))
    codes, numbers = plan.operations[:, :-1].flatten(), plan.numbers[:, :-1].flatten(0, 1)
    names = [choice.operation for choice in choices]
    for name in set(names):
        share = (codes == views.PLACE[name]).float().mean()
        assert share == pytest.approx(names.count(name) / 14, abs=0.01), name

    def drawn(name: str, column: int = 0) -> Tensor:
        found = numbers[codes == views.PLACE[name], column]
        return found[found != 0] if name == "affine" else found

    expected = {
        **{name: torch.empty(MANY).uniform_(0.05, 0.95) for name in ("saturation", "contrast", "brightness")},
        "sharpness": torch.empty(MANY).uniform_(0.05, 0.95),
        "solarize": torch.rand(MANY),
        "posterize": torch.empty(MANY).uniform_(4, 8).round(),
    }
    for name, sample in expected.items():
        alike(drawn(name), sample)
    zero = torch.zeros(3, crop, crop)
    rotation = of_torchvision(v2.RandomRotation(30), zero)
    alike(drawn("affine", 0), torch.tensor([row["angle"] for row in rotation]))
    moved = of_torchvision(v2.RandomAffine(0, translate=(0.1, 0)), zero)
    moved_by = torch.tensor([row["translate"][0] for row in moved])
    sheared = of_torchvision(v2.RandomAffine(0, shear=(-5.7, 5.7, 0, 0)), zero)
    for column in (1, 2):
        alike(drawn("affine", column), moved_by[moved_by != 0])
    for column in (4, 5):
        alike(drawn("affine", column), torch.tensor([row["shear"][0] for row in sheared]))
    assert not drawn("affine", 3).numel()


@pytest.mark.parametrize("name", ["simclr", "strong", "none"])
@pytest.mark.parametrize("size", [(72, 72), (40, 40)])
def test_views_have_the_size_asked_and_stay_in_range(name: Any, size: tuple[int, int]) -> None:
    """Also where images are smaller than views."""
    images = photos(60, *size)
    found = augmented(images, views.augmentation(name, 64)(draws(60), size), (64, 64))
    assert found.shape == (60, 3, 64, 64)
    # But for the rounding of what resizing sums up.
    assert found.min() >= -1e-6
    assert found.max() <= 1 + 1e-6
