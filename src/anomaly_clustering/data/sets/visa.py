"""Lists a category of VisA: its test images with types and masks by `image_anno.csv`, and normal ones by the split.

CATEGORY/image_anno.csv   CATEGORY/Data/Images/{Anomaly,Normal}/000.JPG   CATEGORY/Data/Masks/Anomaly/000.png
split_csv/1cls.csv
"""

from pathlib import Path

from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.categories import folder_of
from anomaly_clustering.data.sets.index_files import below, check_there, not_named, read_rows
from anomaly_clustering.data.sets.one_type import Several, TypedImage, listing_of

CATEGORIES = (
    *("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2"),
    *("pcb1", "pcb2", "pcb3", "pcb4", "pipe_fryum"),
)
NORMAL, TRAIN = "normal", "train"


def list_visa(root: Path, category: str, *, several: Several = "leave_out") -> Listing:
    """List a category's images.

    Args:
        root: the data set's folder, which holds the categories and `split_csv`, itself or one level below.
        category: a folder's name.
        several: whether images of several types, which `image_anno.csv` separates by commas, are left out or kept.

    Returns:
        The images with defects and the normal ones that VisA's one-class split tests on; its training images, which are
        all normal, beside them.

    Raises:
        FileNotFoundError: the category, an index, an image or a mask is missing.
        ValueError: an index is damaged, names paths elsewhere, or has no mask for an image with defects.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     root = Path(place)
        ...     image, mask = "pcb1/Data/Images/Anomaly/000.JPG", "pcb1/Data/Masks/Anomaly/000.png"
        ...     for name in (image, mask, "split_csv/1cls.csv"):
        ...         (root / name).parent.mkdir(parents=True)
        ...         (root / name).touch()
        ...     _ = (root / "pcb1/image_anno.csv").write_text(f"image,label,mask\\n{image},bent,{mask}\\n")
        ...     _ = (root / "split_csv/1cls.csv").write_text(f"object,split,label,image,mask\\npcb1,test,x,{image},\\n")
        ...     print(list_visa(root, "pcb1").class_names)
        ['bent']
    """
    folder = folder_of(root, category, "image_anno.csv")
    root = folder.parent
    split = root / "split_csv" / "1cls.csv"
    rows = read_rows(split, "VisA's split", ["split", "image"])
    train = {row["image"] for row in rows if row["split"] == TRAIN}
    index = folder / "image_anno.csv"
    seen = [
        TypedImage(
            below(root, row["image"], index),
            [] if row["label"] == NORMAL else _types(row["label"]),
            below(root, row["mask"], index) if row.get("mask") else None,
            is_normal_train=row["label"] == NORMAL and row["image"] in train,
        )
        for row in read_rows(index, "VisA's index", ["image", "label"])
    ]
    check_there([path for one in seen for path in (one.image, one.mask) if path], index)
    notices = not_named(folder / "Data" / "Images", [one.image for one in seen], index)
    return listing_of(seen, several=several, notices=notices)


def _types(label: str) -> list[str]:
    """One at least, which has no name where the label is blank: such an image is not normal."""
    return [name.strip() for name in label.split(",") if name.strip()] or [""]
