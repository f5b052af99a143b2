"""In which precision trained methods compute: networks in half where that is asked for, losses and scores never."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from test_baselines import METHOD, METHODS, of


@METHOD
def test_half_precision_is_for_networks_alone(photos: Path, make: Callable[[], LightningModule]) -> None:
    data, module, losses = of(photos), make(), []
    module.on_before_backward = lambda loss: losses.append(loss.dtype)  # type: ignore[method-assign]
    trainer = Trainer(
        accelerator="cpu",
        precision="bf16-mixed",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, datamodule=data)
    predictions = [batch["confidence"] for batch in trainer.predict(module, datamodule=data)]
    assert {*losses, *(confidence.dtype for confidence in predictions)} == {torch.float32}
    assert all(confidence.isfinite().all() for confidence in predictions)


@pytest.mark.parametrize("name", ["IIC, statistics of the images", "GATCluster, statistics of the images", "TEMI"])
def test_double_precision_is_for_everything(name: str, photos: Path) -> None:
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer, module = Trainer(accelerator="cpu", precision="64-true", max_epochs=2, **options), METHODS[name]()
    trainer.fit(module, datamodule=of(photos))
    (batch,) = trainer.predict(module, datamodule=of(photos))
    assert batch["confidence"].dtype == torch.float64


class Features(Callback):
    """Keeps what heads were last given in validation and in prediction."""

    def __init__(self) -> None:
        self.validated = self.predicted = torch.zeros(0)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        def keep(_: object, given: tuple[torch.Tensor]) -> None:
            if trainer.validating or trainer.predicting:
                setattr(self, "validated" if trainer.validating else "predicted", given[0].clone())

        module.standardised.register_forward_pre_hook(keep)  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("name", ["IIC", "GATCluster", "SCAN", "TEMI"])
def test_half_precision_for_everything_is_refused(name: str, photos: Path) -> None:
    trainer = Trainer(accelerator="cpu", precision="bf16-true", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"32 bits at least: set --trainer.precision to '32-true', .* got 'bf16-true'"):
        trainer.fit(METHODS[name](), datamodule=of(photos))


@pytest.mark.parametrize("name", ["SCAN", "SCAN, self-labelling", "TEMI"])
def test_in_half_precision_what_is_predicted_is_what_was_scored(name: str, photos: Path) -> None:
    """Self-labelling begins after these epochs."""
    features = Features()
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", precision="bf16-mixed", max_epochs=2, callbacks=[features], **options)
    module = METHODS[name]()
    trainer.fit(module, datamodule=of(photos))
    trainer.predict(module, datamodule=of(photos))
    assert torch.allclose(features.predicted, features.validated, rtol=1e-4, atol=1e-5)
