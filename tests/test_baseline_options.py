"""Options of trained methods: what cannot be is refused by its name; a checkpoint brings all that a method needs."""

import inspect
import re
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from digits import train

from anomaly_clustering.data import Folder
from baselines import IIC, SCAN, TEMI, GATCluster, Prototypes
from baselines.options import BY_NAME

WRONG = [
    (SCAN, "ema", "Off", "ema must be one of ('writeback', 'teacher', 'off'), got 'Off'"),
    (SCAN, "train", "head", "train must be one of ('heads', 'all'), got 'head'"),
    (SCAN, "optimizer", "adamw", "optimizer must be one of ('sgd', 'adam'), got 'adamw'"),
    (SCAN, "threshold", 99, "threshold must be a number from 0 to 1, got 99"),
    (SCAN, "neighbours", "Auto", "neighbours must be a whole number, at least 1, or 'auto', got 'Auto'"),
    (SCAN, "heads", 0, "heads must be a whole number, at least 1, got 0"),
    (TEMI, "momentum", 1.5, "momentum must be a number, at least 0 and below 1, got 1.5"),
    (TEMI, "beta", 0.0, "beta must be a number above 0, got 0.0"),
    (TEMI, "warmup_epochs", -1, "warmup_epochs must be a whole number, at least 0, got -1"),
    (TEMI, "lr", float("nan"), "lr must be a number above 0, got nan"),
    (Prototypes, "temperature", -1.0, "temperature must be a number above 0, got -1.0"),
    (Prototypes, "embedding", "papers", "embedding must be one of ('signed_residuals', 'paper'), got 'papers'"),
    (IIC, "crop", 64, "crop must be a share above 0 and at most 1, got 64"),
    (IIC, "trunk", "resnet101", "trunk must be one of ('resnet50', 'resnet34', 'resnet18', 'conv3'), got 'resnet101'"),
    (IIC, "repeats", 2.5, "repeats must be a whole number, at least 1, got 2.5"),
    (GATCluster, "backbone", "large", "backbone must be one of ('imagenet10', 'small'), got 'large'"),
    (
        GATCluster,
        "seed",
        2**32,
        "seed must be a whole number from 0 to 4294967295, as scikit-learn has it, got 4294967296",
    ),
    (GATCluster, "features", 0, "features must be a whole number, at least 1, got 0"),
    (GATCluster, "weights", (1.0, 2.0), "weights must be four numbers, at least 0 and not all 0, got (1.0, 2.0)"),
    (
        GATCluster,
        "scale",
        (1.3, 0.7),
        "scale must be two numbers above 0, the first at most the second, got (1.3, 0.7)",
    ),
    (
        GATCluster,
        "scale",
        (0.0, 1.0),
        "scale must be two numbers above 0, the first at most the second, got (0.0, 1.0)",
    ),
    (GATCluster, "flip", 3, "flip must be one of (True, False), got 3"),
    (GATCluster, "official_indexing", "x", "official_indexing must be one of (True, False), got 'x'"),
    (SCAN, "class_balance", "off", "class_balance must be one of (True, False), got 'off'"),
    (TEMI, "num_clusters", 2.5, "num_clusters must be a whole number, at least 2, or None, got 2.5"),
    (Prototypes, "tau", -1.0, "tau must be a number above 0, or None, got -1.0"),
]


@pytest.mark.parametrize(("method", "name", "value", "message"), WRONG)
def test_what_cannot_be_is_refused_by_its_name(method: Any, name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        # Past the types, which are checked in tests alone.
        inspect.unwrap(method.__init__)(method.__new__(method), **{name: value})


@pytest.mark.parametrize("method", [IIC, GATCluster, SCAN, TEMI, Prototypes])
def test_every_number_has_a_rule(method: type) -> None:
    hints = get_type_hints(method.__init__)  # type: ignore[misc]
    types = {name: {hint, get_origin(hint), *get_args(hint)} for name, hint in hints.items()}
    numbers = {name for name, found in types.items() if found & {int, float, tuple}}
    assert {"num_clusters", "batch_size", "lr"} <= numbers
    # A number of channels in GATCluster, a file in the others: its rule stands where it is checked.
    assert numbers - {"features"} <= BY_NAME.keys()


@pytest.mark.parametrize(
    ("method", "own"), [(SCAN, {"selflabel_epochs": 0}), (TEMI, {}), (Prototypes, {"epsilon": 0.5})]
)
def test_a_checkpoint_of_given_features_is_read_without_a_trainer(
    method: Any, own: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "features.npy", np.random.default_rng(0).normal(size=(15, 12)).astype(np.float32))
    options: dict[str, Any] = {"features": str(tmp_path / "features.npy"), "neighbours": 2, "heads": 2}
    made = method(**options, **own)
    train(made, Folder(photos, image_size=64, num_workers=0), epochs=1, seed=0)
    made.trainer.save_checkpoint(tmp_path / "last.ckpt")
    read = type(made).load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert read.state_dict().keys() == made.state_dict().keys()
    assert all(torch.equal(tensor, made.state_dict()[name]) for name, tensor in read.state_dict().items())
