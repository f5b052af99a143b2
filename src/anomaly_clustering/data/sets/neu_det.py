"""Lists NEU-DET, hot-rolled steel strip with six types of defects: the type stands in the file's name.

IMAGES/crazing_1.jpg, or train/images/crazing/crazing_1.jpg, or any other folders
"""

import re
from pathlib import Path

from anomaly_clustering.data.folder import left_out, list_images
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of

TYPES = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
# Ending of the files of boxes, which are part of the set.
BOXES = (".xml",)
NAME = re.compile(rf"({'|'.join(TYPES)})_\d+")


def list_neu_det(root: Path) -> Listing:
    """List all images, of which each shows one type; there are no good ones.

    Args:
        root: the data set's folder; how its folders are called does not matter.

    Returns:
        The records. The boxes in `ANNOTATIONS` are not read. A notice counts files of other kinds.

    Raises:
        FileNotFoundError: the folder is missing.
        ValueError: there are no images, or one is not named by its type.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("crazing_1.jpg", "pitted_surface_12.jpg"):
        ...         (Path(root) / name).touch()
        ...     list_neu_det(Path(root)).class_names
        ['crazing', 'pitted_surface']
    """
    seen = [TypedImage(image, [_type(image)]) for image in list_images(root)]
    return listing_of(seen, notices=left_out(root, beside=BOXES))


def _type(image: Path) -> str:
    name = NAME.fullmatch(image.stem)
    if name is None:
        raise ValueError(
            f"{str(image)!r} is not named as NEU-DET's images are, TYPE_NUMBER.jpg, where TYPE is one of "
            f"{', '.join(TYPES)}; remove it, or cluster the folder with configs/data/folder.yaml"
        )
    return name[1]
