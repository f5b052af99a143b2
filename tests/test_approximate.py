import sys

import pytest
import torch
import torch.nn.functional as F

from anomaly_clustering.approximate import ApproximateIndex
from anomaly_clustering.weights import novelty


def test_what_is_found_is_never_nearer_than_the_nearest_and_mostly_it() -> None:
    # Patches around 30 textures, as images of one product have.
    textures = torch.randn(30, 16)
    normal = F.normalize(textures[torch.randint(30, (6000,))] + 0.3 * torch.randn(6000, 16), dim=-1)
    bags = F.normalize(textures[torch.randint(30, (4, 50))] + 0.3 * torch.randn(4, 50, 16), dim=-1)
    excess = ApproximateIndex(normal).novelty(bags) - novelty(bags, normal)
    assert excess.min() > -1e-4  # FAISS works in float32
    assert (excess < 1e-4).float().mean() > 0.8
    assert excess.mean() < 0.01


def test_few_patches_and_seeds() -> None:
    bags = torch.randn(2, 5, 8)
    for count in (1, 3, 100):
        normal = torch.randn(count, 8)
        assert torch.allclose(ApproximateIndex(normal).novelty(bags), novelty(bags, normal), atol=1e-3)
    normal = torch.randn(3000, 8)
    one, same = (ApproximateIndex(normal, seed=1).novelty(bags) for _ in range(2))
    assert torch.equal(one, same)


def test_without_faiss_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'anomaly-clustering\[approximate\]'"):
        ApproximateIndex(torch.randn(10, 4))
