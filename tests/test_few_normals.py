"""Few normal images cannot tell what is usual among them: whoever groups or assigns images is told so."""

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


def test_the_estimator_notes_that_one_normal_image_tells_no_finding_from_others(photos: Path, normal: Path) -> None:
    clusterer = AnomalyClusterer(2, image_size=64, views=1)
    assert clusterer.fit(photos / "bright", normals=normal).notices_ == [ONE]
    assert clusterer.fit(photos / "bright", normals=photos / "good").notices_ == []
