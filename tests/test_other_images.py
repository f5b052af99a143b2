"""A trained method is asked of other images than it was trained on: it answers for those, not for its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeImage
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback

from anomaly_clustering.data import Folder
from baselines import IIC, SCAN, TEMI, GATCluster, Prototypes

METHODS: dict[str, Callable[[], LightningModule]] = {
    "IIC": lambda: IIC(num_clusters=3, trunk="conv3", input_size=32, repeats=2),
    "GATCluster": lambda: GATCluster(num_clusters=3, backbone="small", input_size=32, step_size=8, passes=2),
    "SCAN": lambda: SCAN("embedded", num_clusters=3, crop=64, neighbours="auto", selflabel_epochs=0, cached_views=2),
    "TEMI": lambda: TEMI("embedded", num_clusters=3, crop=64, neighbours="auto", heads=2, batch_size=16),
    "Prototypes": lambda: Prototypes(backbone="embedded", num_clusters=3, heads=2, epsilon=0.5),
}


@pytest.fixture
def others(tmp_path: Path, make_image: MakeImage) -> Path:
    """More images than the photographs are, in another order of kinds."""
    for kind in (2, 0, 1):
        for seed in range(6):
            make_image(tmp_path / "others" / f"{'abc'[kind - 1]}" / f"{seed}.png", kind, seed=30 + seed)
    return tmp_path / "others"


def trainer(**options: Any) -> Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(accelerator="cpu", max_epochs=2, **quiet, **options)


def data(root: Path) -> Folder:
    return Folder(root, image_size=64, num_workers=0)


def labels(module: LightningModule, root: Path, checkpoint: Path | None = None) -> list[int]:
    found = trainer().predict(module, data(root), ckpt_path=checkpoint, weights_only=True)
    assert found is not None
    return torch.cat([batch["label"] for batch in found]).tolist()


@pytest.mark.parametrize("name", METHODS)
def test_what_is_asked_after_a_training_is_what_a_checkpoint_says(
    name: str, photos: Path, others: Path, tmp_path: Path
) -> None:
    module = METHODS[name]()
    training = trainer()
    training.fit(module, data(photos))
    training.save_checkpoint(tmp_path / "last.ckpt")
    for root, count in ((others, 18), (photos, 15)):
        found = labels(module, root)
        assert len(found) == count
        assert found == labels(METHODS[name](), root, tmp_path / "last.ckpt")
    (scores,) = trainer().validate(module, data(others), verbose=False)
    (again,) = trainer().validate(
        METHODS[name](), data(others), ckpt_path=tmp_path / "last.ckpt", verbose=False, weights_only=True
    )
    assert scores["nmi"] == again["nmi"]


def test_a_second_training_of_scan_begins_anew(photos: Path, others: Path) -> None:
    module = SCAN("embedded", num_clusters=3, crop=64, neighbours="auto", scan_epochs=1, selflabel_epochs=1)
    trainer().fit(module, data(photos))
    stages: list[int] = []
    told = LambdaCallback(on_train_epoch_start=lambda trainer, module: stages.append(module.stage))
    trainer(callbacks=[told]).fit(module, data(others))
    assert stages == [0, 1]
    assert module.neighbours.shape[0] == 18
