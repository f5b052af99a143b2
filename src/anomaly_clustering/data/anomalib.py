"""Lists a data set in the layout of anomalib's `Folder`: abnormal images with types and masks, and normal ones.

ROOT/NORMAL_DIR/000.png   ROOT/ABNORMAL_DIR/000.png   ROOT/NORMAL_TEST_DIR/000.png   ROOT/MASK_DIR/000.png
"""

import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from anomaly_clustering.data.folder import check_one_to_one, left_out, list_images, masks_of
from anomaly_clustering.data.layouts import DEFECT_FREE, good_first
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.system.files import real_path
from anomaly_clustering.system.one_place import is_one_place, lies_in

GOOD = "good"


def list_anomalib(
    root: Path,
    *,
    normal_dir: str | None,
    abnormal_dirs: Sequence[str],
    normal_test_dir: str | None = None,
    mask_dir: str | None = None,
) -> Listing:
    """List the abnormal images and the normal test images to cluster, and the normal images beside them.

    The defect type of an abnormal image is the first subfolder on the way to it; where there is none, it is the name of
    the abnormal folder itself.

    Args:
        root: the folder that holds the others.
        normal_dir: folder below `root` of images known to be free of defects, which may lie in an abnormal one; None
            where there are none.
        abnormal_dirs: folders below `root` of images with defects.
        normal_test_dir: folder below `root` of images without defects that are clustered with the others, and may
            lie among them; none by default.
        mask_dir: folder below `root` of masks, each at the path that its image has below its abnormal folder, with
            `_mask` after the stem or without. Images in a folder named good, normal or ok need none. By default no
            image has one.

    Returns:
        The records; class 0 is 'good' where there are normal test images, and the defect types follow by name.

    Raises:
        FileNotFoundError: a folder is missing, or a mask.
        NotADirectoryError: a file is given where a folder is needed.
        ValueError: a folder holds no images, is given twice, or lies in another one where that is not said above.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("normal/0.png", "fine/0.png", "abnormal/crack/0.png"):
        ...         (Path(root) / name).parent.mkdir(parents=True)
        ...         (Path(root) / name).touch()
        ...     listing = list_anomalib(
        ...         Path(root), normal_dir="normal", abnormal_dirs=["abnormal"], normal_test_dir="fine"
        ...     )
        >>> listing.class_names, len(listing.records)
        (['good', 'crack'], 3)
    """
    good = [] if normal_test_dir is None else [root / normal_test_dir]
    normal = [] if normal_dir is None else [root / normal_dir]
    _check_apart([root / name for name in abnormal_dirs], [*good, *normal])
    if mask_dir is not None:
        _check_masks(root / mask_dir, [*(root / name for name in abnormal_dirs), *good, *normal])
    types: dict[Path, str] = {}
    masks: dict[Path, Path] = {}
    for name in abnormal_dirs:
        folder = root / name
        images = list_images(folder, leave_out=[*good, *normal])
        # Not of the name alone, which is empty where it is '.'.
        own = Path(os.path.abspath(folder)).name
        types |= {image: image.relative_to(folder).parts[0] if image.parent != folder else own for image in images}
        if mask_dir is not None:
            marked = [image for image in images if types[image].lower() not in DEFECT_FREE]
            masks |= masks_of(marked, folder, root / mask_dir)
    for folder in good:
        types |= dict.fromkeys(list_images(folder), GOOD)
    class_names = good_first(types.values())
    records = [Record(image, class_names.index(label), masks.get(image)) for image, label in types.items()]
    check_one_to_one(records)
    normals = list_images(root / normal_dir) if normal_dir is not None else []
    notices = [notice for name in abnormal_dirs for notice in left_out(root / name, [*good, *normal])]
    notices += [notice for folder in (*good, *normal) for notice in left_out(folder)]
    return Listing(records + [Record(image, is_normal_train=True) for image in normals], class_names, notices)


def _check_apart(abnormal: Sequence[Path], good: Sequence[Path]) -> None:
    """See that no image is of two kinds: within a folder all below it is of one."""
    for outer, inner in permutations([*abnormal, *good], 2):
        if is_one_place(outer, inner):
            raise ValueError(f"{str(outer)!r} and {str(inner)!r} are one folder; give one for each kind of image")
        # Good images may lie among those with defects, as in MVTec AD.
        if lies_in([outer])(real_path(inner)) and not (outer in abnormal and inner in good):
            raise ValueError(
                f"{str(inner)!r} lies in {str(outer)!r}, whose images are all of one kind; give folders beside one "
                "another, such as several as data.abnormal_dir"
            )


def _check_masks(masks: Path, folders: Sequence[Path]) -> None:
    """See that no mask would be taken for an image, nor an image for a mask."""
    for folder in folders:
        if lies_in([folder])(real_path(masks)) or lies_in([masks])(real_path(folder)):
            raise ValueError(
                f"{str(masks)!r}, of masks, and {str(folder)!r}, of images, are one folder, or one lies in the other; "
                "give folders beside one another"
            )
