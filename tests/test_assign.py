"""New images against a run: laws on planted embeddings, then the command on images that one can see."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeImage
from PIL import Image
from test_cli import configured

from anomaly_clustering.cli.main import main
from anomaly_clustering.mic.recipe import scores_against
from anomaly_clustering.mic.scores import novelty, rarity
from anomaly_clustering.runs.assign import nearest_clusters
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.tables import read_csv

SMALL = ["--image-size", "64"]


def test_the_nearest_mean_wins_and_what_is_beyond_all_images_is_unknown() -> None:
    embeddings = np.array([[0.0, 0], [2, 0], [10, 0], [10, 4]])
    new = np.array([[1.0, 0.5], [9, 2], [1, 4.1], [1, 3.9], [10, 100]])
    found = nearest_clusters(new, embeddings, np.array([5, 5, 3, 3]))
    assert found.labels.tolist() == [5, 3, 5, 5, 3]
    assert found.distances.tolist() == pytest.approx([0.5, 1, 4.1, 3.9, 98])
    assert found.nearest.tolist()[:2] == [0, 2]
    assert found.nearest[4] == 3
    # The images of cluster 3 are the farthest from the others of their cluster, by 4.
    assert found.unknown.tolist() == [False, False, True, False, True]
    scores, new_scores = np.array([0.1, 0.2, 0.3, 0.2]), np.array([0.31, 0.29, np.nan, np.nan, 0.1])
    found = nearest_clusters(new, embeddings, np.array([5, 5, 3, 3]), new_scores=new_scores, scores=scores)
    assert found.unknown.tolist() == [True, False, True, False, True]


def test_an_image_of_the_run_is_never_unknown_and_goes_to_the_nearest_mean() -> None:
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([rng.normal(k * 5, 1, (20, 8)) for k in range(3)])
    labels = np.repeat([0, 1, 2], 20)
    found = nearest_clusters(embeddings, embeddings, labels)
    assert (found.labels == labels).all()
    assert not found.unknown.any()
    assert found.nearest.tolist() == list(range(60))


@pytest.mark.parametrize("size", [2, 4, 16])
def test_images_drawn_as_those_of_the_run_are_hardly_ever_unknown_however_small_its_clusters(size: int) -> None:
    rng = np.random.default_rng(0)
    centres = 20 * rng.normal(size=(256 // size, 32))
    run, new = (np.concatenate([rng.normal(centre, 1, (n, 32)) for centre in centres]) for n in (size, 10))
    labels = np.repeat(np.arange(len(centres)), size)
    found = nearest_clusters(new, run, labels)
    assert (found.labels == np.repeat(np.arange(len(centres)), 10)).all()
    assert found.unknown.mean() < 0.05
    # Alone in its cluster, an image says nothing of how far others may be.
    alone = nearest_clusters(new, np.concatenate([run, run[:1] + 1000]), np.append(labels, len(centres)))
    assert (alone.unknown == found.unknown).all()


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
    main(["assign", "other", "--run", str(run)])
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
    monkeypatch.setattr("anomaly_clustering.runs.assigned.embed_new", None)
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
