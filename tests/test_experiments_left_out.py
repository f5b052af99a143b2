"""Types of defects that a run has not seen: how they are left out, and how well they are told when they come."""

import shutil
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from conftest import MakeImage
from lightning import Trainer
from PIL import Image
from tiny_tables import SMALL, records

from anomaly_clustering.data import Folder, Synthetic
from anomaly_clustering.mic import MIC
from experiments.__main__ import main
from experiments.categories import MTD, MVTEC, Category
from experiments.cells import Settings
from experiments.each_type import without_each
from experiments.left_out import LeftOut, unknown_scores


@pytest.fixture
def steel(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of four classes of six images each, the first of which are good."""
    for kind, name in enumerate(("bright", "good", "bar", "spot")):
        for seed in range(6):
            make_image(tmp_path / "steel" / name / f"{seed}.png", kind, seed=seed)
    return tmp_path / "steel"


def test_the_run_has_two_thirds_of_the_other_classes(steel: Path) -> None:
    data = LeftOut(Folder(steel, image_size=64, num_workers=0), "good", split=1)
    data.setup()
    assert data.class_names == ["bar", "bright", "spot"]
    assert len(data.records) == 12
    assert len(data.known) == len(data.unknown) == 6
    # Each image once, and labels are those of the names that are left.
    of_run = [record.image for record in data.records]
    assert sorted([*of_run, *(record.image for record in (*data.known, *data.unknown))]) == sorted(steel.rglob("*.png"))
    assert {record.image.parent.name for record in data.unknown} == {"good"}
    assert [data.class_names[record.label] for record in data.records] == [image.parent.name for image in of_run]


def test_another_split_is_another_third(steel: Path) -> None:
    def known(split: int) -> list[Path]:
        data = LeftOut(Folder(steel, image_size=64, num_workers=0), "bar", split=split)
        data.setup()
        return [record.image for record in data.known]

    assert known(0) == known(0)
    assert known(0) != known(1)


def test_normal_images_stay(tmp_path: Path) -> None:
    whole = Synthetic(tmp_path / "set", per_class=2, normals=3, image_size=64, num_workers=0)
    whole.prepare_data()
    data = LeftOut(whole, "scratch")
    data.setup()
    assert len(data.normal_records) == 3


def test_a_class_that_is_not_there_cannot_be_left_out(steel: Path) -> None:
    data = LeftOut(Folder(steel, image_size=64, num_workers=0), "rust")
    with pytest.raises(ValueError, match=r"no class 'rust' to leave out, but \['bar', 'bright', 'good', 'spot'\]"):
        data.setup()


def test_too_few_others_make_no_run(tmp_path: Path, make_image: MakeImage) -> None:
    for kind, name in enumerate(("good", "bright")):
        make_image(tmp_path / "steel" / name / "0.png", kind)
    data = LeftOut(Folder(tmp_path / "steel", image_size=64, num_workers=0), "bright")
    with pytest.raises(ValueError, match="without 'bright' there are 1 images, of which no run can be made"):
        data.setup()


def test_images_whose_class_nobody_knows_are_neither_known_nor_unknown(steel: Path, make_image: MakeImage) -> None:
    make_image(steel / "0.png")
    data = LeftOut(Folder(steel, image_size=64, num_workers=0), "bar")
    data.setup()
    images = {record.image for record in (*data.records, *data.known, *data.unknown)}
    assert len(images) == 24
    assert steel / "0.png" not in images


def test_images_that_come_later_are_read_on_the_scale_of_the_run(tmp_path: Path) -> None:
    """Half of the files have 16 bits, of which the camera fills ten."""
    rng = np.random.default_rng(0)
    for kind, name in enumerate(("bar", "good")):
        for seed in range(18):
            pixels = rng.integers(400, 500, (64, 64))
            if kind == 0:
                pixels[24:40] = 1000
            (tmp_path / "steel" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "steel" / name / f"{seed}.png")
    # The product of others than bars is one with spots, so that two classes are left.
    for seed in range(18):
        pixels = rng.integers(400, 500, (64, 64))
        pixels[8:16, 8:16] = 1000
        (tmp_path / "steel" / "spot").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "steel" / "spot" / f"{seed}.png")
    data = LeftOut(Folder(tmp_path / "steel", image_size=64, num_workers=0), "bar")
    mic = MIC("embedded", num_clusters=2, signed_root=True, num_references=8)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.test(mic, data, verbose=False)
    assert data.whole.bits_read == 10
    found = unknown_scores(mic, data)
    assert found["unknown_auroc"] > 0.95
    # Bars are all told, and of twelve known ones hardly any; read as 16 bits all would be black, and alike.
    assert found["flagged"] > 0.9
    assert found["false_alarms"] < 0.2


def test_each_type_of_defect_is_left_out_once_and_good_images_never(steel: Path) -> None:
    mine = Category("steel", folder=steel)
    found, missing = without_each([MTD, MVTEC[0], mine], Settings(image_size=64))
    assert [str(category) for category in found] == ["steel, bar", "steel, bright", "steel, spot"]
    assert {category.whole for category in found} == {mine}
    assert missing == {MTD: "no --data-root was given", MVTEC[0]: "no --data-root was given"}


def test_sets_of_which_nothing_can_be_left_out_are_missing_and_stop_no_others(root: Path, steel: Path) -> None:
    next((root / "mvtec" / "bottle" / "ground_truth").rglob("*.png")).unlink()
    flat, toothbrush = Category("flat", folder=steel / "bar"), Category("toothbrush", folder=steel.parent / "two")
    for name in ("good", "defective"):
        shutil.copytree(steel / "bar", steel.parent / "two" / name)
    found, missing = without_each([*MVTEC[:2], flat, toothbrush], Settings(root, image_size=64))
    assert [str(category) for category in found] == ["cable, bar", "cable, bright"]
    assert "mask" in missing[MVTEC[0]]
    # There are two types, but without the defective one the good images alone.
    assert missing[toothbrush] == missing[flat] == "fewer than two types of images are left without one of its defects"


def test_a_type_that_is_plain_to_see_is_told(steel: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["unknown", *SMALL, "--out", str(out), "--folders", f"steel={steel}", "--categories", "steel"]
    command += ["--seeds", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    block = printed.split("### AUROC of p")[1].split("###")[0]
    rows = {line.split("|")[1].strip(): line.split("|")[2].split() for line in block.splitlines() if "|" in line}
    assert list(rows)[2:] == ["steel, bar", "steel, bright", "steel, spot", "steel, mean", "mean of 3"]
    assert rows["steel, mean"] == rows["mean of 3"]
    found = records(out)
    assert len(found) == 6
    assert {record["seed"] for record in found} == {0, 1}
    assert {record["left_out"] for record in found} == {"bar", "bright", "spot"}
    assert fmean(record["metrics"]["unknown_auroc"] for record in found) > 0.7
    # Of twelve images none can be unknown at 5%.
    assert {record["metrics"][name] for record in found for name in ("flagged", "false_alarms")} == {0}
    assert main([*command, "--dry-run"]) == 0
    assert "unknown: 0 of " in capsys.readouterr().out
