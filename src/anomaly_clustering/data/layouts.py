"""A folder that a user gave in; the part of it that holds the images to cluster, and what else lies there, out.

Known are a category of MVTec AD (`train`, `test`, `ground_truth`), one of MVTec AD 2 (`test_public`), one of VisA
(`Data/Images`, `Data/Masks`), and folders of masks beside those of images, as anomalib's `Folder` has them.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.data.survey import levels_of
from anomaly_clustering.data.walk import NOT_TO_BE_READ, folders_of_images, image_files, loose_images, why_left_out
from anomaly_clustering.system.files import real_path
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.one_place import lies_in

DEFECT_FREE = frozenset({"good", "normal", "ok"})
MASKS = frozenset({"ground_truth", "groundtruth", "ground truth", "gt", "mask", "masks"})
# Parts of a data set that is made to train and to test on.
PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
# Files that tell the types of defects in the images beside them, and what reads them of `configs/data`.
INDICES = {
    "image_anno.csv": "visa.yaml",
    "defects_config.json": "mvtec_loco.yaml",
    "module_metadata.json": "infrared_solar_modules.yaml",
    "metadata.csv": "metadata_folder.yaml",
    "metadata.jsonl": "metadata_folder.yaml",
    "metadata.parquet": "metadata_folder.yaml",
    "_annotations.coco.json": "coco.yaml --data.annotations _annotations.coco.json",
}
# Masks that are looked at before a folder is taken for one of masks.
LOOKED_AT = 8


def good_first(names: Iterable[str]) -> list[str]:
    """Names of classes in their order: those of good images come first.

    Args:
        names: in any order, also more than once.

    Example:
        >>> good_first(["scratch", "good", "dent", "dent"])
        ['good', 'dent', 'scratch']
    """
    return sorted(set(names), key=lambda name: (name.lower() not in DEFECT_FREE, name))


class Layout(NamedTuple):
    """What there is in a folder.

    Attributes:
        images: the folder of the images to cluster, that which was given or one in it.
        masks: folders in it that hold masks.
        normals: a folder beside it of images free of defects; None where there is none.
        notices: what was recognised, and what is left out for that.
    """

    images: Path
    masks: list[Path]
    normals: Path | None
    notices: list[str]


def recognise(root: Path, known: Sequence[Path] = ()) -> Layout:
    """Find the images to cluster in a folder of a known layout.

    Args:
        root: the folder that the user gave.
        known: folders of which the user said what they are, such as that of the normal images.

    Returns:
        What there is in it; `root` itself where its layout is none of those known.

    Raises:
        ValueError: it holds parts of a data set or several categories, of which one is to be given.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.data.synthetic_images import write_dataset
        >>> with tempfile.TemporaryDirectory() as root:
        ...     write_dataset(Path(root), per_class=1, normals=2, size=64)
        ...     recognise(Path(root)).images.name
        'test'
    """
    layout = _recognise(root, known)
    return layout._replace(notices=[*layout.notices, *_loose(root, layout.images), *_told_elsewhere(root)])


def _recognise(root: Path, known: Sequence[Path]) -> Layout:
    inside = _folders(root)
    if set(inside) == {"data"} and _is_split(_folders(inside["data"])):
        root, inside = inside["data"], _folders(inside["data"])
    if _is_split(inside):
        good = [folder for name, folder in _folders(inside["images"]).items() if name in DEFECT_FREE]
        return _part(root, inside["images"], good)
    if _is_category(inside, known):
        train = _folders(inside["train"]) if "train" in inside else {}
        return _part(root, inside["test"], [folder for name, folder in train.items() if name in DEFECT_FREE])
    if "test_public" in inside and "train" in inside:
        good = [folder for name, folder in _folders(inside["train"]).items() if name in DEFECT_FREE]
        layout = _part(root, inside["test_public"], good)
        masks = [folder for name, folder in _folders(inside["test_public"]).items() if name in MASKS]
        return layout._replace(masks=masks)
    parts = [folder.name for name, folder in inside.items() if name in PARTS and not _holds_any(folder, known)]
    if len(parts) > 1:
        raise ValueError(
            f"{str(root)!r} holds {', '.join(map(repr, parts))}, parts of a data set and no types of defects; give one "
            f"of them, such as {str(root / parts[0])!r}"
        )
    categories = [folder for folder in inside.values() if _is_category(_folders(folder))]
    if categories:
        each = " each" if len(categories) > 1 else ""
        raise ValueError(
            f"{str(root)!r} holds {counted(len(categories), 'data set')} with a folder 'test'{each}, such as "
            f"{str(categories[0])!r}; give the folder of one, since one product is clustered at a time"
        )
    folders = folders_of_images(root) if inside else []
    masks = [folder for folder in folders if folder.name.lower() in MASKS and _holds_masks(folder)]
    if masks and len(masks) < len(folders):
        names = ", ".join(str(folder) for folder in masks)
        return Layout(root, masks, None, [f"left out: {names}, where masks are"])
    return Layout(root, [], None, [])


def _loose(root: Path, images: Path) -> list[str]:
    """Say how many images lie beside the folder of those to cluster."""
    above = [place for place in images.parents if place.is_relative_to(root)]
    found = [(place, loose) for place in above if (loose := loose_images(place))]
    return [
        f"left out: {counted(len(loose), 'image')} directly in {str(place)!r}, {loose[0].name!r} for one"
        for place, loose in found
    ]


def _told_elsewhere(root: Path) -> list[str]:
    """Say where types of defects are told that folders do not tell."""
    # Not `Path.is_dir` and `Path.is_file`, which raise where a link leads to a place that may not be entered.
    if not os.path.isdir(root) or why_left_out(root) == NOT_TO_BE_READ:
        return []
    files = [root / name for name in INDICES if os.path.isfile(root / name)]
    # Other tables are called so too.
    files = [file for file in files if not file.name.startswith("metadata.") or _names_files(file)]
    return [
        f"{str(file)!r} tells types of defects that folders do not: `test -c configs/data/{INDICES[file.name]}` "
        "reads it"
        for file in files
    ]


def _names_files(table: Path) -> bool:
    try:
        with table.open("rb") as file:
            return b"file_name" in file.read(1000) or table.suffix == ".parquet"
    except OSError:
        return False


def _folders(folder: Path) -> dict[str, Path]:
    """Folders in a folder by their names in small letters, the last one where several differ in capitals alone."""
    may_be_read = os.path.isdir(folder) and why_left_out(folder) != NOT_TO_BE_READ
    return {path.name.lower(): path for path in folders_of_images(folder)} if may_be_read else {}


def _is_category(inside: dict[str, Path], known: Sequence[Path] = ()) -> bool:
    """MVTec AD's layout: there are masks, or all of `train` is free of defects, as its folders or its user say."""
    if "test" not in inside or "ground_truth" in inside or "train" not in inside:
        return "test" in inside and "ground_truth" in inside
    types = _folders(inside["train"]).keys()
    return (bool(types) and types <= DEFECT_FREE) or _holds_any(inside["train"], known)


def _holds_any(folder: Path, others: Sequence[Path]) -> bool:
    return any(map(lies_in([folder]), map(real_path, others)))


def _is_split(inside: dict[str, Path]) -> bool:
    """VisA's layout, and that of many others."""
    return "images" in inside and bool(MASKS & set(inside))


def _part(root: Path, images: Path, good: list[Path]) -> Layout:
    others = ", ".join(path.name for path in folders_of_images(root) if path != images)
    notice = f"the images to cluster are those in {str(images)!r}; left out: {others} beside it"
    return Layout(images, [], good[0] if good else None, [notice])


def _holds_masks(folder: Path) -> bool:
    """Few levels of brightness in each image that is looked at."""
    images = image_files(folder)[:LOOKED_AT]
    return bool(images) and all(levels_of(image) in (1, 2) for image in images)
