"""`assign`: new images join the clusters of a run on images that one can see; what cannot be assigned is named."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import SMALL, configured, rows
from conftest import MakeImage
from PIL import Image
from scipy.spatial.distance import cdist

from anomaly_clustering.cli.main import main
from anomaly_clustering.clustering.unknown import Ranking
from anomaly_clustering.report import drawing
from anomaly_clustering.report.sheets import sheets_of
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.tables import read_csv


@pytest.fixture
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", *SMALL])
    return Path("flat-clusters")


def test_the_images_of_a_run_keep_their_clusters(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("flat", "copies")
    before = {Path(row["path"]).name: row for row in rows(run)}
    main(["assign", "copies", "--run", str(run)])
    found = rows(run, "assigned.csv")
    assert len(found) == 15
    for row in found:
        own = before[Path(row["path"]).name]
        assert (row["cluster"], row["distance_to_center"]) == (own["cluster"], own["distance_to_center"])
        assert (row["unknown"], row["same_as"]) == ("0", own["path"])
    assert "15 of the run itself" in capsys.readouterr().out


def test_new_images_join_their_like_and_another_product_is_unknown(run: Path, make_image: MakeImage) -> None:
    clusters = {Path(row["path"]).stem[0]: row["cluster"] for row in rows(run)}
    assert len(set(clusters.values())) == 3
    for kind in range(3):
        make_image(Path(f"new/{kind}.png"), kind, seed=20)
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 2, (8, 8, 3)) * np.uint8(255)
        Path("other").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).resize((64, 64), Image.Resampling.NEAREST).save(f"other/{seed}.png")
    main(["assign", "new", "--run", str(run)])
    found = {Path(row["path"]).stem: row for row in rows(run, "assigned.csv")}
    assert {stem: row["cluster"] for stem, row in found.items()} == clusters
    main(["assign", "other", "--run", str(run), "--false-alarms", "0.1"])
    found = rows(run, "assigned.csv")
    assert [row["unknown"] for row in found if row["path"].startswith("other")] == ["1"] * 4
    # Those of the first call are still there, and all are in the report.
    assert [Path(row["path"]).parent.name for row in found] == ["new"] * 3 + ["other"] * 4
    page = (run / "report.html").read_text()
    assert page.count('<span class="later" data-t="new_and_unlike">new, unlike the run</span>') == sum(
        row["unknown"] == "1" for row in found
    )
    assert page.count(" data-later") == 7


def test_clusters_can_be_those_that_were_corrected_in_the_report(run: Path, make_image: MakeImage) -> None:
    own = rows(run)
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
    (row,) = rows(run, "assigned.csv")
    assert row["label"] == "bar"
    assert int(row["cluster"]) >= 10


def test_nothing_is_computed_twice(run: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    make_image(Path("new/a.png"), 1, seed=20)
    main(["assign", "new", "--run", str(run)])
    before = (run / "assigned.csv").read_text()
    monkeypatch.setattr("anomaly_clustering.runs.embed_later.embed_new", None)
    main(["assign", "new", "--run", str(run)])
    assert (run / "assigned.csv").read_text() == before


def test_each_image_is_ranked_and_compared_once_however_many_files_hold_it(
    run: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        make_image(Path(f"new/{i}.png"), i, seed=30 + i)
    shutil.copy("new/1.png", "new/copy.png")
    shutil.copy("flat/00.png", "new/of_run.png")
    ranked, compared, p_values = [], [], Ranking.p_values
    monkeypatch.setattr(
        Ranking, "p_values", lambda self, new: (ranked.append(len(new.embeddings)), p_values(self, new))[1]
    )
    monkeypatch.setattr(
        "anomaly_clustering.runs.assign.cdist",
        lambda points, others: (compared.append(len(points)), cdist(points, others))[1],
    )
    main(["assign", "new", "--run", str(run)])
    assert ranked == [3]
    # With the means of the clusters, and with the images of the nearest one, for table and report.
    assert sum(compared) == 2 * 3
    table = rows(run, "assigned.csv")
    assert [Path(row["same_as"]).name for row in table] == ["", "", "", "1.png", "00.png"]
    assert [row["p_value"] for row in table[3:]] == [table[1]["p_value"], ""]


def test_an_image_that_was_moved_away_since_keeps_its_place(run: Path, make_image: MakeImage) -> None:
    for name in ("a", "b"):
        make_image(Path(f"new/{name}.png"), 1, seed=ord(name))
    main(["assign", "new", "--run", str(run)])
    before = rows(run, "assigned.csv")
    Path("new/a.png").unlink()
    main(["assign", "new", "--run", str(run)])
    # Decisions in the report go by position.
    assert rows(run, "assigned.csv") == before
    page = (run / "report.html").read_text()
    assert page.count(" data-later draggable") == 2
    assert "shown as small as they were kept, since their files are gone: 1 of the images that came later" in page


def test_sheets_stay_as_long_as_the_page_that_was_replaced_last_may_be_open(
    run: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "MOST_IN_PAGE", 10)
    (run / "thumbnails").mkdir()
    (run / "thumbnails" / "mine.jpg").touch()
    named = []
    for seed in (20, 21, 22):
        make_image(Path(f"new/{seed}.png"), 0, seed=seed)
        main(["assign", "new", "--run", str(run)])
        named.append(sheets_of(run / "report.html"))
        there = {path.relative_to(run).as_posix() for path in (run / "thumbnails").iterdir()}
        assert there == set().union(*named[-2:], {"thumbnails/mine.jpg"})
        listed = {name for name in json.loads((run / "run.json").read_text())["files"] if name.startswith("thumb")}
        assert listed == there - {"thumbnails/mine.jpg"}
    assert not named[0] <= named[1]


def test_against_normal_images(photos: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--normal", "photos/good", "--clusters", "2", *SMALL])
    run = load_run(Path("photos-clusters"))
    assert run.recipe.weights == "novelty"
    assert run.references.shape == (5, 3, 64, 64)
    make_image(Path("new/bar.png"), 2, seed=20)
    main(["assign", "new", "--run", "photos-clusters"])
    (row,) = rows(Path("photos-clusters"), "assigned.csv")
    bars = {r["cluster"] for r in rows(Path("photos-clusters")) if r["class"] == "bar"}
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
    found = {Path(row["path"]).stem: row for row in rows(Path("defects-clusters"), "assigned.csv")}
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
    of_a_larger_run = [f"{path},0,a,0" for path in [*(row["path"] for row in rows(run)), "flat/more.png"]]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *of_a_larger_run]))
    for command in (argv, ["update", "--run", str(run), "--labels", "labels.csv"]):
        assert "not of this run: it lists 'flat/more.png', which this run has not seen" in refused(command, capsys)
    make_image(Path("new/a.png"), 1, seed=20)
    main(["assign", "new", "--run", str(run)])
    make_image(Path("flat/a.png"), 2, seed=20).rename("flat/00.png")
    assert "image 'flat/00.png' is not what it was" in refused(["assign", "flat", "--run", str(run)], capsys)
    assert "'flat/00.png' for one; put them back" in refused(["assign", "new", "--run", str(run)], capsys)
    (run / "assigned.safetensors").write_bytes(b"cut")
    assert "assigned.safetensors' is damaged" in refused(["assign", "flat", "--run", str(run)], capsys)
    Path("flat").rename("elsewhere")
    (run / "pictures.tar").unlink()
    assert "none of the 15 images of the run" in refused(["assign", "new", "--run", str(run)], capsys)
    Path("elsewhere").rename("flat")
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
