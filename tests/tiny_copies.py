"""Draws tiny copies of public data sets in the layouts of their archives, a few images of each kind; opens them."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from anomaly_clustering.data import PublicDataset
from anomaly_clustering.data.sets.known import Name


def photograph(path: Path, seed: int = 0, size: tuple[int, int] = (48, 48)) -> Path:
    """Noise, so that no two images have the same content."""
    pixels = np.random.default_rng([seed, *"/".join(path.parts[-3:]).encode()]).integers(
        90, 160, (size[1], size[0], 3), dtype=np.uint8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def mask(path: Path, *values: int, size: tuple[int, int] = (48, 48)) -> Path:
    """A column of 4 x 8 pixels for each value."""
    pixels = np.zeros((size[1], size[0]), np.uint8)
    for i, value in enumerate(values):
        pixels[4:12, 4 + 8 * i : 8 + 8 * i] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def visa(root: Path) -> None:
    labels = ["bent", "scratch", "bent,scratch", "melt"]
    annotations, split = [], []
    for i, label in enumerate(labels):
        image, marked = (
            f"pcb1/Data/{kind}/Anomaly/{i:03d}.{ending}" for kind, ending in (("Images", "JPG"), ("Masks", "png"))
        )
        photograph(root / image)
        # Masks hold numbers of types.
        mask(root / marked, *([1, 3] if "," in label else [1]))
        annotations.append((image, label, marked))
        split.append(("pcb1", "test", "anomaly", image, marked))
    for i in range(4):
        image = f"pcb1/Data/Images/Normal/{i:04d}.JPG"
        photograph(root / image)
        annotations.append((image, "normal", ""))
        split.append(("pcb1", "train" if i < 3 else "test", "normal", image, ""))
    _table(root / "pcb1" / "image_anno.csv", ("image", "label", "mask"), annotations)
    _table(root / "split_csv" / "1cls.csv", ("object", "split", "label", "image", "mask"), split)


def mvtec_loco(root: Path) -> None:
    folder = root / "pushpins"
    names = {255: "1_additional_pushpin", 254: "missing_pushpin", 250: "contamination"}
    told = [
        {"defect_name": name, "pixel_value": value, "saturation_threshold": 1.0, "relative_saturation": True}
        for value, name in names.items()
    ]
    for i, values in enumerate([(255,), (254,), (254, 254), (255, 254)]):
        photograph(folder / "test/logical_anomalies" / f"{i:03d}.png")
        for k, value in enumerate(values):
            mask(folder / "ground_truth/logical_anomalies" / f"{i:03d}" / f"{k:03d}.png", *([0] * k), value)
    photograph(folder / "test/structural_anomalies/000.png")
    mask(folder / "ground_truth/structural_anomalies/000/000.png", 250)
    for i in range(2):
        photograph(folder / "test/good" / f"{i:03d}.png")
        photograph(folder / "train/good" / f"{i:03d}.png", seed=1)
        photograph(folder / "validation/good" / f"{i:03d}.png", seed=2)
    (folder / "defects_config.json").write_text(json.dumps(told))


def mpdd(root: Path) -> None:
    for name in ("good", "hole", "scratches"):
        for i in range(2):
            photograph(root / "bracket_black/test" / name / f"{i:03d}.png")
            if name != "good":
                mask(root / "bracket_black/ground_truth" / name / f"{i:03d}_mask.png", 255)
            photograph(root / "bracket_black/train/good" / f"{i:03d}.png", seed=1)


def real_iad(root: Path) -> None:
    def sample(code: str, number: int, camera: int) -> dict[str, str | None]:
        folder = "OK" if code == "OK" else f"NG/{code}"
        stem = f"{folder}/S{number:04d}/usb_{number:04d}_{'OK' if code == 'OK' else f'NG_{code}'}_C{camera}_20230917"
        photograph(root / "realiad_1024/usb" / f"{stem}.jpg")
        marked = None if code == "OK" else f"{stem}_mask.png"
        if marked:
            mask(root / "realiad_1024/usb" / marked, 255)
        return {"category": "usb", "anomaly_class": code, "image_path": f"{stem}.jpg", "mask_path": marked}

    tests = [("OK", 1), ("HS", 2), ("HS", 3), ("QS", 4)]
    for folder, cameras in (("realiad_jsons", range(1, 6)), ("realiad_jsons_sv", (1,))):
        told = {
            "meta": {"normal_class": "OK", "prefix": "usb/"},
            "train": [sample("OK", 9, camera) for camera in cameras],
            "test": [sample(code, number, camera) for code, number in tests for camera in cameras],
        }
        (root / "realiad_jsons" / folder).mkdir(parents=True, exist_ok=True)
        (root / "realiad_jsons" / folder / "usb.json").write_text(json.dumps(told))


def neu_det(root: Path) -> None:
    for name in ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"):
        for i in (1, 241):
            part = "train" if i == 1 else "validation"
            photograph(root / "NEU-DET" / part / "images" / name / f"{name}_{i}.jpg")
            _boxes(root / "NEU-DET" / part / "annotations" / f"{name}_{i}.xml", [name])


def gc10_det(root: Path) -> None:
    boxes = {
        **{"1/a": ["1_chongkong"], "2/b": ["2_hanfeng", "2_hanfeng"], "6/c": ["6_siban"], "10/d": ["10_yaozhed"]},
        **{"7/e": ["7_yiwu", "6_siban"], "7/f": None, "8/c": None},
    }
    for name, types in boxes.items():
        photograph(root / f"{name}.jpg", seed=1)
        if types is not None:
            _boxes(root / "lable" / f"{Path(name).name}.xml", types)


def x_sdd(root: Path) -> None:
    for name in (
        *("finishing roll printing", "iron sheet ash", "oxide scale of plate system"),
        *("oxide scale of temperature system", "red iron", "slag inclusion", "surface scratch"),
    ):
        for i in range(2):
            photograph(root / "X-SDD" / "datas" / name / f"{name}{6001 + i}.png")


def infrared_solar_modules(root: Path) -> None:
    classes = ["No-Anomaly", "No-Anomaly", "Cell", "Cell-Multi", "Diode", "Diode", "Hot-Spot"]
    for i in range(len(classes)):
        photograph(root / "InfraredSolarModules/images" / f"{i}.jpg", size=(24, 40))
    told = {str(i): {"image_filepath": f"images/{i}.jpg", "anomaly_class": name} for i, name in enumerate(classes)}
    (root / "InfraredSolarModules/module_metadata.json").write_text(json.dumps(told))


def deep_pcb(root: Path) -> None:
    folder = root / "DeepPCB-master/PCBData/group00041"
    for name, lines in {
        "00041000": "466 441 493 470 3\n454 300 493 396 2\n",
        "00041001": "5 5 25 25 1\n600 600 630 630 6\n",
    }.items():
        photograph(folder / "00041" / f"{name}_test.jpg", size=(640, 640))
        photograph(folder / "00041" / f"{name}_temp.jpg", size=(640, 640))
        (folder / "00041_not").mkdir(exist_ok=True)
        (folder / "00041_not" / f"{name}.txt").write_text(lines)


def aitex(root: Path) -> None:
    for name in ("0001_002_00", "0002_002_00", "0010_019_04", "0094_027_05", "0044_019_04", "0100_025_08"):
        photograph(root / "Defect_images" / f"{name}.png", size=(256, 32))
    for name in ("0001_002_00", "0002_002_00", "0010_019_04", "0094_027_05"):
        mask(root / "Mask_images" / f"{name}_mask.png", 255, size=(256, 32))
    # One of the two that have two masks, and the one that has none.
    for i in (1, 2):
        mask(root / "Mask_images" / f"0044_019_04_mask{i}.png", 255, size=(256, 32))
    for i in range(2):
        photograph(root / "NODefect_images/2306881-210020u" / f"000{i}_000_02.png", size=(256, 32))


def wm811k(root: Path) -> None:
    for name in ("Center", "Donut", "Edge-Loc", "Edge-Ring", "Loc", "Near-full", "Random", "Scratch", "none"):
        for i in range(2):
            photograph(root / name / f"{name}{i}.png")


def _table(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def _boxes(path: Path, names: list[str]) -> None:
    """As labelImg writes them."""
    objects = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
        "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"
        for name in names
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><folder>x</folder><filename>{path.stem}.jpg</filename>{objects}</annotation>")


DRAW: dict[str, Callable[[Path], None]] = {
    "visa": visa,
    "mvtec_loco": mvtec_loco,
    "mpdd": mpdd,
    "real_iad": real_iad,
    "real_iad_from_above": real_iad,
    "neu_det": neu_det,
    "gc10_det": gc10_det,
    "x_sdd": x_sdd,
    "infrared_solar_modules": infrared_solar_modules,
    "deep_pcb": deep_pcb,
    "aitex": aitex,
    "wm811k": wm811k,
}
CATEGORY = {
    "visa": "pcb1",
    "mvtec_loco": "pushpins",
    "mpdd": "bracket_black",
    "real_iad": "usb",
    "real_iad_from_above": "usb",
}


def opened(name: Name, root: Path, **options: object) -> PublicDataset:
    data = PublicDataset(name, root, category=CATEGORY.get(name), image_size=64, num_workers=0, **options)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def counted(data: PublicDataset) -> dict[str, int]:
    found = Counter(data.class_names[record.label] for record in data.records if record.label is not None)
    return {name: found[name] for name in data.class_names}
