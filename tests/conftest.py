"""Shapes in annotations are checked while the tests run; fixtures make small folders of images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from PIL import Image

# Before anything imports the package.
install_import_hook("anomaly_clustering", "beartype.beartype")
# Tensors are tiny here: threads would only wait for one another.
torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[2] / "shared"

MakeImage = Callable[..., Path]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_image() -> MakeImage:
    """Writes a noisy grey image with a defect of a kind (0: none, 1: bright square, 2: dark bar) at a random place."""

    def make(path: Path, kind: int = 0, *, seed: int = 0, size: int = 64) -> Path:
        rng = np.random.default_rng([seed, kind])
        pixels = rng.normal(128, 12, (size, size))
        y, x = rng.integers(4, size - 28, 2)
        if kind == 1:
            pixels[y : y + 14, x : x + 14] = 250
        if kind == 2:
            pixels[y : y + 4, x : x + 26] = 5
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB").save(path)
        return path

    return make


@pytest.fixture
def photos(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of 5 images each of 'good', 'bright' and 'bar', all different."""
    for kind, name in enumerate(["good", "bright", "bar"]):
        for seed in range(5):
            make_image(tmp_path / "photos" / name / f"{seed}.png", kind, seed=seed)
    return tmp_path / "photos"


@pytest.fixture
def flat_photos(tmp_path: Path, make_image: MakeImage) -> Path:
    """The same images in one folder, without labels."""
    for kind in range(3):
        for seed in range(5):
            make_image(tmp_path / "flat" / f"{kind}{seed}.png", kind, seed=seed)
    return tmp_path / "flat"
