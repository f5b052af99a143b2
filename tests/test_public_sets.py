"""Every public data set is read from a tiny copy in its real layout: its types, masks and normal images."""

import re
import shutil
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image
from tiny_copies import CATEGORY, DRAW, counted, mask, opened, photograph

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import MTD, MVTecAD, PublicDataset
from anomaly_clustering.data.images import read_mask
from anomaly_clustering.data.sets.known import DATA_SETS, Name

pytestmark = pytest.mark.usefixtures("own_cache")

ROOT = Path(__file__).resolve().parents[1]
# The number of images of each class, in the order of the classes, then that of normal images.
EXPECTED: dict[Name, tuple[dict[str, int], int]] = {
    "visa": ({"good": 1, "bent": 1, "melt": 1, "scratch": 1}, 3),
    "mvtec_loco": ({"good": 2, "1_additional_pushpin": 1, "contamination": 1, "missing_pushpin": 2}, 2),
    "mpdd": ({"good": 2, "hole": 2, "scratches": 2}, 2),
    "real_iad": ({"good": 5, "missing parts": 5, "scratch": 10}, 5),
    "real_iad_from_above": ({"good": 1, "missing parts": 1, "scratch": 2}, 1),
    "neu_det": (
        dict.fromkeys(("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"), 2),
        0,
    ),
    "gc10_det": ({"punching hole": 1, "silk spot": 1, "waist folding": 1, "welding line": 1}, 0),
    "x_sdd": (
        {
            **{"finishing roll printing": 2, "iron sheet ash": 2, "oxide scale of plate system": 2},
            **{"oxide scale of temperature system": 2, "red iron": 2, "slag inclusion": 2, "surface scratch": 2},
        },
        0,
    ),
    "infrared_solar_modules": ({"good": 2, "Cell": 1, "Cell-Multi": 1, "Diode": 2, "Hot-Spot": 1}, 0),
    "deep_pcb": ({"mousebite": 1, "open": 1, "pin-hole": 1, "short": 1}, 4),
    "aitex": ({"broken end": 2, "fuzzyball": 1, "knots": 1}, 2),
    "wm811k": (
        {"good": 2}
        | dict.fromkeys(("Center", "Donut", "Edge-Loc", "Edge-Ring", "Loc", "Near-full", "Random", "Scratch"), 2),
        0,
    ),
}
WITH_MASKS = {"visa", "mvtec_loco", "mpdd", "real_iad", "real_iad_from_above", "aitex"}


def test_each_data_set_has_a_tiny_copy_a_config_and_a_line_in_the_docs() -> None:
    page = (ROOT / "docs" / "data_sets.md").read_text()
    assert DATA_SETS.keys() == DRAW.keys() == EXPECTED.keys() == set(get_args(Name))
    for name, known in DATA_SETS.items():
        config = (ROOT / "configs" / "data" / f"{name}.yaml").read_text()
        assert f"-c configs/data/{name}.yaml --data.root DIR" in config
        assert re.search(rf"^    name: {name}$", config, re.MULTILINE)
        assert f"`configs/data/{name}.yaml`" in page
        assert known.page in page
        assert known.licence


@pytest.mark.parametrize("name", EXPECTED)
def test_a_tiny_copy_is_read_with_its_types(name: Name, tmp_path: Path) -> None:
    DRAW[name](tmp_path / "copy")
    data = opened(name, tmp_path / "copy")
    classes, normals = EXPECTED[name]
    assert counted(data) == classes
    assert list(data.class_names) == list(classes)
    assert len(data.normal_records) == normals
    for record in data.records:
        has_mask = name in WITH_MASKS and data.class_names[record.label or 0] != "good"
        assert (record.mask is not None) == has_mask, record
    batches = list(data.test_dataloader())
    assert sum(len(batch["image"]) for batch in batches) == len(data.records)
    if name in WITH_MASKS:
        for batch in batches:
            marked = batch["mask"].flatten(1).sum(1) > 0
            good = torch.tensor([data.class_names[target] == "good" for target in batch["target"]])
            assert torch.equal(marked, ~good)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_archive_of_a_tiny_copy_is_read_alike(name: Name, tmp_path: Path) -> None:
    DRAW[name](tmp_path / "copy")
    archive = shutil.make_archive(str(tmp_path / "mine"), "tar", tmp_path / "copy")
    assert counted(opened(name, Path(archive))) == EXPECTED[name][0]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("visa", "bent + scratch"),
        ("mvtec_loco", "1_additional_pushpin + missing_pushpin"),
        ("gc10_det", "inclusion + silk spot"),
    ],
)
def test_images_of_several_types_are_left_out_with_a_notice_or_kept(name: Name, kept: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path)
    data = opened(name, tmp_path)
    assert kept not in data.class_names
    assert [n for n in data.notices if re.match(r"left out: 1 image with several types .*data\.several keep", n)]
    data = opened(name, tmp_path, several="keep")
    assert counted(data)[kept] == 1
    # Its mask marks both defects, also where levels are numbers of types and far below white.
    if name in WITH_MASKS:
        (position,) = (i for i, record in enumerate(data.records) if data.class_names[record.label or 0] == kept)
        sample = data.test_dataloader().dataset[position]
        assert sample["mask"][0, :, :11].sum() > 0
        assert sample["mask"][0, :, 16:].sum() > 0


def test_images_without_boxes_or_one_mask_are_left_out_with_a_notice(tmp_path: Path) -> None:
    DRAW["gc10_det"](tmp_path / "gc10")
    # An image that lies in two folders counts once.
    assert any(
        "left out: 1 image without boxes, '" in n and "7/f.jpg" in n
        for n in opened("gc10_det", tmp_path / "gc10").notices
    )
    DRAW["aitex"](tmp_path / "aitex")
    (notice,) = (n for n in opened("aitex", tmp_path / "aitex").notices if "mask" in n)
    assert notice.startswith("left out: 2 images without one mask each, ")
    # Where there are none, nothing is said.
    for image in (
        "gc10/7/f.jpg",
        "gc10/8/c.jpg",
        "aitex/Defect_images/0044_019_04.png",
        "aitex/Defect_images/0100_025_08.png",
    ):
        (tmp_path / image).unlink()
    for name in ("gc10", "aitex"):
        found = opened("gc10_det" if name == "gc10" else "aitex", tmp_path / name).notices
        assert not [n for n in found if "images without" in n or "missing" in n]


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    DRAW["neu_det"](tmp_path)
    # Its own files of boxes are none to be told of.
    assert not opened("neu_det", tmp_path).notices
    (tmp_path / "crazing_3.heic").touch()
    assert "of kinds that are not read (1 .heic)" in opened("neu_det", tmp_path).notices[0]
    DRAW["gc10_det"](tmp_path / "gc10")
    (tmp_path / "gc10/1/b.heic").touch()
    (notice,) = (notice for notice in opened("gc10_det", tmp_path / "gc10").notices if "kinds that" in notice)
    assert notice.endswith("(1 .heic)")


@pytest.mark.parametrize(
    ("name", "place"), [("visa", "pcb1/Data/Images/Anomaly"), ("infrared_solar_modules", "InfraredSolarModules/images")]
)
def test_images_that_an_index_does_not_name_are_counted(name: Name, place: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path)
    assert not [notice for notice in opened(name, tmp_path).notices if "does not name" in notice]
    photograph(tmp_path / place / "unknown.png")
    (notice,) = (notice for notice in opened(name, tmp_path).notices if "does not name" in notice)
    assert notice.startswith("left out: 1 image in")


def test_files_that_macos_lays_beside_others_are_passed_over(tmp_path: Path) -> None:
    name = "PCBData/group00041/00041_not/00041000.txt"
    DRAW["deep_pcb"](tmp_path / "pcb")
    DRAW["mpdd"](tmp_path / "mpdd/archive")
    for file in (f"pcb/__MACOSX/{name}", f"pcb/DeepPCB-master/{name}", "mpdd/__MACOSX/bracket_black/test/good/000.png"):
        hidden = (tmp_path / file).with_name(f"._{Path(file).name}")
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(b"\0\5\x16\7Mac OS X")
    assert counted(opened("deep_pcb", tmp_path / "pcb")) == EXPECTED["deep_pcb"][0]
    assert counted(opened("mpdd", tmp_path / "mpdd")) == EXPECTED["mpdd"][0]


def test_deep_pcb_is_found_behind_a_link(tmp_path: Path) -> None:
    DRAW["deep_pcb"](tmp_path / "far")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "PCBData").symlink_to(tmp_path / "far/DeepPCB-master/PCBData")
    assert counted(opened("deep_pcb", tmp_path / "near")) == EXPECTED["deep_pcb"][0]


def test_files_of_boxes_may_end_in_capitals(tmp_path: Path) -> None:
    DRAW["gc10_det"](tmp_path)
    (tmp_path / "lable/a.xml").rename(tmp_path / "lable/a.XML")
    assert counted(opened("gc10_det", tmp_path)) == EXPECTED["gc10_det"][0]


def test_what_was_not_prepared_is_said_to_be_that(tmp_path: Path) -> None:
    DRAW["deep_pcb"](tmp_path / "copy")
    archive = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path / "copy"))
    for root, told in ((tmp_path / "copy", "not cut out yet"), (archive, "mine' does not exist")):
        with pytest.raises(FileNotFoundError, match=rf"{told}: call prepare_data\(\) first"):
            PublicDataset("deep_pcb", root).setup()
    for data in (MVTecAD(archive), MTD(archive)):
        with pytest.raises(FileNotFoundError, match=r"mine' does not exist: call prepare_data\(\) first"):
            data.setup()


def test_an_archive_may_end_in_capitals_and_another_file_is_named(tmp_path: Path) -> None:
    DRAW["mpdd"](tmp_path / "copy")
    archive = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path / "copy"))
    assert counted(opened("mpdd", archive.rename(tmp_path / "MINE.ZIP"))) == EXPECTED["mpdd"][0]
    (tmp_path / "mine.7z").touch()
    for name in ("mpdd", "real_iad"):
        with pytest.raises(NotADirectoryError, match=r"is a file, and none of the archives that are read \(\.zip, "):
            opened(name, tmp_path / "mine.7z")  # type: ignore[arg-type]


def test_a_category_is_found_below_beside_an_empty_folder_of_its_name(tmp_path: Path) -> None:
    DRAW["mpdd"](tmp_path / "archive")
    (tmp_path / "bracket_black").mkdir()
    assert counted(opened("mpdd", tmp_path)) == EXPECTED["mpdd"][0]


def test_boxes_whose_image_is_missing_are_told(tmp_path: Path) -> None:
    DRAW["gc10_det"](tmp_path)
    (tmp_path / "1/a.jpg").unlink()
    (notice,) = (n for n in opened("gc10_det", tmp_path).notices if "missing" in n)
    assert notice == f"missing: the images of 1 file of boxes, '{tmp_path / 'lable/a.xml'}' for one"


def test_the_archive_that_github_makes_of_x_sdd_is_read(tmp_path: Path) -> None:
    DRAW["x_sdd"](tmp_path / "x" / "X-SDD-A-New-benchmark-main")
    assert len(opened("x_sdd", tmp_path / "x").records) == 14


def test_cut_outs_show_each_defect_in_the_middle_and_lie_within_the_board(tmp_path: Path) -> None:
    DRAW["deep_pcb"](tmp_path / "copy")
    data = opened("deep_pcb", tmp_path / "copy")
    with Image.open(tmp_path / "copy/DeepPCB-master/PCBData/group00041/00041/00041000_test.jpg") as board:
        expected = board.crop((479 - 64, 455 - 64, 479 + 64, 455 + 64))
    (mousebite,) = (record.image for record in data.records if "mousebite" in record.image.parts)
    with Image.open(mousebite) as found:
        assert found.tobytes() == expected.tobytes()
    for record in [*data.records, *data.normal_records]:
        with Image.open(record.image) as image:
            assert image.size == (128, 128)
            # At the rim the square moves inwards; nothing is filled up with black.
            assert min(low for low, _ in image.getextrema()) > 0
    # Once written they stay, until the annotations change.
    times = {record.image: record.image.stat().st_mtime_ns for record in data.records}
    assert {
        record.image: record.image.stat().st_mtime_ns for record in opened("deep_pcb", tmp_path / "copy").records
    } == times
    annotation = tmp_path / "copy/DeepPCB-master/PCBData/group00041/00041_not/00041001.txt"
    annotation.write_text("5 5 25 25 1\n")
    assert counted(opened("deep_pcb", tmp_path / "copy")) == {"mousebite": 1, "open": 1, "short": 1}
    # Or the images.
    template = tmp_path / "copy/DeepPCB-master/PCBData/group00041/00041/00041001_temp.jpg"
    Image.new("RGB", (640, 640), "white").save(template)
    (normal,) = (r.image for r in opened("deep_pcb", tmp_path / "copy").normal_records if "00041001" in r.image.name)
    with Image.open(normal) as image:
        assert image.getextrema() == ((255, 255),) * 3


def test_a_mask_of_numbers_marks_all_but_the_background(tmp_path: Path) -> None:
    # As VisA has them: 3 and 1 would both be below half of white.
    marked = read_mask(mask(tmp_path / "numbers.png", 1, 3), (48, 48))
    assert marked.sum() == 64
    # As MVTec LOCO has them: one file a defect.
    for i, values in enumerate([(254,), (0, 254)]):
        mask(tmp_path / "folder" / f"{i}.png", *values)
    assert read_mask(tmp_path / "folder", (48, 48)).sum() == 64
    # Of more levels than two with some above half, the others are soft edges, as before.
    assert read_mask(mask(tmp_path / "soft.png", 100, 255), (48, 48)).sum() == 32


@pytest.mark.parametrize("name", ["visa", "infrared_solar_modules", "deep_pcb"])
def test_a_config_takes_a_tiny_copy_from_end_to_end(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    DRAW[name](tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    category = ["--data.category", CATEGORY[name]] if name in CATEGORY else []
    main(
        [
            *(
                "test",
                "-c",
                str(ROOT / "configs/mic/weighted_average.yaml"),
                "-c",
                str(ROOT / f"configs/data/{name}.yaml"),
            ),
            *("--data.root", "copy", *category, "--data.image_size", "64", "--data.num_workers", "0"),
            *("--model.backbone", "embedded", "--trainer.accelerator", "cpu"),
        ]
    )
    assert "NMI" in capsys.readouterr().out
    assert (tmp_path / "runs/test/report.html").is_file()
