"""Turns a listing of image files into batches of images, labels and masks, for Lightning.

A source is a function without arguments that returns a `Listing`. `DefectDataModule` turns any source into loaders;
those that the command line knows by name are in `sources`.

A batch is a dict:

    image   float [B, 3, H, W] in [0, 1], not normalised: that is the backbone's business; with aspect 'keep' canvases
            [B, 4, H, W] of images of several sizes, each in the upper left, where the fourth channel is 1
    target  int [B], the defect type, -1 where unknown
    index   int [B], position in the data set
    mask    float [B, 1, H, W], share of each pixel that is defective; only where the source has masks
    map     float [B, 1, H, W], how anomalous another detector finds each pixel; only where its maps are given
    bits    int [B], of a value that the camera filled in a file of 16 bits, 0 where the file has 8
    path    list of B file names
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from PIL import Image
from torch.utils.data import DataLoader

from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.decoding import Decoding
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.data.kept_size import Aspect
from anomaly_clustering.data.maps import match_maps
from anomaly_clustering.data.records import Listing, Record, without_empty_classes, without_single_class
from anomaly_clustering.data.survey import Bits, Copies, check_bits, surveyed
from anomaly_clustering.data.workers import number_of_workers
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.loaders import of_batches, patience
from anomaly_clustering.system.whole_numbers import image_side, whole_number


def _with_maps(listing: Listing, folder: Path) -> Listing:
    images = [record.image for record in listing.records if not record.is_normal_train]
    maps = dict(zip(images, match_maps(images, folder), strict=True))
    return listing._replace(records=[record._replace(map=maps.get(record.image)) for record in listing.records])


class DefectDataModule(LightningDataModule):
    """Makes the loaders over the images of any source.

    The setting is transductive: `train_dataloader` gives the very images that are clustered, shuffled and with
    `train_transform`; `test_dataloader`, `val_dataloader` and `predict_dataloader` give them in a fixed order. No label
    reaches training unless a method reads `target`.

    A LightningModule may bring loaders of its own, which are then used in place of ours: a `train_dataloader` where it
    learns from pairs of images or in batches of its own, a `val_dataloader` where it is scored without pixels. It finds
    the images in `predict_dataloader().dataset`.

    Args:
        source: returns the records and class names; called once in each process, in `setup`.
        prepare: downloads or generates what the source reads; called once on each machine, before `setup`. By default
            there is nothing to prepare.
        maps: folder of the anomaly maps of another detector, one for each image to cluster; see `data.maps`. By default
            there are none.
        bits: of a value that the camera filled in files of 16 bits, 8 to 16; by default ('auto') the fewest of 8, 10,
            12, 14 and 16 that hold the highest value of all images, normal ones too: one scale serves them all.
        copies: whether 'all' images of the same content count, as by default, or 'once'.
        image_size: height and width in pixels to which images are resized, 32 to 4096; 256 as in the paper.
        aspect: 'square', as in the paper; or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: 'exact', or 'reduced' for large JPEG files at a size that is enough: in a third of the time, and not
            quite the same numbers. Images that a method transforms for its training are decoded exactly.
        batch_size: images in a batch; 32 fit the memory of a laptop.
        num_workers: processes that read images; by default one a processor, at most 8.
        train_transform: turns an image of Pillow into a tensor [3, H, W] for training; the evaluation transform by
            default.

    Raises:
        ValueError: a number is not whole, `image_size` is not from 32 to 4096, or `copies`, `aspect` or
            `decoding` has no such value; in `setup`, there are no images, or the method takes squares only.

    Example:
        >>> import tempfile
        >>> def source() -> Listing:
        ...     return Listing([Record(Path(folder) / f"{i}.png", i % 2) for i in range(3)], ["good", "crack"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for i in range(3):
        ...         Image.new("RGB", (20, 10)).save(f"{folder}/{i}.png")
        ...     data = DefectDataModule(source, image_size=32, num_workers=0)
        ...     data.setup()
        ...     batch = next(iter(data.test_dataloader()))
        >>> batch["image"].shape, batch["target"].tolist()
        (torch.Size([3, 3, 32, 32]), [0, 1, 0])
    """

    def __init__(
        self,
        source: Callable[[], Listing],
        *,
        prepare: Callable[[], None] | None = None,
        maps: Path | str | None = None,
        bits: Bits = "auto",
        copies: Copies = "all",
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        batch_size: int = 32,
        num_workers: int | None = None,
        train_transform: Callable[[Image.Image], torch.Tensor] | None = None,
    ):
        super().__init__()
        self.source = source
        self.bits = check_bits(bits)
        self.copies: Copies = check_choice("copies", copies, Copies)
        self.prepare = prepare
        self.maps = Path(maps) if maps else None
        self.image_size = image_side(image_size)
        self.aspect: Aspect = check_choice("aspect", aspect, Aspect)
        self.decoding: Decoding = check_choice("decoding", decoding, Decoding)
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.num_workers = number_of_workers(num_workers)
        self.train_transform = train_transform
        self.listing: Listing | None = None
        self._divided: tuple[Listing, list[Record], list[Record]] | None = None
        # Positions of the images that `val_dataloader` gives, batch by batch; None for all.
        self.batches: Sequence[Sequence[int]] | None = None

    @property
    def _module(self) -> LightningModule | None:
        """The module that the images are for, where there is one yet."""
        return self.trainer.lightning_module if self.trainer else None

    def prepare_data(self) -> None:
        """Download or generate what the source reads, if it is of that kind; Lightning calls this once on a machine."""
        if self.prepare:
            self.prepare()

    def setup(self, stage: str | None = None) -> None:
        """List the images, on the first call; Lightning calls this in every process.

        Args:
            stage: what Lightning is about to do; the images are the same for all.

        Raises:
            ValueError: there are no images to cluster, the method takes squares only, or whatever else the source finds
                wrong.
        """
        module = self._module
        if self.aspect == "keep" and module is not None and not getattr(module, "keeps_aspect", False):
            raise ValueError(
                f"aspect 'keep' is for MIC; {type(module).__name__} takes images of one size: leave aspect at 'square'"
            )
        if self.listing is None:
            listing = surveyed(self.source(), bits=self.bits, copies=self.copies)
            listing = without_single_class(without_empty_classes(listing))
            self.listing = _with_maps(listing, self.maps) if self.maps else listing
            if not self.records:
                raise ValueError("; ".join(["there are no images to cluster", *self.notices]))

    @property
    def records(self) -> list[Record]:
        """The images to cluster, in the order of `index`."""
        return self._parts()[1]

    @property
    def normal_records(self) -> list[Record]:
        """Images known to be free of defects, which are not clustered."""
        return self._parts()[2]

    def _parts(self) -> tuple[Listing, list[Record], list[Record]]:
        listing = self._listing
        # Divided once, since loops ask for the records of one image after the other.
        if self._divided is None or self._divided[0] is not listing:
            to_cluster = [record for record in listing.records if not record.is_normal_train]
            self._divided = (listing, to_cluster, [record for record in listing.records if record.is_normal_train])
        return self._divided

    @property
    def bits_read(self) -> int:
        """How many bits of a value count in files of 16, one number for all; 8 where there are no such files."""
        return max([8, *(record.bits for record in self._listing.records if record.bits)])

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the defect types, in the order of `target`; empty where no labels are known."""
        return self._listing.class_names

    @property
    def num_classes(self) -> int:
        """The number of defect types, 'good' included; 0 where no labels are known."""
        return len(self.class_names)

    @property
    def notices(self) -> Sequence[str]:
        """Sentences for the user on how the folder was read, such as files that were left out."""
        return self._listing.notices

    @property
    def _listing(self) -> Listing:
        if self.listing is None:
            raise RuntimeError("call setup() first: the images have not been listed yet")
        return self.listing

    def train_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        """The images to cluster, shuffled, with `train_transform`; or the module's own loader."""
        module = self._module
        if module is not None and is_overridden("train_dataloader", module):
            return module.train_dataloader()
        return self._loader(self.records, transform=self.train_transform, shuffle=True)

    def val_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        """The images to cluster, in their order; or the module's own loader."""
        module = self._module
        if module is not None and is_overridden("val_dataloader", module):
            return module.val_dataloader()
        loader = self._loader(self.records)
        return loader if self.batches is None else of_batches(loader, self.batches)

    def test_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        """The images to cluster, in their order."""
        return self._loader(self.records)

    def predict_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        """The images to cluster, in their order."""
        return self._loader(self.records)

    def normal_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        """The images known to be free of defects, for semi-supervised weights (Eq. 6); there may be none."""
        return self._loader(self.normal_records)

    def _loader(
        self,
        records: Sequence[Record],
        *,
        transform: Callable[[Image.Image], torch.Tensor] | None = None,
        shuffle: bool = False,
    ) -> DataLoader[Mapping[str, Any]]:
        return DataLoader(
            DefectImages(records, self.image_size, transform, self.aspect, "exact" if transform else self.decoding),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            shuffle=shuffle,
            collate_fn=as_batch,
            timeout=patience(self.num_workers),
        )
