"""Every weight, distance and clusterer of the paper by flags alone, on one process and on several."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from commands import configured, refused, rows
from test_mic import folder, run_mic

from anomaly_clustering.clustering.methods import ON_EMBEDDINGS, Method
from anomaly_clustering.mic.distance_names import PATCHWISE, Distance
from anomaly_clustering.mic.distances import hausdorff
from anomaly_clustering.mic.scores import novelty
from anomaly_clustering.mic.weights import effective_patches, soften

pytestmark = pytest.mark.usefixtures("in_tmp")


@pytest.mark.parametrize("distance", get_args(Distance))
def test_every_distance(photos: Path, distance: Distance) -> None:
    # 64 pixels are 64 patches an image, and 15 images more than the 512 words.
    mic, scores = run_mic(folder(photos), distance=distance)
    assert np.unique(mic.grouping.labels).tolist() == [0, 1, 2]
    assert (mic.grouping.embeddings is None) == (distance in PATCHWISE)
    assert 0 <= scores["nmi"] <= 1


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize("distance", ["weighted_average", "max_hausdorff"])
def test_every_method_or_a_message_that_says_which(photos: Path, method: Method, distance: Distance) -> None:
    if distance == "max_hausdorff" and method in ON_EMBEDDINGS:
        with pytest.raises(ValueError, match=rf"method '{method}' needs one vector.*use one of .*'ward'.*'spectral'"):
            run_mic(folder(photos), distance=distance, method=method)
        return
    mic, scores = run_mic(folder(photos), distance=distance, method=method)
    assert mic.grouping.labels.shape == (15,)
    assert scores["purity"] >= 1 / 3


def test_senseless_combination_by_flags(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--model.distance", "max_hausdorff", "--model.method", "kmeans")
    line = refused(configured("test", "--data.root", str(photos), *flags), capsys)
    assert line.startswith("error: method 'kmeans' needs one vector an image")


def test_maximum_hausdorff_is_that_of_the_bags(photos: Path) -> None:
    from anomaly_clustering.features.bags import bag

    data = folder(photos)
    mic, _ = run_mic(data, distance="max_hausdorff")
    bags = torch.cat([bag(mic.backbone(batch["image"])) for batch in data.test_dataloader()])
    expected = hausdorff(bags, "max").numpy()
    members = np.flatnonzero(mic.grouping.labels == 0)
    within = expected[np.ix_(members, members)]
    assert np.allclose(mic.grouping.groups.distances[members], within[within.sum(1).argmin()], atol=1e-5)


@pytest.mark.parametrize("reduce", ["max", "min"])
def test_other_reductions_give_other_weights(photos: Path, reduce: str) -> None:
    mean, _ = run_mic(folder(photos))
    other, _ = run_mic(folder(photos), reduce=reduce)
    assert not np.allclose(mean.grouping.weights, other.grouping.weights, atol=1e-3)


def test_all_images_as_references_are_eq_5(photos: Path) -> None:
    every, _ = run_mic(folder(photos))
    references, _ = run_mic(folder(photos), num_references=15)
    assert np.allclose(every.grouping.weights, references.grouping.weights, atol=1e-5)
    few, _ = run_mic(folder(photos), num_references=6, seed=1)
    again, _ = run_mic(folder(photos), num_references=6, seed=1)
    assert np.array_equal(few.grouping.weights, again.grouping.weights)
    assert not np.allclose(few.grouping.weights, every.grouping.weights, atol=1e-4)


@pytest.mark.parametrize("weights", ["rarity", "novelty"])
def test_effective_number_of_patches_sets_tau(photos: Path, weights: str) -> None:
    data = folder(photos, normals=photos / "good")
    mic, _ = run_mic(data, weights=weights, effective_patches=8.0)
    found = effective_patches(torch.from_numpy(mic.grouping.weights).flatten(1)).mean()
    assert found == pytest.approx(8, rel=1e-2)


def test_top_k_leaves_k_patches(photos: Path) -> None:
    mic, _ = run_mic(folder(photos), top_k=5, tau=float("inf"))
    assert ((mic.grouping.weights > 0).sum((1, 2)) == 5).all()
    assert np.allclose(mic.grouping.weights.max((1, 2)), 0.2)
    assert soften(torch.rand(1, 9), 1.0, 3).count_nonzero() == 3


def test_a_fraction_of_the_normals_is_drawn_by_seed(photos: Path) -> None:
    data = folder(photos, normals=photos / "good")
    one, two, three = (
        run_mic(data, weights="novelty", normal_fraction=0.4, seed=seed)[0].grouping.weights for seed in (0, 0, 3)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_every_second_row_and_column_of_the_normals(photos: Path) -> None:
    data = folder(photos, normals=photos / "good")
    mic, _ = run_mic(data, weights="novelty", normal_stride=2, precision="fp32")
    bags, normals = (
        torch.cat([mic.embedder(batch) for batch in loader])
        for loader in (data.test_dataloader(), data.normal_dataloader())
    )
    expected = soften(novelty(bags.flatten(1, 2), normals[:, ::2, ::2].flatten(0, 2)), 0.02)
    assert np.allclose(mic.grouping.weights, expected.view(-1, 8, 8).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normal_fraction": 0.0}, "above 0 and at most 1, got 0.0"),
        ({"normal_stride": 0}, "at least 1, got 0"),
        ({"num_references": 1}, "at least 2, got 1"),
        ({"num_references": 99}, "at most 15"),
        ({"top_k": 65}, "between 1 and 64"),
        ({"effective_patches": 64.0}, "above 1 and below 64"),
    ],
)
def test_values_are_checked(photos: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_mic(folder(photos), **options)


def test_localisation_is_scored_where_there_are_masks(photos: Path, masks: Path) -> None:
    _, scores = run_mic(folder(photos, masks=masks))
    assert 0 <= scores["localisation_auroc"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ("--model.distance", "max_hausdorff"),
        ("--model.distance", "bag_of_words"),
        ("--model.num_references", "6"),
        ("--model.effective_patches", "8.0"),
    ],
    ids=["Hausdorff", "bag of words", "references", "effective patches"],
)
def test_two_processes_give_what_one_gives(photos: Path, flags: tuple[str, ...]) -> None:
    for name, devices in (("one", []), ("two", ["--trainer.devices", "2", "--trainer.strategy", "ddp"])):
        argv = configured("test", "--data.root", str(photos), "--out", name, "--data.batch_size", "4", *flags, *devices)
        subprocess.run([sys.executable, "-m", "anomaly_clustering", *argv], check=True, timeout=300)
    assert [row["cluster"] for row in rows(Path("one"))] == [row["cluster"] for row in rows(Path("two"))]
    one, two = (json.loads((Path(name) / "metrics.json").read_text()) for name in ("one", "two"))
    numbers = {name for name, value in one.items() if isinstance(value, float)}
    assert {name: one[name] for name in numbers} == pytest.approx({name: two[name] for name in numbers}, abs=1e-6)
