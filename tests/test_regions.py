"""Weights of a run -> regions of defects on one scale, and the runs that show none."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeImage
from PIL import Image
from test_stored_run import stored

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.annotations import area_of
from anomaly_clustering.runs.exported_run import labels_and_run
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.regions import outline, regions_among, run_regions
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.files import digest


def defect_of(path: Path) -> tuple[float, float]:
    """The middle of the defect, in shares of width and height; noise is far from its grey."""
    grey = np.asarray(Image.open(path).convert("L")).astype(int)
    y, x = np.nonzero(grey > 220 if path.parent.name == "bright" else grey < 30)
    return x.mean() / grey.shape[1], y.mean() / grey.shape[0]


def test_a_region_is_drawn_between_the_centres_of_patches_and_up_to_the_edge() -> None:
    scores = np.zeros((4, 8))
    scores[1, 2:4] = 2.0
    (region,) = outline(scores, threshold=1.0, top=4.0)
    assert region.box == (2 / 8, 1 / 4, 4 / 8, 2 / 4)
    assert region.score == pytest.approx(1 / 3)  # 2 is a third of the way from 1 to 4.
    at_edge = np.zeros((4, 8))
    at_edge[0, 6:] = 2.0
    assert outline(at_edge, threshold=1.0, top=4.0)[0].box == (6 / 8, 0, 1, 1 / 4)
    (whole,) = outline(np.full((4, 8), 2.0), threshold=1.0, top=2.0)
    assert (whole.box, area_of(whole.polygon), whole.score) == ((0, 0, 1, 1), 1.0, 1.0)
    assert outline(np.full((4, 8), 2.0), threshold=2.0, top=2.0) == []


def test_regions_come_by_score_holes_are_filled_and_specks_left_out() -> None:
    scores = np.zeros((16, 16))
    scores[1:6, 1:6], scores[3, 3] = 2.0, 0.0
    scores[9:12, 9:12] = 3.0
    scores[14, 2] = 1.1  # Just above the threshold at one place.
    first, second = outline(scores, threshold=1.0, top=3.0)
    # From 0 to 3 the threshold of 1 is passed a third of the way, from 0 to 2 halfway.
    assert np.array(first.box) * 16 == pytest.approx([8.5 + 1 / 3, 8.5 + 1 / 3, 12.5 - 1 / 3, 12.5 - 1 / 3])
    assert second.box == (1 / 16, 1 / 16, 6 / 16, 6 / 16)
    assert (first.score, second.score) == (1.0, 0.5)
    # A square of 5 x 5 patches whose corners are cut; a hole would take two more.
    assert area_of(second.polygon) * 256 == pytest.approx(24.5)


def test_the_score_of_a_region_is_the_highest_of_the_patches_inside() -> None:
    rng = np.random.default_rng(0)
    scores = np.zeros((40, 40))
    for row in range(2, 38, 6):
        for column in range(2, 38, 6):
            scores[row : row + 3, column : column + 4] = rng.uniform(1.1, 4.0, (3, 4))
    found = outline(scores, threshold=1.0, top=4.0)
    assert len(found) == 36
    for region in found:
        left, top, right, bottom = (round(side * 40) for side in region.box)
        assert region.score == pytest.approx((scores[top:bottom, left:right].max() - 1) / 3)


STRIPES = np.tile(np.arange(2048)[:, None] % 2, (1, 2048))
SPOTS = np.kron(np.indices((512, 512)).prod(0) % 2, np.ones((2, 2)))


@pytest.mark.parametrize("pattern", [STRIPES, SPOTS, STRIPES.T])
def test_a_heat_map_of_a_stranger_that_falls_into_pieces_is_refused_soon(tmp_path: Path, pattern: np.ndarray) -> None:
    scores = np.zeros((3, *pattern.shape), np.float16)
    scores[0] += pattern
    replace(stored(), weights=scores + 1, scores=scores).save(tmp_path)
    asked = time.monotonic()
    with pytest.raises(
        ValueError, match=r"run.safetensors' holds a heat map of 'a.png' that shows no defe.*, more than"
    ):
        run_regions(tmp_path)
    assert time.monotonic() - asked < 30


def test_one_region_of_a_hundred_thousand_corners_takes_no_time() -> None:
    comb = np.zeros((512, 512))
    comb[::2], comb[:, 0] = 1.0, 2.0
    asked = time.monotonic()
    (region,) = outline(comb, threshold=0.5, top=2.0)
    assert len(region.polygon) > 100_000
    assert region.score == 1.0
    assert time.monotonic() - asked < 20


def test_regions_of_a_run_lie_on_the_defects(clustered: Path) -> None:
    found = run_regions(clustered)
    assert found.keys() == set(load_run(clustered).paths)
    for path, regions in found.items():
        if path.parent.name != "good":
            (x, y), (left, top, right, bottom) = defect_of(path), regions[0].box
            assert left < x < right, path
            assert top < y < bottom, path
            assert area_of(regions[0].polygon) < 0.35
    scores = {path: max((region.score for region in regions), default=0.0) for path, regions in found.items()}
    assert max(scores.values()) == 1.0
    assert max(scores[path] for path in scores if path.parent.name == "good") < min(
        scores[path] for path in scores if path.parent.name == "bright"
    )


def test_images_that_were_assigned_later_have_regions_on_the_same_scale(
    clustered: Path, tmp_path: Path, make_image: MakeImage
) -> None:
    before = run_regions(clustered)
    new = make_image(tmp_path / "new" / "bright" / "9.png", 1, seed=9)
    main(["assign", "new", "--run", "run"])
    after = run_regions(clustered)
    assert {path: after[path] for path in before} == before
    (x, y), (left, top, right, bottom) = defect_of(new), after[Path("new/bright/9.png")][0].box
    assert left < x < right
    assert top < y < bottom


def test_some_images_alone_have_the_regions_that_they_have_among_all(clustered: Path, make_image: MakeImage) -> None:
    make_image(Path("new/9.png"), 1, seed=9)
    main(["assign", "new", "--run", "run"])
    run, every = load_run(clustered), run_regions(clustered)
    asked = {run.paths[3], run.paths[12], Path("new/9.png")}
    found = regions_among(clustered, run, load_later(clustered, run), images=asked)
    assert found == {path: every[path] for path in asked}


def test_a_heat_map_that_falls_into_pieces_hinders_no_export_of_other_images(
    tmp_path: Path, make_image: MakeImage
) -> None:
    images = [make_image(tmp_path / f"{i}.png", seed=i) for i in range(3)]
    scores = np.zeros((3, *STRIPES.shape), np.float16)
    scores[0] += STRIPES
    replace(
        stored(), paths=images, digests=[digest(image) for image in images], weights=scores + 1, scores=scores
    ).save(tmp_path)
    labels = [Labelled(image, 0, "dent", unsure=False) for image in images]
    assert labels_and_run(tmp_path, labels[1:]).regions == {image: [] for image in images[1:]}
    with pytest.raises(ValueError, match=r"holds a heat map of '.*0.png' that shows no defects"):
        labels_and_run(tmp_path, labels)


def test_regions_of_low_score_are_left_out_if_asked(clustered: Path) -> None:
    found, kept = run_regions(clustered), run_regions(clustered, min_score=0.95)
    for path, regions in found.items():
        assert kept[path] == [region for region in regions if region.score >= 0.95]
    assert 0 < sum(map(len, kept.values())) < sum(map(len, found.values()))
    with pytest.raises(ValueError, match=r"min_score must be between 0 and 1, got 30.0"):
        run_regions(clustered, min_score=30.0)


@pytest.mark.parametrize("change", [{"weights": "uniform"}, {"weights": "mask"}, {"distance": "chamfer"}])
def test_runs_without_heat_maps(clustered: Path, change: dict[str, str]) -> None:
    run = load_run(clustered)
    # What is changed here is not what the mark lists.
    (clustered / "run.json").unlink()
    replace(run, recipe=replace(run.recipe, **change)).save(clustered)
    with pytest.raises(ValueError, match=r"run 'run' has no heat maps that show defects: it compared images by"):
        run_regions(clustered)


def test_where_mean_scores_are_unknown_patches_are_compared_within_their_image(clustered: Path) -> None:
    # So it is with scores that are a maximum over images.
    run = load_run(clustered)
    # What is changed here is not what the mark lists.
    (clustered / "run.json").unlink()
    replace(run, mean_scores=np.full(15, np.nan), scores=None).save(clustered)
    for path, regions in run_regions(clustered).items():
        if path.parent.name == "bright":
            (x, y), (left, top, right, bottom) = defect_of(path), regions[0].box
            assert left < x < right
            assert top < y < bottom
