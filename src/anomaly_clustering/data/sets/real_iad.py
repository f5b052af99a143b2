"""Lists a category of Real-IAD by its index in JSON: test images with types and masks, and normal ones.

realiad_jsons/CATEGORY.json   realiad_1024/CATEGORY/NG/TYPE/S0001/NAME.jpg   ...   NAME_mask.png
"""

from pathlib import Path
from typing import Any

from anomaly_clustering.data.archives import check_folder
from anomaly_clustering.data.download import find
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.index_files import below, check_there, read_json
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of

CATEGORIES = (
    *("audiojack", "bottle_cap", "button_battery", "end_cap", "eraser", "fire_hood", "mint", "mounts", "pcb"),
    *("phone_battery", "plastic_nut", "plastic_plug", "porcelain_doll", "regulator", "rolled_strip_base"),
    *("sim_card_set", "switch", "tape", "terminalblock", "toothbrush", "toy", "toy_brick", "transistor1", "u_block"),
    *("usb", "usb_adaptor", "vcpill", "wooden_beads", "woodstick", "zipper"),
)
TYPES = {
    **{"AK": "pit", "BX": "deformation", "CH": "abrasion", "HS": "scratch", "PS": "damage", "QS": "missing parts"},
    **{"YW": "foreign objects", "ZW": "contamination"},
}
# The same images in several sizes; the first one that is there is taken.
SIZES = ("realiad_1024", "realiad_512", "realiad_256", "realiad_raw")
ALL_VIEWS, VIEW_FROM_ABOVE = "realiad_jsons", "realiad_jsons_sv"
WHAT = "Real-IAD's index"


def list_real_iad(root: Path, category: str, *, indices: str = ALL_VIEWS) -> Listing:
    """List a category's images.

    Args:
        root: the folder that holds the indices and the images, as its authors' archives have them.
        category: a name of `CATEGORIES`.
        indices: the folder of the indices: that of the images of all five cameras, or of the one above.

    Returns:
        The test images, and those to train on that are good. Codes of defects are put into English, see `TYPES`.

    Raises:
        FileNotFoundError: the index, the folder of the images, an image or a mask is missing.
        ValueError: the index is damaged, or names paths elsewhere.

    Example:
        >>> import json, tempfile
        >>> sample = {"category": "usb", "anomaly_class": "HS", "image_path": "NG/0.jpg", "mask_path": "NG/0.png"}
        >>> with tempfile.TemporaryDirectory() as place:
        ...     root = Path(place)
        ...     (root / "realiad_1024" / "usb" / "NG").mkdir(parents=True)
        ...     (root / "realiad_jsons").mkdir()
        ...     for name in ("0.jpg", "0.png"):
        ...         (root / "realiad_1024" / "usb" / "NG" / name).touch()
        ...     told = {"meta": {"normal_class": "OK", "prefix": "usb/"}, "train": [], "test": [sample]}
        ...     _ = (root / "realiad_jsons" / "usb.json").write_text(json.dumps(told))
        ...     print(list_real_iad(root, "usb").class_names)
        ['scratch']
    """
    check_folder(root)
    # The archive of all indices holds a folder of its own name.
    places = [root / indices, root / ALL_VIEWS / indices]
    index = next((path for place in places if (path := place / f"{category}.json").is_file()), None)
    if index is None:
        there = sorted({path.stem for place in places for path in place.glob("[!.]*.json")})
        raise FileNotFoundError(
            f"{str(root)!r} has no index of category {category!r}: there is no {str(places[0] / category)!r}.json; it "
            f"has {there or 'none'}"
        )
    folder = next((path for size in SIZES if (path := root / size / category).is_dir()), find(root, category))
    if folder is None:
        raise FileNotFoundError(
            f"the images of {category!r} are missing: there is no {str(root / SIZES[0] / category)!r}; unpack their "
            "archive there"
        )
    told = read_json(index, WHAT)
    try:
        good = told["meta"]["normal_class"]
        tested = [_typed_image(folder, sample, good, index) for sample in told["test"]]
        normal = [_typed_image(folder, sample, good, index, train=True) for sample in told["train"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{WHAT}, {str(index)!r}, is not as it should be: it has 'meta', 'train' and 'test', and samples with "
            f"'anomaly_class', 'image_path' and 'mask_path' ({error!r}); unpack it again"
        ) from None
    seen = tested + [one for one in normal if not one.types]
    check_there([path for one in seen for path in (one.image, one.mask) if path], index)
    return listing_of(seen)


def _typed_image(folder: Path, sample: Any, good: str, index: Path, *, train: bool = False) -> TypedImage:
    code, mask = sample["anomaly_class"], sample["mask_path"]
    return TypedImage(
        below(folder, sample["image_path"], index),
        [] if code == good else [TYPES.get(code, str(code))],
        below(folder, mask, index) if mask and code != good else None,
        is_normal_train=train,
    )
