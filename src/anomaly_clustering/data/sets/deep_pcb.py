"""Lists DeepPCB's defects, cut out of the photographs of circuit boards, and the same places of boards without any.

PCBData/group00041/00041/00041000_test.jpg   00041000_temp.jpg   PCBData/group00041/00041_not/00041000.txt
"""

from collections.abc import Iterator
from pathlib import Path

from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.cache_place import place_of
from anomaly_clustering.data.sets.cut_outs import Cut, write_once
from anomaly_clustering.data.sets.index_files import LARGEST_OF_ONE, check_there
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of
from anomaly_clustering.data.walk import image_files, look, sorted_paths

# In the order of their numbers, from 1 on.
TYPES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
# Pixels of a cut-out of a board of 640 x 640; boxes have some 30 to 60.
SIDE = 128
NORMALS = "template"
HOW_MANY = 1_500


def cut_out(root: Path) -> None:
    """Cut all defects out into the user's cache, unless that was done: a board shows 3 to 12 of them, of several types.

    Args:
        root: the data set's folder, in which `PCBData` lies at any depth.

    Raises:
        FileNotFoundError: there are no annotations, or an image is missing.
        ValueError: an annotation is damaged.
        UnreadableImageError: an image is.

    Example:
        >>> cut_out(Path("absent"))
        Traceback (most recent call last):
        FileNotFoundError: 'absent' is not DeepPCB: it has no annotations such as ...
    """
    told = _told(root)
    cuts = [cut for file in told for cut in _cuts(file)]
    images = sorted_paths({cut.image for cut in cuts})
    check_there(images, root)
    write_once(_place(told), cuts, side=SIDE)


def list_deep_pcb(root: Path) -> Listing:
    """List the cut-outs that `cut_out` wrote.

    Args:
        root: as for `cut_out`.

    Returns:
        One record for each box, of its type; the same places of the templates, which are free of defects, are the
        normal images.

    Raises:
        FileNotFoundError: there are no annotations, or nothing was cut out yet.
        ValueError: there are no defects.

    Example:
        >>> list_deep_pcb(Path("absent"))
        Traceback (most recent call last):
        FileNotFoundError: 'absent' is not DeepPCB: it has no annotations such as ...
    """
    place = _place(_told(root))
    if not place.is_dir():
        raise FileNotFoundError(f"the defects in {str(root)!r} are not cut out yet: call prepare_data() first")
    defects = [TypedImage(image, [name]) for name in TYPES for image in image_files(place / name)]
    return listing_of(defects + [TypedImage(image, is_normal_train=True) for image in image_files(place / NORMALS)])


def check_complete(root: Path) -> None:
    """Check that a download is whole, since its publisher names no checksum.

    Args:
        root: as for `cut_out`.

    Raises:
        ValueError: there are fewer than 1,500 annotations.

    Example:
        >>> check_complete(Path("absent"))
        Traceback (most recent call last):
        ValueError: the download has 0 annotations in place of 1500; nothing was kept, try again
    """
    found = len(_annotations(root))
    if found < HOW_MANY:
        raise ValueError(f"the download has {found} annotations in place of {HOW_MANY}; nothing was kept, try again")


def _annotations(root: Path) -> list[Path]:
    """At any depth, also behind links; systems lay hidden files and folders of the same names beside them."""
    return [
        path
        for path in look(root).files
        if path.suffix == ".txt" and path.parent.name.endswith("_not") and path.parent.parent.name.startswith("group")
    ]


def _told(root: Path) -> list[Path]:
    files = _annotations(root)
    if not files:
        raise FileNotFoundError(
            f"{str(root)!r} is not DeepPCB: it has no annotations such as 'group00041/00041_not/00041000.txt'; unpack "
            "it again"
        )
    return files


def _place(told: list[Path]) -> Path:
    images = [image for file in told for image in _images(file) if image.is_file()]
    return place_of(f"deep_pcb-{SIDE}px", [*told, *images])


def _images(file: Path) -> tuple[Path, Path]:
    """The board whose boxes a file tells, and its template."""
    folder = file.parent.with_name(file.parent.name.removesuffix("_not"))
    return folder / f"{file.stem}_test.jpg", folder / f"{file.stem}_temp.jpg"


def _cuts(file: Path) -> Iterator[Cut]:
    boxes = list(_boxes(file))
    board, template = _images(file)
    for i, (centre, name) in enumerate(boxes):
        yield Cut(board, centre, f"{name}/{file.stem}-{i}.png")
    for i, (centre, _) in enumerate(boxes):
        yield Cut(template, centre, f"{NORMALS}/{file.stem}-{i}.png")


def _boxes(file: Path) -> Iterator[tuple[tuple[int, int], str]]:
    """The centre of each box, and the name of its type."""
    small = file.stat().st_size <= LARGEST_OF_ONE
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if small else [""]
    for i, line in enumerate(lines, start=1):
        try:
            # Some copies have commas.
            left, top, right, bottom, number = (int(word) for word in line.replace(",", " ").split())
            name = dict(enumerate(TYPES, start=1))[number]
        except (ValueError, KeyError):
            raise ValueError(
                f"line {i} of {str(file)!r} is no box: it should be 'left top right bottom type' in whole numbers, "
                f"with a type from 1 to {len(TYPES)}, and is {line[:80]!r}; unpack it again"
            ) from None
        yield ((left + right) // 2, (top + bottom) // 2), name
