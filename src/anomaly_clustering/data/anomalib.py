"""A data set in the layout of anomalib's `Folder` in; abnormal images with types and masks, and normal ones, out.

ROOT/NORMAL_DIR/000.png   ROOT/ABNORMAL_DIR/000.png   ROOT/NORMAL_TEST_DIR/000.png   ROOT/MASK_DIR/000.png
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from anomaly_clustering.data.datamodule import NUM_WORKERS, DefectDataModule, Listing, Record
from anomaly_clustering.data.folder import list_images, mask_of

GOOD = "good"


def list_anomalib(
    root: Path,
    *,
    normal_dir: str | None,
    abnormal_dirs: Sequence[str],
    normal_test_dir: str | None = None,
    mask_dir: str | None = None,
) -> Listing:
    """The abnormal images and the normal test images to cluster, and the normal images beside them.

    The defect type of an abnormal image is the subfolder of its folder that it is in, else the folder's own name.
    Masks have the path of their image relative to its folder, optionally with `_mask` after the stem.
    """
    types: dict[Path, str] = {}
    masks: dict[Path, Path] = {}
    for name in abnormal_dirs:
        folder = root / name
        for image in list_images(folder):
            types[image] = image.relative_to(folder).parts[0] if image.parent != folder else Path(name).name
            if mask_dir is not None:
                masks[image] = mask_of(image, folder, root / mask_dir)
    if normal_test_dir is not None:
        types |= dict.fromkeys(list_images(root / normal_test_dir), GOOD)
    class_names = sorted(set(types.values()), key=lambda name: (name != GOOD, name))
    records = [Record(image, class_names.index(label), masks.get(image)) for image, label in types.items()]
    normals = list_images(root / normal_dir) if normal_dir is not None else []
    return Listing(records + [Record(image, is_normal_train=True) for image in normals], class_names)


class AnomalibFolder(DefectDataModule):
    """A data set as anomalib's `Folder` takes it, with the names of its arguments.

    Args:
        root: the folder that holds the others.
        normal_dir: images known to be free of defects, for semi-supervised weights.
        abnormal_dir: images with defects, one folder or several.
        normal_test_dir: images without defects to cluster along with the others.
        mask_dir: where the defects are.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        normal_dir: str | None = None,
        abnormal_dir: str | list[str] = "abnormal",
        normal_test_dir: str | None = None,
        mask_dir: str | None = None,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int = NUM_WORKERS,
    ):
        super().__init__(
            partial(
                list_anomalib,
                Path(root),
                normal_dir=normal_dir,
                abnormal_dirs=[abnormal_dir] if isinstance(abnormal_dir, str) else abnormal_dir,
                normal_test_dir=normal_test_dir,
                mask_dir=mask_dir,
            ),
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )
