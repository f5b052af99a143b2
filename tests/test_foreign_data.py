"""Data that is not the package's: a data module and loaders of one's own, and batches that are laid out otherwise."""

from typing import Any

import pytest
import torch
from lightning import LightningDataModule, Trainer
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


def trainer() -> Trainer:
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return Trainer(accelerator="cpu", **quiet)


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
