"""Images of a training: each is decoded once, for all processes, and seen alike by one process and by two."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeImage
from digits import train
from lightning import Callback, LightningModule, Trainer, seed_everything

from anomaly_clustering.data import Folder
from baselines import IIC, SCAN, GATCluster, decoded
from baselines.decoded import SHARED_MEMORY


class Views(Callback):
    """Writes a file for each batch of a training: positions, views, and all pixels as this process has them."""

    def __init__(self, folder: Path):
        self.folder = folder

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        name = f"{trainer.current_epoch}-{batch_idx}-{trainer.global_rank}.pt"
        torch.save({**batch, "pixels": module.images.pixels.clone()}, self.folder / name)


def views(photos: Path, folder: Path, **options: Any) -> tuple[dict[tuple[int, int], torch.Tensor], torch.Tensor]:
    """Of each epoch and image its views, and the pixels of all images."""
    folder.mkdir()
    seed_everything(7)
    module = IIC(num_clusters=3, trunk="conv3", input_size=16, repeats=2, batch_size=6)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Views(folder)],
        **options,
    )
    trainer.fit(module, datamodule=Folder(photos, image_size=64, num_workers=0))
    found, pixels = {}, []
    for path in sorted(folder.glob("*.pt")):
        batch = torch.load(path)
        pixels.append(batch["pixels"])
        for index, view in zip(batch["index"].tolist(), batch["views"], strict=True):
            found[int(path.name.split("-")[0]), index] = view
    assert all(torch.equal(part, pixels[0]) for part in pixels)
    return found, pixels[0]


@pytest.fixture(scope="module")
def left_over() -> set[Path]:
    return set(SHARED_MEMORY.glob("anomaly-clustering-*"))


@pytest.mark.slow
def test_two_processes_see_the_views_of_one_and_share_what_they_decode(
    photos: Path, tmp_path: Path, left_over: set[Path]
) -> None:
    one, pixels = views(photos, tmp_path / "one")
    two, shared = views(photos, tmp_path / "two", devices=2, strategy="ddp_spawn")
    assert one.keys() == two.keys() == {(epoch, index) for epoch in range(2) for index in range(15)}
    assert all(torch.allclose(two[key], view, atol=1e-6) for key, view in one.items())
    assert not torch.allclose(one[0, 0], one[1, 0])
    assert torch.equal(pixels, shared)
    # Nothing is left behind.
    assert set(SHARED_MEMORY.glob("anomaly-clustering-*")) <= left_over


def test_a_file_that_windows_does_not_remove_while_it_is_mapped_goes_with_the_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, temporary = os.open, 1 << 30

    def opened_by_windows(path: Any, flags: int, *mode: int) -> int:
        file = opened(path, flags & ~temporary, *mode)
        if flags & temporary:
            # Here it can go at once, and what is mapped stays.
            os.unlink(path)
        return file

    def in_use(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))

    monkeypatch.setattr(decoded, "SHARED_MEMORY", tmp_path / "windows has none")
    monkeypatch.setattr(decoded, "REMOVED_WITH_THE_LAST", temporary, raising=False)
    monkeypatch.setattr(decoded.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(os, "open", opened_by_windows)
    monkeypatch.setattr(Path, "unlink", in_use)
    module = IIC(num_clusters=3, trunk="conv3", input_size=32, repeats=2)
    data = Folder(photos, image_size=64, num_workers=0)
    assert train(module, data, epochs=1, seed=0)["last"]["epoch"] == 0
    assert list(tmp_path.glob("anomaly-clustering-*")) == []


@pytest.mark.parametrize(
    "module",
    [
        IIC(num_clusters=3, trunk="conv3", input_size=32, repeats=2),
        GATCluster(num_clusters=3, backbone="small", input_size=32, step_size=8, passes=2),
        SCAN("embedded", num_clusters=3, crop=64, neighbours="auto", scan_epochs=1, threshold=0.34),
    ],
    ids=["IIC", "GATCluster", "SCAN"],
)
def test_files_are_read_once_and_pixels_are_those_of_the_files(photos: Path, module: Any) -> None:
    """Files that are gone when training begins are not missed, and every epoch is scored."""
    data, read = Folder(photos, image_size=64, num_workers=0), []

    def forget() -> None:
        read.extend(data.predict_dataloader())
        for path in photos.rglob("*.png"):
            path.unlink()

    module.on_train_start = forget
    assert train(module, data, epochs=2, seed=0)["last"]["epoch"] == 1
    (batch,) = read
    assert torch.equal(module.images.clean(batch["index"]), batch["image"])


def test_images_of_several_sizes_are_named(photos: Path, make_image: MakeImage) -> None:
    data = Folder(photos, image_size=64, num_workers=0)
    data.setup()
    resized = data.predict_dataloader

    def of_two_sizes() -> Any:
        loader = resized()
        own = loader.dataset.transform
        loader.dataset.transform = lambda image: own(image)[:, : 64 if image.getpixel((0, 0))[0] % 2 else 32]
        return loader

    data.predict_dataloader = of_two_sizes  # type: ignore[method-assign]
    module = IIC(num_clusters=3, trunk="conv3", input_size=32)
    with pytest.raises(ValueError, match=r"image \d+ has \[3, \d+, 64\] where the first has \[3, \d+, 64\]"):
        train(module, data, epochs=1, seed=0)
