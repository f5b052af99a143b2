"""Labelled images in; a folder that other tools train from, or that annotation tools import, out."""

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import yaml

from anomaly_clustering.data.opening import read_header
from anomaly_clustering.runs.annotations import (
    Item,
    Region,
    coco,
    cvat,
    cvat_labels,
    label_studio,
    label_studio_config,
    yolo,
)
from anomaly_clustering.runs.export_layouts import BY_FOLDER, IN_XML, NAMED_IN_XML, OF_REGIONS, ExportLayout
from anomaly_clustering.runs.export_names import check_folders, check_xml, names_of_copies
from anomaly_clustering.runs.exported_images import is_sound, is_what_was_seen
from anomaly_clustering.runs.given_folders import check_given
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.files import mark, real_path, remove_leftovers
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.locks import working_on
from anomaly_clustering.system.whole_numbers import seed_number


class _Options(NamedTuple):
    """How the files are laid out, see `export`."""

    val_fraction: float
    seed: int
    boxes: bool


def export(
    labels: Sequence[Labelled],
    out: Path | str,
    layout: ExportLayout,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    regions: Mapping[Path, Sequence[Region]] | None = None,
    boxes: bool = False,
    folders: Sequence[Path | str] | None = None,
    contents: Mapping[Path, str] | None = None,
) -> int:
    """Copy the images that have a name and are not unsure into a new folder, as other tools expect them.

    folders: OUT/CLASS/IMAGE. yolo-cls: OUT/train/CLASS/IMAGE and OUT/val/CLASS/IMAGE. coco: OUT/images/IMAGE and
    OUT/annotations.json; without regions one box around the whole of each image, since COCO knows no class of an image.
    yolo-det and yolo-seg: OUT/images/train/IMAGE, OUT/labels/train/NAME.txt, the same for val, and OUT/data.yaml.
    label-studio: OUT/images/IMAGE, OUT/tasks.json and OUT/label_config.xml. cvat: OUT/images/IMAGE, OUT/annotations.xml
    and OUT/labels.json.

    Args:
        labels: as saved from the report.
        out: a folder that is new or empty.
        layout: one of those above.
        val_fraction: share of each class that goes to val, for the layouts of YOLO.
        seed: draws them.
        regions: where the heat map of each image shows a defect, see `run_regions`; images labelled good, normal or ok
            have none whatever it shows.
        boxes: for label-studio and cvat: boxes in place of polygons.
        folders: in which the images may lie, after links are followed; None for the working directory. Labels of
            somebody else could name any file.
        contents: SHA-256 of the images of a run, which may lie anywhere while they are the same, see `check_given`.
            What `labels` tell of a content counts in any case.

    Returns:
        How many images were left out.

    Raises:
        ValueError: the layout has another name, or does not go with `regions` or without; `val_fraction` is not at
            least 0 and below 1; no image has a label; an image is not among `regions`; or a label or name is one that
            the layout cannot have; or what it names is no image, or another one than its label was given for.
        FileExistsError: `out` holds something.
        BlockingIOError: another process writes to it.
        FileNotFoundError: an image is no longer where it was.
        PermissionError: an image lies outside of the folders.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = Path(folder) / "a.png"
        ...     Image.new("L", (8, 8)).save(image)
        ...     labels, out = [Labelled(image, 0, "dent", False)], Path(folder) / "out"
        ...     left_out = export(labels, out, "folders", folders=[Path(folder)])
        ...     left_out, [str(file.relative_to(folder)) for file in Path(folder).glob("out/*/*")]
        (0, ['out/dent/a.png'])
    """
    check_choice("layout", layout, ExportLayout)
    if not (isinstance(val_fraction, Real) and 0 <= val_fraction < 1):
        raise ValueError(f"val_fraction must be at least 0 and below 1, got {val_fraction!r}")
    seed = seed_number("seed", seed)
    out, places = Path(out), None if folders is None else [Path(place) for place in folders]
    with working_on(out):
        place = real_path(out)
        remove_leftovers(place.parent, place.name)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FileExistsError(f"{str(out)!r} exists; choose another folder with --out")
    if layout in OF_REGIONS and regions is None:
        raise ValueError(f"layout {layout!r} needs regions of defects: give the folder of the run with --run")
    if layout in BY_FOLDER and regions is not None:
        known = tuple(name for name in LAYOUTS if name not in BY_FOLDER)
        raise ValueError(f"layout {layout!r} holds no regions of defects; leave --run out, or take one of {known}")
    chosen = [image for image in labels if image.is_sure]
    _check_images(chosen, len(labels), places, contents)
    items = _items(chosen, regions, by_stem=layout not in BY_FOLDER)
    if layout in BY_FOLDER:
        check_folders({item.label for item in items})
    if layout in IN_XML:
        check_xml(item.label for item in items)
    if layout in NAMED_IN_XML:
        check_xml(item.name for item in items)
    with working_on(out), whole_folder(out, is_result=True) as folder:
        LAYOUTS[layout](items, folder, _Options(val_fraction, seed, boxes or layout == "yolo-det"))
        mark(folder)
    return len(labels) - len(items)


def _check_images(
    chosen: Sequence[Labelled], total: int, folders: Sequence[Path] | None, contents: Mapping[Path, str] | None
) -> None:
    if not total:
        raise ValueError(
            "no image is left to export: the files of all that are labelled are gone, or hold others by now; name the "
            "folder that they were moved to with --images, and the run with --run"
        )
    if not chosen:
        raise ValueError(f"none of the {total} images has a label that is sure: name clusters in the report first")
    for image in chosen:
        if not image.path.is_file():
            raise FileNotFoundError(
                f"image {str(image.path)!r} is not there; run the command where `anomaly-clustering cluster` was run, "
                "name the folder that files were moved to with --images, and the run with --run, or leave out what is "
                "gone with --skip-missing; if its path is mistyped in the file of labels, mend it"
            )
    check_given([image.path for image in chosen], folders, contents=contents)
    if changed := [image for image in chosen if not is_what_was_seen(image, contents or {})]:
        raise ValueError(
            f"{len(changed)} of {len(chosen)} images are not what they were when the run saw them, "
            f"{str(changed[0].path)!r} for one: another image lies there by now; name the folder that files were moved "
            "to with --images, and the run with --run, or leave out what has changed with --skip-missing; or save "
            "labels.csv anew from the report"
        )
    for image in chosen:
        read_header(image.path)


def _items(chosen: Sequence[Labelled], regions: Mapping[Path, Sequence[Region]] | None, *, by_stem: bool) -> list[Item]:
    names = names_of_copies([image.path.name for image in chosen], by_stem=by_stem)
    return [
        Item(image.path, image.label, name, _regions(image, regions)) for image, name in zip(chosen, names, strict=True)
    ]


def _regions(image: Labelled, regions: Mapping[Path, Sequence[Region]] | None) -> Sequence[Region] | None:
    if regions is None:
        return None
    if image.path not in regions:
        raise ValueError(f"image {str(image.path)!r} is not of the run; give the run whose report the labels are from")
    return [] if is_sound(image.label) else regions[image.path]


def _folders(items: Sequence[Item], folder: Path, options: _Options) -> None:
    for item in items:
        _copy(item, folder / item.label)


def _coco(items: Sequence[Item], folder: Path, options: _Options) -> None:
    _copy_all(items, folder)
    _write_json(folder / "annotations.json", coco(items, _categories(items)))


def _label_studio(items: Sequence[Item], folder: Path, options: _Options) -> None:
    _copy_all(items, folder)
    _write_json(folder / "tasks.json", label_studio(items, boxes=options.boxes))
    (folder / "label_config.xml").write_text(label_studio_config(items, boxes=options.boxes), encoding="utf-8")


def _cvat(items: Sequence[Item], folder: Path, options: _Options) -> None:
    _copy_all(items, folder)
    _write_json(folder / "labels.json", cvat_labels(items))
    (folder / "annotations.xml").write_text(cvat(items, boxes=options.boxes), encoding="utf-8")


def _yolo_classes(items: Sequence[Item], folder: Path, options: _Options) -> None:
    for part, own in _split(items, options).items():
        for item in own:
            _copy(item, folder / part / item.label)


def _yolo_regions(items: Sequence[Item], folder: Path, options: _Options) -> None:
    names = _categories(items)
    for part, own in _split(items, options).items():
        # Also where it has no image.
        (folder / "images" / part).mkdir(parents=True)
        for item in own:
            _copy(item, folder / "images" / part)
            file = folder / "labels" / part / f"{Path(item.name).stem}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(yolo(item, names, boxes=options.boxes), encoding="utf-8")
    # A path would be taken from the working directory; without one the parts are found beside this file.
    content = {"train": "images/train", "val": "images/val", "names": dict(enumerate(names))}
    # YAML takes some of what is not printed for the end of a line, if it stands there as it is.
    printed = all(name.isprintable() for name in names)
    (folder / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=printed), encoding="utf-8")


def _categories(items: Sequence[Item]) -> list[str]:
    """Names of what has a place in an image; good is nowhere."""
    return sorted({item.label for item in items if item.regions is None or not is_sound(item.label)})


def _split(items: Sequence[Item], options: _Options) -> dict[str, list[Item]]:
    """Each image once, to train or to validate with: of each class one at least is in both, with any share.

    Where a class has one image alone, training has it; with a share of 0 all train.
    """
    parts: dict[str, list[Item]] = {"train": [], "val": []}
    for label in sorted({item.label for item in items}):
        own = [item for item in items if item.label == label]
        random.Random(options.seed).shuffle(own)
        asked = max(1, round(options.val_fraction * len(own))) if options.val_fraction else 0
        val = own[: min(asked, len(own) - 1)]
        parts["train"] += own[len(val) :]
        parts["val"] += val
    return parts


LAYOUTS: dict[str, Callable[[Sequence[Item], Path, _Options], None]] = {
    "folders": _folders,
    "coco": _coco,
    "yolo-cls": _yolo_classes,
    "yolo-det": _yolo_regions,
    "yolo-seg": _yolo_regions,
    "label-studio": _label_studio,
    "cvat": _cvat,
}


def _copy_all(items: Sequence[Item], folder: Path) -> None:
    for item in items:
        _copy(item, folder / "images")


def _copy(item: Item, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / item.name
    assert not target.exists(), target
    shutil.copy2(item.path, target)


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
