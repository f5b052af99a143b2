import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anomaly_clustering import nearest
from anomaly_clustering.nearest import Precision, nearest_blocks, nearest_distances, pairwise_nearest

PRECISIONS: list[Precision] = ["fp32", "bf16"]


def brute_force(queries: Tensor, references: Tensor) -> Tensor:
    """[B, M, D] and [R, P, D] -> [B, R, M] in float64, one difference at a time."""
    differences = queries.double()[:, None, :, None] - references.double()[None, :, None]
    return differences.norm(dim=-1).amin(-1)


@pytest.fixture(params=[2**20, 160, 40], ids=["one block", "some blocks", "parts of a pair"])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", request.param)
    monkeypatch.setattr(nearest, "HEIGHT", 3)
    monkeypatch.setattr(nearest, "ROW", 2)


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def _threads(request: pytest.FixtureRequest) -> None:
    torch.set_num_threads(request.param)
    yield
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(1)


@pytest.mark.usefixtures("_block", "_threads")
@pytest.mark.parametrize("unit", [True, False], ids=["unit length", "any length"])
def test_equals_brute_force(unit: bool) -> None:
    queries, references = torch.randn(5, 4, 6) * 3, torch.randn(7, 3, 6) * 3
    if unit:
        queries, references = F.normalize(queries, dim=-1), F.normalize(references, dim=-1)
    assert torch.allclose(nearest_distances(queries, references).double(), brute_force(queries, references), atol=1e-5)


@pytest.mark.usefixtures("_block", "_threads")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_pairwise_gives_each_pair_once_in_order_as_blocks_do(precision: Precision) -> None:
    bags = F.normalize(torch.randn(7, 4, 6), dim=-1)
    found = torch.full((7, 7, 4), torch.nan)
    for rows, columns, distances in pairwise_nearest(bags, precision):
        assert found[rows, columns].isnan().all()
        found[rows, columns] = distances
    expected = nearest_distances(bags, bags, precision)
    # Bfloat16 may choose another one of patches that are nearly as near.
    assert torch.allclose(found, expected, atol=1e-6 if precision == "fp32" else 5e-3)
    assert found.diagonal().max() == 0


@pytest.mark.parametrize("patches", [1, 5, 64, 100])
def test_any_number_of_patches(patches: int) -> None:
    queries, references = torch.randn(2, 7, 16), torch.randn(3, patches, 16)
    assert torch.allclose(nearest_distances(queries, references).double(), brute_force(queries, references), atol=1e-5)


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_bfloat16_only_chooses(length: float) -> None:
    """Never below the truth, and seldom above it: bounds as measured on features of ResNet-18, doubled."""
    bags = F.normalize(torch.randn(6, 100, 32).relu(), dim=-1) * length
    excess = (nearest_distances(bags, bags, "bf16").double() - brute_force(bags, bags)) / length
    assert excess.min() > -1e-6
    assert excess.mean() < 5e-5
    assert excess.max() < 1e-2
    assert (excess.abs() < 1e-6).double().mean() > 0.8


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_near_duplicates_are_exact_in_spite_of_cancellation(length: float) -> None:
    references = F.normalize(torch.randn(2, 50, 128), dim=-1) * length
    queries = references + torch.randn_like(references) * length * 1e-5
    found = nearest_distances(queries, references).double()
    assert torch.allclose(found, brute_force(queries, references), rtol=1e-3, atol=1e-7 * length)


@pytest.mark.parametrize("name", ["AMD EPYC", "Intel Xeon"])
def test_products_of_either_library_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)
    bags = torch.randn(5, 4, 6)
    assert torch.allclose(nearest_distances(bags, bags, "fp32").double(), brute_force(bags, bags), atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bag_is_at_distance_zero_from_itself(precision: Precision) -> None:
    bags = torch.randn(3, 20, 64)
    assert nearest_distances(bags, bags, precision)[range(3), range(3)].max() == 0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_path_of_other_devices_gives_the_same(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    bags = F.normalize(torch.randn(5, 12, 16), dim=-1)
    expected = list(pairwise_nearest(bags, precision))
    monkeypatch.setattr(nearest, "_on_processor", nearest._on_accelerator)
    for one, other in zip(pairwise_nearest(bags, precision), expected, strict=True):
        assert torch.allclose(one.distances, other.distances, atol=1e-6 if precision == "fp32" else 5e-3)


@pytest.mark.parametrize(
    ("processor", "faster"),
    [
        ({"amx_bf16": True, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.float32),
        ({"amx_bf16": False, "avx512_bf16": True, "cpu_name": "AMD EPYC"}, torch.bfloat16),
        ({"avx512_bf16": False, "cpu_name": "AMD EPYC"}, torch.float32),
        ({"avx512_bf16": True, "sse4a": True}, torch.bfloat16),
        ({"architecture": "aarch64"}, torch.float32),
    ],
)
def test_bfloat16_where_it_is_faster(
    processor: dict[str, bool | str], faster: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    assert nearest.resolve("auto", torch.device("cpu")) == faster


def test_who_stops_early_leaves_no_threads_behind() -> None:
    torch.set_num_threads(2)
    try:
        blocks = nearest_blocks(torch.randn(40, 64, 8), torch.randn(40, 64, 8))
        next(blocks)
        blocks.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
