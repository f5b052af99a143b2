"""A run is read as it was written, whatever its files are called."""

from pathlib import Path

import numpy as np
import pytest

from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.report.page import Curve
from anomaly_clustering.runs.store import StoredRun, load_run


def stored(**changes: object) -> StoredRun:
    rng = np.random.default_rng(0)
    values = {
        "title": "a run",
        "recipe": Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None),
        "paths": [Path("a.png"), Path("caf\udce9.png"), Path('q"\n.png')],
        "digests": ["00", "11", "22"],
        "class_names": ["dent"],
        "facts": {"Network": "x"},
        "notices": ["one"],
        "curves": [Curve("Height", {1: 0.5, 2: 0.25}, 2), Curve("Error", {3: 1.0})],
        "map_name": "PCA",
        "target": np.array([0, -1, 0]),
        "labels": np.array([0, 1, 0]),
        "distances": rng.random(3),
        "weights": rng.random((3, 2, 2)).astype(np.float16),
        "tree": rng.random((2, 4)),
        "places": rng.random((3, 2)),
        "mean_scores": rng.random(3).astype(np.float32),
        "embeddings": rng.random((3, 5)).astype(np.float32),
        "references": rng.random((2, 4, 5)).astype(np.float16),
    }
    return StoredRun(**(values | changes))


@pytest.mark.parametrize("changes", [{}, {"embeddings": None, "references": None}])
def test_it_is_read_as_it_was_written(tmp_path: Path, changes: dict[str, object]) -> None:
    run = stored(**changes)
    run.save(tmp_path)
    again = load_run(tmp_path)
    for name, value in vars(run).items():
        if isinstance(value, np.ndarray):
            assert getattr(again, name).dtype == value.dtype
            assert (getattr(again, name) == value).all(), name
        else:
            assert getattr(again, name) == value, name


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no run\.safetensors"):
        load_run(tmp_path)
    (tmp_path / "run.safetensors").write_bytes(b"\x10\x00\x00\x00")
    with pytest.raises(ValueError, match="damaged"):
        load_run(tmp_path)
