"""Public data sets, and folders with an index file, as a user names them on the command line: batches for Lightning."""

from functools import partial
from pathlib import Path

from anomaly_clustering.data.archives import check_folder, is_archive, unpacked
from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.decoding import Decoding
from anomaly_clustering.data.download import provide
from anomaly_clustering.data.kept_size import Aspect
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.coco import list_coco
from anomaly_clustering.data.sets.known import DataSet, Name, known
from anomaly_clustering.data.sets.metadata_folder import list_metadata_folder, prepare
from anomaly_clustering.data.sets.one_type import Several
from anomaly_clustering.data.survey import Bits, Copies
from anomaly_clustering.system.choices import check_choice


class PublicDataset(DefectDataModule):
    """A public data set by its name, each image with its type of defect; see `data.sets.known` for what each is.

    Args:
        name: which one.
        root: its folder, its archive (unpacked beside itself), or, with `download`, where to put it; `data/NAME` by
            default.
        category: one product of those data sets that have several.
        several: whether images that show several types of defects at once are left out, as the paper leaves out MVTec
            AD's, or kept, each set of types as a class of its own.
        download: fetch the archive if `root` does not exist, where its owner offers one; the licence is printed before.
            By default nothing comes from the internet.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        copies: whether 'all' images of the same content count, or 'once'.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: 'exact', or 'reduced' for large JPEG files at a size that is enough, see `DefectDataModule`.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: there is no such data set, it lacks its category or has none, its images have one type each, or its
            owner offers no download. When the images are listed, see its file in `data.sets`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("crazing_1.jpg", "scratches_1.jpg"):
        ...         (Path(root) / name).touch()
        ...     data = PublicDataset("neu_det", root)
        ...     data.prepare_data()
        ...     data.setup()
        >>> data.class_names
        ['crazing', 'scratches']
    """

    def __init__(
        self,
        name: Name,
        root: Path | str | None = None,
        *,
        category: str | None = None,
        several: Several = "leave_out",
        download: bool = False,
        maps: Path | str | None = None,
        copies: Copies = "all",
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        found, place = known(name), Path(root or Path("data") / name)
        _check(found, name, category=category, several=several, download=download)
        super().__init__(
            partial(_listed, found, place, category=category, several=several),
            prepare=partial(_prepare, found, place, download=download),
            maps=maps,
            copies=copies,
            image_size=image_size,
            aspect=aspect,
            decoding=decoding,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class CocoFolder(DefectDataModule):
    """Images with annotations in COCO's JSON, whose categories are the types of defects.

    Args:
        root: the folder of both.
        annotations: the JSON file, from `root`.
        images: the folder in `root` from which the names of images begin; by default `root` itself, or `images` in it.
        several: whether images with several categories are left out, or kept, each set of them as a class of its own.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        bits: of a value that the camera filled in files of 16 bits, 8 to 16; 'auto' finds it by the highest value.
        copies: whether 'all' images of the same content count, or 'once'.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: 'exact', or 'reduced' for large JPEG files at a size that is enough, see `DefectDataModule`.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are listed, see `coco.list_coco`.

    Example:
        >>> CocoFolder("photos", annotations="annotations/instances.json").image_size
        256
    """

    def __init__(
        self,
        root: Path | str,
        *,
        annotations: str = "annotations.json",
        images: str | None = None,
        several: Several = "leave_out",
        maps: Path | str | None = None,
        bits: Bits = "auto",
        copies: Copies = "all",
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        super().__init__(
            partial(list_coco, Path(root), annotations=annotations, images=images, several=several),
            maps=maps,
            bits=bits,
            copies=copies,
            image_size=image_size,
            aspect=aspect,
            decoding=decoding,
            batch_size=batch_size,
            num_workers=num_workers,
        )


class MetadataFolder(DefectDataModule):
    """Images with `metadata.csv`, `.jsonl` or `.parquet` beside them, as data sets of Hugging Face have it.

    Args:
        root: the folder of the table and the images; where there are parts such as `train` and `test`, one of them. Or
            a Parquet file that holds the images too, or a folder of such files, which are written out once.
        label: the column of the types of defects; None where there is none.
        mask: a column of paths of masks, empty for images free of defects alone; none by default.
        several: whether images with a list of several types are left out, or kept, each list as a class of its own.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `anomaly_clustering.data.maps`.
        bits: of a value that the camera filled in files of 16 bits, 8 to 16; 'auto' finds it by the highest value.
        copies: whether 'all' images of the same content count, or 'once'.
        image_size: height and width in pixels to which images are resized; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: 'exact', or 'reduced' for large JPEG files at a size that is enough, see `DefectDataModule`.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.

    Raises:
        ValueError: `image_size` is not from 32 to 4096. When the images are listed, see
            `metadata_folder.list_metadata_folder`.

    Example:
        >>> MetadataFolder("photos/test", label="defect").image_size
        256
    """

    def __init__(
        self,
        root: Path | str,
        *,
        label: str | None = "label",
        mask: str | None = None,
        several: Several = "leave_out",
        maps: Path | str | None = None,
        bits: Bits = "auto",
        copies: Copies = "all",
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        batch_size: int = 32,
        num_workers: int | None = None,
    ):
        super().__init__(
            partial(list_metadata_folder, Path(root), label=label, mask=mask, several=several),
            prepare=partial(prepare, Path(root), label=label),
            maps=maps,
            bits=bits,
            copies=copies,
            image_size=image_size,
            aspect=aspect,
            decoding=decoding,
            batch_size=batch_size,
            num_workers=num_workers,
        )


def _check(found: DataSet, name: str, *, category: str | None, several: Several, download: bool) -> None:
    if found.categories and not category:
        raise ValueError(
            f"{name} has several products, of which one is clustered at a time: give data.category, one of "
            f"{', '.join(found.categories)}"
        )
    if category and not found.categories:
        raise ValueError(f"{name} has no categories; leave data.category {category!r} out")
    if check_choice("several", several, Several) == "keep" and not found.several:
        raise ValueError(f"an image of {name} has one type alone; leave data.several out")
    if download and found.url is None:
        raise ValueError(f"the owner of {name} offers no download without a browser. {found.by_hand}")


def _listed(found: DataSet, root: Path, *, category: str | None, several: Several) -> Listing:
    if is_archive(root):
        check_folder(unpacked(root))
    options = {"category": category} if found.categories else {}
    return found.lister(unpacked(root), **options, **({"several": several} if found.several else {}))


def _prepare(found: DataSet, root: Path, *, download: bool) -> None:
    provide(
        root,
        url=found.url,
        allowed=download,
        by_hand=found.by_hand,
        licence=found.terms,
        sha256=found.sha256,
        check=found.check,
    )
    found.prepare(unpacked(root))
