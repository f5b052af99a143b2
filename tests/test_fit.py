"""Trainings by `fit`: what they leave, how they are gone on with, and whose checkpoints they take."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from commands import ROOT, refused, rows, scan
from conftest import MakeImage
from lightning import LightningModule
from open_elsewhere import opened_elsewhere

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.predictions import rows_of
from anomaly_clustering.runs.training import precision_of_training
from baselines import IIC

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_fit_leaves_a_folder_that_can_be_gone_on_with(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(scan(photos, "--trainer.max_epochs", "2"))
    out = Path("runs/fit")
    names = {"assignments.csv", "checkpoints", "config.yaml", "epochs.csv", "metrics.json", "run.json"}
    assert {path.name for path in out.iterdir()} == names
    assert [row["path"] for row in rows(out)] == sorted(str(path) for path in photos.rglob("*.png"))
    assert {row["class"] for row in rows(out)} == {"good", "bright", "bar"}
    assert "best by accuracy (oracle)" in capsys.readouterr().out
    assert "already holds a training; go on with it with --ckpt_path last" in refused(scan(photos), capsys)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["last.ckpt"]
    main(scan(photos, "--trainer.max_epochs", "3", "--ckpt_path", "last"))
    assert json.loads((out / "metrics.json").read_text())["last"]["epoch"] == 2
    main(scan(photos, "--trainer.max_epochs", "1", "--overwrite"))
    assert json.loads((out / "metrics.json").read_text())["last"]["epoch"] == 0


def test_fit_says_what_is_wrong(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(scan(photos, "--ckpt_path", "last"), capsys)
    assert "there is no training in 'runs/fit' to go on with" in line
    line = refused(["test", *scan(photos)[1:]], capsys)
    assert line.startswith("error: SCAN has no test_step: validate scores what it has learned, and predict gives")
    assert "num_clusters must be between 2 and 15" in refused(scan(photos, "--model.num_clusters", "16"), capsys)
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("x")
    assert "which is not of a run" in refused(scan(photos, "--out", "mine", "--overwrite"), capsys)


def test_the_own_method_of_the_docs_is_trained_and_scored(
    photos: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another test has a module of this name.
    monkeypatch.delitem(sys.modules, "my_method", raising=False)
    (code,) = re.findall(
        r"```python\n# my_method.py\n(.*?)```", (ROOT / "docs" / "own.md").read_text(), flags=re.DOTALL
    )
    Path("my_method.py").write_text(code)
    argv = [
        "fit",
        "--model",
        "my_method.MyModule",
        "--data",
        "anomaly_clustering.data.Folder",
        "--data.root",
        str(photos),
    ]
    main([*argv, "--data.image_size", "64", "--data.num_workers", "0", "--trainer.max_epochs", "2"])
    assert len(rows(Path("runs/fit"))) == 15
    assert json.loads(Path("runs/fit/metrics.json").read_text())["best_by_accuracy"]["accuracy"] >= 1 / 3
    unlabelled = [make_image(Path("flat", f"{i}.png"), i % 3, seed=i) for i in range(6)]
    argv[-1] = "flat"
    main([*argv, "--data.image_size", "64", "--data.num_workers", "0", "--trainer.max_epochs", "1", "--overwrite"])
    assert len(rows(Path("runs/fit"))) == len(unlabelled)


def test_a_trained_method_leaves_what_it_predicts_and_its_scores(photos: Path, capsys) -> None:
    main(scan(photos, "--trainer.max_epochs", "1", "--out", "trained"))
    words = scan(photos, "--ckpt_path", "trained/checkpoints/last.ckpt")[1:]
    for command in ("predict", "validate"):
        main([command, *words])
        said = capsys.readouterr().out
        assert said.strip().endswith(f"Results are in runs/{command}")
        assert "other options" not in said
        assert rows(Path("runs", command)) == rows(Path("trained"))
        assert "already holds a run" in refused([command, *words], capsys)
    main(["predict", *words[:-2], "--out", "untrained"])
    assert "SCAN was asked as it is made, untrained: --ckpt_path names a training" in capsys.readouterr().out
    main(["predict", *words, "--model.crop", "56", "--out", "cropped"])
    said = " ".join(capsys.readouterr().out.split())
    assert "the training had other options, with which its clusters may be others: crop 64 in place of 56" in said
    last = json.loads(Path("trained/metrics.json").read_text())["last"]
    assert json.loads(Path("runs/validate/metrics.json").read_text())["nmi"] == pytest.approx(last["nmi"])
    main(["predict", *words, "--overwrite", "--return_predictions", "false"])
    assert rows(Path("runs/predict")) == rows(Path("trained"))


def test_the_table_of_epochs_of_a_training_that_goes_on_is_that_of_one_that_was_not_interrupted(photos: Path) -> None:
    # Few epochs are validated: the mean of a loss over one of them is known only after its validation.
    rare = ("--trainer.check_val_every_n_epoch", "2", "--seed_everything", "0")
    main(scan(photos, "--trainer.max_epochs", "4", "--out", "whole", *rare))
    main(scan(photos, "--trainer.max_epochs", "2", "--out", "parts", *rare))
    main(scan(photos, "--trainer.max_epochs", "4", "--out", "parts", "--ckpt_path", "last", *rare))
    assert rows(Path("parts"), "epochs.csv") == rows(Path("whole"), "epochs.csv")


def test_a_training_goes_on_though_its_table_is_open_in_a_spreadsheet(photos: Path) -> None:
    for out, lets_go_after in (("closed", 3), ("open", None)):
        table = Path(out, "epochs.csv")
        with opened_elsewhere(table.__eq__, lets_write=False, lets_go_after=lets_go_after) as refused:
            main(scan(photos, "--trainer.max_epochs", "3", "--out", out))
        assert len(refused) >= 3
        notices = json.loads(Path(out, "metrics.json").read_text())["notices"]
        why = f"'{table}' is open in another program: close it there"
        is_said = f"the table of epochs lacks the last ones: {why}" in notices
        assert is_said == (out == "open")
        assert [row["epoch"] for row in rows(Path(out), "epochs.csv")] == list("012"[: 1 if is_said else 3])
        assert json.loads(Path(out, "metrics.json").read_text())["last"]["epoch"] == 2


def test_an_epoch_in_whose_middle_a_training_stopped_is_repeated_as_a_whole(photos: Path, capsys) -> None:
    words = ("--model.batch_size", "4", "--seed_everything", "0", "--out")  # Three steps an epoch.
    main(scan(photos, *words, "whole", "--trainer.max_epochs", "3"))
    main(scan(photos, *words, "parts", "--trainer.max_epochs", "3", "--trainer.max_steps", "4"))
    told = [
        "the training stopped in the middle of epoch 1, which is what its clusters are of",
        "scores are of epoch 0 at last, clusters of epoch 1",
        "--ckpt_path last begins epoch 1 anew",
    ]
    assert json.loads(Path("parts/metrics.json").read_text())["notices"][-3:] == told
    said = capsys.readouterr().out
    assert all(f"Notice: {notice}" in said for notice in told)
    main(scan(photos, *words, "parts", "--trainer.max_epochs", "3", "--ckpt_path", "last"))
    assert "stopped in the middle" not in capsys.readouterr().out
    assert rows(Path("parts"), "epochs.csv") == rows(Path("whole"), "epochs.csv")
    whole, parts = (torch.load(f"{name}/checkpoints/last.ckpt", weights_only=True) for name in ("whole", "parts"))
    assert parts["global_step"] == whole["global_step"] == 9
    assert all(torch.equal(tensor, parts["state_dict"][name]) for name, tensor in whole["state_dict"].items())


def test_the_last_epoch_is_scored_however_seldom_others_are(photos: Path) -> None:
    rare = ("--trainer.check_val_every_n_epoch", "3", "--seed_everything", "0", "--trainer.max_epochs", "4")
    main(scan(photos, *rare, "--out", "last"))
    assert [row["epoch"] for row in rows(Path("last"), "epochs.csv")] == ["2", "3"]
    main(scan(photos, *rare, "--trainer.val_check_interval", "2", "--model.batch_size", "4", "--out", "in_between"))
    assert json.loads(Path("in_between/metrics.json").read_text())["last"]["epoch"] == 3


def test_a_callback_that_asks_for_what_is_not_logged_is_told_what_is(photos: Path, capsys) -> None:
    callback = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val_loss"]
    with pytest.raises(SystemExit):
        main(scan(photos, "--trainer.max_epochs", "1", *callback))
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(r"error: Early stopping conditioned on metric `val_loss` .* following: `loss`, .*", said)


def test_without_checkpoints_a_training_leaves_all_else(photos: Path) -> None:
    main(scan(photos, "--trainer.max_epochs", "1", "--trainer.enable_checkpointing", "false"))
    names = {"assignments.csv", "config.yaml", "epochs.csv", "metrics.json", "run.json"}
    assert {path.name for path in Path("runs/fit").iterdir()} == names
    main(scan(photos, "--trainer.max_epochs", "1", "--trainer.enable_checkpointing", "false", "--overwrite"))


@pytest.mark.parametrize("returned", [torch.zeros(2), {"index": torch.zeros(2)}])
def test_predictions_that_name_no_images_or_clusters_are_refused(returned: object) -> None:
    with pytest.raises(ValueError, match=r"predict_step must return a dict with 'index', .* but it returned a "):
        rows_of([returned])


@pytest.mark.parametrize(
    ("gpus", "given", "accelerator", "expected"),
    [
        (True, None, "auto", "bf16-mixed"),
        (True, "32-true", "auto", "32-true"),
        (True, None, "cpu", None),
        (False, None, "auto", None),
    ],
)
def test_a_method_trains_in_its_own_precision_on_gpus_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch, gpus: bool, given: str | None, accelerator: str, expected: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    assert precision_of_training(IIC(num_clusters=2, trunk="conv3"), given, accelerator) == expected
    assert precision_of_training(LightningModule(), given, accelerator) == given


def test_a_checkpoint_from_elsewhere_begins_a_training_of_its_own(photos: Path, capsys) -> None:
    for name in ("a", "b"):
        main(scan(photos, "--trainer.max_epochs", "1", "--out", name))
    before = {path: path.read_bytes() for path in Path("b").rglob("*") if path.is_file()}
    words = scan(photos, "--trainer.max_epochs", "2", "--out", "b", "--ckpt_path", "a/checkpoints/last.ckpt")
    with pytest.raises(SystemExit):
        main(words)
    assert "'b' already holds a training; go on with it with --ckpt_path last" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("b").rglob("*") if path.is_file()} == before
    main([*words, "--overwrite"])
    assert [row["epoch"] for row in rows(Path("b"), "epochs.csv")][-1] == "1"


def test_a_checkpoint_decides_on_weights_alone(photos: Path, capsys) -> None:
    words = scan(photos, "--trainer.max_epochs", "1", "--ckpt_path", "other.ckpt")
    for hyper_parameters in ({"_class_path": "this.x"}, 5, {"crop": 7}):
        torch.save({"state_dict": {}, "epoch": 0, "hyper_parameters": hyper_parameters}, "other.ckpt")
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().err.startswith("error: ")
    assert "this" not in sys.modules


def test_a_checkpoint_of_other_options_is_said_not_to_fit(photos: Path, capsys) -> None:
    main(scan(photos, "--trainer.max_epochs", "1", "--model.num_clusters", "3", "--out", "run"))
    words = scan(
        photos, "--trainer.max_epochs", "2", "--model.num_clusters", "4", "--out", "run", "--ckpt_path", "last"
    )
    with pytest.raises(SystemExit):
        main(words)
    assert "the checkpoint is not of the module as it is configured" in capsys.readouterr().err
    Path("image.ckpt").write_bytes(next(photos.rglob("*.png")).read_bytes())
    with pytest.raises(SystemExit):
        main(scan(photos, "--out", "new", "--ckpt_path", "image.ckpt"))
    assert "checkpoint 'image.ckpt' is damaged, or is not of a training" in capsys.readouterr().err
