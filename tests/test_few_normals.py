"""Few normal images cannot tell what is usual among them: whoever groups or assigns images is told so."""

import warnings
from pathlib import Path

import pytest
from commands import SMALL, rows
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.runs.store import load_run

ONE = "one normal image cannot tell what is usual among normal ones, so every image counts as a finding: give 2 or more"
LATER = "every image counts as a finding: the run was given one normal image, or is of an earlier version"


def said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """All that a command says, on one line."""
    capsys.readouterr()
    main(argv)
    return " ".join("".join(capsys.readouterr()).split())


@pytest.fixture
def normal(tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one normal image, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return make_image(Path("normal/0.png"), seed=100).parent


@pytest.mark.parametrize("method", ["signed_residuals", "paper"])
def test_every_command_says_that_one_normal_image_tells_no_finding_from_others(
    photos: Path, normal: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = ["--method", method, "--image-size", "64", "--clusters", "2", "--out", "run"]
    assert ONE in said(["cluster", "photos/bright", "--normal", "normal", *ways], capsys)
    for command in ("assign", "update", "watch"):
        once = ["--once", "--every", "0.05"] if command == "watch" else []
        told = said([command, "photos/good", "--run", "run", "--false-alarms", "0.5", *once], capsys)
        assert LATER in told, command
    assert len(load_run(Path("run")).normal_top_scores) == 0
    assert {row["cluster"] != "" for row in rows(Path("run"), "assigned.csv")} == {True}


def test_two_normal_images_or_none_are_no_reason_to_say_so(
    photos: Path, normal: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(normal / "1.png", seed=101)
    for normals in (["--normal", "normal"], []):
        clustered = said(
            ["cluster", "photos/bright", *normals, "--clusters", "2", "--overwrite", *SMALL, "--out", "run"], capsys
        )
        assigned = said(["assign", "photos/good", "--run", "run", "--false-alarms", "0.5"], capsys)
        assert "counts as a finding" not in clustered + assigned


def test_the_report_says_how_many_normal_images_patches_were_compared_with(
    photos: Path, normal: Path, make_image: MakeImage
) -> None:
    for i in range(1, 5):
        make_image(normal / f"{i}.png", seed=100 + i)
    ways = ["--normal", "normal", "--references", "3", "--clusters", "2", "--image-size", "64", "--out", "run"]
    main(["cluster", "photos/bright", "--method", "paper", *ways])
    assert "patches unlike 3 normal images" in load_run(Path("run")).facts["Images compared by"]
    main(["cluster", "photos/bright", "--views", "1", "--overwrite", *ways])
    assert "from their nearest ones in 3 normal images" in load_run(Path("run")).facts["Images compared by"]


def test_the_estimator_notes_that_one_normal_image_tells_no_finding_from_others(photos: Path, normal: Path) -> None:
    clusterer = AnomalyClusterer(2, image_size=64, views=1)
    assert clusterer.fit(photos / "bright", normals=normal).notices_ == [ONE]
    assert clusterer.fit(photos / "bright", normals=photos / "good").notices_ == []


def test_the_estimator_warns_where_few_normal_images_cannot_keep_the_share_of_false_alarms(
    photos: Path, make_image: MakeImage
) -> None:
    defects = sorted((photos / "bright").iterdir())
    good = [make_image(photos / f"later/{seed}.png", seed=200 + seed) for seed in range(3)]
    clusterer = AnomalyClusterer(2, image_size=64, views=1)
    clusterer.fit(defects, normals=sorted((photos / "good").iterdir())[:4])
    coarse = "1 of 5 good images will be taken for a finding, more than 0.05: with 4 normal images"
    for tell in (clusterer.predict, clusterer.assign):
        with pytest.warns(UserWarning, match=coarse):
            tell(good)
    with warnings.catch_warnings(action="error"):
        clusterer.assign(good, false_alarms=0.2)
        # Of those that were fitted none can be a false alarm.
        clusterer.predict(defects)
    clusterer.fit(defects, normals=[photos / "good" / "0.png"])
    with pytest.warns(UserWarning, match=LATER):
        clusterer.predict(good)
