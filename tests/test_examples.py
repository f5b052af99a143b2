"""Each example runs as it is, and prints what it should on images that one can see."""

import csv
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeImage

from anomaly_clustering.cli.main import main

CLONE = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs an example as a program, in this process; what it prints."""

    def run(name: str, *arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(CLONE / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def new(tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for kind in range(3):
        make_image(tmp_path / "new" / f"{kind}.png", kind, seed=20)
    return tmp_path / "new"


def test_group_a_folder(flat_photos: Path, new: Path, run: Callable[..., str]) -> None:
    printed = run("group_a_folder.py", "flat", "--clusters", "3", "--image-size", "64")
    assert "15 images in 3 clusters" in printed
    assert Path("my-run/report.html").is_file()


def test_label_a_run(flat_photos: Path, new: Path, run: Callable[..., str]) -> None:
    main(["cluster", "flat", "--clusters", "3", "--image-size", "64"])
    with Path("flat-clusters/assignments.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = {row["cluster"]: name for row, name in zip(rows[::5], ["", "bright", "bar"], strict=True)}
    lines = [f"{row['path']},{row['cluster']},{names[row['cluster']]},0" for row in rows]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]))
    assert "10 of 15 images are labelled: ['bar', 'bright']" in run(
        "label_a_run.py", "labels.csv", "--run", "flat-clusters", "--new", "new"
    )
    assert len(list(Path("dataset/train").glob("*/*.png"))) == 8
    with Path("flat-clusters/assigned.csv").open() as file:
        assert {Path(row["path"]).stem: row["cluster"] for row in csv.DictReader(file)} == {
            str(kind): rows[5 * kind]["cluster"] for kind in range(3)
        }


def test_use_the_estimator(flat_photos: Path, new: Path, run: Callable[..., str]) -> None:
    printed = run("use_the_estimator.py", "flat", "new", "--image-size", "64")
    assert re.search(r"\d clusters: \[", printed)
    assert printed.count("new image: cluster") == 3


@pytest.mark.slow
def test_compare_with_a_baseline(photos: Path, new: Path) -> None:
    small = ["--image-size", "64"]
    main(["cluster", str(photos), "--clusters", "3", *small])
    metrics = json.loads(Path("photos-clusters/metrics.json").read_text())
    command = [sys.executable, "-m", "examples.compare_with_a_baseline", str(photos), *small, "--epochs", "10"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CLONE)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0] == "15 images, 3 classes and clusters"
    scores = {line[:32].strip(): [float(cell) for cell in line[32:].split()] for line in printed[2:]}
    assert [name.rpartition(", ")[2] for name in scores] == ["Ward (ours)", "Ward", "k-means", "SCAN", "TEMI"]
    # Ours are those of the command; the defects are plain, so a training that learns finds them, too.
    names = printed[1].split()
    assert scores["weighted averages, Ward (ours)"] == [pytest.approx(metrics[name], abs=5e-4) for name in names]
    assert all(found[names.index("nmi")] > 0.5 for found in scores.values())
