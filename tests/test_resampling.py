from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_mic import folder, run_mic

from anomaly_clustering.mic import MIC, resampling
from anomaly_clustering.mic.resampling import all_nearest, rarity_within, subsets
from anomaly_clustering.mic.scores import Reduce, rarity
from anomaly_clustering.mic.spread import mean_and_standard_error
from anomaly_clustering.search.nearest import Block, Precision, pairwise_nearest


def bags(n: int = 9) -> torch.Tensor:
    return F.normalize(torch.randn(n, 5, 8), dim=-1)


@pytest.mark.parametrize("reduce", get_args(Reduce))
def test_scores_of_a_subset_are_those_of_its_bags_alone(reduce: Reduce) -> None:
    z = bags()
    chosen = torch.tensor([0, 2, 3, 7, 8])
    assert torch.allclose(rarity_within(all_nearest(z), chosen, reduce), rarity(z[chosen], reduce), atol=1e-6)


def test_subsets_hold_ninety_percent_and_repeat_by_seed() -> None:
    drawn = list(subsets(20, count=5, seed=3))
    assert [len(chosen) for chosen in drawn] == [18] * 5
    assert all((np.diff(chosen) > 0).all() for chosen in drawn)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, subsets(20, count=5, seed=3), strict=True))
    assert len({tuple(chosen) for chosen in drawn}) > 1


def test_standard_error_by_hand() -> None:
    assert mean_and_standard_error(np.array([1.0, 2, 3])) == pytest.approx((2, 1 / 3**0.5))


def test_how_subsets_are_weighed_does_not_hang_on_the_number_of_images() -> None:
    with pytest.raises(ValueError, match="give one of these, got 'auto'"):
        MIC("embedded", resamples=2, num_references="auto")
    MIC("embedded", resamples=2, num_references="auto", views=2)


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="9 images with 5 patches"):
        all_nearest(bags())


@pytest.mark.parametrize(
    "options",
    [{}, {"weights": "uniform"}, {"distance": "max_hausdorff"}, {"distance": "gem"}, {"method": "kmeans"}],
    ids=["rarity", "uniform", "Hausdorff", "GeM", "k-means"],
)
def test_resampled_scores_have_a_mean_and_an_error(photos: Path, options: dict[str, str]) -> None:
    _, scores = run_mic(folder(photos), resamples=8, **options)
    assert 0 <= scores["nmi_mean"] <= 1
    assert scores["nmi_se"] >= 0
    again = run_mic(folder(photos), resamples=8, **options)[1]  # type: ignore[arg-type]
    assert scores == again


def test_distances_between_patches_are_computed_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    def counted(bags: torch.Tensor, precision: Precision) -> Iterator[Block]:
        passes.append(len(bags))
        return pairwise_nearest(bags, precision)

    monkeypatch.setattr(resampling, "pairwise_nearest", counted)
    monkeypatch.setattr("anomaly_clustering.mic.scores.pairwise_nearest", counted)
    run_mic(folder(photos), resamples=20)
    assert passes == [15]


@pytest.mark.parametrize("options", [{"resamples": 3}, {"distance": "spoc"}])
def test_the_default_type_of_the_program_does_not_count(photos: Path, options: dict[str, Any]) -> None:
    expected, scores = run_mic(folder(photos), **options)
    torch.set_default_dtype(torch.float64)
    try:
        found, again = run_mic(folder(photos), **options)
    finally:
        torch.set_default_dtype(torch.float32)
    assert again == scores
    for name in ("embeddings", "weights", "top_scores", "normal_top_scores"):
        one, other = (getattr(mic.grouping, name) for mic in (found, expected))
        assert one.dtype == other.dtype == np.float32
        assert np.array_equal(one, other, equal_nan=True)
