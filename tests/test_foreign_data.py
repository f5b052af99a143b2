"""Data that is not the package's: a data module and loaders of one's own, and batches that are laid out otherwise."""

from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.batch import known_of


class Noise(Dataset[dict[str, Any]]):
    """Twelve images of two classes, one of which is darker."""

    def __init__(self, first: int = 0):
        self.images = torch.rand(12, 3, 64, 64, generator=torch.Generator().manual_seed(first))
        self.images[6:] *= 0.3
        self.first = first

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"image": self.images[i], "target": int(i >= 6), "index": self.first + i}


class Own(LightningDataModule):
    """Knows how many classes there are, and no file."""

    num_classes = 2

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        return DataLoader(Noise(), batch_size=5)


class Asks(BasePredictionWriter):
    """What users write: it asks for labels when the last image was seen."""

    def __init__(self) -> None:
        super().__init__("epoch")
        self.labels: list[int] = []

    def write_on_epoch_end(self, trainer: Any, pl_module: Any, predictions: Any, batch_indices: Any) -> None:
        self.labels = torch.cat([batch["label"] for batch in predictions]).tolist()

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.labels = pl_module.grouping.labels.tolist()

    on_validation_epoch_end = on_test_epoch_end


def trainer(*callbacks: Callback) -> Trainer:
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return Trainer(accelerator="cpu", callbacks=[*callbacks], **quiet)


@pytest.mark.parametrize("work", ["predict", "test", "validate"])
def test_callbacks_of_a_user_have_the_labels_when_the_last_image_was_seen(work: str) -> None:
    asks, mic = Asks(), MIC("embedded", num_clusters=2)
    getattr(trainer(asks), work)(mic, DataLoader(Noise(), batch_size=5))
    assert asks.labels == mic.grouping.labels.tolist()
    assert sorted(asks.labels) == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), "got torch.uint8: divide those of 8 bits by 255"),
        (torch.full((2, 3, 64, 64), 255.0), "got 255 to 255: divide those of 8 bits by 255"),
        (torch.full((2, 3, 64, 64), -2.1), "leave it to the network to normalise them"),
        (torch.full((2, 3, 64, 64), torch.nan), "got nan to nan"),
    ],
)
def test_images_that_are_not_from_0_to_1_are_refused(images: torch.Tensor, got: str) -> None:
    batch = {"image": images, "index": torch.arange(2), "target": torch.zeros(2)}
    with pytest.raises(ValueError, match=got):
        known_of(batch, masks=False)


def test_a_data_module_that_lists_no_images_is_as_good_as_its_loaders() -> None:
    (scores,) = trainer().test(MIC("embedded"), Own(), verbose=False)
    (of_loaders,) = trainer().test(MIC("embedded", num_clusters=2), DataLoader(Noise(), batch_size=5), verbose=False)
    assert scores == of_loaders
    assert scores["nmi"] == 1


def test_images_are_told_apart_by_their_positions_alone() -> None:
    both: DataLoader[Any] = DataLoader(ConcatDataset([Noise(), Noise()]), batch_size=5)
    with pytest.raises(ValueError, match="two images have index 0, and one would be taken for the other"):
        trainer().predict(MIC("embedded", num_clusters=2), both)
    both = DataLoader(ConcatDataset([Noise(), Noise(first=12)]), batch_size=5)
    found: Any = trainer().predict(MIC("embedded", num_clusters=2), both)
    # A path is told on where a batch has one.
    assert torch.cat([batch["label"] for batch in found]).tolist() in (([0] * 6 + [1] * 6) * 2, ([1] * 6 + [0] * 6) * 2)
    assert all(batch.keys() == {"index", "label"} for batch in found)


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        ((torch.rand(4, 3, 64, 64), torch.zeros(4)), r"got tuple$"),
        ({"image": torch.rand(4, 3, 64, 64), "target": torch.zeros(4)}, r"got \['image', 'target'\]$"),
    ],
)
def test_batches_that_are_laid_out_otherwise_are_named(batch: object, got: str) -> None:
    with pytest.raises(ValueError, match=rf"batches must be dictionaries with 'image' .*, {got}"):
        known_of(batch, masks=False)


@pytest.mark.parametrize("options", [{}, {"distance": "holistic"}], ids=str)
@pytest.mark.parametrize("size", [(64, 48), (32, 64)])
def test_images_of_another_size_in_a_later_batch_are_refused(size: tuple[int, int], options: dict[str, Any]) -> None:
    # 64x32 pixels have as many patches as 32x64.
    batches = [
        {"image": torch.rand(2, 3, *shape), "index": torch.tensor([2 * i, 2 * i + 1]), "target": torch.tensor([-1, -1])}
        for i, shape in enumerate([(64, 32), (64, 32), size])
    ]
    message = rf"one size, but those of the first batch have 32x64 pixels and those of a later one {size[1]}x{size[0]}:"
    with pytest.raises(ValueError, match=message):
        trainer().predict(MIC("embedded", num_clusters=2, **options), DataLoader(batches, batch_size=None))
