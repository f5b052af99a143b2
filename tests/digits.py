"""scikit-learn's digits as a folder of 8x8 images, and a training on it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer, seed_everything
from PIL import Image
from sklearn.datasets import load_digits

from anomaly_clustering.data import Folder
from anomaly_clustering.runs.epochs import Epoch, LastAndBest


def digits(folder: Path, classes: Iterable[int] = range(10)) -> tuple[Folder, str]:
    """The images, resized to 32 pixels, and a file of their raw pixels as features."""
    pixels, target = load_digits(return_X_y=True)
    features = []
    for digit in classes:
        place = folder / "images" / str(digit)
        place.mkdir(parents=True)
        for i, image in enumerate(pixels[target == digit]):
            Image.fromarray(np.rint(image.reshape(8, 8) * 255 / 16).astype(np.uint8)).save(place / f"{i:04}.png")
            features.append(image / 16)
    np.save(folder / "features.npy", np.array(features, dtype=np.float32))
    data = Folder(folder / "images", image_size=32, batch_size=512, num_workers=0)
    return data, str(folder / "features.npy")


def train(module: LightningModule, data: Folder, *, epochs: int, seed: int, **options: Any) -> dict[str, Epoch]:
    """The epochs to report; options are of the Trainer."""
    seed_everything(seed)
    log = LastAndBest()
    Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[log],
        **options,
    ).fit(module, datamodule=data)
    return log.chosen()
