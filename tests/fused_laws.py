"""Laws of the fused search, on a GPU or in Triton's interpreter: `test_fused.py` runs this in a process of its own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anomaly_clustering.mic.scores import novelty, rarity
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.search import fused, fused_plan
from anomaly_clustering.search.nearest import nearest_distances, pairwise_nearest
from anomaly_clustering.search.precision import Precision, resolve

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# Queries, patches of each, references, patches of each, channels.
SHAPES = [
    (1, 1, 1, 1, 1),
    (1, 1, 2, 70, 3),
    (2, 70, 1, 1, 5),
    (3, 2, 3, 3, 2),
    (2, 7, 3, 5, 31),
    (2, 31, 2, 33, 32),
    (2, 32, 2, 32, 33),
    (2, 33, 2, 31, 64),
    (1, 64, 2, 64, 65),
    (2, 63, 1, 65, 96),
    (1, 65, 1, 63, 97),
    (2, 50, 2, 40, 130),
    (1, 100, 3, 49, 17),
    (9, 4, 10, 5, 12),
    (1, 128, 1, 96, 24),
    (1, 97, 1, 129, 40),
    (2, 14, 2, 28, 200),
    (1, 10, 1, 200, 48),
    (1, 200, 1, 10, 48),
    (4, 16, 1, 61, 100),
]


def random_bags(count: int, patches: int, channels: int, length: float = 1.0) -> Tensor:
    return F.normalize(torch.randn(count, patches, channels).relu() + 0.01, dim=-1).to(DEVICE) * length


def brute_force(queries: Tensor, references: Tensor) -> Tensor:
    """[B, M, D] and [R, P, D] -> [B, R, M] in float64, one difference at a time."""
    differences = queries.double()[:, None, :, None] - references.double()[None, :, None]
    return differences.norm(dim=-1).amin(-1)


def pairwise(bags: Tensor, precision: Precision) -> Tensor:
    found = bags.new_full((len(bags), len(bags), bags.shape[1]), torch.nan)
    for rows, columns, distances in pairwise_nearest(bags, precision):
        found[rows, columns] = distances
    return found


def without_diagonal(distances: Tensor) -> Tensor:
    return distances[~torch.eye(len(distances), dtype=torch.bool, device=distances.device)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_number_of_patches_and_channels(shape: tuple[int, int, int, int, int]) -> None:
    count, own, others, patches, channels = shape
    queries, references = random_bags(count, own, channels), random_bags(others, patches, channels)
    excess = nearest_distances(queries, references, "fp16") - brute_force(queries, references)
    assert excess.max() < 1e-4
    assert excess.abs().mean() < 1e-5
    # Never below the truth, but for the rounding of float32.
    assert excess.min() > -1e-6


@pytest.mark.parametrize(
    ("precision", "mean", "most"), [("fp16", 1e-5, 1e-4), ("bf16", 1e-4, 3e-3), ("fp32", 1e-6, 2e-6)]
)
def test_both_ways_from_one_product(precision: Precision, mean: float, most: float) -> None:
    bags = random_bags(4, 70, 40)
    found, expected = pairwise(bags, precision), brute_force(bags, bags)
    assert without_diagonal((found - expected).abs()).mean() < mean
    assert without_diagonal((found - expected).abs()).max() < most
    assert found.diagonal().max() == 0


def test_single_precision_tells_apart_what_half_precision_does_not() -> None:
    """Of two heaps of references, those of the nearer one are nearly as near, and far from the mean of all."""
    queries, heaps = random_bags(1, 40, 24), random_bags(2, 1, 24)
    references = (heaps + 1e-3 * torch.randn(2, 90, 24).to(DEVICE)).flatten(0, 1)[None]
    expected = brute_force(queries, references)
    assert (nearest_distances(queries, references, "fp32") - expected).max() < 1e-6
    assert (nearest_distances(queries, references, "fp16") - expected).max() > 1e-5


def test_tf32_where_pytorch_may_take_it() -> None:
    bags = random_bags(2, 40, 20)
    torch.set_float32_matmul_precision("high")
    try:
        assert (without_diagonal(pairwise(bags, "fp32") - brute_force(bags, bags))).abs().max() < 1e-4
    finally:
        torch.set_float32_matmul_precision("highest")


def test_novelty_against_more_patches_than_fit_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bags, normal_patches = random_bags(3, 20, 10), random_bags(1, 333, 10)[0]
    expected = brute_force(bags, normal_patches[None])[:, 0]
    whole = novelty(bags, normal_patches, "fp16")
    monkeypatch.setattr(fused_plan, "FACTOR_BYTES", 128 * 32 * 2)
    in_parts = novelty(bags, normal_patches, "fp16")
    for scores in (whole, in_parts):
        assert (scores - expected).abs().max() < 1e-4
    assert torch.allclose(whole, in_parts, atol=1e-4)


def test_rarity_against_some_images_compares_none_with_itself() -> None:
    """Eq. 7: images 1 and 3 of the data set are the references."""
    bags, positions = random_bags(4, 12, 9), torch.arange(4, device=DEVICE)
    chosen = torch.tensor([1, 3], device=DEVICE)
    found = rarity(bags, positions=positions, references=[Shard(bags[chosen], chosen)], precision="fp16")
    distances = brute_force(bags, bags[chosen])
    expected = torch.stack(
        [torch.stack([distances[i, k] for k, j in enumerate((1, 3)) if i != j]).mean(0) for i in range(4)]
    )
    assert torch.allclose(found.double(), expected, atol=1e-5)


@pytest.mark.parametrize("limit", ["FACTOR_BYTES", "PAIR_BYTES"])
def test_however_little_memory_there_is(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bags = random_bags(5, 70, 20)
    monkeypatch.setattr(fused_plan, limit, 1)
    assert without_diagonal(pairwise(bags, "fp16") - brute_force(bags, bags)).abs().max() < 1e-4
    queries = random_bags(2, 130, 20)
    assert (nearest_distances(queries, bags, "fp16") - brute_force(queries, bags)).abs().max() < 1e-4


def test_the_same_however_programs_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = random_bags(2, 40, 20), random_bags(2, 300, 20)
    found = nearest_distances(queries, references, "fp16")
    monkeypatch.setattr(fused, "SPAN", 1)
    assert torch.equal(nearest_distances(queries, references, "fp16"), found)


@pytest.mark.parametrize("length", [1e-3, 1e3])
def test_patches_of_any_length(length: float) -> None:
    bags = random_bags(2, 40, 20, length=length)
    bags[0] /= 7
    excess = (nearest_distances(bags, bags, "fp16") - brute_force(bags, bags)) / length
    assert excess.abs().max() < 1e-4


def test_images_on_very_different_scales_are_found_in_single_precision() -> None:
    bags = random_bags(3, 30, 16)
    bags[0] *= 1e-6
    bags[1] = 0
    found, expected = nearest_distances(bags, bags, "fp32"), brute_force(bags, bags)
    assert ((found - expected).abs() <= 1e-5 * expected + 1e-12).all()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_broken_image_is_refused(broken: float) -> None:
    bags = random_bags(3, 50, 32)
    bags[0, 3, 4] = broken
    with pytest.raises(ValueError, match="bags must be finite, but 1 of 3"):
        pairwise_nearest(bags, "fp16")


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 1e-3)])
def test_patches_may_lie_anywhere(precision: Precision, tolerance: float) -> None:
    bags = torch.rand(3, 40, 16).to(DEVICE) + 1000
    found, expected = nearest_distances(bags[:1], bags[1:], precision), brute_force(bags[:1], bags[1:])
    assert torch.allclose(found.double(), expected, rtol=tolerance)


def test_in_single_precision_patches_far_from_zero_are_told_apart_as_on_a_processor() -> None:
    # Numbers of 17 bits, which a sum with 10000 keeps; most patches have a near twin.
    near_zero = (torch.rand(3, 60, 16) * 1024).round() / 1024
    near_zero[1:, :30] = near_zero[:1, :30] + 2**-10
    bags = near_zero.to(DEVICE) + 10000
    found, expected = nearest_distances(bags[:1], bags[1:], "fp32"), brute_force(bags[:1], bags[1:])
    assert torch.allclose(found.double(), expected, rtol=1e-5)
    # Else most of what rounding has left would lie below the least numbers of float16.
    centre = torch.full((16,), 0.5).to(DEVICE)
    assert torch.equal(fused._units(bags, centre + 10000), fused._units(bags - 10000, centre))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_bags_of_any_type_keep_it(dtype: torch.dtype) -> None:
    bags = random_bags(2, 20, 16).to(dtype)
    found = pairwise(bags, "fp16")
    assert found.dtype == dtype
    error = (found - brute_force(bags, bags)).abs().max()
    # Of float64 what is left is the choice between patches that are nearly as near.
    assert error < {torch.float64: 1e-4, torch.float16: 1e-3, torch.bfloat16: 5e-3}[dtype]


def test_the_default_type_of_the_program_does_not_count() -> None:
    bags = random_bags(2, 20, 16)
    expected = pairwise(bags, "fp16")
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(pairwise(bags, "fp16"), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_bags_that_do_not_lie_one_after_the_other() -> None:
    bags = random_bags(2, 24, 20).transpose(1, 2)
    assert (nearest_distances(bags, bags[:, :7], "fp16") - brute_force(bags, bags[:, :7])).abs().max() < 1e-4


def test_auto_is_half_precision_where_the_fused_search_runs() -> None:
    assert resolve("auto", DEVICE) == torch.float16
