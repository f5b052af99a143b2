"""Tables by one command: what is computed, what is not computed again, what is said of what is missing."""

import itertools
import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_tracking
from conftest import MakeImage

from anomaly_clustering.data.mtd import TYPES
from anomaly_clustering.data.mvtec import CATEGORIES
from experiments import command, compute, tables
from experiments.__main__ import main
from experiments.categories import MTD, MVTEC, SYNTHETIC, Category, fingerprint
from experiments.cells import Settings, Store, cell, is_mic
from experiments.methods import DISTANCES, WEIGHTED, Method, with_options
from experiments.options import _pairs
from experiments.plan import make_plan

SMALL = ["--backbone", "embedded", "--image-size", "64", "--resamples", "2"]


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    """Three categories of MVTec AD with three classes of three images each, and masks."""
    for category in ("bottle", "cable", "tile"):
        folder = tmp_path / "data" / "mvtec" / category
        for seed in range(3):
            make_image(folder / "train" / "good" / f"{seed}.png", seed=100 + seed)
            for kind, name in enumerate(("good", "bright", "bar")):
                make_image(folder / "test" / name / f"{seed}.png", kind, seed=seed)
                if kind:
                    make_image(folder / "ground_truth" / name / f"{seed}_mask.png", kind, seed=seed)
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(root: Path, out: Path, *flags: str, table: str = "table1") -> int:
    return main([table, "--data-root", str(root), "--out", str(out), *SMALL, *flags])


def records(out: Path) -> list[dict[str, Any]]:
    return Store(out / "cells").all()


def test_mic_is_known_by_any_of_its_class_paths() -> None:
    assert all(
        map(is_mic, ("anomaly_clustering.MIC", "anomaly_clustering.mic.MIC", "anomaly_clustering.mic.module.MIC"))
    )
    assert not is_mic("baselines.SCAN")


def test_a_table_says_what_was_measured_and_what_is_missing(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, out) == 0
    printed = capsys.readouterr().out
    assert "# Table 1. " in printed
    assert f"capsule, hazelnut, {', '.join(CATEGORIES[4:13])}, wood, MTD (not found in" in printed
    assert "12 of 12 runs" in printed
    head, line = (next(line for line in printed.splitlines() if line.startswith(begin)) for begin in ("|  ", "| Av"))
    assert [text.strip() for text in head.split("|")[2:-1]] == [
        *("object, 2 of 10", "texture, 1 of 5", "MTD", "mean of 3 of 15", "mean of 3 of 16"),
    ]
    # The paper's mean of bottle and cable, and its number of tile, are those of Table 7.
    objects, textures, tiles = (line.split("|")[column] for column in (2, 3, 4))
    assert f"[{(0.426 + 0.439) / 2:.3f}]".replace("0.", ".") in objects
    assert "[.288]" in textures
    assert tiles.strip() == "- [.065]"
    markdown, numbers = (out / "tables" / f"table1-embedded-64px.{ending}" for ending in ("md", "csv"))
    assert markdown.read_text().strip() in printed
    assert len(numbers.read_text().splitlines()) == 1 + 3 * 4 * 5


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


def test_dry_run_lists_what_is_missing_and_how_long_it_takes(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, out, "--dry-run")
    printed = capsys.readouterr().out
    assert "Maximum Hausdorff, bottle, seed 0" in printed
    assert "12 of 12 runs" in printed
    assert "unknown" in printed
    assert not out.exists()
    run(root, out, "--only", "average")
    capsys.readouterr()
    run(root, out, "--dry-run")
    printed = capsys.readouterr().out
    assert "9 of 12 runs" in printed
    assert "0:00:" in printed


def test_seeds_count_where_random_numbers_are_drawn(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--resamples", "0", "--seeds", "3", "--categories", "tile", "--only", "k-means", "single linkage (wa")
    run(root, out, *flags, table="table8")
    assert sorted((record["method"], record["seed"]) for record in records(out)) == [
        ("Single linkage (WA)", 0),
        *(("k-means (WA)", seed) for seed in range(3)),
    ]
    printed = capsys.readouterr().out
    assert "Not computed yet: Spectral (maxH), Single linkage (maxH), " in printed
    assert " ± " in next(line for line in printed.splitlines() if line.startswith("| k-means"))
    assert " ± " not in next(line for line in printed.splitlines() if line.startswith("| Single linkage (WA)"))


def test_random_subsets_give_a_standard_error(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--resamples", "4", "--categories", "tile", "--only", "gem", "weighted average")
    assert run(root, out, *flags, table="table9") == 0
    printed = capsys.readouterr().out
    assert "over 4 random subsets" in printed
    line = next(line for line in printed.splitlines() if line.startswith("| GeM"))
    assert " ± " in line.split("[")[1]
    assert "[of 5: .602 ± .003]" in line


def test_numbers_have_a_spread_and_a_table_of_how_they_depend_on_tau(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, out, "--categories", "tile", "--only", "average", "weighted average") == 0
    printed = capsys.readouterr().out
    assert "over the same 2 random subsets" in printed
    _, scores, over_tau, *_ = printed.split("### NMI")
    for method in ("Average", "Weighted Average", "Weighted Average (semi)"):
        assert " ± " in next(line for line in scores.splitlines() if line.startswith(f"| {method} "))
    # Uniform weights do not depend on tau.
    block = over_tau.partition("###")[0]
    assert [line.split("|")[1].strip() for line in block.splitlines() if " ± " in line] == [
        *("Weighted Average", "Weighted Average (semi)"),
    ]
    (record,) = [record for record in records(out) if record["method"] == "Weighted Average"]
    assert [len(record["spreads"]["nmi"][over]) for over in ("subsets", "taus")] == [2, 5]


def test_masks_that_a_category_lacks_are_missing_and_no_failure(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(root / "mvtec" / "tile" / "ground_truth")
    flags = ("--categories", "bottle", "tile", "--only", "weighted average (mask")
    assert run(root, out, *flags, table="table7") == 0
    assert "Missing: Weighted Average (mask) on tile (no masks)." in capsys.readouterr().out
    assert [record["category"] for record in records(out)] == ["bottle"]


def test_what_is_finished_is_written_and_nothing_computed(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, out, "--finished") == 0
    assert "0 of 12 runs" in capsys.readouterr().out
    assert records(out) == []


def test_later_methods_are_met_by_their_protocols(
    tmp_path: Path, out: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, name in enumerate(TYPES):
        for seed in range(2):
            for ending in ("jpg", "png"):
                make_image(tmp_path / "mtd" / f"MT_{name}" / "Imgs" / f"{seed}.{ending}", min(kind, 2), seed=seed)
    for name in resources.files("anomaly_clustering.data").joinpath("mtd_normals.txt").read_text().split():
        for ending in ("jpg", "png"):
            shutil.copy(tmp_path / f"mtd/MT_Free/Imgs/0.{ending}", tmp_path / f"mtd/MT_Free/Imgs/{name[:-4]}.{ending}")
    assert run(tmp_path / "mtd", out, "--only", "weighted average", table="later") == 0
    found = {record["category"]: record for record in records(out) if record["method"] == "Weighted Average"}
    assert {category: record["num_images"] for category, record in found.items()} == {"": 12, "MTD without good": 10}
    printed = capsys.readouterr().out
    accuracy, f1 = printed.split("### Accuracy")[1].split("### F1")
    repeated = next(line for line in accuracy.splitlines() if line.startswith("| MuSc + AnomalyNCD (repeated)"))
    assert [text.strip() for text in repeated.split("|")[-3:-1]] == ["-", "- [.500]"]
    assert " ± " in next(line for line in f1.splitlines() if line.startswith("| Weighted Average"))


def test_synthetic_images_are_labelled_so(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["table1", "--data", "synthetic", "--out", str(out), "--only", "average", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "(synthetic set, not the data of the paper)" in printed
    assert "[" not in printed.split("### NMI")[1]
    assert (out / "tables" / "table1-synthetic-embedded-64px.md").is_file()


def test_a_method_of_ones_own_takes_a_yaml_and_a_line(
    root: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "brightness.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\ntrainer: {max_epochs: 2}\n")
    own = {"Brightness": Method(str(config)), "Brightness (best epoch)": Method(str(config), prefix="best_")}
    table = tables.Table("Own", {**own, "Average": DISTANCES["Average"]}, metrics=("nmi",))
    monkeypatch.setitem(command.TABLES, "table8", table)
    assert run(root, out, table="table8") == 0
    printed = capsys.readouterr().out
    assert "object, 2 of 10" in printed
    assert "[" not in next(line for line in printed.splitlines() if line.startswith("| Brightness (best epoch)"))
    trained = [record for record in records(out) if record["method"].startswith("Brightness")]
    assert len(trained) == 3  # Last and best epoch are of one run.
    assert trained[0]["metrics"].keys() >= {"loss", "nmi", "best_nmi", "best_by_loss_nmi", "ari", "f1"}


def test_what_cannot_be_configured_is_missing(root: Path) -> None:
    methods = {
        "absent": Method("configs/baselines/absent.yaml"),
        "unknown option": with_options(WEIGHTED, taux=0.1),
        "fine": WEIGHTED,
    }
    plan = make_plan(methods, [MVTEC[0], MTD], 1, Settings(root, backbone="embedded"))
    assert "there is no configs/baselines/absent.yaml" in plan.unavailable["absent"]
    assert "'taux' is not accepted" in plan.unavailable["unknown option"]
    assert [cell.method for cell in plan.once()] == ["fine"]
    assert MTD in plan.missing


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--only", "nothing"), "'nothing': no method begins so"),
        (("--only", "average", "weihgted"), "'weihgted': no method begins so"),
        (("--preset", "smalldata"), "--preset 'smalldata': there is no such file"),
        (("--trained", "max_epoch=2"), "--trained 'max_epoch': none of baselines."),
        (("--trained", "IIC.neighbours=2"), "--trained 'IIC.neighbours': none of baselines."),
        (("--trained", "max_epochs"), "'max_epochs' is not of the form NAME=VALUE"),
        (("--categories", "bottl"), "'bottl' is not one of"),
        (("--seeds", "0"), "--seeds must be at least 1, got 0"),
        (("--resamples", "1"), "--resamples must be 0 (none) or at least 2, got 1"),
        (("--checkpoint", "absent.pth"), "checkpoint 'absent.pth' does not exist"),
    ],
)
def test_wrong_options_say_so(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert run(root, out, *flags) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [("600", 600), ("1e-4", 1e-4), ("off", "off"), ("1:00:00", "1:00:00"), ("[0.9, 1]", [0.9, 1]), ("x=y", "x=y")],
)
def test_values_are_read_as_json(text: str, value: Any) -> None:
    assert _pairs([f"name={text}"]) == {"name": value}


def test_a_dry_run_writes_no_report(root: Path, out: Path, tmp_path: Path) -> None:
    report = tmp_path / "REPRODUCTION.md"
    assert run(root, out, "--dry-run", "--report", str(report), table="reproduction") == 0
    assert not report.exists()


def test_cells_that_share_features_are_neighbours() -> None:
    settings = Settings(synthetic=True, backbone="embedded")
    cells = make_plan(tables.TABLES["table8"].methods, [SYNTHETIC], 1, settings).once()
    distances = [cell.config["model"]["init_args"].get("distance") for cell in cells]
    assert sum(a != b for a, b in itertools.pairwise(distances)) == 1


def test_labels_of_a_trained_method_are_those_of_its_predictions(root: Path) -> None:
    settings = Settings(root, image_size=64)
    config = cell("", WEIGHTED, MVTEC[0], 0, settings).config
    config["model"] = {"class_path": "baseline.Brightness", "init_args": {"clusters": 2}}
    outcome = compute.compute(config | {"trainer": {"max_epochs": 1}})
    assert outcome.arrays["target"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert np.unique(outcome.arrays["labels"]).max() <= 1


def test_runs_are_seen_in_wandb_and_on_disk(
    root: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_options_of_trained_methods(root: Path, tmp_path: Path) -> None:
    config, small = tmp_path / "own.yaml", tmp_path / "own_small_data.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\ntrainer: {max_epochs: 2}\n")
    small.write_text("model: {class_path: baseline.Brightness, init_args: {clusters: 2}}\ntrainer: {max_epochs: 9}\n")
    trained = {"Brightness.learning_rate": 0.5, "learning_rate": 0.1, "Other.clusters": 7, "other": 1}
    trained |= {"Brightness.max_epochs": 5, "max_epochs": 7, "precision": "bf16-mixed", "Other.max_time": "00:01:00:00"}
    settings = Settings(root, image_size=64, preset="small_data", trained=trained)
    found = cell("own", Method(str(config)), MVTEC[0], 0, settings).config
    assert found["model"]["init_args"] == {"clusters": 2, "learning_rate": 0.5}
    assert found["trainer"] == {"max_epochs": 5, "precision": "bf16-mixed"}
    assert settings.name.endswith("small_data")


def test_images_of_the_same_names_and_sizes_are_other_data(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "good").mkdir(parents=True)
    keys = set()
    for pixel in (b"a", b"b"):
        (folder / "good" / "0.bmp").write_bytes(pixel)
        fingerprint.cache_clear()
        keys.add(fingerprint(Category("mine", folder=folder), None))
    assert len(keys) == 2


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"config": 1}', "[" * 100_000])
def test_a_damaged_result_is_missing(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path)
    (tmp_path / "a.json").write_text(content)
    assert store.all() == []


def test_the_report_of_all_replaces_nothing_else_and_is_not_emptied(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("my own notes", "# Reproduction\n\nmeasured in a year"):
        Path("REPRODUCTION.md").write_text(text)
        assert main(["reproduction", "--backbone", "embedded"]) == 2
        assert "choose another --report" in capsys.readouterr().err
        assert Path("REPRODUCTION.md").read_text() == text
