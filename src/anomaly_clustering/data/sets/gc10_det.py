"""Lists GC10-DET, steel sheets with ten types of defects, by the boxes that are drawn in each image.

1/img_01_425505500_00001.jpg   ...   10/NAME.jpg   lable/NAME.xml
"""

from pathlib import Path

from anomaly_clustering.data.download import find
from anomaly_clustering.data.folder import left_out
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.index_files import read_boxes
from anomaly_clustering.data.sets.one_type import Several, TypedImage, listing_of
from anomaly_clustering.data.walk import image_files, look, sorted_paths
from anomaly_clustering.system.messages import counted

# As the boxes have them.
TYPES = {
    **{"1_chongkong": "punching hole", "2_hanfeng": "welding line", "3_yueyawan": "crescent gap"},
    **{"4_shuiban": "water spot", "5_youban": "oil spot", "6_siban": "silk spot", "7_yiwu": "inclusion"},
    **{"8_yahen": "rolled pit", "9_zhehen": "crease", "10_yaozhe": "waist folding"},
    # So it is written in some files.
    "10_yaozhed": "waist folding",
}
# So the authors spell it; copies of the data mend it.
BOXES = ("lable", "label", "Annotations", "annotations")


def list_gc10_det(root: Path, *, several: Several = "leave_out") -> Listing:
    """List the images whose boxes are all of one type; there are no good ones.

    Args:
        root: the folder of `lable` and of the folders of images, itself or one level below.
        several: whether images with boxes of several types are left out or kept.

    Returns:
        The records, each image once where it lies in several folders. Images without boxes, and boxes whose
        image is missing, are left out with a notice.

    Raises:
        FileNotFoundError: the folder of the boxes is missing.
        ValueError: a file of boxes is damaged, or names a type that GC10-DET has not.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("6/a.jpg", "lable/a.xml"):
        ...         (Path(root) / name).parent.mkdir()
        ...         (Path(root) / name).touch()
        ...     text = "<annotation><object><name>6_siban</name></object></annotation>"
        ...     _ = (Path(root) / "lable" / "a.xml").write_text(text)
        ...     list_gc10_det(Path(root)).class_names
        ['silk spot']
    """
    boxes = next((folder for name in BOXES if (folder := find(root, name))), None)
    if boxes is None:
        raise FileNotFoundError(f"{str(root)!r} is not GC10-DET: it has no folder 'lable' of boxes; unpack it there")
    images = {image.stem: image for image in reversed(image_files(boxes.parent))}
    told = {file.stem: file for file in look(boxes).files if file.suffix.lower() == ".xml"}
    seen, without = [], []
    for image in sorted_paths(images.values()):
        types = _types(told[image.stem]) if image.stem in told else []
        if types:
            seen.append(TypedImage(image, types))
        else:
            without.append(image)
    absent = [file for stem, file in told.items() if stem not in images]
    lacking = {
        f"left out: {counted(len(without), 'image')} without boxes": without,
        f"missing: the images of {counted(len(absent), 'file')} of boxes": absent,
    }
    notices = [f"{said}, {str(files[0])!r} for one" for said, files in lacking.items() if files]
    return listing_of(seen, several=several, notices=[*notices, *left_out(boxes.parent, [boxes])])


def _types(file: Path) -> list[str]:
    names = read_boxes(file)
    unknown = sorted(set(names) - TYPES.keys())
    if unknown:
        raise ValueError(
            f"{str(file)!r} has boxes of type {', '.join(map(repr, unknown))}; GC10-DET's are {', '.join(TYPES)}"
        )
    return [TYPES[name] for name in names]
