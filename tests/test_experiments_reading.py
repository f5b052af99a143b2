"""What the report shows, measured by classes and masks; and the tables of it, which go beyond the paper's."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeImage
from lightning import Trainer
from PIL import Image
from tiny_tables import records, run

from anomaly_clustering.data import DefectDataModule, Folder, Synthetic
from anomaly_clustering.mic import MIC, method_arguments
from anomaly_clustering.runs.annotations import Region
from experiments.reading import reading, regions_found
from experiments.tables import TABLES

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def read(data: DefectDataModule, **options: object) -> dict[str, float]:
    mic = MIC("embedded", **options)
    Trainer(accelerator="cpu", **QUIET).test(mic, data, verbose=False)
    return reading(mic, data)


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """Of the default, with normal images, on a product whose defects are plain to see."""
    data = Synthetic(per_class=4, normals=24, image_size=128, num_workers=0)
    return read(data, **method_arguments("signed_residuals", normals=True))


def test_good_images_are_told_from_defective_ones(found: dict[str, float]) -> None:
    assert found["heat_good"] < found["heat_defective"] / 5
    assert found["score_auroc"] > 0.9
    assert found["sound_good"] >= 0.75
    assert found["sound_defective"] <= 0.25


def test_regions_lie_on_defects(found: dict[str, float]) -> None:
    assert found["regions"] >= 0.5
    assert found["regions_right"] > 0.7
    assert found["defects_found"] > 0.5
    assert found["good_with_region"] <= 0.25


def test_without_normal_images_nothing_is_said_to_be_without_a_finding() -> None:
    found = read(Synthetic(per_class=2, normals=0, image_size=64, num_workers=0))
    assert "score_auroc" in found
    assert not {"sound_good", "sound_defective"} & found.keys()


def test_uniform_weights_show_no_defects() -> None:
    found = read(Synthetic(per_class=2, normals=0, image_size=64, num_workers=0), weights="uniform")
    assert found.keys() == {"num_clusters", "good_purity", "good_recall"}


def test_a_region_is_on_a_defect_where_it_covers_a_marked_pixel() -> None:
    mask = np.zeros((4, 8), dtype=bool)
    mask[0, 7] = True
    beside = Region([(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)], 1.0)
    corner = Region([(0.75, 0.0), (1.0, 0.0), (1.0, 0.5), (0.75, 0.5)], 0.5)
    good = np.array([False, False, True, False])
    found = regions_found([[beside, corner], [beside], [beside], [corner]], [mask, mask, None, None], good)
    # The last is defective, and nobody marked where.
    assert found == {"regions": 1.5, "regions_right": 1 / 3, "defects_found": 0.5, "good_with_region": 1.0}


@pytest.mark.parametrize(("left", "right"), [(1 / 8, True), (2 / 8, False)])
def test_a_region_covers_no_pixel_beside_it(left: float, right: bool) -> None:
    mask = np.zeros((4, 8), dtype=bool)
    mask[1, 1] = True
    region = Region([(left, 0.25), (0.5, 0.25), (0.5, 0.5), (left, 0.5)], 1.0)
    assert regions_found([[region]], [mask], np.array([False]))["regions_right"] == right


def test_images_whose_class_nobody_knows_do_not_count(tmp_path: Path, make_image: MakeImage) -> None:
    for kind, name in enumerate(("good", "bright")):
        for seed in range(3):
            make_image(tmp_path / name / f"{seed}.png", kind, seed=seed)
    known = read(Folder(tmp_path, image_size=64, num_workers=0), weights="uniform", num_clusters=2)
    # As bright as the defective ones, and with them.
    for seed in range(3, 6):
        make_image(tmp_path / f"{seed}.png", 1, seed=seed)
    found = read(Folder(tmp_path, image_size=64, num_workers=0), weights="uniform", num_clusters=2)
    assert found == known == {"num_clusters": 2, "good_purity": 1, "good_recall": 1}


def test_an_empty_mask_of_a_defective_image_tells_of_no_defect_to_be_found(photos: Path, masks: Path) -> None:
    options = {"image_size": 64, "num_workers": 0, "masks": masks}
    for file in masks.rglob("*.png"):
        Image.new("L", (64, 64), 255).save(file)
    known = read(Folder(photos, **options), num_clusters=3)
    # Those of 'bright' are empty then, and regions are counted in those of 'bar'.
    for file in (masks / "bright").iterdir():
        Image.new("L", (64, 64)).save(file)
    found = read(Folder(photos, **options), num_clusters=3)
    assert known["regions_right"] == found["regions_right"] == 1
    assert known["regions"] > 0


def test_where_nothing_is_outlined_no_share_of_it_is_right() -> None:
    found = regions_found([[]], [np.ones((2, 2), dtype=bool)], np.array([False]))
    assert found == {"regions": 0.0, "defects_found": 0.0}


def test_runs_of_a_version_that_did_not_read_the_report_are_computed_anew(root: Path, out: Path) -> None:
    flags = ("--categories", "bottle", "--only", "Weighted Average (semi")
    run(root, out, *flags)
    (path,) = (out / "cells").glob("*.json")
    record = json.loads(path.read_text())
    del record["metrics"]["num_clusters"]
    path.write_text(json.dumps(record))
    run(root, out, *flags)
    assert "num_clusters" not in json.loads(path.read_text())["metrics"]  # Nobody asked for it.
    run(root, out, *flags, "--seeds", "1", table="report")
    assert "num_clusters" in json.loads(path.read_text())["metrics"]


def test_stability_is_told_of_runs_that_ask_random_subsets(found: dict[str, float]) -> None:
    assert 0.5 < found["stability"] <= 1


def test_the_table_of_stability_has_that_of_each_run(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--seeds", "1", "--categories", "bottle", "--only", "Weighted averages, bagged")
    run(root, out, *flags, table="rival")
    (path,) = (out / "cells").glob("*.json")
    record = json.loads(path.read_text())
    stability = record["metrics"].pop("stability")
    path.write_text(json.dumps(record))
    capsys.readouterr()
    assert run(root, out, *flags, table="stability") == 0
    (again,) = records(out)
    assert again["metrics"]["stability"] == pytest.approx(stability)
    lines = capsys.readouterr().out.split("### Stability")[1].splitlines()
    (line, *_) = [text for text in lines if text.startswith("| Weighted averages, bagged Ward")]
    assert line.split("|")[2].split() == [f"{stability:.3f}".removeprefix("0")]


def test_of_too_few_images_to_tell_stability_the_rest_is_shown(
    tmp_path: Path, out: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, name in enumerate(("good", "bright", "bar")):
        for seed in range(2):
            make_image(tmp_path / "mine" / name / f"{seed}.png", kind, seed=seed)
    flags = ("--folders", f"mine={tmp_path / 'mine'}", "--categories", "mine", "--seeds", "1", "--resamples", "0")
    assert run(tmp_path, out, *flags, "--only", "Weighted averages, bagged", table="stability") == 0
    stability, nmi = capsys.readouterr().out.split("### Stability")[1].split("### NMI")
    shown = [next(line for line in block.splitlines() if line.startswith("| Weighted")) for block in (stability, nmi)]
    assert [line.split("|")[2].strip() == "-" for line in shown] == [True, False]
    # And nothing is computed a second time.
    assert run(tmp_path, out, *flags, "--only", "Weighted averages, bagged", "--dry-run", table="stability") == 0
    assert "stability: 0 of " in capsys.readouterr().out


def test_the_table_of_the_report_has_its_numbers(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--seeds", "1", "--categories", "bottle", "--only", "Weighted Average")
    assert run(root, out, *flags, table="report") == 0
    printed = capsys.readouterr().out
    assert "### Purity of the cluster of good images" in printed
    metrics = {name for record in records(out) for name in record["metrics"]}
    assert {"good_purity", "heat_good", "score_auroc", "sound_good", "regions"} <= metrics
    assert set(TABLES["report"].metrics) >= {name for name in metrics if name.startswith(("good", "heat", "sound"))}


def test_clusters_to_name_are_counted(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--seeds", "1", "--categories", "bottle", "--only", "Signed residuals, clusters")
    assert run(root, out, *flags, table="names") == 0
    printed = capsys.readouterr().out
    lines = printed.split("### Number of clusters")[1].splitlines()
    (line,) = [text for text in lines if text.startswith("| Signed residuals, clusters to name")]
    # Nine images make four.
    assert line.split("|")[2].split() == ["4.0"]
    assert "**" not in printed


def test_tiles_keep_their_aspect_in_one_row_and_nothing_else_does() -> None:
    methods = TABLES["aspect"].methods
    kept = [name for name, method in methods.items() if method.data]
    assert kept == [name for name in methods if name.endswith("aspect kept")]
    assert all(method.data == {"MTD": {"aspect": "keep"}} for method in methods.values() if method.data)


def test_normal_images_grow_from_none_to_all() -> None:
    counts = [method.options.get("num_references") for method in TABLES["normals"].methods.values()]
    assert counts == [None, 5, 10, 20, 50, None]
