import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anomaly_clustering import nearest
from anomaly_clustering.nearest import nearest_distances, pairwise_nearest


def brute_force(queries: Tensor, references: Tensor) -> Tensor:
    """[B, M, D] and [R, P, D] -> [B, R, M] in float64, one difference at a time."""
    differences = queries.double()[:, None, :, None] - references.double()[None, :, None]
    return differences.norm(dim=-1).amin(-1)


@pytest.fixture(params=[2**21, 40, 1], ids=["one block", "some blocks", "block of one pair"])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", request.param)


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("unit", [True, False], ids=["unit length", "any length"])
def test_equals_brute_force(unit: bool) -> None:
    queries, references = torch.randn(5, 4, 6) * 3, torch.randn(7, 3, 6) * 3
    if unit:
        queries, references = F.normalize(queries, dim=-1), F.normalize(references, dim=-1)
    assert torch.allclose(nearest_distances(queries, references).double(), brute_force(queries, references), atol=1e-5)


@pytest.mark.usefixtures("_block")
def test_pairwise_equals_brute_force_in_both_directions() -> None:
    bags = F.normalize(torch.randn(7, 4, 6), dim=-1)
    found = torch.full((7, 7, 4), torch.nan)
    for rows, columns, distances in pairwise_nearest(bags):
        assert found[rows, columns].isnan().all()  # each pair once
        found[rows, columns] = distances
    assert torch.allclose(found.double(), brute_force(bags, bags), atol=1e-5)


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_near_duplicates_are_exact_in_spite_of_cancellation(length: float) -> None:
    references = F.normalize(torch.randn(2, 50, 128), dim=-1) * length
    queries = references + torch.randn_like(references) * length * 1e-5
    found = nearest_distances(queries, references).double()
    assert torch.allclose(found, brute_force(queries, references), rtol=1e-3, atol=1e-7 * length)


def test_a_bag_is_at_distance_zero_from_itself() -> None:
    bags = torch.randn(3, 20, 64)
    assert nearest_distances(bags, bags)[range(3), range(3)].max() == 0
