"""Public data sets whose copy is damaged, of another kind or hostile: what is wrong is told with the file's name."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from tiny_copies import DRAW, opened, photograph

from anomaly_clustering.data.sets.known import Name

pytestmark = pytest.mark.usefixtures("own_cache")


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
            r"1 of the 12 files that '.*image_anno\.csv' names is missing.*001",
        ),
        ("visa", "pcb1/Data/Masks/Anomaly/001.png", r"names is missing, '.*Masks/Anomaly/001\.png' for one; the copy"),
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
            r"1 of the 40 files that '.*usb\.json' names is missing",
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


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (",bent,pcb1/Data/Masks/Anomaly/000.png", ", ,pcb1/Data/Masks/Anomaly/000.png"),
        ("pcb1/Data/Masks/Anomaly/000.png", ""),
    ],
)
def test_an_anomaly_without_a_label_or_a_mask_is_not_taken_for_a_normal_image(
    cell: str, told: str, tmp_path: Path
) -> None:
    DRAW["visa"](tmp_path)
    index = tmp_path / "pcb1" / "image_anno.csv"
    text = index.read_text()
    assert cell in text
    index.write_text(text.replace(cell, told))
    with pytest.raises(ValueError, match=r"of 1 image.*000\.JPG' for one"):
        opened("visa", tmp_path)


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
