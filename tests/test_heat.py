"""One scale for a run: good images stay dark beside defective ones, and scores tell these apart, without a label."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.clustering.unknown import TOP_COLUMN, findings, most_usual
from anomaly_clustering.mic.scores import top_means
from anomaly_clustering.report.heat import excess, heat, most_unusual, scale_of
from anomaly_clustering.report.pictures import outlined
from anomaly_clustering.runs.patch_scores import patch_scores
from anomaly_clustering.runs.regions import regions_of
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.unusual import graded


def scores_of_run(good: int, defective: int, *, depth: float = 0.5) -> np.ndarray:
    """Patches of two materials, one of them more varied than the other; a defect raises 4 x 4 of 32 x 32 patches."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0.2, 0.02, (good + defective, 32, 32))
    scores[:, :, 16:] += 0.3 + rng.normal(0, 0.04, (good + defective, 32, 16))
    scores[good:, 10:14, 20:24] += depth
    return scores


@pytest.mark.parametrize(("good", "defective"), [(20, 80), (50, 50), (95, 5)])
def test_good_images_stay_dark_beside_defective_ones_whatever_their_share(good: int, defective: int) -> None:
    scores = scores_of_run(good, defective)
    scale = scale_of(scores)
    hot = heat(scores, scale)
    assert hot[:good].mean() < hot[good:].mean() / 3
    assert np.median(hot[:good].max((1, 2))) < 0.25 < hot[good:].max((1, 2)).min()
    graded = scale.grade(most_unusual(scores))
    assert graded[:good].max() < graded[good:].min()
    regions = [len(regions_of(h)) for h in hot]
    assert regions[good:] == [1] * defective
    assert sum(regions[:good]) <= good / 10


def test_where_no_image_is_defective_none_is_hot() -> None:
    scores = scores_of_run(100, 0)
    assert heat(scores, scale_of(scores)).max() < 0.5


def test_the_scale_is_one_for_all_images() -> None:
    """Each image by itself has the heat that it has in the run."""
    scores = scores_of_run(5, 5)
    scale = scale_of(scores)
    assert np.array_equal(heat(scores, scale)[7:8], heat(scores[7:8], scale))
    # Another unit and another zero are another name for the same scale.
    assert heat(3 * scores + 1, scale_of(3 * scores + 1)) == pytest.approx(heat(scores, scale), abs=1e-9)


def test_images_known_to_be_good_say_where_what_is_usual_ends() -> None:
    """Among defective images alone the quietest would be taken for good ones."""
    scores = scores_of_run(40, 20)
    good, defective = scores[:40].reshape(40, -1), scores[40:]
    normals = top_means(torch.from_numpy(good)).numpy()
    scale = scale_of(defective, most_usual(normals, 0.05))
    assert (scale.grade(most_unusual(scores[:40])) <= 0).sum() == 39
    assert (scale.grade(most_unusual(defective)) > 0).all()
    assert (scale_of(defective).grade(most_unusual(defective)) > 0).sum() == 18


def test_equal_scores_have_no_heat() -> None:
    same = np.full((3, 4, 4), 0.7)
    assert not heat(same, scale_of(same)).any()
    assert not excess(same).any()
    # Nor has what single precision makes of them.
    noise = np.random.default_rng(0).normal(size=(1, 28, 28))
    assert not excess((1 + 1e-6 * noise) / 784).any()


def test_weights_of_single_precision_hold_all_scores_and_those_of_half_precision_do_not() -> None:
    scores = scores_of_run(3, 3)
    weights = np.exp(scores / 0.02)
    weights = (weights / weights.sum((1, 2), keepdims=True)).astype(np.float32)
    mean = scores.mean((1, 2))
    assert np.abs(patch_scores(weights, mean, 0.02) - scores).max() < 1e-4
    assert np.abs(patch_scores(weights.astype(np.float16), mean, 0.02) - scores).max() > 0.02


def test_outlines_are_lines_of_the_picture_in_thousandths() -> None:
    plain, drawn = outlined(np.zeros((2, 2)), []), outlined(np.zeros((2, 2)), [[(0.25, 0.5), (1.0, 0.5), (1.0, 1.0)]])
    assert "<path" not in plain
    assert drawn.count('d="M250 500L1000 500L1000 1000Z"') == 2


@pytest.fixture
def run(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--method", "paper", "--image-size", "64", "--out", "run"])
    return Path("run")


def test_a_run_keeps_scores_that_tell_defective_photographs_from_good_ones(run: Path) -> None:
    stored = load_run(run)
    found = graded(stored)
    assert stored.scores is not None
    assert stored.scores.dtype == np.float16
    assert found.scores is not None
    good = np.array([path.parent.name == "good" for path in stored.paths])
    assert found.scores[good].max() < found.scores[~good].min()
    assert found.heat[good].mean() < found.heat[~good].mean() / 3
    table = (run / "assignments.csv").read_text().splitlines()
    assert table[0] == "path,cluster,class,distance_to_center,score"
    assert [float(line.rpartition(",")[2]) for line in table[1:]] == pytest.approx(found.scores, abs=1e-6)
    page = (run / "report.html").read_text()
    assert page.count('class="score"') == 15
    assert "One scale for all images" in page


def test_of_an_older_run_scores_come_from_its_weights(run: Path) -> None:
    stored = load_run(run)
    (run / "run.json").unlink()  # It lists what the file was.
    replace(stored, scores=None).save(run)
    assert stored.scores is not None
    found = load_run(run).scores
    assert found is not None
    difference = (found.astype(np.float32) - stored.scores.astype(np.float32)).reshape(15, -1)
    # Of those patches that weigh at all; what the others had is lost, and with it where the scale begins.
    weigh = stored.weights.reshape(15, -1) > 1e-4
    assert max(np.ptp(of_image[some]) for of_image, some in zip(difference, weigh, strict=True)) < 0.01


def test_normal_images_are_scored_by_the_others_and_say_which_images_have_no_finding(
    photos: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last of six good ones has a defect that nobody saw; against itself it would be as good as the others."""
    monkeypatch.chdir(photos.parent)
    for i in range(6):
        make_image(Path(f"normal/{i}.png"), 1 if i == 5 else 0, seed=100 + i)
    main(["cluster", "photos", "--normal", "normal", "--views", "1", "--image-size", "64", "--out", "run"])
    run = load_run(Path("run"))
    normals = run.normal_top_scores[:, TOP_COLUMN]
    assert normals.argmax() == 5
    assert normals[5] > 1.5 * normals[:5].max()
    found = graded(run)
    assert found.scores is not None
    assert found.sound is not None
    # One rule for the page and for the tables of images that come later, and heat begins where findings do.
    assert (found.sound == ~findings(run.top_scores, run.normal_top_scores, 0.05)).all()
    assert (found.sound == (found.scores <= 0)).all()
    without = graded(replace(run, normal_top_scores=run.normal_top_scores[:5])).sound
    assert without is not None
    assert not without[[path.parent.name == "bright" for path in run.paths]].any()
    assert without[[path.parent.name == "good" for path in run.paths]].any()
    page = Path("run/report.html").read_text()
    assert page.count('class="sound"') == found.sound.sum() > 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Without a finding: {found.sound.sum()} of 15 images, no more unusual than the most unusual normal" in said


def test_scores_are_the_same_however_few_images_are_computed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.random.default_rng(0).random((7, 3, 3), dtype=np.float32)
    mean = np.arange(7, dtype=np.float32)
    whole, unusual = patch_scores(weights, mean, tau=0.02), most_unusual(weights)
    monkeypatch.setattr("anomaly_clustering.runs.patch_scores.AT_ONCE", 3)
    monkeypatch.setattr("anomaly_clustering.report.heat.AT_ONCE", 3)
    assert (patch_scores(weights, mean, tau=0.02) == whole).all()
    assert (most_unusual(weights) == unusual).all()


def test_of_very_many_patches_a_sample_says_where_the_scale_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = scores_of_run(60, 60)
    whole = scale_of(scores)
    monkeypatch.setattr("anomaly_clustering.report.heat.MOST_PATCHES", scores.size // 4)
    sample = scale_of(scores)
    assert sample.usual == whole.usual
    assert sample.unusual == pytest.approx(whole.unusual, rel=0.02)
