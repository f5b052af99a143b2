"""Lists images by annotations in COCO's JSON: the categories of what is marked in an image are its types of defects."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.index_files import below, check_there, not_named, read_json
from anomaly_clustering.data.sets.one_type import Several, TypedImage, listing_of
from anomaly_clustering.data.walk import sorted_paths

WHAT = "the annotation file"
IMAGES = "images"


def list_coco(
    root: Path, *, annotations: str = "annotations.json", images: str | None = None, several: Several = "leave_out"
) -> Listing:
    """List the images that the annotations name; those in which nothing is marked are good.

    Args:
        root: the folder of both.
        annotations: the JSON file, from `root`.
        images: the folder in `root` from which the names of the images begin; by default `root` itself, or `images` in
            it where that is there and the first image is not in `root`.
        several: whether images with several categories are left out or kept.

    Returns:
        The records, in the order of the file; no masks, since what is marked may be boxes alone. A notice counts the
        images that it does not name.

    Raises:
        FileNotFoundError: the annotations or an image are missing.
        ValueError: the annotations are not COCO's, or name paths elsewhere.

    Example:
        >>> import json, tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "0.png").touch()
        ...     told = {
        ...         "images": [{"id": 1, "file_name": "0.png"}],
        ...         "categories": [{"id": 7, "name": "dent"}],
        ...         "annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 9, 9]}],
        ...     }
        ...     _ = (Path(root) / "annotations.json").write_text(json.dumps(told))
        ...     list_coco(Path(root)).class_names
        ['dent']
    """
    file = root / annotations
    if not file.exists() and Path(annotations).is_file():
        raise FileNotFoundError(
            f"there is no {str(file)!r}: data.annotations {annotations!r} begins at data.root; give the path from "
            "there, or the whole one"
        )
    if not file.exists() and (others := [path.name for path in sorted_paths(root.glob("[!.]*.json"))]):
        raise FileNotFoundError(
            f"there is no {str(file)!r}, {WHAT}; {str(root)!r} has {', '.join(map(repr, others))}: give the name of "
            "the one as data.annotations"
        )
    told = read_json(file, WHAT)
    try:
        # Tools that merge annotations may list a category several times.
        categories = {(category["id"], str(category["name"])) for category in told["categories"]}
        names = dict(categories)
        known = {image["id"]: image["file_name"] for image in told["images"]}
        types: defaultdict[Any, list[str]] = defaultdict(list)
        for mark in told["annotations"]:
            if mark["image_id"] not in known:
                raise ValueError(f"{str(file)!r} marks image {mark['image_id']!r:.80}, which it does not list")
            types[mark["image_id"]].append(names[mark["category_id"]])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{WHAT}, {str(file)!r}, is not COCO's: it has 'images' with 'id' and 'file_name', 'categories' with 'id' "
            f"and 'name', and 'annotations' with 'image_id' and 'category_id' ({error!r})"
        ) from None
    if len(names) < len(categories):
        raise ValueError(f"{str(file)!r} lists {len(categories)} categories by {len(names)} ids; give each its own")
    if not known:
        raise ValueError(f"{str(file)!r} lists no images")
    if len(known) < len(told["images"]):
        raise ValueError(f"{str(file)!r} lists {len(told['images'])} images by {len(known)} ids; give each its own")
    start = root / images if images else _start(root, next(iter(known.values())), file)
    seen = [TypedImage(below(start, name, file), types[key]) for key, name in known.items()]
    images_named = [one.image for one in seen]
    check_there(images_named, file)
    good = len({one.image for one in seen} - {one.image for one in seen if one.types})
    notices = [f"images in which nothing is marked count as good: {good}"] * bool(good)
    notices += not_named(start, images_named, file)
    return listing_of(seen, several=several, notices=notices)


def _start(root: Path, first: object, file: Path) -> Path:
    inner = root / IMAGES
    return inner if inner.is_dir() and not below(root, first, file).is_file() else root
