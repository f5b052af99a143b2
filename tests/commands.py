"""Words of commands in; why they are refused, and the tables that they write, out."""

import csv
from pathlib import Path

import pytest

from anomaly_clustering.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
# One view: what most commands do with groups has nothing to do with how many there are.
SMALL = ["--image-size", "64", "--views", "1"]


def rows(folder: Path, name: str = "assignments.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def configured(command: str, *flags: str) -> list[str]:
    """Arguments of a LightningCLI command on a folder, with the embedded network and small images."""
    return [
        command,
        *("-c", str(ROOT / "configs/mic/weighted_average.yaml")),
        *("-c", str(ROOT / "configs/data/folder.yaml")),
        *("--model.backbone", "embedded", "--data.image_size", "64", "--data.num_workers", "0"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        *flags,
    ]


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; the last line it says, after making sure that nothing was written."""
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code not in (0, None)
    assert sorted(Path.cwd().rglob("*")) == before
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


def scan(photos: Path, *flags: str) -> list[str]:
    return [
        *("fit", "--model", "baselines.SCAN", "--model.backbone", "embedded", "--model.crop", "64"),
        *("--model.neighbours", "auto", "--model.selflabel_epochs", "0", "--model.cached_views", "2"),
        *("--data", "anomaly_clustering.data.Folder", "--data.root", str(photos), "--data.image_size", "64"),
        *("--data.num_workers", "0", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", *flags),
    ]
