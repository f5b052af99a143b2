"""Commands that cannot be done, or are interrupted: one line names the value, and nothing is written."""

import json
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jsonargparse
import pytest
import torch
from commands import ROOT, SMALL, configured, refused
from conftest import MakeImage

from anomaly_clustering.cli.main import main

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_empty_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "'empty' holds no images" in refused(["cluster", "empty"], capsys)


def test_folder_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'absent' does not exist" in refused(["cluster", "absent"], capsys)


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(["clutser", "photos"], capsys)
    assert line.startswith("error: there is no command 'clutser'; choose one of cluster, export, assign, update")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_config_is_utf_8_whatever_the_system_takes(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonargparse._paths, "open", partial(open, encoding="cp1252"), raising=False)
    monkeypatch.chdir(tmp_path)
    given = "data:\n  class_path: anomaly_clustering.data.Folder\n  init_args:\n    root: Prüfung\n"
    Path("config.yaml").write_text(given, encoding=encoding)
    assert refused(configured("test", "-c", "config.yaml"), capsys) == "error: 'Prüfung' does not exist"
    Path("config.yaml").write_text(given, encoding="cp1252")
    error = refused(configured("test", "--config", "config.yaml"), capsys)
    assert error.startswith("error: config 'config.yaml' is not UTF-8")
    assert error.endswith("; save it as UTF-8")
    # Left to itself, jsonargparse reads as Windows does.
    assert jsonargparse.Path("config.yaml", mode="fr").read_text() == given


def test_fewer_images_than_clusters(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(["cluster", str(flat_photos), "--clusters", "100", *SMALL], capsys)
    assert line == "error: --clusters must be between 2 and 15 (the number of images), got 100"


def test_one_image_has_nothing_to_be_grouped_with(
    tmp_path: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(tmp_path / "one" / "a.png")
    line = refused(["cluster", "one", *SMALL], capsys)
    assert line == "error: there is one image alone, 'one/a.png': at least 2 are needed"


def test_a_place_where_a_disk_is_mounted_is_refused_before_the_work(
    flat_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(["cluster", str(flat_photos), "--out", "/", *SMALL], capsys)
    assert line == "error: '/' is where a disk is mounted; choose a folder in it with --out"


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Lightning turns a second one off."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict", "error: interrupted; nothing unfinished is kept: start the command again"),
        ("fit", "error: interrupted; epochs that have ended are kept: go on with --ckpt_path last, if there are any"),
    ],
)
def test_interrupted(
    command: str, message: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = """if True:
        import torch
        from lightning import LightningModule

        class Interrupted(LightningModule):
            def training_step(self, batch):
                raise KeyboardInterrupt

            predict_step = training_step

            def configure_optimizers(self):
                return None
    """
    Path("stops.py").write_text(module)
    monkeypatch.delitem(sys.modules, "stops", raising=False)
    data = ["-c", str(ROOT / "configs/data/folder.yaml"), "--data.root", str(photos), "--data.num_workers", "0"]
    with pytest.raises(SystemExit) as exit_:
        main([command, "--model", "stops.Interrupted", *data, "--trainer.accelerator", "cpu"])
    assert exit_.value.code == 130
    assert capsys.readouterr().err.strip().splitlines()[-1] == message


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_precision_of_the_trainer(precision: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(configured("test", "--data.root", str(photos), "--trainer.precision", precision), capsys)
    assert line == f"error: the trainer's precision must be '32-true' for MIC, got '{precision}'"


def test_identical_images(tmp_path: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        make_image(tmp_path / "same" / f"{i}.png", seed=1)
    assert "all 5 images look the same" in refused(["cluster", "same", *SMALL], capsys)


@pytest.mark.parametrize("k", ["0", "1", "-3", "six", "2.5"])
def test_number_of_clusters(flat_photos: Path, capsys: pytest.CaptureFixture[str], k: str) -> None:
    assert f"got '{k}'" in refused(["cluster", str(flat_photos), f"--clusters={k}"], capsys)
    line = refused(configured("test", "--data.root", str(flat_photos), f"--model.num_clusters={k}"), capsys)
    assert "num_clusters" in line
    assert f"got {k}" in line or f"value: {k}" in line


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["cluster", "flat", "--image-size", "9999"], "error: --image-size must be at most 4096, got 9999"),
        (
            ["cluster", "flat", "--normal", "none.csv"],
            "error: 'none.csv' does not exist",
        ),
        (["cluster", "flat", "--maps", "none"], "error: folder of anomaly maps 'none' does not exist"),
        (
            ["cluster", "flat", "--maps", "flat/00.png"],
            "error: 'flat/00.png' is a file; give the folder that holds the anomaly maps",
        ),
        (
            ["cluster", "flat", "--metadata", "flat"],
            "error: metadata 'flat' is a folder; give a CSV file with a column 'path'",
        ),
        (["cluster", "flat", "--checkpoint", "flat"], "error: checkpoint 'flat' is a folder; give a file of weights"),
        (["export", "--labels", "flat"], "error: 'flat' is a folder; give labels.csv, as you save it from the report"),
        (["fit", "-c", "flat"], "error: config 'flat' is a folder; give a file in it"),
    ],
)
@pytest.mark.usefixtures("flat_photos")
def test_what_is_wrong_is_called_by_its_option_and_a_folder_is_no_missing_file(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(argv, capsys) == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(["cluster", "flat", "--accelerator", "cuda", *SMALL], capsys)
    assert line.startswith("error: there is no GPU to compute on, since ")
    assert line.endswith("; or leave --accelerator out, or give --accelerator cpu")
    line = refused(configured("test", "--data.root", "flat", "--trainer.accelerator", "cuda"), capsys)
    assert line.endswith("or give --trainer.accelerator cpu")


@pytest.mark.parametrize("tau", ["0", "-1", "nan"])
def test_tau(flat_photos: Path, capsys: pytest.CaptureFixture[str], tau: str) -> None:
    line = refused(["cluster", str(flat_photos), f"--tau={tau}"], capsys)
    assert line == f"error: --tau must be a positive number, got {float(tau)}"
    line = refused(configured("test", "--data.root", str(flat_photos), f"--model.tau={tau}"), capsys)
    assert "tau" in line
    assert f"got {float(tau)}" in line or f"value: {tau}" in line


def test_output_folder_that_holds_a_run(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["cluster", str(photos), "--clusters", "3", *SMALL]
    main(argv)
    capsys.readouterr()
    assert "'photos-clusters' already holds a run" in refused(argv, capsys)
    main([*argv[:3], "2", *SMALL, "--overwrite"])
    assert json.loads(Path("photos-clusters/metrics.json").read_text())["num_clusters"] == 2


def test_unknown_flags_fail(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'sigma' is not accepted" in refused(
        configured("test", "--data.root", str(photos), "--model.sigma", "3"), capsys
    )
    assert "--colour" in refused(["cluster", str(photos), "--colour"], capsys)


def test_unknown_network(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no network 'resnet18x'" in refused(["cluster", str(flat_photos), "--backbone", "resnet18x"], capsys)
