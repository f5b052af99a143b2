"""The Magnetic Tile Defect folder in; 583 images of six classes with masks, and 761 normal ones, out.

MT_TYPE/Imgs/NAME.jpg   MT_TYPE/Imgs/NAME.png (mask)   TYPE: Free, Blowhole, Break, Crack, Fray, Uneven
"""

import random
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Literal

from anomaly_clustering.data.datamodule import NUM_WORKERS, DefectDataModule, Listing, Record
from anomaly_clustering.data.download import find, provide, tree_digest, unpacked

TYPES = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")

URL = "https://github.com/abin24/Magnetic-tile-defect-datasets./archive/refs/heads/master.zip"
# Of the 2,688 files themselves: GitHub may repack the archive at any time.
DIGEST = "ddb589ef5b9f6282cb6d071bba5b3c0461215f37eb84c321ce663f39c64e096d"
BY_HAND = (
    "Get the data from https://github.com/abin24/Magnetic-tile-defect-datasets. and give the path of the folder "
    "that holds MT_Free, or of the archive, as data.root"
)

Split = Literal["differnet", "random"]


def list_mtd(root: Path, *, split: Split = "differnet", normal_fraction: float = 0.8, seed: int = 0) -> Listing:
    """The images to cluster and the normal ones.

    Of the 952 defect-free images the split 'differnet' takes the 761 that DifferNet, PatchCore and later work train on
    as normals, 'random' a fraction of them drawn by seed. The others are clustered together with the 392 defective.
    """
    if not 0 <= normal_fraction < 1:
        raise ValueError(f"normal_fraction must be at least 0 and below 1, got {normal_fraction}")
    folders = {name: find(root, f"MT_{name}") for name in TYPES}
    absent = [f"MT_{name}" for name, folder in folders.items() if folder is None]
    if absent:
        raise FileNotFoundError(f"{str(root)!r} is not the Magnetic Tile Defect data: no {absent}. {BY_HAND}")
    images = {name: sorted((folder / "Imgs").glob("*.jpg")) for name, folder in folders.items() if folder}
    if split == "differnet":
        normals = set(resources.files(__package__).joinpath("mtd_normals.txt").read_text().split())
        missing = normals - {path.name for path in images["Free"]}
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of the 761 normal images are missing in {str(folders['Free'])!r}, {min(missing)!r} "
                "for one; with data.split=random any number will do"
            )
    else:
        names = [path.name for path in images["Free"]]
        normals = set(random.Random(seed).sample(names, round(normal_fraction * len(names))))
    return Listing(
        [
            Record(image, label, _mask(image), is_normal_train=name == "Free" and image.name in normals)
            for label, name in enumerate(TYPES)
            for image in images[name]
        ],
        [name.lower() for name in TYPES],
    )


def _mask(image: Path) -> Path:
    mask = image.with_suffix(".png")
    if not mask.is_file():
        raise FileNotFoundError(f"the mask of {str(image)!r} is missing: there is no {str(mask)!r}")
    return mask


class MTD(DefectDataModule):
    """Magnetic Tile Defects (Huang, Qiu, Yuan 2020, 'Surface defect saliency of magnetic tile').

    Args:
        root: the data set's folder, its archive (unpacked beside itself), or, with `download`, where to put it.
        split: which defect-free images are the normals: 'differnet' as in the paper's tables, or 'random'.
        normal_fraction: with split 'random', the share of the defect-free images that are normals.
        seed: with split 'random', draws them.
        download: fetch the archive if `root` does not exist.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `data.maps`.
    """

    def __init__(
        self,
        root: Path | str = "data/mtd",
        *,
        split: Split = "differnet",
        normal_fraction: float = 0.8,
        seed: int = 0,
        download: bool = False,
        maps: Path | str | None = None,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int = NUM_WORKERS,
    ):
        super().__init__(
            partial(_list, Path(root), split, normal_fraction, seed),
            prepare=partial(provide, Path(root), url=URL, allowed=download, by_hand=BY_HAND, check=check_content),
            maps=maps,
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )


def _list(root: Path, split: Split, normal_fraction: float, seed: int) -> Listing:
    return list_mtd(unpacked(root), split=split, normal_fraction=normal_fraction, seed=seed)


def content_digest(folder: Path) -> str:
    """Digest of all images and masks, wherever in the folder the MT_* folders are."""
    free = find(folder, "MT_Free")
    root = free.parent if free else folder
    return tree_digest(root, [path for path in root.glob("MT_*/Imgs/*") if path.suffix in {".jpg", ".png"}])


def check_content(folder: Path) -> None:
    found = content_digest(folder)
    if found != DIGEST:
        raise ValueError(f"the downloaded data has a wrong checksum ({found}); nothing was kept. {BY_HAND}")
