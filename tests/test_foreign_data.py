"""Data that is not the package's: a data module and loaders of one's own, and batches that are laid out otherwise."""

from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.batch import known_of
from anomaly_clustering.mic.options import Weights


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
        (torch.full((2, 3, 64, 64), torch.nan), "got nan to nan: what reads or transforms the images makes NaN"),
    ],
)
def test_images_that_are_not_from_0_to_1_are_refused(images: torch.Tensor, got: str) -> None:
    batch = {"image": images, "index": torch.arange(2), "target": torch.zeros(2)}
    with pytest.raises(ValueError, match=got):
        known_of(batch, MIC("embedded").options)


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
        known_of(batch, MIC("embedded").options)


WRONG: list[tuple[str, object, str]] = [
    ("image", torch.rand(2, 64, 64, 3), r"numbers \[B, 3, H, W\] from 0 to 1, got float32 \[2, 64, 64, 3\]$"),
    ("image", ["a.png", "b.png"], "got a list$"),
    ("index", ["a.png", "b.png"], r"whole numbers \[B\], the position of each image .*; got a list for 2 images$"),
    ("index", torch.tensor([[0], [1]]), r"got int64 \[2, 1\] for 2 images$"),
    ("index", torch.tensor([0.0, 1.0]), r"got float32 \[2\]"),
    ("target", ["good", "crack"], "the class of each image, or -1; got a list"),
    ("target", torch.tensor([[0], [1]]), r"got int64 \[2, 1\]"),
    ("target", torch.tensor(1), r"got int64 \[\] for 2 images"),
    ("mask", torch.zeros(2, 64, 64), r"numbers \[B, 1, H, W\], from 0 .*; got float32 \[2, 64, 64\]"),
    ("map", torch.zeros(1, 1, 64, 64), "another detector's value .*; got float32"),
]


@pytest.mark.parametrize(("name", "given", "message"), WRONG)
def test_what_is_of_another_type_or_shape_is_named_by_the_first_batch(name: str, given: object, message: str) -> None:
    mic = MIC("embedded", num_clusters=2, weights="maps" if name == "map" else "rarity")
    batch = {"image": torch.rand(2, 3, 64, 64), "index": torch.arange(2), "target": torch.arange(2), name: given}
    with pytest.raises(ValueError, match=rf"^'{name}' must be .*{message}"):
        trainer().validate(mic, DataLoader([batch], batch_size=None), verbose=False)


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        ({"distance": "holistic"}, ("mask", "map")),
        ({"weights": "uniform"}, ("mask", "map")),
        ({"weights": "rarity"}, ("map",)),
        ({"weights": "mask"}, ("map",)),
    ],
)
def test_masks_and_maps_that_are_not_used_may_be_anything(options: dict[str, Any], unused: tuple[str, ...]) -> None:
    batch = {"image": torch.rand(2, 3, 8, 8), "index": torch.arange(2), "target": torch.arange(2)}
    for given in (torch.zeros(2, 8, 8, dtype=torch.int64), ["a.png", "b.png"]):
        other = dict.fromkeys(unused, given)
        tidy, known = known_of(batch | other, MIC("embedded", **options).options)
        assert all(tidy[name] is given for name in unused)
        assert known.keys() == {"index", "target"}


def test_of_a_mask_and_a_map_that_are_both_wrong_the_mask_is_named() -> None:
    batch = {"image": torch.rand(2, 3, 8, 8), "index": torch.arange(2), "target": torch.arange(2)}
    with pytest.raises(ValueError, match="'mask' must be"):
        known_of(batch | {"map": None, "mask": None}, MIC("embedded", weights="maps").options)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float64])
@pytest.mark.parametrize("weights", ["mask", "maps", "rarity"])
def test_numbers_of_any_type_are_as_good(dtype: torch.dtype, weights: Weights) -> None:
    images, masks = torch.rand(6, 3, 64, 64), torch.zeros(6, 1, 64, 64)
    masks[:3, :, :32], masks[3:, :, 40:] = 1, 1

    def labels(batch: dict[str, torch.Tensor]) -> list[int]:
        mic = MIC("embedded", num_clusters=2, weights=weights)
        # The first batch has small numbers alone.
        parts = [{name: value[i : i + 3] for name, value in batch.items()} for i in (0, 3)]
        parts[0]["index"] = parts[0]["index"].to(torch.uint8)
        trainer().validate(mic, DataLoader(parts, batch_size=None), verbose=False)
        assert mic.grouping.index.tolist() == [0, 1, 2, 300, 301, 302]
        return mic.grouping.labels.tolist()

    whole = {"image": images, "index": torch.tensor([0, 1, 2, 300, 301, 302]), "target": torch.arange(6) // 3}
    other = {"image": images.double(), "target": (torch.arange(6) // 3).bool(), "mask": masks.to(dtype)}
    assert labels(whole | other | {"map": masks.to(dtype)}) == labels(whole | {"mask": masks, "map": masks})


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
