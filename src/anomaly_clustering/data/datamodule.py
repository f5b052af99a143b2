"""A source of image files in; batches of images, labels and masks out, for Lightning.

A source is a function without arguments that returns a `Listing`. `DefectDataModule` turns any source into loaders;
`MVTecAD`, `MTD`, `Folder` and `Synthetic` are ready-made for the command line.

A batch is a dict:

    image   float [B, 3, H, W] in [0, 1], not normalised: that is the backbone's business
    target  int [B], the defect type, -1 where unknown
    index   int [B], position in the data set
    mask    float [B, 1, H, W], share of each pixel that is defective; only where the source has masks
    map     float [B, 1, H, W], how anomalous another detector finds each pixel; only where its maps are given
    path    list of B file names
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from anomaly_clustering.data.images import read_image, read_mask
from anomaly_clustering.data.maps import match_maps, read_map

NUM_WORKERS = min(8, os.cpu_count() or 1)


class Record(NamedTuple):
    """One image file and what is known of it."""

    image: Path
    label: int | None = None
    mask: Path | None = None
    is_normal_train: bool = False
    map: Path | None = None


class Listing(NamedTuple):
    """What a source holds: images to cluster, normal images beside them, names of the classes."""

    records: Sequence[Record]
    class_names: Sequence[str]
    notices: Sequence[str] = ()


class DefectImages(Dataset):
    """Records as samples of the batch described above, every image resized straight to a square."""

    def __init__(
        self,
        records: Sequence[Record],
        image_size: int,
        transform: Callable[[Image.Image], torch.Tensor] | None = None,
    ):
        self.records = records
        self.image_size = image_size
        self.transform = transform or evaluation_transform(image_size)
        self.has_masks = any(record.mask for record in records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        image = read_image(record.image)
        sample = {
            "image": self.transform(image),
            "target": self.target(index),
            "index": index,
            "path": str(record.image),
        }
        if self.has_masks:
            sample["mask"] = self._mask(record, image.size)
        if record.map:
            sample["map"] = self._resized(read_map(record.map))
        return sample

    def target(self, index: int) -> int:
        """The class, -1 where unknown."""
        label = self.records[index].label
        return -1 if label is None else label

    def _mask(self, record: Record, size: tuple[int, int]) -> torch.Tensor:
        if record.mask is None:
            return torch.zeros(1, self.image_size, self.image_size)
        return self._resized(read_mask(record.mask, size))

    def _resized(self, pixels: np.ndarray) -> torch.Tensor:
        channel = torch.from_numpy(pixels)[None]
        return v2.functional.resize(channel, [self.image_size, self.image_size], antialias=True)


def evaluation_transform(image_size: int) -> Callable[[Image.Image], torch.Tensor]:
    """Resize to a square without cropping: a defect may sit at the very edge (paper: images resized to 256x256)."""
    return v2.Compose(
        [
            v2.Resize((image_size, image_size), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


def _with_maps(listing: Listing, folder: Path) -> Listing:
    images = [record.image for record in listing.records if not record.is_normal_train]
    maps = dict(zip(images, match_maps(images, folder), strict=True))
    return listing._replace(records=[record._replace(map=maps.get(record.image)) for record in listing.records])


class DefectDataModule(LightningDataModule):
    """Loaders over the images of any source.

    The setting is transductive: `train_dataloader` gives the very images that are clustered, shuffled and with
    `train_transform`; `test_dataloader`, `val_dataloader` and `predict_dataloader` give them in a fixed order. No label
    reaches training unless a method reads `target`. A LightningModule that learns from pairs of images, or in batches
    of its own, has a `train_dataloader`, which then comes first, and one that is scored without pixels a
    `val_dataloader`; `predict_dataloader().dataset` is what they start from.

    Args:
        source: returns the records and class names; called once in each process, in `setup`.
        prepare: downloads or generates what the source reads; called once on each machine, before `setup`.
        maps: folder of the anomaly maps of another detector, one for each image to cluster; see `data.maps`.
        image_size: height and width in pixels to which images are resized.
        train_transform: PIL image -> tensor [3, H, W] for training; the evaluation transform if not given.
    """

    def __init__(
        self,
        source: Callable[[], Listing],
        *,
        prepare: Callable[[], None] | None = None,
        maps: Path | str | None = None,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int = NUM_WORKERS,
        train_transform: Callable[[Image.Image], torch.Tensor] | None = None,
    ):
        super().__init__()
        if image_size < 32:
            raise ValueError(f"image_size must be at least 32 pixels, got {image_size}")
        self.source = source
        self.prepare = prepare
        self.maps = Path(maps) if maps else None
        self.image_size = image_size
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.train_transform = train_transform
        self.listing: Listing | None = None

    def prepare_data(self) -> None:
        if self.prepare:
            self.prepare()

    def setup(self, stage: str | None = None) -> None:
        if self.listing is None:
            listing = self.source()
            self.listing = _with_maps(listing, self.maps) if self.maps else listing
            if not self.records:
                raise ValueError("there are no images to cluster")

    @property
    def records(self) -> list[Record]:
        """The images to cluster, in the order of `index`."""
        return [record for record in self._listing.records if not record.is_normal_train]

    @property
    def normal_records(self) -> list[Record]:
        """Images known to be free of defects, which are not clustered."""
        return [record for record in self._listing.records if record.is_normal_train]

    @property
    def class_names(self) -> Sequence[str]:
        return self._listing.class_names

    @property
    def num_classes(self) -> int:
        """The number of defect types, 'good' included; 0 where no labels are known."""
        return len(self.class_names)

    @property
    def notices(self) -> Sequence[str]:
        """What the user should know of how the images were read, such as files that were left out."""
        return self._listing.notices

    @property
    def _listing(self) -> Listing:
        if self.listing is None:
            raise RuntimeError("call setup() first: the images have not been listed yet")
        return self.listing

    def train_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        module = self.trainer.lightning_module if self.trainer else None
        if module is not None and is_overridden("train_dataloader", module):
            return module.train_dataloader()
        return self._loader(self.records, transform=self.train_transform, shuffle=True)

    def val_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        module = self.trainer.lightning_module if self.trainer else None
        if module is not None and is_overridden("val_dataloader", module):
            return module.val_dataloader()
        return self._loader(self.records)

    def test_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        return self._loader(self.records)

    def predict_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        return self._loader(self.records)

    def normal_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        """Labelled normal images for semi-supervised weights (Eq. 6); may be empty."""
        return self._loader(self.normal_records)

    def _loader(
        self,
        records: Sequence[Record],
        *,
        transform: Callable[[Image.Image], torch.Tensor] | None = None,
        shuffle: bool = False,
    ) -> DataLoader[Mapping[str, Any]]:
        return DataLoader(
            DefectImages(records, self.image_size, transform),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            shuffle=shuffle,
        )
