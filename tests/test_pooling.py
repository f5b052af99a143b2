import math
import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anomaly_clustering.mic import pooling


def bags(n: int = 6, m: int = 12, d: int = 8) -> Tensor:
    return F.normalize(torch.randn(n, m, d), dim=-1)


def naive_gem(bags: Tensor, p: float) -> np.ndarray:
    """In float64, channel by channel."""
    z = bags.double().numpy()
    return np.array([[np.mean([max(x, 1e-6) ** p for x in image[:, d]]) ** (1 / p) for d in range(8)] for image in z])


def naive_spoc(bags: Tensor, grid: tuple[int, int], sigma: float) -> np.ndarray:
    """In float64, place by place, weights divided by their sum."""
    height, width = grid
    total, weights = np.zeros((len(bags), bags.shape[2])), 0.0
    for y in range(height):
        for x in range(width):
            weight = math.exp(-((y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2) / (2 * sigma**2))
            total += weight * bags[:, y * width + x].double().numpy()
            weights += weight
    return total / weights


def test_mean_and_max_are_those_of_numpy() -> None:
    z = bags()
    assert np.allclose(pooling.mean(z).numpy(), z.double().numpy().mean(1), atol=1e-6)
    assert np.array_equal(pooling.max(z).numpy(), z.numpy().max(1))


@pytest.mark.parametrize("p", [0.5, 1.0, 3.0, 20.0])
def test_gem_equals_the_naive_formula(p: float) -> None:
    z = bags()
    assert np.allclose(pooling.gem(z, p).numpy(), naive_gem(z, p), rtol=1e-5)


def test_gem_goes_from_the_mean_to_the_maximum() -> None:
    z = bags().abs()
    assert torch.allclose(pooling.gem(z, 1.0), pooling.mean(z), atol=1e-6)
    assert torch.allclose(pooling.gem(z, 1e4), pooling.max(z), rtol=1e-3)
    assert torch.equal(pooling.gem(z, math.inf), pooling.max(z))
    powers = torch.stack([pooling.gem(z, p) for p in (0.5, 1.0, 3.0, 20.0, 100.0)])
    assert (powers.diff(dim=0) > 0).all()
    assert torch.equal(pooling.gem(z), pooling.gem(z, 20.0))  # the paper's


@pytest.mark.parametrize("length", [1e-4, 1.0, 1e4])
def test_gem_of_powers_that_float32_cannot_hold(length: float) -> None:
    z = bags().abs() * length
    assert np.allclose(pooling.gem(z, 20.0).numpy(), naive_gem(z, 20.0), rtol=1e-5)


def test_gem_takes_negative_entries_for_nothing() -> None:
    z = bags()
    assert torch.allclose(pooling.gem(z), pooling.gem(z.clamp_min(0)))
    assert torch.allclose(pooling.gem(-z.abs()), torch.tensor(1e-6))


@pytest.mark.parametrize("p", [0.0, -1.0, math.nan])
def test_power_of_gem_must_be_positive(p: float) -> None:
    with pytest.raises(ValueError, match=f"p must be a positive number, got {p}"):
        pooling.gem(bags(), p)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("grid", [(3, 4), (4, 3), (1, 12), (2, 6)])
def test_spoc_equals_the_naive_formula(grid: tuple[int, int], sigma: float) -> None:
    z = bags()
    assert np.allclose(pooling.spoc(z, grid, sigma).numpy(), naive_spoc(z, grid, sigma), atol=1e-6)


def test_spoc_of_large_sigma_is_the_mean() -> None:
    z = bags()
    assert torch.allclose(pooling.spoc(z, (3, 4)), pooling.mean(z), atol=1e-5)  # the paper's sigma
    assert torch.allclose(pooling.spoc(z, (3, 4), math.inf), pooling.mean(z), atol=1e-6)


def test_spoc_of_small_sigma_is_the_central_patch() -> None:
    z = bags(m=15)
    assert torch.allclose(pooling.spoc(z, (3, 5), 1e-3), z[:, 7])
    assert torch.allclose(pooling.spoc(z[:, :12], (3, 4), 1e-3), z[:, 5:7].mean(1), atol=1e-6)  # two are as near


def test_spoc_does_not_mind_mirrors_but_other_places() -> None:
    z = bags()
    mirrored = z.unflatten(1, (3, 4)).flip(2).flatten(1, 2)
    assert torch.allclose(pooling.spoc(mirrored, (3, 4), 1.0), pooling.spoc(z, (3, 4), 1.0), atol=1e-6)
    assert not torch.allclose(pooling.spoc(z.roll(1, 1), (3, 4), 1.0), pooling.spoc(z, (3, 4), 1.0), atol=1e-3)


@pytest.mark.parametrize("sigma", [0.0, -2.0, math.nan])
def test_width_of_spoc_must_be_positive(sigma: float) -> None:
    with pytest.raises(ValueError, match=f"sigma must be a positive number of patches, got {sigma}"):
        pooling.spoc(bags(), (3, 4), sigma)


@pytest.mark.parametrize("grid", [(4, 4), (-3, -4)])
def test_grid_of_spoc_must_have_all_patches(grid: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"grid must have 12 patches as the bags do, got {grid[0]} x {grid[1]}"):
        pooling.spoc(bags(), grid)


def test_bag_of_words_counts_planted_types_of_patches() -> None:
    corners = F.normalize(torch.randn(2, 8), dim=-1)
    kinds = torch.rand(6, 20) < torch.linspace(0.1, 0.9, 6)[:, None]
    z = corners[kinds.long()] + 0.01 * torch.randn(6, 20, 8)
    share = kinds.float().mean(1)
    found = pooling.bag_of_words(z, 2)
    word = found[:, 1].sub(share).abs().max() < found[:, 0].sub(share).abs().max()  # which one is kind 1
    assert torch.allclose(found[:, int(word)], share)
    assert torch.allclose(found.sum(1), torch.ones(6))


def test_bag_of_words_is_deterministic_by_seed() -> None:
    z = bags(10, 200)
    assert torch.equal(pooling.bag_of_words(z, 16, seed=3), pooling.bag_of_words(z, 16, seed=3))
    assert not torch.equal(pooling.bag_of_words(z, 16, seed=3), pooling.bag_of_words(z, 16, seed=4))


def test_bag_of_words_learns_from_a_sample_and_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "PATCHES_PER_WORD", 5)
    z = torch.eye(4)[torch.randint(4, (6, 300))]
    found = pooling.bag_of_words(z, 8)
    assert torch.allclose(found.sum(1), torch.ones(6))
    types = z.mean(1)  # shares of the four kinds of patches; the other words have none
    assert torch.allclose(found.sort(1, descending=True).values[:, :4], types.sort(1, descending=True).values)


def test_as_many_words_as_patches_and_one_word_are_allowed() -> None:
    z = bags(3, 4)
    assert torch.equal(pooling.bag_of_words(z, 1), torch.ones(3, 1))
    assert torch.allclose(pooling.bag_of_words(z, 12).sum(1), torch.ones(3))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("words", [0, -1, 13, 2.5])
def test_number_of_words_is_checked(words: float) -> None:
    message = re.escape(f"words must be between 1 and 12 (the number of patches), got {words}")
    with pytest.raises(ValueError, match=message):
        pooling.bag_of_words(bags(3, 4), words)


def test_images_of_one_colour_pool_without_a_warning() -> None:
    z = bags(1, 1).repeat(4, 12, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.allclose(pooling.bag_of_words(z, 3).amax(1), torch.ones(4))
    assert torch.allclose(pooling.gem(z), z[:, 0].clamp_min(1e-6))


def test_order_of_patches_does_not_matter() -> None:
    z = bags()
    patches = torch.randperm(12)
    for pool in (pooling.mean, pooling.max, pooling.gem):
        assert torch.allclose(pool(z[:, patches]), pool(z), atol=1e-6)
    corners = torch.eye(8)[torch.randint(3, (6, 12))]
    counts = [pooling.bag_of_words(corners[:, order], 3).sort(1).values for order in (torch.arange(12), patches)]
    assert torch.equal(*counts)
