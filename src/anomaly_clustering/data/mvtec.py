"""Lists a category of MVTec AD, or of a data set in its layout: test images with types and masks, and normal ones.

CATEGORY/test/TYPE/000.png   CATEGORY/ground_truth/TYPE/000_mask.png   CATEGORY/train/good/000.png
"""

from pathlib import Path

from anomaly_clustering.data.archives import unpacked
from anomaly_clustering.data.folder import left_out
from anomaly_clustering.data.layouts import DEFECT_FREE, good_first
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.sets.categories import folder_of
from anomaly_clustering.data.walk import folders_of_images, image_files, loose_images
from anomaly_clustering.system.messages import counted

OBJECTS = (
    "bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper",
)  # fmt: skip
TEXTURES = ("carpet", "grid", "leather", "tile", "wood")
CATEGORIES = OBJECTS + TEXTURES

URL = (
    "https://www.mydrive.ch/shares/38536/3830184030e49fe74747669442f0f282/download/420938113-1629952094/"
    "mvtec_anomaly_detection.tar.xz"
)
SHA256 = "cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d"
LICENCE = (
    "MVTec AD (Bergmann et al., CVPR 2019): CC BY-NC-SA 4.0, https://creativecommons.org/licenses/by-nc-sa/4.0/: no "
    "commercial use; share what you make of it alike, and name its authors"
)
BY_HAND = (
    "Get the archive from https://www.mvtec.com/company/research/datasets/mvtec-ad and give its path, "
    "or that of the unpacked folder, as data.root"
)


def list_mvtec(folder: Path, *, include_combined: bool = False) -> Listing:
    """List the test images of one category's folder, and its normal training images beside them.

    Args:
        folder: the category's folder, which holds `test`, and may hold `ground_truth` and `train/good`.
        include_combined: keep the images of type 'combined'. They show several defect types at once, so the paper
            leaves them out, and so does the default.

    Returns:
        The records; classes are the types of which there are images, 'good' first, the others by name. Hidden folders,
        and those in which systems keep thumbnails, are passed over.

    Raises:
        FileNotFoundError: the folder has no `test`, or there are masks but none for one of the defective images.
        ValueError: there are no test images.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.data.synthetic_images import write_dataset
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_dataset(Path(folder), per_class=1, normals=2, size=64)
        ...     listing = list_mvtec(Path(folder))
        >>> listing.class_names[:3], len(listing.records)
        (['good', 'crack', 'fibre'], 9)
    """
    if not (folder / "test").is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is not a category in MVTec AD's layout: it has no folder 'test'")
    images = {path.name: found for path in folders_of_images(folder / "test") if (found := image_files(path))}
    notices = left_out(folder / "test")
    if loose := loose_images(folder / "test"):
        notices.append(
            f"left out: {counted(len(loose), 'image')} directly in {str(folder / 'test')!r}, {loose[0].name!r} for "
            "one: no folder gives a type"
        )
    if not include_combined and (combined := images.pop("combined", [])):
        notices.append(
            f"left out: {counted(len(combined), 'image')} of type 'combined', with several types of defects at once, "
            "as in the paper (--data.include_combined)"
        )
    types = good_first(images)
    records = [
        Record(image, label, _mask(folder, name, image)) for label, name in enumerate(types) for image in images[name]
    ]
    good = folder / "train" / "good"
    normals = [Record(image, is_normal_train=True) for image in image_files(good)]
    notices += left_out(good)
    if not records:
        raise ValueError(f"{str(folder / 'test')!r} holds no images")
    return Listing(records + normals, types, notices)


def _mask(folder: Path, name: str, image: Path) -> Path | None:
    if name.lower() in DEFECT_FREE or not (folder / "ground_truth").is_dir():
        return None
    mask = folder / "ground_truth" / name / f"{image.stem}_mask.png"
    if not mask.is_file():
        raise FileNotFoundError(f"the mask of {str(image)!r} is missing: there is no {str(mask)!r}")
    return mask


def list_category(root: Path, category: str, *, include_combined: bool = False) -> Listing:
    """Find a category in the data set and list its images.

    Args:
        root: the data set's folder, or its archive, which is unpacked already.
        category: the name of a folder in `root` or one level below.
        include_combined: as for `list_mvtec`.

    Returns:
        The listing of `list_mvtec`.

    Raises:
        FileNotFoundError: there is no such category; the message names those that are there.
        ValueError: the category has no test images.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.data.synthetic_images import write_dataset
        >>> with tempfile.TemporaryDirectory() as root:
        ...     write_dataset(Path(root) / "plate", per_class=1, normals=0, size=64)
        ...     print(len(list_category(Path(root), "plate").records))
        7
    """
    return list_mvtec(folder_of(unpacked(root), category, "test"), include_combined=include_combined)
