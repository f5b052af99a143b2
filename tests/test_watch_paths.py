"""A folder that is watched by another way to write its path: a file is the same file."""

import json
from pathlib import Path

import pytest
from commands import rows
from conftest import MakeImage
from test_watch import OFTEN, run  # noqa: F401

from anomaly_clustering.cli.main import main


def watched(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[list[dict[str, object]], str]:
    capsys.readouterr()
    main(["watch", str(folder), "--run", "run", "--once", *OFTEN])
    said = capsys.readouterr()
    return [json.loads(line) for line in said.out.splitlines()], said.err


@pytest.mark.usefixtures("run")
def test_a_file_that_was_overwritten_is_told_though_its_path_is_written_otherwise(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    watched(capsys, Path("in"))
    make_image(Path("in/a.png"), 2, seed=31)
    (row,), said = watched(capsys, Path("in").resolve())
    assert row["path"] == "in/a.png"
    assert "held another image before" in said
    names = [row["path"] for row in rows(Path("run"), "assigned.csv")]
    assert names[0].startswith("in/a.png#")
    assert names[1:] == ["in/a.png"]
    make_image(Path("in/b.png"), 3, seed=32)
    watched(capsys, Path("in").resolve())
    assert watched(capsys, Path("in"))[0] == []


@pytest.mark.usefixtures("run")
def test_an_image_of_the_run_that_was_overwritten_is_refused_whatever_its_path(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    of_run = sorted(Path("flat").rglob("*.png"))[0]
    make_image(of_run, 3, seed=33)
    with pytest.raises(SystemExit) as end:
        watched(capsys, Path("flat").resolve())
    assert end.value.code == 2
    assert "is not what it was when the run was made" in capsys.readouterr().err
