"""Lists AITEX's photographs of fabric: the code of the type stands in the file's name.

Defect_images/0001_002_00.png   Mask_images/0001_002_00_mask.png   NODefect_images/2306881-210020u/0001_000_01.png
"""

import re
from pathlib import Path

from anomaly_clustering.data.download import find
from anomaly_clustering.data.folder import left_out
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of
from anomaly_clustering.data.walk import image_files
from anomaly_clustering.system.messages import counted

TYPES = {
    **{"002": "broken end", "006": "broken yarn", "010": "broken pick", "016": "weft curling", "019": "fuzzyball"},
    **{"022": "cut selvage", "023": "crease", "025": "warp ball", "027": "knots", "029": "contamination"},
    **{"030": "nep", "036": "weft crack"},
}
# Number of the image, type of the defect, type of the fabric.
NAME = re.compile(r"\d{4}_(\d{3})_\d{2}")
DEFECTS, MASKS, NORMALS = "Defect_images", "Mask_images", "NODefect_images"


def list_aitex(root: Path) -> Listing:
    """List the images with defects, and those without beside them as normal ones.

    Args:
        root: the folder of the three folders, itself or one level below.

    Returns:
        The records. Images without one mask of their own, of which there are three, are left out with a notice: they
        would count as free of defects where masks are compared.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: the name of an image is none of AITEX's.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("Defect_images/0001_002_00.png", "Mask_images/0001_002_00_mask.png"):
        ...         (Path(root) / name).parent.mkdir()
        ...         (Path(root) / name).touch()
        ...     (Path(root) / "NODefect_images").mkdir()
        ...     list_aitex(Path(root)).class_names
        ['broken end']
    """
    defects, masks, normals = (find(root, name) for name in (DEFECTS, MASKS, NORMALS))
    if defects is None or masks is None or normals is None:
        absent = [name for name in (DEFECTS, MASKS, NORMALS) if find(root, name) is None]
        raise FileNotFoundError(f"{str(root)!r} is not AITEX's data: it has no {', '.join(absent)}; unpack them there")
    mask_of = {mask.stem: mask for mask in image_files(masks)}
    seen, without = [], []
    for image in image_files(defects):
        name = NAME.fullmatch(image.stem)
        if name is None:
            raise ValueError(
                f"{str(image)!r} is not named as AITEX's images are, NUMBER_TYPE_FABRIC.png, such as 0001_002_00.png"
            )
        if mask := mask_of.get(f"{image.stem}_mask"):
            seen.append(TypedImage(image, [TYPES.get(name[1], f"type {name[1]}")], mask))
        else:
            without.append(image)
    notices = [
        f"left out: {counted(len(without), 'image')} without one mask each, {str(image)!r} for one, since they would "
        "count as free of defects"
        for image in without[:1]
    ]
    notices += [*left_out(defects), *left_out(normals)]
    return listing_of(
        seen + [TypedImage(image, is_normal_train=True) for image in image_files(normals)], notices=notices
    )
