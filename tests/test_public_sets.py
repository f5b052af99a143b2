"""Every public data set is read from a tiny copy in its real layout, and a damaged copy says what is wrong with it."""

import json
import os
import pickle
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image
from tiny_copies import CATEGORY, DRAW, mask, photograph

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import PublicDataset
from anomaly_clustering.data.images import read_mask
from anomaly_clustering.data.sets.known import DATA_SETS, Name

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


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(name: Name, root: Path, **options: object) -> PublicDataset:
    data = PublicDataset(name, root, category=CATEGORY.get(name), image_size=64, num_workers=0, **options)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def counted(data: PublicDataset) -> dict[str, int]:
    found = Counter(data.class_names[record.label] for record in data.records if record.label is not None)
    return {name: found[name] for name in data.class_names}


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
    assert [n for n in data.notices if re.match(r"left out: 1 images that show several types .*data\.several keep", n)]
    data = opened(name, tmp_path, several="keep")
    assert counted(data)[kept] == 1
    # Its mask marks both defects, also where levels are numbers of types and far below white.
    if name in WITH_MASKS:
        (position,) = (i for i, record in enumerate(data.records) if data.class_names[record.label or 0] == kept)
        sample = data.test_dataloader().dataset[position]
        assert sample["mask"][0, :, :11].sum() > 0
        assert sample["mask"][0, :, 16:].sum() > 0


def test_every_owner_s_terms_are_told_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = {name for name, known in DATA_SETS.items() if known.url}
    assert offered == {"visa", "mvtec_loco", "infrared_solar_modules", "deep_pcb"}

    class Reached(Exception):
        pass

    def reach(*_: object, **__: object) -> None:
        raise Reached

    monkeypatch.setattr(torch.hub, "download_url_to_file", reach)
    for name in sorted(offered):
        data = PublicDataset(name, tmp_path / name, category=CATEGORY.get(name), download=True)
        with pytest.raises(Reached):
            data.prepare_data()
        assert capsys.readouterr().err == f"Downloading {DATA_SETS[name].terms}\n"
    for name in sorted(DATA_SETS.keys() - offered):
        with pytest.raises(ValueError, match=rf"owner of {name} offers no download.*Get .* from http.*data\.root"):
            PublicDataset(name, tmp_path / name, category=CATEGORY.get(name), download=True)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_not_there_says_where_to_get_it(name: Name, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"absent' does not exist\. Get .*{DATA_SETS[name].page}.*data\.root"
    ) as told:
        opened(name, tmp_path / "absent")
    assert ("data.download" in str(told.value)) == bool(DATA_SETS[name].url)
    # Another data set, or an empty folder, is not taken for it.
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match="empty"):
        opened(name, tmp_path / "empty")


@pytest.mark.usefixtures("unchecked_types")
def test_options_that_a_data_set_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name must be one of aitex, .*, got 'imagenet'"):
        PublicDataset("imagenet", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"visa has several products.*data\.category, one of candle, "):
        PublicDataset("visa", tmp_path)
    with pytest.raises(ValueError, match=r"neu_det has no categories; leave data\.category 'pcb1' out"):
        PublicDataset("neu_det", tmp_path, category="pcb1")
    with pytest.raises(ValueError, match=r"an image of mpdd has one type alone; leave data\.several out"):
        PublicDataset("mpdd", tmp_path, category="tubes", several="keep")


@pytest.mark.parametrize(
    ("name", "there"),
    [("visa", "pcb1"), ("mvtec_loco", "pushpins"), ("mpdd", "bracket_black"), ("real_iad", "usb")],
)
def test_an_unknown_category_lists_those_there(name: Name, there: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"category 'other'.*it has \['{there}'\]"):
        PublicDataset(name, tmp_path, category="other").setup()


def cut(path: Path) -> None:
    """As where a copy was interrupted."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "lost", "told"),
    [
        ("visa", "pcb1/image_anno.csv", r"no category 'pcb1' with 'image_anno\.csv' in it"),
        ("visa", "split_csv/1cls.csv", r"there is no '.*1cls\.csv', VisA's split; the copy is not complete"),
        (
            "visa",
            "pcb1/Data/Images/Anomaly/001.JPG",
            r"1 of the 12 files that '.*image_anno\.csv' names are missing.*001",
        ),
        ("visa", "pcb1/Data/Masks/Anomaly/001.png", r"names are missing, '.*Masks/Anomaly/001\.png' for one; the copy"),
        ("mvtec_loco", "pushpins/defects_config.json", r"no category 'pushpins' with 'defects_config\.json' in it"),
        (
            "mvtec_loco",
            "pushpins/ground_truth/logical_anomalies/001/000.png",
            r"masks of '.*logical_anomalies/001\.png' are missing: there are none in '.*001'",
        ),
        ("mpdd", "bracket_black/ground_truth/hole/001_mask.png", r"mask of '.*hole/001\.png' is missing"),
        ("real_iad", "realiad_jsons/realiad_jsons/usb.json", r"no index of category 'usb': there is no '.*usb'\.json"),
        (
            "real_iad",
            "realiad_1024/usb/NG/QS/S0004/usb_0004_NG_QS_C2_20230917.jpg",
            r"1 of the 40 files that '.*usb\.json' names are missing",
        ),
        (
            "infrared_solar_modules",
            "InfraredSolarModules/module_metadata.json",
            r"there is no '.*', the index of InfraredSolarModules",
        ),
        (
            "infrared_solar_modules",
            "InfraredSolarModules/images/3.jpg",
            r"1 of the 7 files that .* missing, '.*3\.jpg'",
        ),
        (
            "deep_pcb",
            "DeepPCB-master/PCBData/group00041/00041/00041001_temp.jpg",
            r"1 of the 4 files that .*001_temp\.jpg",
        ),
    ],
)
def test_a_copy_that_lacks_a_file_names_it(name: Name, lost: str, told: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(FileNotFoundError, match=told):
        opened(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "damaged", "told"),
    [
        ("mvtec_loco", "pushpins/defects_config.json", r"list of defects, '.*defects_config\.json', is no JSON"),
        ("real_iad", "realiad_jsons/realiad_jsons/usb.json", r"Real-IAD's index, '.*usb\.json', is no JSON"),
        (
            "infrared_solar_modules",
            "InfraredSolarModules/module_metadata.json",
            r"'.*module_metadata\.json', is no JSON",
        ),
        ("gc10_det", "lable/a.xml", r"an annotation, '.*a\.xml', is no XML"),
    ],
)
def test_an_index_that_is_cut_off_is_named(name: Name, damaged: str, told: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path)
    cut(tmp_path / damaged)
    with pytest.raises(ValueError, match=f"{told}.*unpack or download it again"):
        opened(name, tmp_path)


def test_a_table_that_is_cut_off_is_named(tmp_path: Path) -> None:
    DRAW["visa"](tmp_path)
    index = tmp_path / "pcb1" / "image_anno.csv"
    index.write_text(index.read_text().partition(",scratch,")[0])
    with pytest.raises(ValueError, match=r"line 3 of VisA's index, '.*image_anno\.csv', has no image or no label"):
        opened("visa", tmp_path)


@pytest.mark.parametrize(
    ("name", "index", "content", "told"),
    [
        (
            "visa",
            "pcb1/image_anno.csv",
            "image;kind\n0.png;bent\n",
            r"VisA's index, '.*', has no column 'label'; it has 'image'",
        ),
        ("visa", "pcb1/image_anno.csv", "", r"has no column 'image', 'label'; it has no rows"),
        (
            "mvtec_loco",
            "pushpins/defects_config.json",
            '{"defect_name": 1}',
            r"no list of defects with 'defect_name' and",
        ),
        ("mvtec_loco", "pushpins/defects_config.json", "[]", r"has the grey value 255, to which .* gives no name"),
        (
            "real_iad",
            "realiad_jsons/realiad_jsons/usb.json",
            "[1]",
            r"is not as it should be: it has 'meta', 'train' and 'test'",
        ),
        (
            "real_iad",
            "realiad_jsons/realiad_jsons/usb.json",
            '{"meta": {"normal_class": "OK"}, "train": [], "test": [{}]}',
            r"is not as it should be.*'anomaly_class'",
        ),
        (
            "infrared_solar_modules",
            "InfraredSolarModules/module_metadata.json",
            '{"0": {"image_filepath": "images/0.jpg"}}',
            r"is not as it should be: each image has .*'anomaly_class'",
        ),
        (
            "gc10_det",
            "lable/a.xml",
            "<annotation><object><name>dent</name></object></annotation>",
            r"boxes of type 'dent'",
        ),
        ("gc10_det", "lable/a.xml", "<annotation><object></object></annotation>", r"a box without a name"),
        (
            "deep_pcb",
            "DeepPCB-master/PCBData/group00041/00041_not/00041001.txt",
            "1 2 3 4 7",
            r"line 1 .* is no box.*1 to 6",
        ),
        (
            "deep_pcb",
            "DeepPCB-master/PCBData/group00041/00041_not/00041001.txt",
            "1 2 3 x 1",
            r"line 1 .* is no box.*'1 2 3 x 1'",
        ),
    ],
)
def test_an_index_that_is_none_says_what_was_expected(
    name: Name, index: str, content: str, told: str, tmp_path: Path
) -> None:
    DRAW[name](tmp_path)
    (tmp_path / index).write_text(content)
    with pytest.raises(ValueError, match=told):
        opened(name, tmp_path)


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "/etc/passwd", "images/../../secret.jpg", "C:\\secret.jpg", "", 3, None]
)
def test_an_index_that_names_paths_elsewhere_is_refused(path: object, tmp_path: Path) -> None:
    photograph(tmp_path / "secret.jpg")
    DRAW["infrared_solar_modules"](tmp_path / "copy")
    index = tmp_path / "copy/InfraredSolarModules/module_metadata.json"
    index.write_text(json.dumps({"0": {"image_filepath": path, "anomaly_class": "Cell"}}))
    with pytest.raises(ValueError, match=r"which is no path below '.*copy/InfraredSolarModules'"):
        opened("infrared_solar_modules", tmp_path / "copy")


def test_images_that_are_not_named_by_their_type_are_named(tmp_path: Path) -> None:
    DRAW["neu_det"](tmp_path / "neu")
    photograph(tmp_path / "neu" / "IMG_0001.jpg")
    with pytest.raises(ValueError, match=r"IMG_0001\.jpg' is not named as NEU-DET's images are, TYPE_NUMBER\.jpg"):
        opened("neu_det", tmp_path / "neu")
    DRAW["aitex"](tmp_path / "aitex")
    photograph(tmp_path / "aitex" / "Defect_images" / "1.png")
    with pytest.raises(ValueError, match=r"1\.png' is not named as AITEX's images are, NUMBER_TYPE_FABRIC\.png"):
        opened("aitex", tmp_path / "aitex")


def test_images_without_boxes_or_one_mask_are_left_out_with_a_notice(tmp_path: Path) -> None:
    DRAW["gc10_det"](tmp_path / "gc10")
    # An image that lies in two folders counts once.
    assert any(
        "left out: 1 images without boxes, '" in n and "7/f.jpg" in n
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
        assert not [n for n in found if "images without" in n]


def test_a_folder_that_a_data_set_of_folders_lacks_is_named(tmp_path: Path) -> None:
    DRAW["x_sdd"](tmp_path / "x")
    shutil.rmtree(tmp_path / "x/X-SDD/datas/red iron")
    with pytest.raises(FileNotFoundError, match=r"datas' is not X-SDD: it has no folder 'red iron'"):
        opened("x_sdd", tmp_path / "x" / "X-SDD")
    DRAW["aitex"](tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "Mask_images")
    with pytest.raises(FileNotFoundError, match=r"is not AITEX's data: it has no Mask_images"):
        opened("aitex", tmp_path / "a")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "harmed"),))

    (tmp_path / "LSWMD.pkl").write_bytes(pickle.dumps(Harm()))
    for root in (tmp_path, tmp_path / "LSWMD.pkl"):
        with pytest.raises(ValueError, match=r"LSWMD\.pkl' is a pickle, which can run any program.*docs/data_sets\.md"):
            opened("wm811k", root)
    assert not (tmp_path / "harmed").exists()


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
