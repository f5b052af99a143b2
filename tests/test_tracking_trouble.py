"""Runs in W&B that end early, that it does not take, or that are many: each stands for itself."""

from pathlib import Path
from typing import Any

import pytest
import wandb
from test_tracking import EMBEDDED, _in_tmp, command, runs  # noqa: F401

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.tracked_run import TrackedRun
from anomaly_clustering.runs.tracking import wandb_logger
from experiments.__main__ import main as experiments
from experiments.figures import FIGURES
from experiments.tables import TABLES


def test_a_command_that_fails_leaves_its_run_to_no_other(photos: Path, tmp_path: Path) -> None:
    fit = ["fit", "--model", "baseline.Brightness", "--data", "anomaly_clustering.data.Folder", "--wandb", "offline"]
    fit += ["--data.root", str(photos), "--data.image_size", "64", "--trainer.accelerator", "cpu"]
    fit += ["--trainer.enable_progress_bar", "false"]
    (photos / "bar" / "0.png").write_bytes(b"no image")
    with pytest.raises(SystemExit):
        main([*fit, "--data.num_workers", "0", "--out", "first"])
    assert wandb.run is None
    main(
        command(
            photos, *EMBEDDED, "--wandb", "offline", "--data.root", str(photos / "good"), "--model.num_clusters", "2"
        )
    )
    assert sorted(run.run.job_type for run in runs(tmp_path)) == ["Brightness", "MIC"]


def test_a_long_name_of_a_folder_is_cut_to_a_tag(tmp_path: Path) -> None:
    logger = wandb_logger("offline", TrackedRun("e", "m", "x" * 65, 0), folder=tmp_path)
    assert logger
    assert logger.experiment.tags == ("x" * 64, "seed 0")
    wandb.finish()
    wandb.teardown()


def test_a_table_that_wandb_does_not_take_stops_no_other(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**given: Any) -> None:
        raise wandb.errors.CommError("the network is down")

    monkeypatch.setattr(wandb, "Table", refuse)
    words = ["--data-root", str(root), "--finished", "--out", str(out), "--wandb", "offline"]
    assert experiments(["table3", "table4", *words]) == 1
    assert sorted({path.name.partition("-")[0] for path in (out / "tables").iterdir()}) == ["table3", "table4"]
    told = capsys.readouterr().err
    assert all(f"the summary of {name}: the network is down" in told for name in ("table3", "table4"))
    assert wandb.run is None
    wandb.teardown()


def test_the_report_of_all_logs_each_of_its_tables(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("experiments.command.log_summary", lambda by, *table: logged.append(by.run.experiment))
    words = ["--data-root", str(root), "--finished", "--out", str(out), "--report", "all.md", "--wandb", "offline"]
    assert experiments(["reproduction", *words]) == 0
    assert sorted(logged) == sorted([*TABLES, *FIGURES])
