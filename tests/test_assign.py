"""New images against a run: laws on planted embeddings, then the command on images that one can see."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import configured
from conftest import MakeImage
from PIL import Image
from scipy.spatial.distance import cdist, pdist, squareform

from anomaly_clustering.cli.main import main
from anomaly_clustering.clustering.unknown import Ranking, Seen, from_all
from anomaly_clustering.mic.recipe import scores_against
from anomaly_clustering.mic.scores import novelty, rarity
from anomaly_clustering.runs.assign import most_like, nearest_clusters
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.tables import read_csv

SMALL = ["--image-size", "64"]


def seen(embeddings: np.ndarray, scores: np.ndarray | None = None) -> Seen:
    """Images of which the most unusual patches are as unusual as given; all alike by default."""
    top = np.ones(len(embeddings)) if scores is None else scores
    return Seen(embeddings, np.tile(top[:, None], (1, 4)))


def test_the_nearest_mean_wins() -> None:
    run = seen(np.array([[0.0, 0], [2, 0], [10, 0], [10, 4]]))
    found = nearest_clusters(seen(np.array([[1.0, 0.5], [9, 2], [10, 100]])), run, np.array([5, 5, 3, 3]))
    assert found.labels.tolist() == [5, 3, 3]
    assert found.distances.tolist() == pytest.approx([0.5, 1, 98])
    assert found.nearest.tolist() == [0, 2, 3]


def test_unknown_are_images_far_from_all_others_and_images_with_odd_patches() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    run = seen(rng.normal(np.repeat([[0.0], [9.0]], 50, 0), 1, (100, 8)), rng.normal(1, 0.1, 100))
    like = run.embeddings[:1] + 0.3
    between = np.full((1, 8), 4.5)
    new = seen(np.concatenate([like, between, like]), np.array([1.0, 1.0, 20.0]))
    found = nearest_clusters(new, run, labels)
    assert found.unknown.tolist() == [False, True, True]
    assert found.p_values[1:].max() <= 0.05 < found.p_values[0]
    # Where nothing is known of patches, as in a run of an earlier version, distances alone tell.
    found = nearest_clusters(new, run._replace(top_scores=np.full((100, 4), np.nan)), labels)
    assert found.unknown.tolist() == [False, True, False]


def test_an_image_beside_a_tight_group_is_unusual_where_it_would_not_be_among_images_far_apart() -> None:
    rng = np.random.default_rng(0)
    run = np.concatenate([rng.normal(0, 0.1, (30, 2)), rng.normal(50, 3, (30, 2))])
    of_tight, of_wide = Ranking(seen(run)).p_values(seen(np.array([[4.0, 0], [52, 50]])))
    assert of_tight <= 1 / 61 < 0.1 < of_wide


def naive_p_value(new: Seen, run: Seen) -> float:
    """As the formulas say: the new image joins the bag, and all of it is measured alike."""
    bag = np.concatenate([run.embeddings, new.embeddings])
    scores = np.concatenate([run.top_scores[:, 2], new.top_scores[:, 2]])
    distances = np.linalg.norm(bag[:, None] - bag, axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(1)[:, : min(3, len(bag) - 1)]
    alone = np.array([row[near].mean() for row, near in zip(distances, nearest, strict=True)])
    around = np.maximum(alone[nearest].mean(1), 0.1 * np.median(alone))
    unusual = alone * (scores / around) ** 0.25
    return float((unusual >= unusual[-1]).mean())


@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 30])
def test_p_is_what_the_formulas_say_however_few_images_there_are(images: int) -> None:
    rng = np.random.default_rng(images)
    run = Seen(rng.normal(size=(images, 3)), rng.random((images, 4)))
    new = Seen(rng.normal(size=(20, 3)) * 1.5, rng.random((20, 4)))
    one_by_one = [naive_p_value(Seen(*(column[[i]] for column in new)), run) for i in range(20)]
    assert Ranking(run).p_values(new).tolist() == pytest.approx(one_by_one)


def test_the_nearest_of_each_image_are_others_also_where_images_are_copies() -> None:
    points = np.random.default_rng(0).normal(size=(40, 6)).round(1)
    points[10:14] = points[9]
    apart = squareform(pdist(points))
    np.fill_diagonal(apart, np.inf)
    nearest = Ranking(Seen(points, np.ones((40, 4)))).nearest
    assert np.allclose(nearest.distances, np.sort(apart, axis=1)[:, :3])
    assert (nearest.images != np.arange(40)[:, None]).all()


def test_the_nearest_of_each_point_are_the_same_however_few_are_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, others = np.random.default_rng(0).normal(size=(11, 4)), np.random.default_rng(1).normal(size=(7, 4))
    monkeypatch.setattr("anomaly_clustering.runs.assign.MOST_DISTANCES", 15)
    assert (most_like(points, others) == cdist(points, others).argmin(1)).all()
    assert not len(most_like(points[:0], others))


@pytest.mark.parametrize("images", [5, 19, 40])
def test_exchangeable_images_are_flagged_no_more_often_than_allowed_however_few_they_are(images: int) -> None:
    rng = np.random.default_rng(images)
    # Images of a few kinds with spreads of their own, some of them copies, and scores with ties.
    p = np.empty(2000)
    for draw in range(len(p)):
        kinds = rng.integers(4, size=images + 1)
        embeddings = rng.normal(3 * kinds[:, None], 0.1 + kinds[:, None], (images + 1, 2)).round(1)
        bag = seen(embeddings, (1 + rng.exponential(size=images + 1)).round(1))
        p[draw] = Ranking(Seen(*(column[1:] for column in bag))).p_values(Seen(*(column[:1] for column in bag)))[0]
    assert p.min() >= 1 / (images + 1)
    for share in (0.02, 0.05, 0.1, 0.5):
        assert (p <= share).mean() <= share + 3 * np.sqrt(share * (1 - share) / len(p))
    # And not much less often, where there are images enough to tell.
    assert (p <= 0.5).mean() > 0.4


def directions(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("strangers", [0, 1, 30])
def test_known_images_are_flagged_no_more_often_than_allowed_whoever_came_with_them(strangers: int) -> None:
    rng = np.random.default_rng(strangers)
    run, others = 40, rng.normal(size=(strangers, 5)) + 2
    p = np.empty(1000)
    for draw in range(len(p)):
        bag = directions(rng.normal(size=(run + 1, 5)))
        own, new = from_all(bag[1:], bag[:1], directions(others) if strangers else None)
        p[draw] = Ranking(seen(own)).p_values(seen(new))[0]
    for share in (0.05, 0.1, 0.5):
        assert (p <= share).mean() <= share + 3 * np.sqrt(share * (1 - share) / len(p))
    assert (p <= 0.5).mean() > 0.4


def test_the_more_images_of_a_new_type_have_come_the_more_of_them_are_unknown() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    # The new type, number 4, is like type 3 but for what is its own.
    kinds = rng.normal(size=(5, 20))
    kinds[4] = kinds[3] + rng.normal(size=20)
    points = kinds[np.append(labels, np.full(40, 4))] + 0.7 * rng.normal(size=(160, 20))
    points = directions(points - points[:120].mean(0))
    run, new = seen(points[:120]), seen(points[120:])

    def unknown(images: Seen, **options: object) -> int:
        return int(nearest_clusters(images, run, labels, directions=True, **options).unknown.sum())

    alone = [Seen(*(column[i : i + 1] for column in new)) for i in range(40)]
    by_themselves = sum(unknown(one) for one in alone)
    one_after_another = sum(unknown(one, before=new.embeddings[:i]) for i, one in enumerate(alone))
    assert by_themselves < one_after_another < unknown(new)
    # Where they go does not depend on who has come.
    together = nearest_clusters(new, run, labels, directions=True)
    assert [nearest_clusters(one, run, labels, directions=True).labels[0] for one in alone] == together.labels.tolist()


def test_images_that_coincide_are_at_home_among_themselves() -> None:
    run = seen(np.zeros((30, 2)))
    assert Ranking(run).p_values(seen(np.array([[0.0, 0], [1, 1]]))).tolist() == [1.0, 1 / 31]


def test_scores_are_those_of_eq_7_and_6_against_what_was_kept() -> None:
    bags = torch.nn.functional.normalize(torch.randn(5, 6, 4), dim=-1)
    new, references = bags[:2], bags[2:]
    # Rarity of an image among itself and the references is rarity against the references.
    among = torch.stack([rarity(torch.cat([image[None], references]))[0] for image in new])
    torch.testing.assert_close(scores_against(new, references, weights="rarity"), among)
    patches = references.flatten(0, 1)
    torch.testing.assert_close(scores_against(new, patches[None], weights="novelty"), novelty(new, patches))
    assert scores_against(new, None, weights="uniform") is None
    with pytest.raises(ValueError, match="not by 'mask'"):
        scores_against(new, None, weights="mask")


@pytest.fixture
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", *SMALL])
    return Path("flat-clusters")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_images_of_a_run_keep_their_clusters(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("flat", "copies")
    before = {Path(row["path"]).name: row for row in rows(run / "assignments.csv")}
    main(["assign", "copies", "--run", str(run)])
    found = rows(run / "assigned.csv")
    assert len(found) == 15
    for row in found:
        own = before[Path(row["path"]).name]
        assert (row["cluster"], row["distance_to_center"]) == (own["cluster"], own["distance_to_center"])
        assert (row["unknown"], row["same_as"]) == ("0", own["path"])
    assert "15 of them of the run itself" in capsys.readouterr().out


def test_new_images_join_their_like_and_another_product_is_unknown(run: Path, make_image: MakeImage) -> None:
    clusters = {Path(row["path"]).stem[0]: row["cluster"] for row in rows(run / "assignments.csv")}
    assert len(set(clusters.values())) == 3
    for kind in range(3):
        make_image(Path(f"new/{kind}.png"), kind, seed=20)
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 2, (8, 8, 3)) * np.uint8(255)
        Path("other").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).resize((64, 64), Image.Resampling.NEAREST).save(f"other/{seed}.png")
    main(["assign", "new", "--run", str(run)])
    found = {Path(row["path"]).stem: row for row in rows(run / "assigned.csv")}
    assert {stem: row["cluster"] for stem, row in found.items()} == clusters
    main(["assign", "other", "--run", str(run), "--false-alarms", "0.1"])
    found = rows(run / "assigned.csv")
    assert [row["unknown"] for row in found if row["path"].startswith("other")] == ["1"] * 4
    # Those of the first call are still there, and all are in the report.
    assert [Path(row["path"]).parent.name for row in found] == ["new"] * 3 + ["other"] * 4
    page = (run / "report.html").read_text()
    assert page.count('<span class="later" data-t="new_and_unlike">new, unlike the run</span>') == sum(
        row["unknown"] == "1" for row in found
    )
    assert page.count(" data-later") == 7


def test_clusters_can_be_those_that_were_corrected_in_the_report(run: Path, make_image: MakeImage) -> None:
    own = rows(run / "assignments.csv")
    names = {row["cluster"]: name for row, name in zip(own[::5], ["fine", "bright", "bar"], strict=True)}
    lines = [f"{row['path']},{int(row['cluster']) + 10},{names[row['cluster']]},0" for row in own]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]))
    make_image(Path("new/bar.png"), 2, seed=30)
    main(["assign", "new", "--run", str(run), "--labels", "labels.csv"])
    # The page says so too, in whatever browser it is opened.
    (held,) = re.findall(r'<script type="application/json" id="run">(.*?)</script>', (run / "report.html").read_text())
    (given,) = json.loads(held)["given"]["decisions"]
    named = {image["label"] for image in csv.DictReader(Path("labels.csv").read_text().splitlines())} - {""}
    assert {name for _, name in given["names"]} == named
    (row,) = rows(run / "assigned.csv")
    assert row["label"] == "bar"
    assert int(row["cluster"]) >= 10


def test_nothing_is_computed_twice(run: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(Path("new/a.png"), 1, seed=20)
    main(["assign", "new", "--run", str(run)])
    before = (run / "assigned.csv").read_text()
    monkeypatch.setattr("anomaly_clustering.runs.embed_later.embed_new", None)
    main(["assign", "new", "--run", str(run)])
    assert (run / "assigned.csv").read_text() == before


def test_an_image_that_was_moved_away_since_keeps_its_place(run: Path, make_image: MakeImage) -> None:
    for name in ("a", "b"):
        make_image(Path(f"new/{name}.png"), 1, seed=ord(name))
    main(["assign", "new", "--run", str(run)])
    before = rows(run / "assigned.csv")
    Path("new/a.png").unlink()
    main(["assign", "new", "--run", str(run)])
    # Decisions in the report go by position.
    assert rows(run / "assigned.csv") == before
    page = (run / "report.html").read_text()
    assert page.count(" data-later draggable") == 2
    assert "1 of the images that came later are no longer there" in page


def test_against_normal_images(photos: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--normal", "photos/good", "--clusters", "2", *SMALL])
    run = load_run(Path("photos-clusters"))
    assert run.recipe.weights == "novelty"
    assert run.references.shape == (5, 3, 64, 64)
    make_image(Path("new/bar.png"), 2, seed=20)
    main(["assign", "new", "--run", "photos-clusters"])
    (row,) = rows(Path("photos-clusters/assigned.csv"))
    bars = {r["cluster"] for r in rows(Path("photos-clusters/assignments.csv")) if r["class"] == "bar"}
    assert {row["cluster"]} == bars
    assert row["finding"] == "1"


def test_a_good_image_is_no_finding_where_normal_ones_were_given_though_the_run_has_defects_alone(
    make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(20):
        make_image(Path(f"normal/{seed}.png"), 0, seed=100 + seed)
    for seed in range(5):
        for kind in (1, 2):
            make_image(Path(f"defects/{kind}{seed}.png"), kind, seed=seed)
        make_image(Path(f"new/good{seed}.png"), 0, seed=200 + seed)
        make_image(Path(f"new/bright{seed}.png"), 1, seed=200 + seed)
    main(["cluster", "defects", "--normal", "normal", "--clusters", "2", *SMALL])
    run = load_run(Path("defects-clusters"))
    assert run.normal_top_scores.shape == (20, 4)
    # Each normal image among the others is more usual than any defect.
    assert run.normal_top_scores[:, 1].max() < run.top_scores[:, 1].min()
    # Of ten images and a new one, one is the most unusual: at less than 1 of 11 none is unknown.
    main(["assign", "new", "--run", "defects-clusters", "--false-alarms", "0.09"])
    assert "Notice: 5 of the images that came later are like normal ones" in capsys.readouterr().out
    found = {Path(row["path"]).stem: row for row in rows(Path("defects-clusters/assigned.csv"))}
    for stem, row in found.items():
        assert (row["finding"], row["cluster"] == "", row["unknown"]) == (
            ("0", True, "0") if stem.startswith("good") else ("1", False, "0")
        )
    assert Path("defects-clusters/report.html").read_text().count(" data-later draggable") == 5


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_bad_input_is_named_and_changes_nothing(
    run: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert "'flat' holds no run.safetensors" in refused(["assign", "flat", "--run", "flat"], capsys)
    assert "'empty' holds no images" in refused(["assign", "empty", "--run", str(run)], capsys)
    Path("labels.csv").write_text("path,cluster,label,unsure\nflat/00.png,0,a,0\n")
    argv = ["assign", "flat", "--run", str(run), "--labels", "labels.csv"]
    assert "is not of this run: 14 of its images are not in it" in refused(argv, capsys)
    make_image(Path("new/a.png"), 1, seed=20)
    main(["assign", "new", "--run", str(run)])
    make_image(Path("new/a.png"), 2, seed=20)
    assert "image 'new/a.png' is not what it was" in refused(["assign", "new", "--run", str(run)], capsys)
    (run / "assigned.safetensors").write_bytes(b"cut")
    assert "assigned.safetensors' is damaged" in refused(["assign", "flat", "--run", str(run)], capsys)
    Path("flat/00.png").rename("elsewhere.png")
    assert "1 of the 15 images of the run" in refused(["assign", "new", "--run", str(run)], capsys)
    (run / "run.safetensors").write_bytes(b"cut")
    assert "run.safetensors' is damaged" in refused(["assign", "flat", "--run", str(run)], capsys)


def test_a_run_says_what_cannot_be_assigned_to_it(flat_photos: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(flat_photos.parent)
    common = ["--data.root", "flat", "--model.num_clusters", "2", "--out", "by-hausdorff"]
    main(configured("predict", *common, "--model.distance", "max_hausdorff"))
    assert "patch by patch" in refused(["assign", "flat", "--run", "by-hausdorff"], capsys)
    assert json.loads((Path("by-hausdorff") / "metrics.json").read_text())["num_clusters"] == 2


def test_later_images_that_were_moved_or_copied_are_in_the_table_by_the_paths_given(
    run: Path, make_image: MakeImage
) -> None:
    for i in range(2):
        make_image(Path(f"new/{i}.png"), i, seed=30 + i)
    main(["assign", "new", "--run", str(run)])
    shutil.move("new", "archive")
    main(["assign", "archive", "--run", str(run)])
    assert [row["path"] for row in read_csv(run / "assigned.csv")] == ["archive/0.png", "archive/1.png"]
    Path("copies").mkdir()
    shutil.copy("archive/1.png", "copies/one.png")
    main(["assign", "copies", "--run", str(run)])
    rows = {row["path"]: row for row in read_csv(run / "assigned.csv")}
    assert rows.keys() == {"archive/0.png", "archive/1.png", "copies/one.png"}
    assert rows["copies/one.png"]["same_as"] == "archive/1.png"
    assert rows["copies/one.png"]["cluster"] == rows["archive/1.png"]["cluster"]
