"""Lists a category of MVTec LOCO AD: test images with masks, and their types by the grey values of the masks.

CATEGORY/test/logical_anomalies/000.png   CATEGORY/ground_truth/logical_anomalies/000/000.png
CATEGORY/defects_config.json   CATEGORY/train/good/000.png
"""

from pathlib import Path

import numpy as np

from anomaly_clustering.data.folder import left_out
from anomaly_clustering.data.images import decode
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.categories import folder_of
from anomaly_clustering.data.sets.index_files import read_json
from anomaly_clustering.data.sets.one_type import GOOD, Several, TypedImage, listing_of
from anomaly_clustering.data.walk import image_files

CATEGORIES = ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors")
CONFIG = "defects_config.json"


def list_loco(root: Path, category: str, *, several: Several = "leave_out") -> Listing:
    """List a category's images.

    Folders tell logical from structural anomalies alone. Which defects an image shows, such as a missing pushpin, its
    masks tell, of which it may have several: each has a grey value to which `defects_config.json` gives a name.

    Args:
        root: the data set's folder, which holds the categories, itself or one level below.
        category: a folder's name.
        several: whether images of several types are left out or kept.

    Returns:
        The test images, each with the folder of its masks, and the training images, which are all good, beside them.

    Raises:
        FileNotFoundError: the category, its `defects_config.json`, or the masks of an image are missing.
        ValueError: `defects_config.json` is damaged, or has no name for a grey value.

    Example:
        >>> import json, tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as place:
        ...     folder = Path(place) / "pushpins"
        ...     (folder / "test" / "logical_anomalies").mkdir(parents=True)
        ...     (folder / "test" / "logical_anomalies" / "000.png").touch()
        ...     (folder / "ground_truth" / "logical_anomalies" / "000").mkdir(parents=True)
        ...     mask = Image.new("L", (8, 8))
        ...     mask.putpixel((0, 0), 254)
        ...     mask.save(folder / "ground_truth" / "logical_anomalies" / "000" / "000.png")
        ...     told = [{"defect_name": "missing_pushpin", "pixel_value": 254}]
        ...     _ = (folder / "defects_config.json").write_text(json.dumps(told))
        ...     print(list_loco(Path(place), "pushpins").class_names)
        ['missing_pushpin']
    """
    folder = folder_of(root, category, CONFIG)
    names = _names(folder / CONFIG)
    seen = [_typed_image(folder, image, names) for image in image_files(folder / "test")]
    normals = [TypedImage(image, is_normal_train=True) for image in image_files(folder / "train" / GOOD)]
    notices = [*left_out(folder / "test"), *left_out(folder / "train" / GOOD)]
    return listing_of(seen + normals, several=several, notices=notices)


def _names(config: Path) -> dict[int, str]:
    told = read_json(config, "MVTec LOCO's list of defects")
    try:
        return {int(defect["pixel_value"]): str(defect["defect_name"]) for defect in told}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{str(config)!r} is no list of defects with 'defect_name' and 'pixel_value' ({error!r}); unpack it again"
        ) from None


def _typed_image(folder: Path, image: Path, names: dict[int, str]) -> TypedImage:
    kind = image.relative_to(folder / "test").parts[0]
    if kind == GOOD:
        return TypedImage(image)
    masks = folder / "ground_truth" / kind / image.stem
    parts = image_files(masks) if masks.is_dir() else []
    if not parts:
        raise FileNotFoundError(f"the masks of {str(image)!r} are missing: there are none in {str(masks)!r}")
    types = []
    for part in parts:
        for value in np.unique(np.asarray(decode(part).convert("L"))):
            if value and value not in names:
                raise ValueError(
                    f"{str(part)!r} has the grey value {value}, to which {str(folder / CONFIG)!r} gives no name; "
                    "unpack both again"
                )
            if value:
                types.append(names[value])
    if not types:
        raise ValueError(f"the masks of {str(image)!r} mark nothing; unpack {str(masks)!r} again")
    return TypedImage(image, types, masks)
