"""Tables by one command: what is measured, its spread, and what is said of what is missing."""

import errno
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeImage
from tiny_tables import SMALL, records, run

from anomaly_clustering.data.mtd import TYPES
from anomaly_clustering.data.mvtec import CATEGORIES
from anomaly_clustering.system import files
from experiments import categories, command, tables
from experiments.__main__ import main
from experiments.categories import MVTEC, fingerprint, why_missing
from experiments.cells import Cell, Settings, Store, cell
from experiments.compute import Outcome, resolve
from experiments.methods import DISTANCES, WEIGHTED, Method
from experiments.output import absent
from experiments.plan import Plan, estimate


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
    markdown, numbers = (out / "tables" / f"table1-embedded-64px-2subsets.{ending}" for ending in ("md", "csv"))
    assert markdown.read_text().strip() in printed
    assert len(numbers.read_text().splitlines()) == 1 + 3 * 4 * 5


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


def test_a_note_on_means_over_subsets_says_where_there_are_none(root: Path, out: Path, capsys) -> None:
    assert run(root, out, "--resamples", "0", "--categories", "tile", "--only", "gem", table="table9") == 0
    printed = capsys.readouterr().out
    assert "(`--resamples 0`). By default: Mean and standard error over 100 random subsets" in printed


def test_a_table_of_other_folders_is_another_file(photos: Path, out: Path, capsys) -> None:
    flags = [*SMALL, "--out", str(out), "--only", "signed residuals", "--resamples", "0", "--seeds", "1"]
    for name in ("one", "two"):
        assert main(["names", *flags, "--folders", f"{name}={photos}", "--categories", name, "--dry-run"]) == 0
        assert main(["names", *flags, "--folders", f"{name}={photos}", "--finished"]) == 0
    assert [path.name for path in sorted((out / "tables").glob("*.md"))] == [
        f"names-embedded-64px-1seeds-0subsets-{name}.md" for name in ("one", "two")
    ]


def test_how_long_runs_take_is_told_by_runs_of_the_same_network_size_and_epochs(root: Path, tmp_path: Path) -> None:
    settings = Settings(root, backbone="embedded", image_size=64)

    def made(epochs: int | None, **changed: Any) -> Cell:
        made = cell("Average", WEIGHTED, MVTEC[0], 0, replace(settings, **changed))
        return replace(made, config=made.config | ({"trainer": {"max_epochs": epochs}} if epochs else {}))

    store = Store(tmp_path)
    store.write(made(5), Outcome({"metrics": {}, "config": resolve(made(5).config), "duration_s": 60.0}, {}))
    assert estimate([made(400)], store) == (4800.0, [])
    assert estimate([made(5), made(5, image_size=128)], store) == (60.0, ["Average"])
    assert estimate([made(5, backbone="resnet18")], store) == (0.0, ["Average"])
    # Also where one type of defect is left out.
    left_out = MVTEC[0]._replace(left_out="bar")
    small, large = (cell("Without", WEIGHTED, left_out, 0, replace(settings, image_size=size)) for size in (64, 128))
    store.write(small, Outcome({"metrics": {}, "config": resolve(small.config), "duration_s": 20.0}, {}))
    assert estimate([small, large], store) == (20.0, ["Without"])


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
    assert (out / "tables" / "table1-synthetic-embedded-64px-2subsets.md").is_file()


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


def test_a_file_that_cannot_be_read_takes_its_own_category_alone(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = root / "mvtec" / "bottle" / "test" / "good" / "0.png"
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return files.digest(path)

    monkeypatch.setattr(categories, "digest", digest)
    assert run(root, out, "--only", "average") == 0
    assert f"Missing: bottle ({str(closed)!r}: permission denied)." in capsys.readouterr().out
    assert {record["category"] for record in records(out)} == {"cable", "tile"}
    # The next table reads nothing anew.
    assert run(root, out, "--only", "average", table="table7") == 0
    assert len(read) == len(set(read))


def test_a_table_of_which_nothing_is_found_replaces_none(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, out, "--only", "average", "--categories", "tile") == 0
    before = {path: path.read_text() for path in (out / "tables").iterdir()}
    capsys.readouterr()
    assert run(root / "typo", out) == 2
    printed = capsys.readouterr()
    assert f"there is no folder {str(root / 'typo')!r}" in printed.out
    assert "stay as they are" in printed.out
    assert "error: nothing of table1 could be computed" in printed.err
    assert {path: path.read_text() for path in (out / "tables").iterdir()} == before


def test_a_whole_data_set_is_missing_for_one_reason_alone() -> None:
    plan = Plan(missing=dict.fromkeys(MVTEC, "not found"))
    assert absent(plan) == {"MVTec AD": "not found"}
    plan.missing[MVTEC[0]] = "permission denied"
    assert absent(plan)["bottle"] == "permission denied"


def test_a_category_is_looked_for_as_the_data_module_does(root: Path) -> None:
    # An empty folder of the same name above it.
    (root / "bottle").mkdir()
    assert why_missing(MVTEC[0], root) is None
    assert fingerprint(MVTEC[0], root) == fingerprint(MVTEC[0], root / "mvtec")
