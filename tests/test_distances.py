from collections.abc import Callable
from itertools import combinations
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist, directed_hausdorff
from torch import Tensor

from anomaly_clustering.mic.distances import (
    OverPatches,
    Symmetrise,
    directed_distances,
    euclidean,
    hausdorff,
    mean_mean,
    symmetric,
)
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.mic.weights import weighted_average
from anomaly_clustering.search import nearest

OVER_PATCHES: tuple[OverPatches, ...] = ("max", "mean", "min")
SYMMETRISE: tuple[Symmetrise, ...] = ("max", "mean")
FOLD = {"max": np.max, "mean": np.mean, "min": np.min}


def bags(n: int = 7, m: int = 5, d: int = 8) -> Tensor:
    return F.normalize(torch.randn(n, m, d), dim=-1)


def naive_hausdorff(bags: Tensor, over_patches: OverPatches, symmetrise: Symmetrise) -> np.ndarray:
    """Appendix C, 2 to 6, in float64, loop by loop."""
    z = bags.double().numpy()

    def directed(i: int, j: int) -> float:
        return FOLD[over_patches]([min(np.linalg.norm(patch - other) for other in z[j]) for patch in z[i]])

    n = range(len(z))
    return np.array([[FOLD[symmetrise]([directed(i, j), directed(j, i)]) for j in n] for i in n])


def naive_mean_mean(bags: Tensor) -> np.ndarray:
    """Appendix C, 1, in float64, loop by loop."""
    z = bags.double().numpy()
    return np.array([[np.mean([np.linalg.norm(a - b) for a in one for b in other]) for other in z] for one in z])


@pytest.fixture(params=[2**21, 150, 1], ids=["one block", "some blocks", "block of one pair"])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", request.param)


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("over_patches", OVER_PATCHES)
@pytest.mark.parametrize("symmetrise", SYMMETRISE)
@pytest.mark.parametrize("length", [1, 3])
def test_hausdorff_equals_the_naive_formula(over_patches: OverPatches, symmetrise: Symmetrise, length: int) -> None:
    z = bags() * length
    expected = naive_hausdorff(z, over_patches, symmetrise)
    assert np.abs(hausdorff(z, over_patches, symmetrise).numpy() - expected).max() < 1e-5


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("length", [1, 3])
def test_mean_mean_equals_the_naive_formula(length: int) -> None:
    z = bags() * length
    assert np.abs(mean_mean(z).numpy() - naive_mean_mean(z)).max() < 1e-5


def test_maximum_hausdorff_equals_that_of_scipy() -> None:
    z = bags()
    directed = directed_distances(z).max
    for i, j in combinations(range(len(z)), 2):
        assert directed[i, j].item() == pytest.approx(directed_hausdorff(z[i].numpy(), z[j].numpy())[0], abs=1e-5)


def test_two_bags_of_two_points_by_hand() -> None:
    # On a line: 0 and 1 against 0 and 4. Nearest: 0 and 1 from the first, 0 and 3 from the second.
    z = torch.tensor([[[0.0], [1.0]], [[0.0], [4.0]]])
    directed = directed_distances(z)
    assert [(d[0, 1].item(), d[1, 0].item()) for d in directed] == [(1, 3), (0.5, 1.5), (0, 0)]
    assert [hausdorff(z, over)[0, 1].item() for over in OVER_PATCHES] == [3, 1.5, 0]
    assert [hausdorff(z, over, "mean")[0, 1].item() for over in OVER_PATCHES] == [2, 1, 0]
    assert torch.allclose(mean_mean(z), torch.tensor([[0.5, 2], [2, 2]]))  # (0 + 4 + 1 + 3) / 4


@pytest.mark.usefixtures("_block")
def test_distances_are_exactly_symmetric_and_those_of_nearest_patches_zero_to_oneself() -> None:
    z = bags(7, 30)
    z[:, 1] = z[:, 0] + 1e-6  # near duplicates within each image
    for over_patches in OVER_PATCHES:
        for symmetrise in SYMMETRISE:
            distance = hausdorff(z, over_patches, symmetrise)
            assert torch.equal(distance, distance.T)
            assert (distance.diagonal() == 0).all()
    distance = mean_mean(z)
    assert torch.equal(distance, distance.T)
    assert (distance.diagonal() > 0).all()


def test_max_is_at_least_mean_is_at_least_min() -> None:
    z = bags()
    highest, middle, lowest = directed_distances(z)
    assert (highest >= middle).all()
    assert (middle >= lowest).all()
    assert (mean_mean(z) >= middle - 1e-6).all()
    assert (hausdorff(z, "max") >= hausdorff(z, "max", "mean")).all()


def test_of_min_both_directions_are_the_same() -> None:
    z = bags()
    assert torch.allclose(hausdorff(z, "min", "max"), hausdorff(z, "min", "mean"))


def test_maximum_hausdorff_sees_one_odd_patch_and_the_mean_hardly_does() -> None:
    z = bags(1, 50).repeat(4, 1, 1)
    z[2, 7] = -z[2, 7]
    odd = torch.arange(4) == 2
    apart = odd[:, None] != odd[None, :]
    maximum, mean = hausdorff(z, "max"), hausdorff(z, "mean")
    assert maximum[apart].min() > 0.5
    assert mean[apart].max() < 0.05
    assert maximum[~apart].max() == mean[~apart].max() == hausdorff(z, "min").max() == 0


def test_order_of_patches_does_not_matter_and_images_move_rows_and_columns() -> None:
    z = bags()
    patches, images = torch.randperm(5), torch.randperm(7)
    for distance in (mean_mean, lambda z: hausdorff(z, "max"), lambda z: hausdorff(z, "mean", "mean")):
        assert torch.allclose(distance(z[:, patches]), distance(z), atol=1e-6)
        assert torch.allclose(distance(z[images]), distance(z)[images][:, images], atol=1e-6)


def test_images_in_shards_give_the_same_rows() -> None:
    z = bags(7)
    positions = torch.tensor([3, 0, 6, 2, 5, 1, 4])  # any order
    shards = [Shard(z[part], positions[part]) for part in (slice(0, 2), slice(2, 6), slice(6, 7))]
    by_position = z[positions.argsort()]
    whole, whole_mean = directed_distances(by_position), mean_mean(by_position)
    for own in shards:
        others = [shard for shard in shards if shard is not own]
        rows = directed_distances(own.bags, positions=own.positions, others=others)
        for found, expected in zip(rows, whole, strict=True):
            assert torch.allclose(found, expected[own.positions], atol=1e-6)
        rows_mean = mean_mean(own.bags, positions=own.positions, others=others)
        assert torch.allclose(rows_mean, whole_mean[own.positions], atol=1e-6)


def test_flat_images_are_exact_in_spite_of_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    z = bags(3, 1, 64).repeat(1, 20, 1)
    z += 1e-5 * torch.randn_like(z)
    expected = np.array([[cdist(a, b).mean() for b in z.double()] for a in z.double()])
    for block in (2**21, 500):
        monkeypatch.setattr("anomaly_clustering.mic.distances.BLOCK", block)
        assert np.abs(mean_mean(z).numpy() - expected).max() < 1e-6


def test_progress_counts_every_pair_once() -> None:
    for distance in (directed_distances, mean_mean, lambda z, advance: hausdorff(z, "max", advance=advance)):
        done: list[int] = []
        distance(bags(6), advance=done.append)
        assert sum(done) == 36


def test_symmetric_is_the_larger_or_the_middle_of_both_directions() -> None:
    directed = torch.tensor([[0.0, 1], [4, 0]])
    assert symmetric(directed, "max").tolist() == [[0, 4], [4, 0]]
    assert symmetric(directed, "mean").tolist() == [[0, 2.5], [2.5, 0]]


@pytest.mark.usefixtures("unchecked_types")
def test_unknown_operators_fail_before_the_long_run_with_the_known_ones() -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match=r"over_patches must be one of \('max', 'mean', 'min'\), got 'median'"):
        hausdorff(bags(), cast(OverPatches, "median"), advance=done.append)
    with pytest.raises(ValueError, match=r"symmetrise must be one of \('max', 'mean'\), got 'min'"):
        hausdorff(bags(), "max", cast(Symmetrise, "min"), advance=done.append)
    assert not done


@pytest.mark.parametrize("distance", [directed_distances, mean_mean])
def test_others_need_positions_that_differ(distance: Callable[..., object]) -> None:
    z = bags()
    other = Shard(z[5:], torch.tensor([5, 6]))
    with pytest.raises(ValueError, match=r"positions .* are needed with others, got None"):
        distance(z[:5], others=[other])
    with pytest.raises(ValueError, match=r"must differ from image to image, got \[0, 1, 2, 3, 5, 5, 6\]"):
        distance(z[:5], positions=torch.tensor([0, 1, 2, 3, 5]), others=[other])


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("distance", [directed_distances, mean_mean])
def test_positions_are_one_an_image(distance: Callable[..., object]) -> None:
    z = bags()
    with pytest.raises(ValueError, match=r"one an image, got \[3\] for 7 images"):
        distance(z, positions=torch.arange(3))
    with pytest.raises(ValueError, match=r"one an image, got \[1\] for 2 images"):
        distance(z[:5], positions=torch.arange(5), others=[Shard(z[5:], torch.tensor([5]))])


@pytest.mark.usefixtures("unchecked_types")
def test_one_direction_has_one_row_and_one_column_an_image() -> None:
    with pytest.raises(ValueError, match=r"one row and one column an image, got \[1, 3\]"):
        symmetric(torch.ones(1, 3), "max")


def test_euclidean_equals_scipy_also_for_nearly_equal_embeddings() -> None:
    embeddings = F.normalize(torch.randn(9, 64), dim=-1)
    embeddings[1] = embeddings[0]
    embeddings[1, 3] += 1e-6
    found = euclidean(embeddings)
    assert np.allclose(found.numpy(), cdist(embeddings.double(), embeddings.double()), rtol=1e-12, atol=0)
    assert torch.equal(found, found.T)


def test_euclidean_of_hard_weights_is_the_distance_of_two_patches() -> None:
    z = bags()
    chosen = torch.tensor([4, 0, 1, 3, 2, 2, 0])
    picked = z[torch.arange(7), chosen]
    found = euclidean(weighted_average(z, F.one_hot(chosen, 5).float()))
    assert torch.allclose(found, (picked[:, None] - picked[None, :]).norm(dim=-1).double(), atol=1e-6)
