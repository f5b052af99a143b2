"""How far scores move: over random subsets of the images, and over a band of tau around the run's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import MakeImage
from test_mic import folder, run_mic

from anomaly_clustering.clustering.methods import cluster_embeddings
from anomaly_clustering.metrics.agreement import normalized_mutual_information
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.resampling import subsets
from anomaly_clustering.mic.residuals import mean_of, signed_root
from anomaly_clustering.mic.scores import rarity
from anomaly_clustering.mic.weights import BAND, band_of, soften, weighted_average, weighted_averages


def bags_of(mic: MIC, data: Any) -> torch.Tensor:
    """Bags of all images, as the run has embedded them."""
    data.setup()
    return torch.cat([mic.embedder(batch).flatten(1, 2) for batch in data.test_dataloader()])


@torch.inference_mode()
@pytest.mark.parametrize("rooted", [False, True])
def test_a_subset_scores_as_if_there_were_no_other_images(photos: Path, rooted: bool) -> None:
    data = folder(photos)
    mic, scores = run_mic(data, resamples=6, signed_root=rooted, tau=0.1)
    bags, target = bags_of(mic, data), torch.from_numpy(mic.grouping.target)
    expected = {tau: [] for tau in band_of(0.1)}
    for chosen in map(torch.from_numpy, subsets(len(bags), count=6, seed=0)):
        for tau, found in expected.items():
            averages = weighted_average(bags[chosen], soften(rarity(bags[chosen]), tau))
            if rooted:
                averages = signed_root(averages, mean_of(averages), (averages.shape[1],))
            labels = torch.from_numpy(cluster_embeddings(averages.numpy(), 3))
            found.append(float(normalized_mutual_information(labels, target[chosen])))
    assert mic.spreads["nmi"].subsets == pytest.approx(expected[0.1])
    assert mic.spreads["nmi"].taus == pytest.approx([np.mean(found) for found in expected.values()])
    assert scores["nmi_mean"] == pytest.approx(np.mean(expected[0.1]))


def test_the_band_leads_from_half_to_double_with_the_tau_of_the_run_in_its_middle() -> None:
    assert band_of(0.02) == pytest.approx((0.01, 0.01414, 0.02, 0.02828, 0.04), rel=1e-3)
    assert band_of(0.02)[len(BAND) // 2] == 0.02
    assert band_of(float("inf")) == (float("inf"),)


def test_weights_by_normal_images_move_with_tau_too(photos: Path, make_image: MakeImage) -> None:
    for seed in range(100, 104):
        make_image(photos.parent / "normal" / f"{seed}.png", 0, seed=seed)
    data = folder(photos, normals=photos.parent / "normal")
    mic, _ = run_mic(data, weights="novelty", resamples=4, num_clusters=3)
    at_half, _ = run_mic(data, weights="novelty", resamples=4, num_clusters=3, tau=0.01)
    assert len(mic.spreads["nmi"].taus) == len(BAND)
    # The band of one run has the means over subsets of runs at its taus.
    assert mic.spreads["nmi"].taus[0] == pytest.approx(np.mean(at_half.spreads["nmi"].subsets))
    assert mic.spreads["nmi"].taus[2] == pytest.approx(np.mean(mic.spreads["nmi"].subsets))


@pytest.mark.parametrize(
    "options",
    [{"weights": "uniform"}, {"distance": "max_hausdorff"}, {"distance": "gem"}, {"tau": float("inf"), "top_k": 3}],
    ids=str,
)
def test_where_no_weight_depends_on_tau_there_is_no_band(photos: Path, options: dict[str, Any]) -> None:
    mic, _ = run_mic(folder(photos), resamples=3, **options)
    assert len(mic.spreads["nmi"].subsets) == 3
    assert mic.spreads["nmi"].taus == []


def test_subsets_are_the_same_whatever_the_seed_of_a_run(photos: Path) -> None:
    # Ward draws nothing, so that only other subsets could give other scores.
    first, second = (run_mic(folder(photos), resamples=4, tau=1.0, seed=seed)[0].spreads for seed in (0, 1))
    assert first == second


def test_a_run_without_subsets_has_no_spread(photos: Path) -> None:
    assert run_mic(folder(photos))[0].spreads == {}


def test_averages_by_several_weights_are_those_by_each() -> None:
    bags, weights = torch.randn(3, 7, 4), F.normalize(torch.rand(3, 2, 7), p=1, dim=2)
    both = weighted_averages(bags, weights)
    for tau in range(2):
        assert torch.allclose(both[:, tau], weighted_average(bags, weights[:, tau]), atol=1e-6)
