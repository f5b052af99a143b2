"""Lists the Magnetic Tile Defects: 583 images of six classes with masks, and 761 normal ones.

MT_TYPE/Imgs/NAME.jpg   MT_TYPE/Imgs/NAME.png (mask)   TYPE: Free, Blowhole, Break, Crack, Fray, Uneven
"""

import random
from importlib import resources
from numbers import Real
from pathlib import Path
from typing import Literal

from anomaly_clustering.data.archives import check_folder, unpacked
from anomaly_clustering.data.download import find, tree_digest
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.walk import image_files
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.whole_numbers import seed_number

TYPES = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")

URL = "https://github.com/abin24/Magnetic-tile-defect-datasets./archive/refs/heads/master.zip"
# Of the 2,688 files themselves: GitHub may repack the archive at any time.
DIGEST = "ddb589ef5b9f6282cb6d071bba5b3c0461215f37eb84c321ce663f39c64e096d"
LICENCE = (
    "Magnetic Tile Defects (Huang, Qiu and Yuan 2020): its authors welcome its use and ask to be cited; it names no "
    "licence that we know of, so ask them before any use but research"
)
BY_HAND = (
    "Get the data from https://github.com/abin24/Magnetic-tile-defect-datasets. and give the path of the folder "
    "that holds MT_Free, or of the archive, as data.root"
)

Split = Literal["differnet", "random"]


def list_mtd(
    root: Path,
    *,
    split: Split = "differnet",
    normal_fraction: float = 0.8,
    seed: int = 0,
    include_good: bool = True,
) -> Listing:
    """List the images to cluster and the normal ones.

    Of the 952 defect-free images some are the normals; the others are clustered together with the 392 defective ones.

    Args:
        root: the folder that holds `MT_Free` and the other five, itself or one level below, or the archive of it, which
            is unpacked already.
        split: 'differnet' takes the 761 normals that DifferNet, PatchCore and later work train on, and with them the
            paper's tables; 'random' draws them.
        normal_fraction: with split 'random', the share of the defect-free images that are normals, at least 0 and below
            1; 0.8 gives about as many as 'differnet'.
        seed: with split 'random', draws the normals.
        include_good: cluster the defect-free images that are no normals too, as the paper does; some later methods are
            measured on the 392 defective images alone.

    Returns:
        The records; class 0 is 'free', which means good, where they are included, and the defect types follow.

    Raises:
        FileNotFoundError: a folder, a mask or one of the 761 normal images is missing.
        ValueError: there is no such split, or `normal_fraction` is out of range.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in TYPES:
        ...         (Path(root) / f"MT_{name}" / "Imgs").mkdir(parents=True)
        ...         for file in ("0.jpg", "0.png", "1.jpg", "1.png"):
        ...             (Path(root) / f"MT_{name}" / "Imgs" / file).touch()
        ...     listing = list_mtd(Path(root), split="random", normal_fraction=0.5)
        >>> len(listing.records), sum(record.is_normal_train for record in listing.records)
        (12, 1)
    """
    check_choice("split", split, Split)
    root = unpacked(root)
    check_folder(root)
    seed = seed_number("seed", seed)
    if not (isinstance(normal_fraction, Real) and 0 <= normal_fraction < 1):
        raise ValueError(f"normal_fraction must be at least 0 and below 1, got {normal_fraction!r}")
    folders = {name: find(root, f"MT_{name}") for name in TYPES}
    absent = [f"MT_{name}" for name, folder in folders.items() if folder is None]
    if absent:
        raise FileNotFoundError(f"{str(root)!r} is not the Magnetic Tile Defect data: no {absent}. {BY_HAND}")
    images = {name: image_files(folder / "Imgs", {".jpg"}) for name, folder in folders.items() if folder}
    if split == "differnet":
        normals = set(resources.files(__package__).joinpath("mtd_normals.txt").read_text(encoding="utf-8").split())
        missing = normals - {path.name for path in images["Free"]}
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of the 761 normal images are missing in {str(folders['Free'])!r}, {min(missing)!r} "
                "for one; with data.split=random any number will do"
            )
    else:
        names = [path.name for path in images["Free"]]
        normals = set(random.Random(seed).sample(names, round(normal_fraction * len(names))))
    types = TYPES if include_good else TYPES[1:]
    records = [
        Record(image, label, _mask(image))
        for label, name in enumerate(types)
        for image in images[name]
        if not (name == "Free" and image.name in normals)
    ]
    known = [
        Record(image, 0 if include_good else None, _mask(image), is_normal_train=True)
        for image in images["Free"]
        if image.name in normals
    ]
    return Listing([*records, *known], [name.lower() for name in types])


def _mask(image: Path) -> Path:
    mask = image.with_suffix(".png")
    if not mask.is_file():
        raise FileNotFoundError(f"the mask of {str(image)!r} is missing: there is no {str(mask)!r}")
    return mask


def content_digest(folder: Path) -> str:
    """Digest all images and masks, by their names and contents.

    Args:
        folder: holds the six folders `MT_*`, itself or one level below; the digest is the same.

    Returns:
        A SHA-256, 64 hexadecimal digits; `DIGEST` for the data as they were published.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "archive" / "MT_Free" / "Imgs").mkdir(parents=True)
        ...     (Path(folder) / "archive" / "MT_Free" / "Imgs" / "0.jpg").touch()
        ...     print(content_digest(Path(folder)) == content_digest(Path(folder) / "archive") != DIGEST)
        True
    """
    free = find(folder, "MT_Free")
    root = free.parent if free else folder
    return tree_digest(root, [path for path in root.glob("MT_*/Imgs/*") if path.suffix in {".jpg", ".png"}])


def check_content(folder: Path) -> None:
    """Check that a folder holds the data as they were published.

    Args:
        folder: as for `content_digest`.

    Raises:
        ValueError: the digest is another one; the message says how to get the data by hand.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     try:
        ...         check_content(Path(folder))
        ...     except ValueError as error:
        ...         print(str(error)[:42])
        the downloaded data has a wrong checksum (
    """
    found = content_digest(folder)
    if found != DIGEST:
        raise ValueError(f"the downloaded data has a wrong checksum ({found}); nothing was kept. {BY_HAND}")
