"""What the commands write: tables, scores, pages, and configs that repeat the run."""

import json
import subprocess
import sys
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import yaml
from commands import SMALL, configured, refused, rows
from conftest import MakeImage

from anomaly_clustering.cli import options
from anomaly_clustering.cli.main import main

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_cluster_groups_a_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cluster", str(photos), "--clusters", "3", *SMALL])
    out = Path("photos-clusters")
    assert sorted(path.name for path in out.iterdir()) == [
        "assignments.csv",
        "assignments.parquet",
        "config.yaml",
        "metrics.json",
        "pictures.tar",
        "report.html",
        "run.json",
        "run.safetensors",
    ]
    table = rows(out)
    assert [row["path"] for row in table] == sorted(str(path) for path in photos.rglob("*.png"))
    assert {row["class"] for row in table} == {"good", "bright", "bar"}
    assert {row["cluster"] for row in table} == {"0", "1", "2"}
    assert all(float(row["distance_to_center"]) >= 0 for row in table)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy"] == 1
    printed = capsys.readouterr().out
    assert "3, as given" in printed
    assert "report.html" in printed


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (PureWindowsPath("E:\\"), "E"),
        (PureWindowsPath(r"\\server\line 3\\"), "line 3"),
        (PureWindowsPath(r"E:\line 3"), "line 3"),
        (PurePosixPath("/"), "images"),
    ],
)
def test_the_root_of_a_drive_has_a_name(folder: PurePath, name: str) -> None:
    assert options._name_of(folder) == name


def test_cluster_makes_more_clusters_than_there_are_types_and_says_why(
    flat_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["cluster", str(flat_photos), "--out", "there", *SMALL])
    metrics = json.loads(Path("there/metrics.json").read_text())
    assert "nmi" not in metrics
    assert metrics["num_clusters"] == 7  # of three types, 15 images
    assert {row["class"] for row in rows(Path("there"))} == {""}
    assert "7, so that each is mostly of one type; give the same name to" in " ".join(capsys.readouterr().out.split())


def test_cluster_with_normal_images(photos: Path) -> None:
    main(["cluster", str(photos), "--normal", str(photos / "good"), "--clusters", "2", *SMALL])
    assert len(rows(Path("photos-clusters"))) == 10
    assert "5 normal images" in Path("photos-clusters/report.html").read_text()


def test_cluster_synthetic_needs_no_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    main(["cluster", "--synthetic", *SMALL])
    assert len({row["class"] for row in rows(Path("synthetic-clusters"))}) >= 6


def test_test_prints_scores_and_writes_the_resolved_config(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(configured("test", "--data.root", str(photos), "--out", "run"))
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("NMI", "ARI", "F1", "1.000"))
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["model"]["init_args"]["tau"] == 0.02
    assert config["data"]["init_args"]["root"] == str(photos)
    assert json.loads(Path("run/metrics.json").read_text())["nmi"] == pytest.approx(1)


def test_the_resolved_config_repeats_the_run(photos: Path) -> None:
    main(configured("test", "--data.root", str(photos), "--out", "first"))
    main(["test", "-c", "first/config.yaml", "--out", "second"])
    assert Path("first/assignments.csv").read_text() == Path("second/assignments.csv").read_text()


def test_a_module_of_ones_own_takes_part(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found in the working directory by its `class_path`, and scored by its own means."""
    monkeypatch.delitem(sys.modules, "my_method", raising=False)
    Path("my_method.py").write_text(
        "import torch\n"
        "from lightning import LightningModule\n"
        "from anomaly_clustering.metrics import clustering_metrics\n"
        "class Brightness(LightningModule):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.scores = clustering_metrics()\n"
        "    def test_step(self, batch):\n"
        "        preds = (batch['image'].amax((1, 2, 3)) > 0.95).long()\n"
        "        self.scores.update(preds, batch['target'], batch['index'])\n"
        "    def on_test_epoch_end(self):\n"
        "        self.log_dict(self.scores.compute())\n"
    )
    argv = ["test", "--model", "my_method.Brightness", "--data", "anomaly_clustering.data.Folder"]
    main([*argv, "--data.root", str(photos), "--data.image_size", "64", "--trainer.accelerator", "cpu"])
    assert "nmi" in capsys.readouterr().out


def test_predict_needs_no_labels(flat_photos: Path) -> None:
    main(configured("predict", "--data.root", str(flat_photos), "--model.num_clusters", "4"))
    assert {row["cluster"] for row in rows(Path("runs/predict"))} == {"0", "1", "2", "3"}


def test_two_processes_give_what_one_gives(photos: Path) -> None:
    """15 images on 2 processes: the sampler repeats one."""
    for name, devices in (("one", []), ("two", ["--trainer.devices", "2", "--trainer.strategy", "ddp"])):
        argv = configured("test", "--data.root", str(photos), "--out", name, "--data.batch_size", "4", *devices)
        subprocess.run([sys.executable, "-m", "anomaly_clustering", *argv], check=True, timeout=300)
    one, two = rows(Path("one")), rows(Path("two"))
    for key in ("path", "class", "cluster"):
        assert [row[key] for row in one] == [row[key] for row in two]
    distances = np.array([[float(row["distance_to_center"]) for row in table] for table in (one, two)])
    assert np.abs(distances[0] - distances[1]).max() < 1.5e-6  # The file has six digits.
    assert json.loads(Path("one/metrics.json").read_text()) == json.loads(Path("two/metrics.json").read_text())


@pytest.mark.parametrize("count", [2, 4])
def test_few_images_are_enough(tmp_path: Path, make_image: MakeImage, count: int) -> None:
    for i in range(count):
        make_image(tmp_path / "few" / f"{i}.png", seed=i)
    main(["cluster", "few", "--method", "paper", *SMALL])
    assert {row["cluster"] for row in rows(Path("few-clusters"))} == {"0", "1"}


def test_lightning_says_nothing_of_itself(flat_photos: Path) -> None:
    """In a process of its own, since it sets its levels when it is imported."""
    command = [sys.executable, "-m", "anomaly_clustering", "cluster", str(flat_photos), *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_the_last_checkpoint_of_a_folder_that_has_none_is_not_taken_for_none(
    command: str, photos: Path, capsys
) -> None:
    argv = configured(command, "--data.root", str(photos), "--out", "run", "--ckpt_path", "last")
    assert "--ckpt_path last is for `fit`" in refused(argv, capsys)
