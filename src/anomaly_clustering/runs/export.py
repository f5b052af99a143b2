"""Labelled images in; a folder that other tools train from out: folders by class, COCO or YOLO classification."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

from anomaly_clustering.files import mark, whole_folder
from anomaly_clustering.runs.labels import Labelled

Layout = Literal["folders", "coco", "yolo-cls"]
NOT_IN_NAMES = set('/\\:*?"<>|')
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}


class Item(NamedTuple):
    """An image with a class, and the name of its copy.

    Attributes:
        path: of the image.
        label: name of its class.
        name: of the copy, told apart by a number from those of the same name in other folders.

    Example:
        >>> Item(Path("photos/a.png"), "dent", "0-a.png").name
        '0-a.png'
    """

    path: Path
    label: str
    name: str


def export(labels: Sequence[Labelled], out: Path, layout: Layout, *, val_fraction: float = 0.2, seed: int = 0) -> int:
    """Copy the images that have a name and are not unsure into a new folder, as other tools expect them.

    folders: OUT/CLASS/IMAGE. coco: OUT/images/IMAGE and OUT/annotations.json, one box around the whole of each image,
    since COCO knows no class of an image. yolo-cls: OUT/train/CLASS/IMAGE and OUT/val/CLASS/IMAGE.

    Args:
        labels: as saved from the report.
        out: a folder that is new or empty.
        layout: one of the three.
        val_fraction: share of each class that goes to val, for 'yolo-cls'.
        seed: draws them.

    Returns:
        How many images were left out.

    Raises:
        ValueError: the layout has another name; `val_fraction` is not at least 0 and below 1; no image has a label; or,
            where the layout makes folders of labels, one cannot be the name of a folder, or two would be the same.
        FileExistsError: `out` holds something.
        FileNotFoundError: an image is no longer where it was.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = Path(folder) / "a.png"
        ...     Image.new("L", (8, 8)).save(image)
        ...     left_out = export([Labelled(image, 0, "dent", False)], Path(folder) / "out", "folders")
        ...     left_out, [str(file.relative_to(folder)) for file in Path(folder).glob("out/*/*")]
        (0, ['out/dent/a.png'])
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {tuple(LAYOUTS)}, got {layout!r}")
    if not 0 <= val_fraction < 1:
        raise ValueError(f"val_fraction must be at least 0 and below 1, got {val_fraction}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{str(out)!r} exists; choose another folder with --out")
    items = _items(labels)
    if layout != "coco":
        _check_names(items)
    with whole_folder(out) as folder:
        LAYOUTS[layout](items, folder, val_fraction, seed)
        mark(folder)
    return len(labels) - len(items)


def _items(labels: Sequence[Labelled]) -> list[Item]:
    chosen = [image for image in labels if image.label and not image.unsure]
    if not chosen:
        raise ValueError(
            f"none of the {len(labels)} images has a label that is sure: name clusters in the report first"
        )
    for image in chosen:
        if not image.path.is_file():
            raise FileNotFoundError(
                f"image {str(image.path)!r} is not there; run the command where `anomaly-clustering cluster` was run, "
                "or mark the image as unsure in the report"
            )
    names = _names([image.path.name for image in chosen])
    return [Item(image.path, image.label, name) for image, name in zip(chosen, names, strict=True)]


def _names(originals: Sequence[str]) -> list[str]:
    """A name for each copy, no two alike on any file system: its own, or, where images of several folders have the
    same, with the first number before it that gives a name which nobody has."""
    often = Counter(name.casefold() for name in originals)
    taken = {name for name, times in often.items() if times == 1}
    names = []
    for i, name in enumerate(originals):
        new = name
        if often[name.casefold()] > 1:
            new = next(f"{k}-{name}" for k in count(i) if f"{k}-{name}".casefold() not in taken)
            taken.add(new.casefold())
        names.append(new)
    return names


def _check_names(items: Sequence[Item]) -> None:
    labels = sorted({item.label for item in items})
    bad = [name for name in labels if not _can_be_a_folder(name)]
    if bad:
        raise ValueError(
            f"{', '.join(map(repr, bad))} cannot be the name of a folder; rename the cluster in the report, or use the "
            "layout coco"
        )
    first: dict[str, str] = {}
    for name in labels:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(
                f"{other!r} and {name!r} are one folder on Windows and macOS; give both clusters the same name in the "
                "report, or names that differ in more than capitals"
            )


def _can_be_a_folder(name: str) -> bool:
    """On any system: Windows has names for devices, and drops what is at the end."""
    device = name.partition(".")[0].rstrip().upper() in DEVICES
    return not (device or name[0] == "." or name[-1] in ". " or set(name) & NOT_IN_NAMES or not name.isprintable())


def _folders(items: Sequence[Item], folder: Path, val_fraction: float, seed: int) -> None:
    for item in items:
        _copy(item, folder / item.label)


def _coco(items: Sequence[Item], folder: Path, val_fraction: float, seed: int) -> None:
    # Here, since NumPy and Pillow take longer than all that --help needs of this file.
    from anomaly_clustering.data.opening import image_size

    names = sorted({item.label for item in items})
    images, boxes = [], []
    for number, item in enumerate(items, start=1):
        _copy(item, folder / "images")
        width, height = image_size(item.path)
        images.append({"id": number, "file_name": item.name, "width": width, "height": height})
        boxes.append(
            {
                "id": number,
                "image_id": number,
                "category_id": names.index(item.label) + 1,
                "bbox": [0, 0, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
        )
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content, indent=1) + "\n")


def _yolo(items: Sequence[Item], folder: Path, val_fraction: float, seed: int) -> None:
    """Both parts hold each class, as training needs; where a class has one image alone, each part has a copy of it."""
    for label in sorted({item.label for item in items}):
        own = [item for item in items if item.label == label]
        random.Random(seed).shuffle(own)
        num_val = max(1, round(val_fraction * len(own))) if val_fraction else 0
        for item in own[:num_val]:
            _copy(item, folder / "val" / label)
        for item in own[num_val:] or own:
            _copy(item, folder / "train" / label)


LAYOUTS: dict[str, Callable[[Sequence[Item], Path, float, int], None]] = {
    "folders": _folders,
    "coco": _coco,
    "yolo-cls": _yolo,
}


def _copy(item: Item, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / item.name
    assert not target.exists(), target
    shutil.copy2(item.path, target)
