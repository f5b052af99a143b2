"""The sources that a user names on the command line: each turns a folder and options into batches for Lightning.

What the folders of a source look like stands in the file of its layout, which lists them without torch: `folder`,
`mvtec`, `mtd`, `anomalib`, `synthetic`. More public data sets, and folders with an index file, are in `sets.sources`.
"""

from functools import partial
from pathlib import Path

from anomaly_clustering.data import mtd, mvtec
from anomaly_clustering.data.anomalib import list_anomalib
from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.decoding import Decoding
from anomaly_clustering.data.download import provide
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.kept_size import Aspect
from anomaly_clustering.data.survey import Bits, Copies
from anomaly_clustering.data.synthetic import cache_folder, write_once
from anomaly_clustering.system.whole_numbers import seed_number, whole_number


class Folder(DefectDataModule):
    """A folder of your own images, with defect types as subfolders or without any.

    Args:
        root: the images to cluster: PNG, JPEG, BMP, TIFF or WebP.
        normals: folder of images known to be free of defects, for semi-supervised weights.
        masks: folder of masks that show where the defects are, for mask weights and localisation.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        skip_unreadable: list damaged files and go on; by default they stop the run, so that none is missed unseen.
        bits: of a value that the camera filled in files of 16 bits, 8 to 16; 'auto' finds it by the highest value.
        copies: whether 'all' images of the same content count, or 'once'.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: 'exact', or 'reduced' for large JPEG files at a size that is enough, see `DefectDataModule`.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are listed, see `list_folder`.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.data.synthetic_images import write_dataset
        >>> with tempfile.TemporaryDirectory() as photos:
        ...     write_dataset(Path(photos), per_class=2, normals=0, size=64)
        ...     data = Folder(f"{photos}/test", masks=f"{photos}/ground_truth", image_size=64, num_workers=0)
        ...     data.setup()
        ...     batch = next(iter(data.test_dataloader()))
        >>> batch["image"].shape, data.num_classes
        (torch.Size([14, 3, 64, 64]), 7)
    """

    def __init__(
        self,
        root: Path | str,
        *,
        normals: Path | str | None = None,
        masks: Path | str | None = None,
        maps: Path | str | None = None,
        skip_unreadable: bool = False,
        bits: Bits = "auto",
        copies: Copies = "all",
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        super().__init__(
            partial(
                list_folder,
                Path(root),
                normals=Path(normals) if normals else None,
                masks=Path(masks) if masks else None,
                leave_out=[Path(maps)] if maps else [],
                skip_unreadable=skip_unreadable,
                bits=bits,
            ),
            maps=maps,
            bits=bits,
            copies=copies,
            image_size=image_size,
            aspect=aspect,
            decoding=decoding,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class MVTecAD(DefectDataModule):
    """One category of MVTec AD (Bergmann et al., CVPR 2019; CC BY-NC-SA 4.0): test images by defect type, and normals.

    Args:
        root: the data set's folder, its archive (unpacked beside itself), or, with `download`, where to put it.
        category: one of the 15, the first of the paper's by default; folders of the same layout under other names work
            as well.
        include_combined: keep the images that show several defect types at once; the paper leaves them out.
        download: fetch the archive (4.9 GB) if `root` does not exist; by default nothing comes from the internet.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are listed, see `mvtec.list_category`.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.data.synthetic_images import write_dataset
        >>> with tempfile.TemporaryDirectory() as root:
        ...     write_dataset(Path(root) / "plate", per_class=2, normals=3, size=64)
        ...     data = MVTecAD(root, "plate")
        ...     data.prepare_data()
        ...     data.setup()
        >>> len(data.records), len(data.normal_records), data.class_names[0]
        (14, 3, 'good')
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
        aspect: Aspect = "square",
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        super().__init__(
            partial(mvtec.list_category, Path(root), category, include_combined=include_combined),
            prepare=partial(
                provide,
                Path(root),
                url=mvtec.URL,
                sha256=mvtec.SHA256,
                allowed=download,
                by_hand=mvtec.BY_HAND,
                licence=mvtec.LICENCE,
            ),
            maps=maps,
            image_size=image_size,
            aspect=aspect,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class MTD(DefectDataModule):
    """Magnetic Tile Defects (Huang, Qiu, Yuan 2020, 'Surface defect saliency of magnetic tile').

    Args:
        root: the data set's folder, its archive (unpacked beside itself), or, with `download`, where to put it.
        split: which defect-free images are the normals: 'differnet' as in the paper's tables, or 'random'.
        normal_fraction: with split 'random', the share of the defect-free images that are normals.
        seed: with split 'random', draws them.
        include_good: cluster the other defect-free images too, as the paper does; without them 392 images remain.
        download: fetch the archive if `root` does not exist; by default nothing comes from the internet.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are listed, see `mtd.list_mtd`.

    Example:
        >>> data = MTD("absent")
        >>> try:
        ...     data.prepare_data()
        ... except FileNotFoundError as error:
        ...     print(str(error)[:24])
        'absent' does not exist.
    """

    def __init__(
        self,
        root: Path | str = "data/mtd",
        *,
        split: mtd.Split = "differnet",
        normal_fraction: float = 0.8,
        seed: int = 0,
        include_good: bool = True,
        download: bool = False,
        maps: Path | str | None = None,
        image_size: int = 256,
        aspect: Aspect = "square",
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        super().__init__(
            partial(
                mtd.list_mtd,
                Path(root),
                split=split,
                normal_fraction=normal_fraction,
                seed=seed,
                include_good=include_good,
            ),
            prepare=partial(
                provide,
                Path(root),
                url=mtd.URL,
                allowed=download,
                by_hand=mtd.BY_HAND,
                licence=mtd.LICENCE,
                check=mtd.check_content,
            ),
            maps=maps,
            image_size=image_size,
            aspect=aspect,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class AnomalibFolder(DefectDataModule):
    """A data set as anomalib's `Folder` takes it, with the names of its arguments.

    Args:
        root: the folder that holds the others.
        normal_dir: images known to be free of defects, for semi-supervised weights.
        abnormal_dir: images with defects, one folder or several.
        normal_test_dir: images without defects to cluster along with the others.
        mask_dir: masks that show where the defects are.
        bits: of a value that the camera filled in files of 16 bits, 8 to 16; 'auto' finds it by the highest value.
        copies: whether 'all' images of the same content count, or 'once'.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: 'exact', or 'reduced' for large JPEG files at a size that is enough, see `DefectDataModule`.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are listed, see `list_anomalib`.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.data.synthetic_images import write_dataset
        >>> with tempfile.TemporaryDirectory() as root:
        ...     write_dataset(Path(root), per_class=2, normals=3, size=64)
        ...     data = AnomalibFolder(root, normal_dir="train/good", abnormal_dir=["test/crack", "test/hole"])
        ...     data.setup()
        >>> len(data.records), len(data.normal_records), data.class_names
        (4, 3, ['crack', 'hole'])
    """

    def __init__(
        self,
        root: Path | str,
        *,
        normal_dir: str | None = None,
        abnormal_dir: str | list[str] = "abnormal",
        normal_test_dir: str | None = None,
        mask_dir: str | None = None,
        bits: Bits = "auto",
        copies: Copies = "all",
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        batch_size: int = 32,
        num_workers: int | None = None,
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
            bits=bits,
            copies=copies,
            image_size=image_size,
            aspect=aspect,
            decoding=decoding,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class Synthetic(DefectDataModule):
    """Photographs of a textured product that does not exist: good ones, ones with defects of several types, and masks.

    The images are drawn once and written to a folder named by the arguments.

    Args:
        root: the folder that holds such data sets; by default in the user's cache.
        per_class: images to cluster of each type; 12 of 7 types are clustered in seconds.
        normals: further images without defect, for semi-supervised weights.
        difficulty: from 0 (large, clear defects) to 1 (small, faint ones under changing light).
        seed: draws the images.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        image_size: height and width in pixels at which images are drawn, at least 64; 256 as in the paper.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are drawn, see `write_dataset`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     data = Synthetic(root, per_class=1, normals=0, image_size=64)
        ...     data.prepare_data()
        ...     data.setup()
        >>> len(data.records), data.class_names[:3]
        (7, ['good', 'crack', 'fibre'])
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        per_class: int = 12,
        normals: int = 24,
        difficulty: float = 0.5,
        seed: int = 0,
        maps: Path | str | None = None,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        per_class = whole_number("per_class", per_class, least=1)
        normals = whole_number("normals", normals, least=0)
        seed = seed_number("seed", seed)
        name = f"{per_class}x{image_size}px-{normals}normals-difficulty{difficulty}-seed{seed}"
        folder = Path(root or cache_folder()) / name
        super().__init__(
            partial(mvtec.list_mvtec, folder),
            prepare=partial(
                write_once,
                folder,
                per_class=per_class,
                normals=normals,
                size=image_size,
                difficulty=difficulty,
                seed=seed,
            ),
            maps=maps,
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )
