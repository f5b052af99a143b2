"""How far scores move: over random subsets of the images, and over a band of tau around the run's own."""

import shutil
from dataclasses import replace
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
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.mic.scores import rarity
from anomaly_clustering.mic.spread import means_and_errors, spreads
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


@pytest.mark.parametrize("options", [{"residual_share": 0.5}, {"views": 2}, {"layer": "pyramid"}], ids=str)
def test_images_that_are_embedded_as_they_come_have_no_band(photos: Path, options: dict[str, Any]) -> None:
    mic, _ = run_mic(folder(photos), resamples=2, num_references=4, **options)
    assert (len(mic.spreads["nmi"].subsets), mic.spreads["nmi"].taus) == (2, [])


def test_more_clusters_than_a_subset_has_images_are_refused_before_any_work(photos: Path) -> None:
    with pytest.raises(ValueError, match=r"^num_clusters .* between 2 and 14 with .* 14 of the 15 images, got 15$"):
        run_mic(folder(photos), num_clusters=15, resamples=2)
    assert len(run_mic(folder(photos), num_clusters=14, resamples=2)[0].spreads["nmi"].subsets) == 2


def with_labels(grouping: Grouping, places: list[int]) -> Grouping:
    """The same result, but the class is known of these images alone."""
    target = np.full_like(grouping.target, -1)
    target[places] = grouping.target[places]
    return replace(grouping, target=target)


def test_subsets_without_a_known_class_are_left_out(photos: Path) -> None:
    mic, _ = run_mic(folder(photos), weights="uniform")
    options, notices = replace(mic.options, resamples=20), []
    known = with_labels(mic.grouping, [3])
    found = spreads(known, options, None, None, notices.append)
    count = sum(3 in chosen for chosen in subsets(15, count=20, seed=0))
    assert 2 <= count < 20
    assert {len(spread.subsets) for spread in found.values()} == {count}
    assert all(np.isfinite(float(value)) for value in means_and_errors(found).values())
    assert notices == [
        f"the spread of the scores is over {count} of 20 random subsets: the others have no image of a known class"
    ]


def test_where_too_few_subsets_can_be_scored_there_is_no_spread_and_the_user_is_told(photos: Path) -> None:
    mic, _ = run_mic(folder(photos), weights="uniform")
    first, second = subsets(15, count=2, seed=0)
    (alone,), notices = set(range(15)) - set(first), []
    known = with_labels(mic.grouping, [alone])
    assert spreads(known, replace(mic.options, resamples=2), None, None, notices.append) == {}
    assert means_and_errors({}) == {}
    assert notices == [
        f"no spread of the scores: of 2 random subsets {int(alone in second)} have an image of a known class, and at "
        "least 2 are needed"
    ]


def test_a_run_with_one_label_is_scored_as_far_as_that_goes(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    for number, image in enumerate(sorted(photos.rglob("*.png"))):
        shutil.copy(image, tmp_path / "few" / f"{number:02}.png")
    data = folder(tmp_path / "few")
    data.setup()
    # A folder alone would be no class; where a source says that it is one, subsets may have no labels at all.
    assert data.listing is not None
    told = [record._replace(label=0 if i == 3 else None) for i, record in enumerate(data.listing.records)]
    data.listing = data.listing._replace(records=told, class_names=["crack"])
    mic, scores = run_mic(data, num_clusters=3, resamples=20)
    assert {"nmi", "nmi_mean", "nmi_se"} <= scores.keys()
    assert np.isfinite(list(scores.values())).all()
    assert [notice for notice in mic.notices if "20 random subsets" in notice]


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
