"""A folder in MVTec AD's layout in; its test images with defect types and masks out.

CATEGORY/test/TYPE/000.png   CATEGORY/ground_truth/TYPE/000_mask.png   CATEGORY/train/good/000.png
"""

from functools import partial
from pathlib import Path

from anomaly_clustering.data.datamodule import NUM_WORKERS, DefectDataModule, Listing, Record
from anomaly_clustering.data.download import find, provide, unpacked
from anomaly_clustering.data.images import image_files

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
BY_HAND = (
    "Get the archive from https://www.mvtec.com/company/research/datasets/mvtec-ad and give its path, "
    "or that of the unpacked folder, as data.root"
)


def list_mvtec(folder: Path, *, include_combined: bool = False) -> Listing:
    """The test images of one category folder; class 0 is 'good', the others follow by name.

    Images of 'combined' show several defect types at once, so the paper leaves them out.
    """
    if not (folder / "test").is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is not a category in MVTec AD's layout: it has no folder 'test'")
    types = sorted(path.name for path in (folder / "test").iterdir() if path.is_dir())
    if not include_combined:
        types = [name for name in types if name != "combined"]
    types.sort(key=lambda name: name != "good")
    records = [
        Record(image, label, _mask(folder, name, image))
        for label, name in enumerate(types)
        for image in image_files(folder / "test" / name)
    ]
    normals = [Record(image, is_normal_train=True) for image in image_files(folder / "train" / "good")]
    if not records:
        raise ValueError(f"{str(folder / 'test')!r} holds no images")
    return Listing(records + normals, types)


def _mask(folder: Path, name: str, image: Path) -> Path | None:
    if name == "good" or not (folder / "ground_truth").is_dir():
        return None
    mask = folder / "ground_truth" / name / f"{image.stem}_mask.png"
    if not mask.is_file():
        raise FileNotFoundError(f"the mask of {str(image)!r} is missing: there is no {str(mask)!r}")
    return mask


class MVTecAD(DefectDataModule):
    """One category of MVTec AD (Bergmann et al., CVPR 2019; CC BY-NC-SA 4.0): test images by defect type, normals.

    Args:
        root: the data set's folder, its archive (unpacked beside itself), or, with `download`, where to put it.
        category: one of the 15; folders of the same layout under other names work as well.
        include_combined: keep the images that show several defect types at once.
        download: fetch the archive (4.9 GB) if `root` does not exist.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `data.maps`.
    """

    def __init__(
        self,
        root: Path | str = "data/mvtec",
        category: str = "bottle",
        *,
        include_combined: bool = False,
        download: bool = False,
        maps: Path | str | None = None,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int = NUM_WORKERS,
    ):
        super().__init__(
            self._list,
            prepare=partial(provide, Path(root), url=URL, sha256=SHA256, allowed=download, by_hand=BY_HAND),
            maps=maps,
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )
        self.root = Path(root)
        self.category = category
        self.include_combined = include_combined

    def _list(self) -> Listing:
        root = unpacked(self.root)
        folder = find(root, self.category)
        if folder is None:
            there = sorted({path.parent.name for path in root.glob("**/test") if path.is_dir()})
            raise FileNotFoundError(f"{str(root)!r} has no category {self.category!r}; it has {there or 'none'}")
        return list_mvtec(folder, include_combined=self.include_combined)
