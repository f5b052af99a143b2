from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from several_processes import run
from sklearn.metrics import roc_auc_score
from torch import Tensor

from anomaly_clustering.metrics import localisation
from anomaly_clustering.metrics.localisation import LocalisationAUROC, localisation_auroc


def images(n: int = 6, grid: tuple[int, int] = (5, 4), size: tuple[int, int] = (40, 30)) -> tuple[Tensor, Tensor]:
    """Noisy maps that are higher where a rectangle is defective; the first image has none."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(n, 1, *size)
    for i in range(1, n):
        y, x = 3 * i % (size[0] // 2), 2 * i % (size[1] // 2)
        masks[i, :, y : y + size[0] // 3, x : x + size[1] // 3] = 1
    maps = torch.rand(n, *grid, generator=generator) + F.interpolate(masks, grid, mode="area")[:, 0]
    return maps, masks


def naive(maps: Tensor, masks: Tensor) -> float:
    upsampled = F.interpolate(maps[:, None], masks.shape[2:], mode="bilinear")
    return roc_auc_score((masks > 0.5).flatten().numpy(), upsampled.flatten().numpy())


def test_auroc_equals_that_of_scikit_learn() -> None:
    maps, masks = images()
    assert 0.6 < localisation_auroc(maps, masks) < 0.95
    assert float(localisation_auroc(maps, masks)) == pytest.approx(naive(maps, masks), abs=1e-6)


def test_ties_are_exact_and_count_half() -> None:
    """Maps as large as the masks, of three values."""
    maps = torch.randint(0, 3, (4, 9, 13)).float()
    masks = torch.randint(0, 2, (4, 1, 9, 13)).float()
    assert float(localisation_auroc(maps, masks)) == pytest.approx(naive(maps, masks), abs=1e-15)


def test_auroc_by_hand() -> None:
    """[0, 1] becomes [0, .25, .75, 1]; of the four pairs only (.25, .75) is in the wrong order."""
    maps = torch.tensor([[[0.0, 1]]])
    assert localisation_auroc(maps, torch.tensor([[[[0.0, 0, 1, 1]]]])) == 1
    assert localisation_auroc(maps, torch.tensor([[[[0.0, 1, 0, 1]]]])) == 3 / 4
    assert localisation_auroc(maps, torch.tensor([[[[1.0, 1, 0, 0]]]])) == 0


def test_pixels_of_all_images_are_pooled() -> None:
    """Each image is in perfect order, but the sound pixel of the second is above the defective one of the first."""
    maps = torch.tensor([[[0.0, 1]], [[2, 3]]])
    masks = torch.tensor([[[[0.0, 1]]], [[[0, 1]]]])
    assert localisation_auroc(maps[:1], masks[:1]) == 1
    assert localisation_auroc(maps, masks) == 3 / 4


def test_images_without_a_defect_count_as_sound() -> None:
    maps = torch.tensor([[[0.0, 1]], [[0.5, 2]]])
    masks = torch.tensor([[[[0.0, 1]]], [[[0, 0]]]])
    assert localisation_auroc(maps, masks) == pytest.approx(2 / 3)


def test_a_pixel_is_defective_where_more_than_half_of_it_is() -> None:
    maps, masks = images()
    shares = torch.where(masks > 0, 0.51, 0.5)
    assert localisation_auroc(maps, shares) == localisation_auroc(maps, masks)


@pytest.mark.parametrize("constant", [0.0, 1 / 3, 1e-7, -123.456])
def test_a_map_that_is_the_same_everywhere_says_nothing(constant: float) -> None:
    _, masks = images()
    assert localisation_auroc(torch.full((6, 7, 7), constant), masks) == 0.5


def test_order_and_scale_do_not_matter_and_the_sign_turns_round() -> None:
    maps, masks = images()
    order = torch.randperm(6)
    auroc = localisation_auroc(maps, masks)
    assert localisation_auroc(maps[order], masks[order]) == auroc
    assert localisation_auroc(maps * 2**-60, masks) == auroc
    assert localisation_auroc(-maps, masks) == pytest.approx(1 - float(auroc), abs=1e-15)


@pytest.mark.parametrize("scale", [1e-310, 1e-50, 1e40, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1e8, -1e8])
def test_float64_is_compared_as_such_on_any_scale(scale: float, shift: float) -> None:
    maps, masks = images()
    auroc = naive(maps.double(), masks)
    given = (maps.double() + shift) * scale
    assert float(localisation_auroc(given, masks)) == pytest.approx(auroc, abs=1e-5)
    # All batches are on one scale, whatever each holds.
    metric = LocalisationAUROC()
    for batch in zip(given.split(1), masks.split(1), strict=True):
        metric.update(*batch)
    assert metric.compute() == localisation_auroc(given, masks)
    assert float(localisation_auroc(-given, masks)) == pytest.approx(1 - auroc, abs=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e-60, 1e40, -123.456])
def test_ties_in_float64_are_exact_beside_other_values(constant: float) -> None:
    maps = torch.full((2, 7, 7), constant, dtype=torch.float64)
    masks = torch.zeros(2, 1, 40, 30)
    masks[:, :, :9] = 1
    assert localisation_auroc(maps, masks) == 0.5
    # All of the second image are above the first: of pairs of two images half are won, of those of one all are ties.
    maps[1] = 3 * abs(constant) + 1
    assert localisation_auroc(maps, masks) == 0.5


def test_size_of_blocks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, masks = images()
    auroc = localisation_auroc(maps, masks)
    for block in (1, 3 * 40 * 30, 4 * 40 * 30):
        monkeypatch.setattr(localisation, "BLOCK", block)
        assert localisation_auroc(maps, masks) == auroc


@pytest.mark.parametrize(("value", "counts"), [(0, "0 defective and 7200 sound"), (1, "7200 defective and 0 sound")])
def test_both_kinds_of_pixels_are_needed(value: float, counts: str) -> None:
    maps, masks = images()
    metric = LocalisationAUROC()
    metric.update(maps, masks.fill_(value))
    with pytest.raises(ValueError, match=f"needs defective and sound pixels, got {counts}"):
        localisation_auroc(maps, masks)
    with pytest.raises(ValueError, match=counts):
        metric.compute()


def test_no_images_are_an_error() -> None:
    with pytest.raises(ValueError, match="got 0 defective and 0 sound"):
        localisation_auroc(torch.empty(0, 2, 2), torch.empty(0, 1, 4, 4))


@pytest.mark.parametrize("grid", [(41, 4), (5, 31)])
def test_maps_are_not_scaled_down(grid: tuple[int, int]) -> None:
    _, masks = images()
    with pytest.raises(ValueError, match=r"at least as large, got maps \(6, .*\) and masks \(6, 1, 40, 30\)"):
        localisation_auroc(torch.rand(6, *grid), masks)


@pytest.mark.usefixtures("unchecked_types")
def test_arrays_are_no_tensors() -> None:
    maps, masks = images()
    with pytest.raises(ValueError, match="maps and masks must be tensors, got a ndarray and a Tensor"):
        localisation_auroc(maps.numpy(), masks)
    with pytest.raises(ValueError, match="got a Tensor and a ndarray"):
        LocalisationAUROC().update(maps, masks.numpy())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_must_be_finite(value: float) -> None:
    maps, masks = images()
    maps[2, 0, 0] = value
    with pytest.raises(ValueError, match="must be finite"):
        localisation_auroc(maps, masks)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 5, 4), (6, 1, 40, 30)), r"got maps \(1, 5, 4\) and masks \(6, 1, 40, 30\)"),
        (((6, 5, 4), (1, 1, 40, 30)), r"got maps \(6, 5, 4\) and masks \(1, 1, 40, 30\)"),
        (((6, 5, 4), (6, 40, 30)), r"maps must be \[N, h, w\] and masks \[N, 1, H, W\]"),
        (((6, 1, 5, 4), (6, 1, 40, 30)), r"maps must be \[N, h, w\] and masks \[N, 1, H, W\]"),
    ],
)
def test_each_map_has_its_mask(shapes: tuple[tuple[int, ...], tuple[int, ...]], message: str) -> None:
    maps, masks = (torch.zeros(shape) for shape in shapes)
    for found in (localisation_auroc, LocalisationAUROC().update):
        with pytest.raises(ValueError, match=message):
            found(maps, masks)


@pytest.mark.parametrize("value", [255.0, -1.0, float("nan")])
def test_masks_are_shares(value: float) -> None:
    maps, masks = images()
    masks[2, 0, 0, 0] = value
    for found in (localisation_auroc, LocalisationAUROC().update):
        with pytest.raises(ValueError, match=r"between 0 \(sound\) and 1 \(defective\), got"):
            found(maps, masks)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("index", [torch.arange(1), torch.arange(6.0)])
def test_positions_are_integers_one_an_image(index: Tensor) -> None:
    with pytest.raises(ValueError, match=r"index must (be integers|have one position an image, got 1 for 6)"):
        LocalisationAUROC().update(*images(), index)


@pytest.mark.parametrize("width", [30, 32])
def test_class_equals_the_function_and_counts_repeated_images_once(width: int) -> None:
    maps, masks = images(size=(40, width))
    metric = LocalisationAUROC()
    for index in (torch.tensor([5, 2, 0]), torch.tensor([1, 3, 4]), torch.tensor([2, 5])):
        metric.update(maps[index], masks[index], index)
    assert metric.compute() == localisation_auroc(maps, masks)
    metric.reset()
    metric.update(maps[:3], masks[:3])
    metric.update(maps[1:3], masks[1:3])
    assert metric.compute() == localisation_auroc(maps[[0, 1, 2, 1, 2]], masks[[0, 1, 2, 1, 2]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_class_equals_the_function_in_other_precisions(dtype: torch.dtype) -> None:
    maps, masks = images()
    metric = LocalisationAUROC()
    metric.update(maps.to(dtype), masks)
    assert metric.compute() == localisation_auroc(maps.to(dtype), masks)


def test_maps_without_pixels_are_named() -> None:
    for maps, masks in (((0, 0, 0), (0, 1, 0, 0)), ((2, 0, 3), (2, 1, 4, 4))):
        for refuses in (localisation_auroc, LocalisationAUROC().update):
            with pytest.raises(ValueError, match=r"maps and masks must have pixels, got maps \(., 0, .\)"):
                refuses(torch.rand(maps), torch.rand(masks))


def test_masks_are_of_one_size() -> None:
    maps, masks = images()
    metric = LocalisationAUROC()
    metric.update(maps, masks)
    with pytest.raises(ValueError, match=r"of one size, got \[40, 29\] after \[40, 30\]"):
        metric.update(maps, masks[..., :29])


def auroc_is_that_of_one_process(rank: int, world: int) -> None:
    # 7 images for 2 processes: the sampler repeats image 0 at the end.
    maps, masks = images(7)
    index = torch.tensor([*range(rank, 7, world), 0][:4])
    metric = LocalisationAUROC()
    for part in index.split(3):
        metric.update(maps[part], masks[part], part)
    assert metric.compute() == localisation_auroc(maps, masks)


def test_two_processes_find_the_auroc_of_one(tmp_path: Path) -> None:
    run(auroc_is_that_of_one_process, 2, tmp_path)


def test_masks_of_several_sizes_are_refused_however_they_come() -> None:
    """Widths of 30 and 32 pixels take as many bytes."""
    first, second = ((torch.rand(2, 4, 4), (torch.rand(2, 1, 32, width) > 0.7).float()) for width in (32, 30))
    metric = LocalisationAUROC()
    metric(*first)
    metric(*second)
    with pytest.raises(ValueError, match="masks must be of one size"):
        metric.compute()
    one, other = LocalisationAUROC(), LocalisationAUROC()
    one.update(*first)
    other.update(*second)
    one.merge_state(other)
    with pytest.raises(ValueError, match=r"masks must be of one size, got \[32, 3.\] after \[32, 3.\]"):
        one.compute()


def test_maps_of_a_network_that_is_trained_have_no_gradient() -> None:
    maps, masks = images()
    metric = LocalisationAUROC()
    assert localisation_auroc(maps.clone().requires_grad_(), masks) == metric(maps.clone().requires_grad_(), masks)
    assert not metric.maps[0].requires_grad
