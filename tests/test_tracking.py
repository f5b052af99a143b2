"""Runs in W&B, offline: everything that a run should hold is read back from the file that would be synced."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wandb
import yaml
from conftest import MakeImage
from PIL import Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.artefacts import ClusteredImages, write_artefacts
from anomaly_clustering.runs.mark import Mark, write_mark
from anomaly_clustering.runs.tracked_run import TrackedRun, mode_of
from anomaly_clustering.runs.tracking import wandb_logger
from experiments.__main__ import main as experiments

ROOT = Path(__file__).resolve().parents[1]


def records(content: bytes) -> Iterator[bytes]:
    """Of a file of W&B: seven bytes, then blocks of LevelDB's log format."""
    assert content[:4] == b":W&B"
    whole, position = b"", 7
    while position + 7 <= len(content):
        if (left := 32768 - position % 32768) < 7:
            position += left
            continue
        length, kind = struct.unpack_from("<HB", content, position + 4)
        whole += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # Whole, or the last part.
            yield whole
            whole = b""


class Read:
    """An offline run, as its records tell it."""

    def __init__(self, folder: Path):
        from wandb.proto.wandb_internal_pb2 import Record

        (file,) = folder.glob("run-*.wandb")
        self.folder, self.config, self.summary, self.history = folder, {}, {}, []
        self.staged: dict[str, dict[str, Path]] = {}
        for data in records(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                self.run = record.run
                self._update(self.config, record.run.config.update)
            self._update(self.config, record.config.update)
            self._update(self.summary, record.summary.update)
            if record.HasField("artifact"):
                entries = {entry.path: Path(entry.local_path) for entry in record.artifact.manifest.contents}
                self.staged[record.artifact.name.rpartition("-")[2]] = entries
            if record.HasField("history"):
                row: dict[str, Any] = {}
                self._update(row, record.history.item)
                self.history.append(row)

    def _update(self, into: dict[str, Any], items: Any) -> None:
        for item in items:
            *outer, last = item.nested_key or [item.key]
            place = into
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = json.loads(item.value_json)

    def media(self, name: str) -> Path:
        (row,) = [row for row in self.history if name in row]
        return self.folder / "files" / row[name]["path"]

    def table(self, name: str) -> tuple[list[str], list[list[Any]]]:
        content = json.loads(self.media(name).read_text())
        return content["columns"], content["data"]

    def values(self, metric: str) -> list[float]:
        return [row[metric] for row in self.history if metric in row]


def runs(folder: Path) -> list[Read]:
    wandb.teardown()  # A run that has finished is still being written; W&B's own process ends when all is.
    return [Read(path) for path in sorted((folder / "wandb").glob("offline-run-*"))]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb" / "data"))


def command(photos: Path, *flags: str) -> list[str]:
    data = ("-c", str(ROOT / "configs/data/folder.yaml"), "--data.root", str(photos))
    small = ("--data.image_size", "64", "--data.num_workers", "0", "--trainer.accelerator", "cpu")
    return ["test", "-c", str(ROOT / "configs/mic/weighted_average.yaml"), *data, *small, *flags]


EMBEDDED = ("--model.backbone", "embedded", "--trainer.enable_progress_bar", "false")


def assert_holds_clusters(run: Read, *, images: int, heat_maps: bool) -> None:
    """Sheets, heat maps, assignments with thumbnails, confusion and summary, each readable."""
    columns, rows = run.table("assignments")
    assert columns == ["image", "path", "cluster", "class", "matched_class"]
    assert len(rows) == images
    # What cannot be in the table itself waits in W&B's folder, from where it would be synced.
    thumbnails = [path for name, path in run.staged["assignments"].items() if name.endswith(".png")]
    assert len(thumbnails) == images
    assert all(path.is_relative_to(run.folder.parent) and max(Image.open(path).size) == 64 for path in thumbnails)
    clusters = sorted({row[2] for row in rows})
    for cluster in clusters:
        for kind in ("clusters", "heat_maps") if heat_maps else ("clusters",):
            sheet = Image.open(run.media(f"{kind}/{cluster:02d}"))
            assert min(sheet.size) >= 128
    columns, rows = run.table("confusion")
    assert columns == ["cluster", "bar", "bright", "good"]
    assert sum(sum(row[1:]) for row in rows) == images
    assert Image.open(run.media("confusion_matrix")).width > 200
    columns, ((method, *_),) = run.table("summary")
    assert method == run.run.job_type
    assert {"category", "seed", "nmi", "ari", "f1", "accuracy"} <= set(columns)


def test_a_run_of_mic_holds_all_of_it(photos: Path, tmp_path: Path) -> None:
    main(command(photos, *EMBEDDED, "--wandb", "offline"))
    (run,) = runs(tmp_path)
    assert (run.run.run_group, run.run.job_type, list(run.run.tags)) == ("test", "MIC", ["Folder", "seed 0"])
    assert run.config["model"]["init_args"]["tau"] == 0.02
    assert run.config["data"]["init_args"]["image_size"] == 64
    assert run.config["trainer"]["accelerator"] == "cpu"
    assert run.values("nmi") == [pytest.approx(1)]
    assert run.summary["final/accuracy"] == 1
    assert_holds_clusters(run, images=15, heat_maps=True)


def test_the_same_options_are_the_same_run(photos: Path, tmp_path: Path) -> None:
    for out in ("first", "second"):
        main(command(photos, *EMBEDDED, "--wandb", "offline", "--out", out))
    main(command(photos, *EMBEDDED, "--wandb", "offline", "--out", "third", "--model.tau", "0.1"))
    ids = [run.run.run_id for run in runs(tmp_path)]
    assert len(ids) == 3
    assert len(set(ids)) == 2


def test_a_training_that_goes_on_counts_its_steps_on_in_the_same_run(photos: Path, tmp_path: Path) -> None:
    fit = [
        *("fit", "--model", "baseline.Brightness", "--data", "anomaly_clustering.data.Folder"),
        *("--data.root", str(photos), "--data.image_size", "64", "--data.num_workers", "0", "--data.batch_size", "5"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1"),
    ]
    main([*fit, "--wandb", "offline", "--trainer.max_epochs", "2"])
    (first,) = runs(tmp_path)
    main([*fit, "--wandb", "offline", "--trainer.max_epochs", "4", "--ckpt_path", "last"])
    (second,) = (run for run in runs(tmp_path) if run.folder != first.folder)
    main([*fit, "--wandb", "offline", "--trainer.max_epochs", "4", "--out", "another"])
    (other,) = (run for run in runs(tmp_path) if run.folder not in (first.folder, second.folder))
    # One run for W&B, although the number of epochs is another option; what begins anew is another one.
    assert first.run.run_id == second.run.run_id != other.run.run_id

    def steps(run: Read, name: str) -> list[int]:
        assert [row["_step"] for row in run.history] == sorted({row["_step"] for row in run.history})
        return [row["_step"] for row in run.history if name in row]

    # Three batches an epoch, so an epoch is logged with its last batch: the steps of one part are not in the other.
    assert steps(first, "nmi") == steps(first, "loss") == [2, 5]
    assert steps(second, "nmi") == steps(second, "loss") == [8, 11]
    assert steps(other, "nmi") == [2, 5, 8, 11]
    assert [row["trainer/global_step"] for row in second.history if "loss" in row] == [8, 11]
    assert max(steps(first, "assignments")) < min(row["_step"] for row in second.history)


def test_the_checkpoint_that_a_training_goes_on_from_is_read_with_care(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "--model", "baseline.Brightness", "--data", "baseline.Greys", "--trainer.accelerator", "cpu"]
    chosen = tmp_path / "runs/fit/checkpoints/chosen.ckpt"
    chosen.parent.mkdir(parents=True)
    write_mark(tmp_path / "runs/fit", Mark("training", {"checkpoints/chosen.ckpt": None}))
    # There is no last.ckpt: it is not asked for.
    for held, told in (({"state": Path("mine")}, "holds more than tensors"), ([0.5], "is damaged, or is not of a")):
        torch.save(held, chosen)
        with pytest.raises(SystemExit):
            main([*fit, "--ckpt_path", str(chosen), "--overwrite", "--wandb", "offline"])
        assert f"checkpoint '{chosen}' {told}" in capsys.readouterr().err


def test_images_that_are_no_files_are_tracked_by_their_metrics(tmp_path: Path) -> None:
    words = ["--model", "baseline.Brightness", "--data", "baseline.Greys", "--trainer.accelerator", "cpu"]
    words += ["--trainer.enable_progress_bar", "false", "--wandb", "offline"]
    with pytest.warns(UserWarning, match="since Greys does not list image files"):
        main(["fit", *words, "--trainer.max_epochs", "2"])
    (run,) = runs(tmp_path)
    assert (run.run.job_type, list(run.run.tags)) == ("Brightness", ["Greys", "seed 0"])
    assert len(run.values("nmi")) == 2
    assert run.table("summary")[0][:3] == ["method", "category", "seed"]
    assert not any("assignments" in row for row in run.history)
    table = Path("runs/fit/assignments.csv").read_text().splitlines()
    assert (table[0], len(table)) == ("index,cluster", 7)


def test_off_is_off(photos: Path, tmp_path: Path) -> None:
    main(command(photos, *EMBEDDED))
    assert not (tmp_path / "wandb").exists()
    assert wandb_logger("off", TrackedRun("e", "m", "c", 0)) is None


@pytest.mark.parametrize(("machine", "expected"), [("disabled", "off"), ("offline", "offline"), ("online", "online")])
def test_the_machine_may_log_less_than_is_asked_for(
    machine: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", machine)
    assert (mode_of("online"), mode_of("off")) == (expected, "off")
    logger = wandb_logger("online", TrackedRun("e", "m", "c", 0))
    assert (logger._wandb_init["mode"] if logger else "off") == expected


def test_without_an_api_key_nothing_is_begun(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "none"))
    online = ["--wandb", "online"]
    with pytest.raises(SystemExit):
        main(command(photos, *EMBEDDED, *online))
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert all(way in line for way in ("`wandb login`", "WANDB_API_KEY", "--wandb offline"))
    assert experiments(["table1", "--data", "synthetic", "--out", "tables", *online]) == 2
    assert "error: W&B cannot be logged to" in capsys.readouterr().err
    assert not any((tmp_path / name).exists() for name in ("runs", "tables"))


def test_loggers_that_are_asked_for_log_beside_it(tmp_path: Path) -> None:
    words = ["--model", "baseline.Brightness", "--data", "baseline.Greys", "--trainer.accelerator", "cpu"]
    words += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "logs", "--trainer.max_epochs", "1"]
    with pytest.warns(UserWarning, match="since Greys does not list image files"):
        main(["fit", *words, "--trainer.enable_progress_bar", "false", "--wandb", "offline"])
    (run,) = runs(tmp_path)
    assert len(run.values("nmi")) == 1
    assert run.table("summary")
    (table,) = (tmp_path / "logs").rglob("metrics.csv")
    assert "nmi" in table.read_text().splitlines()[0]


def test_the_yaml_turns_it_on(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(command(photos, "-c", str(ROOT / "configs/wandb.yaml"), "--print_config"))
    assert yaml.safe_load(capsys.readouterr().out)["wandb"] == "online"


def test_an_agent_names_the_runs_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abc123")
    assert TrackedRun("e", "m", "c", 0, {"tau": 1}).identity == "abc123"
    assert TrackedRun("e", "m", "c", 0, {"tau": 1}, "key of a cell").identity == "key of a cell"


def test_the_command_of_the_sweep_runs(photos: Path, tmp_path: Path) -> None:
    sweep = yaml.safe_load((ROOT / "configs/sweep.yaml").read_text())
    assert sweep["parameters"].keys() == {"model.tau", "model.method"}
    *shell, last = sweep["command"]
    assert last == "${args}"
    shell[2] = shell[2].replace("anomaly-clustering", f"{sys.executable} -m anomaly_clustering", 1)
    shell[2] = shell[2].replace("configs/data/mtd.yaml", "configs/data/folder.yaml").replace("online", "offline")
    shell[2] = shell[2].replace("configs/", f"{ROOT}/configs/")
    arguments = ["--model.tau=0.05", "--model.method=kmeans", "--model.backbone=embedded", "--data.image_size=64"]
    environment = {**os.environ, "WANDB_RUN_ID": "abc123", "MTD": str(photos), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([*shell, *arguments], check=True, cwd=tmp_path, env=environment, capture_output=True)
    (run,) = runs(tmp_path)
    assert run.run.run_id == "abc123"
    assert run.config["model"]["init_args"]["method"] == "kmeans"
    assert (tmp_path / "runs/sweep/abc123/metrics.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mic", "baseline"])
def test_two_processes_are_one_run(photos: Path, tmp_path: Path, method: str) -> None:
    script = tmp_path / "two.py"
    script.write_text(
        "from lightning import Trainer\n"
        "from anomaly_clustering.data import Folder\n"
        "from anomaly_clustering.mic import MIC\n"
        "from anomaly_clustering.runs.tracked_run import TrackedRun\n"
        "from anomaly_clustering.runs.tracking import Track, wandb_logger\n"
        "from baseline import Brightness\n"
        f"run = TrackedRun('two', '{method}', 'photos', 0, {{'option': 1}})\n"
        "trainer = Trainer(accelerator='cpu', devices=2, strategy='ddp', logger=wandb_logger('offline', run),\n"
        "    callbacks=[Track(run)], max_epochs=2, enable_checkpointing=False, enable_progress_bar=False)\n"
        f"data = Folder({str(photos)!r}, image_size=64, num_workers=0)\n"
        f"if '{method}' == 'mic':\n"
        "    trainer.test(MIC('embedded'), datamodule=data)\n"
        "else:\n"
        "    module = Brightness()\n"
        "    trainer.fit(module, datamodule=data)\n"
        "    trainer.predict(module, datamodule=data)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stderr
    (run,) = runs(tmp_path)
    assert run.run.job_type == method
    assert run.config["option"] == 1
    assert_holds_clusters(run, images=15, heat_maps=method == "mic")
    assert len(run.values("nmi")) == (1 if method == "mic" else 2)


# The same on disk, and what it is made of.


def test_artefacts_on_disk(tmp_path: Path, make_image: MakeImage) -> None:
    paths = [make_image(tmp_path / f"{i}.png", kind=i % 2, seed=i) for i in range(5)]
    labels, target = np.array([0, 1, 0, 1, 0]), np.array([1, 0, 1, 0, -1])
    heat = np.zeros((5, 4, 4), dtype=np.float32)
    heat[0, 1, 1] = 0.9
    clusters = ClusteredImages(paths, labels, target, ["good", "bright"], heat)
    write_artefacts(tmp_path / "artefacts", clusters, {"method": "m", **clusters.scores})
    found = {path.relative_to(tmp_path / "artefacts").as_posix() for path in (tmp_path / "artefacts").rglob("*.*")}
    assert found == {
        *(f"{kind}/0{cluster}.png" for kind in ("clusters", "heat_maps") for cluster in range(2)),
        *("assignments.csv", "confusion.csv", "confusion.png", "summary.csv"),
    }
    assert (tmp_path / "artefacts/confusion.csv").read_text().split() == [
        "cluster,good,bright",
        "1",
        "(good),2,0",
        "0",
        "(bright),0,2",
    ]
    assert clusters.scores["accuracy"] == 1
    plain, heated = (
        np.asarray(Image.open(tmp_path / f"artefacts/{kind}/00.png")) for kind in ("clusters", "heat_maps")
    )
    changed = np.abs(plain.astype(int) - heated).sum(2) > 30
    # Only the first of three images has a patch that stands out.
    assert changed[:, :128].any()
    assert not changed[:, 128:].any()
