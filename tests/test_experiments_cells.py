"""Cells of experiments: each is computed once and tells how it came about; one that fails stops no other."""

import json
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_tracking
import torch
from lightning import seed_everything
from tiny_tables import records, run

from anomaly_clustering.system.lock_files import held
from experiments import command, compute, epochs_told, kept, tables
from experiments.categories import MVTEC, Category, fingerprint
from experiments.cells import Settings, Store, cell
from experiments.methods import DISTANCES, WEIGHTED, Method


def test_a_cell_tells_how_it_came_about(root: Path, out: Path) -> None:
    run(root, out, "--only", "weighted average (semi)", "--categories", "bottle")
    (record,) = records(out)
    assert record["method"] == "Weighted Average (semi)"
    assert (record["dataset"], record["category"], record["seed"]) == ("MVTec AD", "bottle", 0)
    assert 0 <= record["metrics"]["nmi"] <= 1
    assert record["config"]["model"]["init_args"]["tau"] == 0.02
    assert record["config"]["data"]["init_args"]["image_size"] == 64
    assert record["versions"].keys() >= {"python", "torch", "anomaly-clustering"}
    assert len(record["commit"]) in (40, 41)
    assert record["duration_s"] > 0
    arrays = Store(out / "cells").arrays(
        cell(
            "",
            DISTANCES[record["method"]],
            MVTEC[0],
            0,
            Settings(root, backbone="embedded", image_size=64, resamples=2),
        )
    )
    assert arrays["weights"].shape == (9, 8, 8)
    assert len(arrays["tree"]) == 8


def test_no_cell_is_computed_twice(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root, out, "--categories", "bottle", "cable")
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    # Table 7 shares four of its five methods with Table 1, and Ward of Table 8 is that of Table 1.
    run(root, out, "--categories", "bottle", "cable", "--only", "average", "max", "weighted average (s", table="table7")
    run(root, out, "--categories", "bottle", "cable", "--only", "ward", table="table8")
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == before
    # Nor if the data has moved; other data is other cells.
    moved = root.rename(root.with_name("moved"))
    run(moved, out, "--categories", "bottle", "cable")
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == before
    shutil.copy(moved / "mvtec/cable/test/bar/0.png", moved / "mvtec/cable/test/good/9.png")
    fingerprint.cache_clear()
    run(moved, out, "--categories", "bottle", "cable")
    assert len(list((out / "cells").iterdir())) == len(before) + 8


def test_a_default_that_has_changed_since_makes_a_cell_stale(root: Path, out: Path) -> None:
    run(root, out, "--only", "average", "--categories", "bottle")
    (path,) = (out / "cells").glob("*.json")
    record = json.loads(path.read_text())
    record["config"]["model"]["init_args"]["tau"] = 0.5
    path.write_text(json.dumps(record))
    run(root, out, "--only", "average", "--categories", "bottle")
    assert json.loads(path.read_text())["config"]["model"]["init_args"]["tau"] == 0.02
    # An option that did not exist then has the effect of its default.
    record["config"]["model"]["init_args"] |= {"tau": 0.02}
    del record["config"]["model"]["init_args"]["resamples"]
    path.write_text(json.dumps(record))
    run(root, out, "--only", "average", "--categories", "bottle")
    assert "resamples" not in json.loads(path.read_text())["config"]["model"]["init_args"]


def test_a_failing_cell_is_reported_and_does_not_stop_the_others(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "mvtec" / "bottle" / "test" / "bar" / "0.png").write_bytes(b"no image")
    assert run(root, out, "--only", "average") == 1
    captured = capsys.readouterr()
    assert "failed: Average, bottle, seed 0" in captured.err
    assert "Traceback" in captured.err
    assert "Failed: Average, bottle, seed 0." in captured.out
    assert {record["category"] for record in records(out)} == {"cable", "tile"}


def test_a_worker_that_was_started_elsewhere_finds_what_is_named_by_relative_paths(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = root.parent, tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    settings = Settings(Path(root.name), backbone="embedded", image_size=64, cache=Path("cache"))
    config = cell("", WEIGHTED, MVTEC[0], 0, settings).config
    monkeypatch.chdir(elsewhere)
    outcome = compute.compute(config, folder=here)
    assert (here / "cache").is_dir()
    assert not any(elsewhere.iterdir())
    # What is kept of a run names them as the command did.
    assert outcome.record["config"]["data"]["init_args"]["root"] == root.name


def test_labels_of_a_trained_method_are_those_of_its_predictions(root: Path) -> None:
    settings = Settings(root, image_size=64)
    config = cell("", WEIGHTED, MVTEC[0], 0, settings).config
    config["model"] = {"class_path": "baseline.Brightness", "init_args": {"clusters": 2}}
    outcome = compute.compute(config | {"trainer": {"max_epochs": 1}})
    assert outcome.arrays["target"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert np.unique(outcome.arrays["labels"]).max() <= 1


def test_runs_of_several_threads_have_the_random_numbers_of_their_seeds(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cell("", WEIGHTED, MVTEC[0], 0, Settings(root, image_size=64)).config
    config |= {"model": {"class_path": "baseline.Brightness"}, "trainer": {"max_epochs": 1}}
    of_seeds = [config | {"seed_everything": seed} for seed in range(2)]

    def loss(config: dict[str, Any]) -> float:
        return compute.compute(config).record["metrics"]["loss"]

    alone = [loss(config) for config in of_seeds]

    def seeded(*given: Any, **more: Any) -> None:
        seed_everything(*given, **more)
        time.sleep(0.3)  # Time for another thread to set its own.

    monkeypatch.setattr(compute, "seed_everything", seeded)
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(loss, of_seeds)] == alone


def test_a_long_training_says_how_far_it_is(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cell("", WEIGHTED, MVTEC[0], 0, Settings(root, image_size=64)).config
    config["model"] = {"class_path": "baseline.Brightness", "init_args": {"clusters": 2}}
    compute.compute(config | {"trainer": {"max_epochs": 3}})
    assert "epochs" not in capsys.readouterr().err  # It took less than a minute.
    monkeypatch.setattr(epochs_told, "EVERY", 0)
    compute.compute(config | {"trainer": {"max_epochs": 3}})
    said = re.findall(r"Brightness: (\d) of 3 epochs, about 0:00:\d\d to the last", capsys.readouterr().err)
    assert said == ["1", "2"]


def test_a_training_that_goes_on_is_timed_by_what_it_does_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs_told.time, "monotonic", iter([0.0, 100.0]).__next__)
    told, module = epochs_told.EpochsTold(), SimpleNamespace()
    told.on_train_start(SimpleNamespace(current_epoch=90, max_epochs=100), module)
    told.on_train_epoch_end(SimpleNamespace(current_epoch=91, max_epochs=100), module)
    assert "92 of 100 epochs, about 0:06:40 to the last" in capsys.readouterr().err


def test_a_training_that_was_ended_goes_on_in_its_cell(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "brightness.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\ntrainer: {max_epochs: 3}\n")
    monkeypatch.setitem(command.TABLES, "table8", tables.Table("Own", {"Own": Method(str(config))}, metrics=("nmi",)))
    monkeypatch.setattr(kept, "EVERY", 0)
    # As a killed process is, after the second epoch.
    epochs: list[int] = []
    monkeypatch.setattr(
        epochs_told.EpochsTold,
        "on_train_epoch_start",
        lambda _, trainer, module: (epochs.append(trainer.current_epoch), epochs != [0, 1, 2] or sys.exit(1)),
        raising=False,
    )
    with pytest.raises(SystemExit):
        run(root, out, "--categories", "tile", table="table8")
    (unfinished,) = (out / "cells").glob("*.ckpt")
    assert run(root, out, "--categories", "tile", table="table8") == 0
    assert f"goes on after epoch 2, which {str(unfinished)!r} holds" in capsys.readouterr().err
    assert epochs == [0, 1, 2, 2]
    assert len(records(out)) == 1
    assert not unfinished.exists()
    # One that was begun with other defaults is named too, and begins anew.
    next((out / "cells").glob("*.json")).unlink()
    epochs.clear()
    with pytest.raises(SystemExit):
        run(root, out, "--categories", "tile", table="table8")
    begun = torch.load(unfinished, weights_only=True)
    begun["callbacks"]["Kept"]["config"]["model"]["init_args"]["learning_rate"] = 0.3
    torch.save(begun, unfinished)
    assert run(root, out, "--categories", "tile", table="table8") == 0
    assert f"{str(unfinished)!r} was begun with other options: the training begins anew" in capsys.readouterr().err
    assert epochs == [0, 1, 2, 0, 1, 2]
    # What cannot be read is named, and the training begins anew.
    next((out / "cells").glob("*.json")).unlink()
    unfinished.write_bytes(b"cut short")
    assert run(root, out, "--categories", "tile", table="table8") == 0
    assert "cannot be read" in capsys.readouterr().err
    assert epochs[6:] == [0, 1, 2]


def test_a_training_that_goes_on_elsewhere_is_left_to_it(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "brightness.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\ntrainer: {max_epochs: 1}\n")
    methods = {"Own": Method(str(config)), "Weighted Average": WEIGHTED}
    monkeypatch.setitem(command.TABLES, "table8", tables.Table("Own", methods, metrics=("nmi",)))
    monkeypatch.setattr(Store, "unfinished", lambda self, cell: out / "cells" / "training.ckpt")
    # Another opening of its lock is as good as another process.
    with held(out / "cells" / ".training.ckpt.lock"):
        assert run(root, out, "--categories", "tile", table="table8") == 1
    assert "training.ckpt' is in use by process" in capsys.readouterr().err
    assert [record["method"] for record in records(out)] == ["Weighted Average"]
    assert run(root, out, "--categories", "tile", table="table8") == 0
    assert sorted(record["method"] for record in records(out)) == ["Own", "Weighted Average"]


def test_runs_are_seen_in_wandb_and_on_disk(
    root: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staged"))
    config = tmp_path / "brightness.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\ntrainer: {max_epochs: 2}\n")
    best = {"Brightness (best epoch)": Method(str(config), prefix="best_")}
    methods = {"Brightness": Method(str(config)), **best, "Weighted Average": WEIGHTED}
    monkeypatch.setitem(command.TABLES, "table8", tables.Table("Own", methods, metrics=("nmi",)))
    assert run(root, out, "--categories", "tile", "--wandb", "offline", "--artefacts", table="table8") == 0
    keys = {record["method"]: record["key"] for record in records(out)}
    seen = {read.run.job_type: read for read in test_tracking.runs(out)}
    assert seen.keys() == {"Brightness", "Weighted Average", "summary"}
    for method, key in keys.items():
        read = seen[method]
        assert (read.run.run_id, read.run.run_group, list(read.run.tags)) == (key, "table8", ["tile", "seed 0"])
        assert read.config["data"]["init_args"]["category"] == "tile"
        assert len(read.values("nmi")) == (2 if method == "Brightness" else 1)
        assert {"assignments", "confusion", "summary", "confusion_matrix"} <= {
            name for row in read.history for name in row
        }
        assert (out / "artefacts" / key / "confusion.png").is_file()
    columns, rows = seen["summary"].table("per_category")
    assert [(row[columns.index("method")], row[columns.index("category")]) for row in rows] == [
        ("Brightness", "tile"),
        ("Weighted Average", "tile"),
    ]
    # What is finished is not computed again to be seen.
    shutil.rmtree(out / "artefacts" / keys["Brightness"])
    capsys.readouterr()
    assert run(root, out, "--categories", "tile", "--wandb", "offline", "--artefacts", table="table8") == 0
    told = capsys.readouterr().err
    assert "Notice: 1 finished run without artefacts" in told
    assert "Notice: 2 finished runs that --wandb does not log now" in told


def test_images_of_the_same_names_and_sizes_are_other_data(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "good").mkdir(parents=True)
    keys = set()
    for pixel in (b"a", b"b"):
        (folder / "good" / "0.bmp").write_bytes(pixel)
        fingerprint.cache_clear()
        keys.add(fingerprint(Category("mine", folder=folder), None))
    assert len(keys) == 2


def test_what_is_measured_through_a_link_is_part_of_the_data_and_what_systems_add_is_not(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "images"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "crack").symlink_to(elsewhere)
    keys = []
    for file in (elsewhere / "0.png", elsewhere / "1.png", folder / ".DS_Store", elsewhere / "Thumbs.db"):
        file.write_bytes(b"")
        fingerprint.cache_clear()
        keys.append(fingerprint(Category("mine", folder=folder), None))
    assert keys[0] != keys[1] == keys[2] == keys[3]


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"config": 1}', "[" * 100_000])
def test_a_damaged_result_is_missing(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path)
    (tmp_path / "a.json").write_text(content)
    assert store.all() == []


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more"])
def test_arrays_that_are_damaged_or_gone_are_told_with_a_way_out(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz', of which the figure is drawn, .*delete 'a\.json' beside it"):
        Store(tmp_path).arrays(SimpleNamespace(key="a"))  # type: ignore[arg-type]
