"""A run is read as it was written, whatever its files are called; what a stranger wrote is read only if it is one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.report.content import Curve
from anomaly_clustering.runs.later_images import LaterImages, load_later
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
        "tree": np.array([[0, 2, 0.5, 2], [1, 3, 1.5, 3]]),
        "places": rng.random((3, 2)),
        "mean_scores": rng.random(3).astype(np.float32),
        "top_scores": rng.random((3, 4)).astype(np.float32),
        "normal_top_scores": rng.random((5, 4)).astype(np.float32),
        "embeddings": rng.random((3, 5)).astype(np.float32),
        "references": rng.random((2, 4, 5)).astype(np.float16),
        "scores": rng.random((3, 2, 2)).astype(np.float16),
    }
    return StoredRun(**(values | changes))


@pytest.mark.parametrize("changes", [{}, {"embeddings": None, "references": None}])
def test_it_is_read_as_it_was_written(tmp_path: Path, changes: dict[str, object]) -> None:
    run = stored(**changes)
    run.save(str(tmp_path))
    again = load_run(str(tmp_path))
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


# What a stranger may have written.


def written(folder: Path, *, told: dict[str, object] | None = None, recipe: dict[str, object] | None = None) -> None:
    """A run whose words are others."""
    stored().save(folder)
    with safe_open(folder / "run.safetensors", "numpy") as file:
        words = json.loads(file.metadata()["run"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    words = words | (told or {}) | {"recipe": words["recipe"] | (recipe or {})}
    save_file(arrays, folder / "run.safetensors", metadata={"run": json.dumps(words)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.zeros((2, 2, 2), np.float16)}, r"weights of 3 images should be .*, and is F16 \[2, 2, 2\]"),
        ({"weights": np.zeros((3, 2, 2), np.float16)}, "weights of an image are all 0"),
        ({"weights": np.ones((3, 1, 5000), np.float16)}, r"and is F16 \[3, 1, 5000\]"),
        ({"labels": np.array([0.0, 1, 0])}, r"labels of 3 images should be I16 or I32 or I64 \[n\], and is F64 \[3\]"),
        ({"labels": np.array([0, 2**40, 0])}, "labels cannot be 0 to 1099511627776"),
        ({"labels": np.array([0, -1, 0])}, "labels cannot be -1 to 0"),
        ({"target": np.array([0, 1, 0])}, "target cannot be 0 to 1"),
        ({"places": np.full((3, 2), np.nan)}, "places holds what is no number"),
        ({"mean_scores": np.full(3, np.inf, np.float32)}, "mean_scores holds what is no number"),
        ({"top_scores": np.full((3, 4), np.inf, np.float32)}, "top_scores holds what is no number"),
        (
            {"top_scores": np.ones((4, 4), np.float32)},
            r"top_scores of 3 images should be .* \[n 4\], and is F32 \[4, 4\]",
        ),
        ({"tree": np.array([[0, 3, 1.0, 2], [1, 2, 2.0, 3]])}, "its tree of merges is none"),
        ({"tree": np.array([[0, 0, 1.0, 2], [1, 2, 2.0, 3]])}, "its tree of merges is none"),
        ({"tree": np.array([[0, 1, 1.0, 2]])}, r"tree of 3 images should be .* \[merges 4\], and is F64 \[1, 4\]"),
        ({"tree": np.array([[0, 1, np.inf, 2], [2, 3, 2.0, 3]])}, "tree holds what is no number"),
        ({"references": np.ones((1, 3, 9000, 2), np.uint8)}, r"and is U8 \[1, 3, 9000, 2\]"),
        ({"references": np.ones((1, 3, 2), np.float64)}, r"references .* and is F64"),
        ({"paths": [Path("a.png")] * 4, "digests": ["00"] * 4}, r"target of 4 images should be .* and is I64 \[3\]"),
        ({"digests": ["00"]}, "digests cannot be of 1 images"),
        ({"paths": [], "digests": []}, "paths cannot be no images"),
        ({"curves": [Curve("Height", {4: 0.5})]}, "curves cannot be 'Height'"),
        ({"curves": [Curve("Height", {1: float("nan")})]}, "curves cannot be 'Height'"),
    ],
)
def test_arrays_that_do_not_go_together_are_named(tmp_path: Path, unchecked_types, changes, message: str) -> None:
    stored(**changes).save(tmp_path)
    with pytest.raises(ValueError, match=rf"run.safetensors' is damaged or of another version: .*{message}"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": {"image_size": 60_000}}, "image_size cannot be 60000"),
        ({"recipe": {"image_size": 64.0}}, "image_size cannot be 64.0"),
        ({"recipe": {"kernel_size": 10**9}}, "kernel_size cannot be 1000000000"),
        ({"recipe": {"views": 3}}, "views cannot be 3"),
        ({"recipe": {"views": 2.0}}, "views cannot be 2.0"),
        ({"recipe": {"tau": "0.1"}}, "tau cannot be '0.1'"),
        ({"recipe": {"checkpoint": ["a"]}}, r"checkpoint cannot be \['a'\]"),
        ({"recipe": {"aspect": {}}}, "aspect cannot be {}"),
        ({"recipe": {"command": "rm"}}, "command"),
        ({"told": {"title": 3}}, "title cannot be 3"),
        ({"told": {"paths": "abc"}}, "paths cannot be 'abc'"),
        ({"told": {"digests": [1, 2, 3]}}, r"digests cannot be \[1, 2, 3\]"),
        ({"told": {"facts": []}}, r"facts cannot be \[\]"),
        ({"told": {"curves": 3}}, "not iterable"),
        ({"told": {"curves": [["a", 3, None]]}}, "items"),
    ],
)
def test_words_that_no_run_says_are_named(tmp_path: Path, unchecked_types, changes, message: str) -> None:
    written(tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"run.safetensors' is damaged or of another version: .*{message}"):
        load_run(tmp_path)


def test_words_that_are_nested_deeply_are_no_traceback(tmp_path: Path) -> None:
    save_file({}, tmp_path / "run.safetensors", metadata={"run": "[" * 100_000})
    with pytest.raises(ValueError, match="damaged or of another version"):
        load_run(tmp_path)


def without(file: Path, name: str) -> None:
    """Write a file again, as an earlier version did that did not know an array."""
    with safe_open(file, "numpy") as content:
        words, names = content.metadata(), content.keys()
        arrays = {other: content.get_tensor(other) for other in names if other != name}
    save_file(arrays, file, metadata=words)


def test_a_run_of_an_earlier_version_is_read_and_what_it_lacks_is_not_known(tmp_path: Path) -> None:
    run = stored()
    run.save(tmp_path)
    later = LaterImages(
        [Path("d.png")],
        ["33"],
        run.weights[:1].astype(np.float32),
        run.embeddings[:1],
        np.ones(1),
        np.ones((1, 4)),
        np.ones(1, bool),
    )
    later.save(tmp_path)
    for file in ("run.safetensors", "assigned.safetensors"):
        without(tmp_path / file, "top_scores")
    again = load_run(tmp_path)
    assert np.isnan(again.top_scores).all()
    assert np.isnan(load_later(tmp_path, again).top_scores).all()
    assert (again.mean_scores == run.mean_scores).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.ones((2, 2, 3), np.float32)}, r"weights cannot be \[2, 3\] for each image, and \[2, 2\]"),
        (
            {"embeddings": np.ones((2, 4), np.float32)},
            r"embeddings cannot be \[4\] for each image, and \[5\] in the run",
        ),
        ({"embeddings": np.full((2, 5), np.nan, np.float32)}, "embeddings holds what is no number"),
        ({"mean_scores": np.ones(1, np.float32)}, r"mean_scores of 2 images .* \[1\]"),
        ({"digests": ["00"]}, "digests cannot be of 1 images"),
    ],
)
def test_images_that_came_later_are_like_those_of_the_run(tmp_path: Path, unchecked_types, changes, message) -> None:
    values = {
        "paths": [Path("d.png"), Path("e.png")],
        "digests": ["33", "44"],
        "weights": np.full((2, 2, 2), 0.25, np.float32),
        "embeddings": np.ones((2, 5), np.float32),
        "mean_scores": np.ones(2, np.float32),
        "top_scores": np.ones((2, 4), np.float32),
        "finding": np.array([True, False]),
    }
    LaterImages(**values).save(tmp_path)
    assert load_later(tmp_path, stored()).paths == values["paths"]
    LaterImages(**values, heard=("1", "33")).save(tmp_path)
    with pytest.raises(ValueError, match=r"does not tell what of the journal it has; delete it"):
        load_later(tmp_path, stored())
    LaterImages(**(values | changes)).save(tmp_path)
    with pytest.raises(ValueError, match=rf"assigned.safetensors' is damaged: .*{message}"):
        load_later(tmp_path, stored())


def test_the_larger_the_images_of_a_run_the_fewer_are_embedded_at_a_time() -> None:
    batches = {size: replace(stored().recipe, image_size=size).batch for size in (32, 256, 512, 1024, 4096)}
    assert batches == {32: 32, 256: 32, 512: 32, 1024: 8, 4096: 1}
