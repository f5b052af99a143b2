import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anomaly_clustering.mic import residuals
from anomaly_clustering.mic.residuals import residual_average, signed_root
from anomaly_clustering.mic.scores import interval_mean, rarity


def bags(n: int, m: int, d: int = 6) -> Tensor:
    return F.normalize(torch.randn(n, m, d), dim=-1)


def naive_average(z: np.ndarray, w: np.ndarray, references: np.ndarray, share: float, itself: int | None) -> np.ndarray:
    """The formula in float64, loop by loop."""
    total = np.zeros(z.shape[1])
    others = [j for j in range(len(references)) if j != itself]
    for patch, weight in zip(z, w, strict=True):
        nearest = []
        for j in others:
            distances = [np.linalg.norm(patch - other) for other in references[j]]
            nearest.append((min(distances), references[j][int(np.argmin(distances))]))
        nearest.sort(key=lambda pair: pair[0])
        count = max(1, round(share * len(others)))
        total += weight * (patch - np.mean([found for _, found in nearest[:count]], axis=0))
    return total


@pytest.mark.parametrize("share", [0.1, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(("m", "p"), [(5, 5), (1, 7), (9, 1)])
def test_averages_equal_the_naive_formula(share: float, m: int, p: int) -> None:
    z, references, weights = bags(4, m), bags(7, p), torch.rand(4, m).softmax(1)
    found = residual_average(z, weights, references, share)
    expected = [
        naive_average(a.double().numpy(), w.double().numpy(), references.double().numpy(), share, None)
        for a, w in zip(z, weights, strict=True)
    ]
    assert np.abs(found.double().numpy() - np.array(expected)).max() < 1e-6


def test_patches_may_lie_anywhere() -> None:
    z, references, weights = torch.rand(4, 9, 8), torch.rand(6, 9, 8), torch.rand(4, 9).softmax(1)
    near_zero = residual_average(z.double(), weights.double(), references.double(), 0.5)
    far = residual_average(z + 1024, weights, references + 1024, 0.5)
    # 1024 leaves four digits of a number.
    assert torch.allclose(far.double(), near_zero, atol=2e-3)


def test_a_share_is_of_whole_references_as_an_exported_network_counts_them() -> None:
    """.7 of 45 is 31.5 in single precision, and a little less in double precision."""
    z, references, weights = bags(2, 3), bags(45, 2), torch.rand(2, 3).softmax(1)
    assert torch.equal(residual_average(z, weights, references, 0.7), residual_average(z, weights, references, 31 / 45))


def test_an_image_is_no_reference_of_itself() -> None:
    z, weights = bags(6, 5), torch.rand(6, 5).softmax(1)
    positions = torch.tensor([7, 3, 0, 9, 4, 1])
    own = residual_average(z, weights, z, 0.6, positions=positions, reference_positions=positions)
    expected = [
        naive_average(z[i].double().numpy(), weights[i].double().numpy(), z.double().numpy(), 0.6, i) for i in range(6)
    ]
    assert np.abs(own.double().numpy() - np.array(expected)).max() < 1e-6


def test_only_the_heaviest_patches_count(monkeypatch: pytest.MonkeyPatch) -> None:
    z, references = bags(2, 9), bags(3, 4)
    weights = torch.tensor([[0.3, 0.2, 0.1, *[0.4 / 6] * 6]] * 2)
    monkeypatch.setattr(residuals, "HEAVIEST", 3)
    three = torch.tensor([[0.5, 1 / 3, 1 / 6]] * 2)
    assert torch.allclose(
        residual_average(z, weights, references, 0.5), residual_average(z[:, :3], three, references, 0.5), atol=1e-6
    )


def test_a_patch_that_all_images_have_has_no_residual() -> None:
    z, weights = bags(5, 8), torch.full((5, 8), 1 / 8)
    z[1:, 3:] = z[0, 3:]  # places may differ
    z[2] = z[2].flip(0)
    only_shared = torch.zeros(5, 8)
    only_shared[0, 3:] = 0.2
    assert residual_average(z[:1], only_shared[:1], z[1:], 1.0).abs().max() < 1e-7
    assert residual_average(z[:1], weights[:1], z[1:], 1.0).abs().max() > 1e-2


def test_the_order_of_images_and_copies_of_all_change_nothing() -> None:
    z, weights, references = bags(3, 5), torch.rand(3, 5).softmax(1), bags(8, 5)
    found = residual_average(z, weights, references, 0.5)
    assert torch.allclose(found, residual_average(z, weights, references.flip(0), 0.5), atol=1e-6)
    assert torch.allclose(found, residual_average(z, weights, torch.cat([references, references]), 0.5), atol=1e-6)
    assert torch.allclose(found.flip(0), residual_average(z.flip(0), weights.flip(0), references, 0.5), atol=1e-6)


def test_averages_have_the_scale_of_the_features_and_embeddings_have_none() -> None:
    z, weights, references = bags(6, 5), torch.rand(6, 5).softmax(1), bags(4, 5)
    one = residual_average(z, weights, references, 0.5)
    three = residual_average(3 * z, weights, 3 * references, 0.5)
    assert torch.allclose(3 * one, three, atol=1e-5)
    roots = [signed_root(v, v.mean(0), [2, 4]) for v in (one, three)]
    assert torch.allclose(*roots, atol=1e-5)


def test_signed_roots_equal_the_naive_formula() -> None:
    v = torch.randn(5, 6)
    found = signed_root(v, v.mean(0), [2, 4])
    centred = v.double().numpy() - v.double().numpy().mean(0)
    rooted = np.sign(centred) * np.sqrt(np.abs(centred))
    expected = np.concatenate(
        [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rooted[:, :2], rooted[:, 2:])], 1
    )
    assert np.abs(found.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("total", [1, 2, 3, 9, 10, 33])
def test_the_interval_equals_its_definition(total: int) -> None:
    distances = torch.rand(total, 4)
    ordered = np.sort(distances.numpy(), axis=0)
    low = math.floor(0.1 * total)
    expected = ordered[low : max(low + 1, round(0.5 * total))].mean(0)
    assert np.allclose(interval_mean(distances).numpy(), expected, atol=1e-6)


def test_interval_scores_equal_the_naive_formula_without_the_image_itself() -> None:
    z = bags(12, 4)
    distances = torch.cdist(z[:, None].double(), z[None].double()).amin(-1)  # from image, to image, patch
    expected = torch.stack([interval_mean(distances[i, torch.arange(12) != i].float()) for i in range(12)])
    assert torch.allclose(rarity(z, "interval"), expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0, float("nan")])
def test_a_share_is_above_zero_and_at_most_one(share: float) -> None:
    with pytest.raises(ValueError, match="residual_share must be above 0 and at most 1"):
        residual_average(bags(2, 3), torch.full((2, 3), 1 / 3), bags(2, 3), share)


def test_an_image_alone_has_nothing_to_differ_from() -> None:
    z = bags(1, 3)
    with pytest.raises(ValueError, match="at least 2 images are needed"):
        residual_average(
            z,
            torch.full((1, 3), 1 / 3),
            z,
            1.0,
            positions=torch.zeros(1).long(),
            reference_positions=torch.zeros(1).long(),
        )
