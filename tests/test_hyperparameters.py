"""What a module was made with, paths and NumPy's numbers too, is what it is made with again from its checkpoint."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from lightning import LightningModule, Trainer

from anomaly_clustering.mic import MIC
from baselines import IIC, SCAN, TEMI, GATCluster, Prototypes


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of weights of a small network."""
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


MADE: dict[str, Callable[[Path], LightningModule]] = {
    "MIC": lambda path: MIC("resnet18", checkpoint=path, cache=path.parent / "cache", tau=np.float64(0.5)),
    "SCAN": lambda path: SCAN(features=path, checkpoint=path, selflabel_epochs=0, lr=np.float64(5)),
    "TEMI": lambda path: TEMI(features=path, checkpoint=path),
    "Prototypes": lambda path: Prototypes(features=path, checkpoint=path, cache=path.parent),
    "IIC": lambda path: IIC(num_clusters=3, trunk="conv3", checkpoint=path, lr=np.float64(1e-4)),
    "GATCluster": lambda path: GATCluster(num_clusters=3, width=np.float64(0.05)),
}


@pytest.mark.parametrize("name", MADE)
def test_a_checkpoint_is_loaded_whatever_the_paths_and_numbers_were(name: str, weights: Path) -> None:
    module = MADE[name](weights)
    module.configure_model()
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(weights.parent / "module.ckpt")
    loaded = type(module).load_from_checkpoint(weights.parent / "module.ckpt")
    assert loaded.hparams == module.hparams
    assert {type(value) for value in loaded.hparams.values()} <= {str, int, float, bool, tuple, type(None)}
