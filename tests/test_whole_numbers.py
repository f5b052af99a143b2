"""Numbers of any integer type -> the same run; fractions, text and truth values -> an error under the number's name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeImage
from lightning import Trainer
from PIL import Image

from anomaly_clustering.data import MTD, DefectDataModule, Folder, Listing, Synthetic
from anomaly_clustering.data.any_form import ImagesOfAnyForm
from anomaly_clustering.data.mtd import list_mtd
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.metrics.samples import positions_or_unknown
from anomaly_clustering.mic import MIC
from anomaly_clustering.runs.export import export
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.run_folder import write_run
from anomaly_clustering.runs.store import load_run

# What users have: the checks of types in the tests would stop these numbers before the package sees them.
pytestmark = pytest.mark.usefixtures("unchecked_types")
WRONG = [2.5, "3", True, None]


@pytest.mark.parametrize("of_type", [np.int8, np.uint16, np.int64])
def test_a_run_is_the_same_and_is_stored_alike(flat_photos: Path, tmp_path: Path, of_type: Callable) -> None:
    options = {"kernel_size": 3, "num_references": 8, "top_k": 5, "seed": 1, "num_clusters": 3, "resamples": 0}
    sizes = {"image_size": 64, "batch_size": 4, "num_workers": 0}
    stored = []
    for name, kind in (("plain", int), ("numpy", of_type)):
        tau = 0.5 if kind is int else np.float32(0.5)
        mic = MIC("embedded", tau=tau, **{option: kind(value) for option, value in options.items()})
        data = Folder(flat_photos, **{option: kind(value) for option, value in sizes.items()})
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.predict(mic, data, return_predictions=False)
        write_run(tmp_path / name, mic, data, metrics={}, config="", overwrite=False)
        stored.append(load_run(tmp_path / name))
    plain, numpy = stored
    assert numpy.recipe == plain.recipe
    # JSON knows no other number: one of NumPy's came back as text.
    assert {type(getattr(numpy.recipe, name)) for name in ("kernel_size", "image_size", "top_k")} == {int}
    assert type(numpy.recipe.tau) is float
    assert (numpy.labels == plain.labels).all()
    assert (numpy.weights == plain.weights).all()


@pytest.mark.parametrize("name", ["kernel_size", "num_references", "normal_stride", "top_k", "resamples", "seed"])
@pytest.mark.parametrize("value", [2.5, "3", True, np.float64(3)])
def test_options_of_mic(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be a whole number .*, got {re.escape(repr(value))}$"):
        MIC("embedded", **{name: value})


@pytest.mark.parametrize("value", [2.0, True, np.float64(2), 3, "2", None])
def test_views_of_mic(value: object) -> None:
    views = MIC("embedded", views=np.int64(2)).options.views
    assert (views, type(views)) == (2, int)
    with pytest.raises(ValueError, match=rf"^views must be one of \(1, 2, 4, 8\), got {re.escape(repr(value))}$"):
        MIC("embedded", views=value)


@pytest.mark.parametrize("name", ["tau", "normal_fraction", "effective_patches"])
def test_fractions_of_mic(name: str) -> None:
    MIC("embedded", **{name: np.float32(1.0 if name == "normal_fraction" else 2.0)})
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got '3'$"):
        MIC("embedded", **{name: "3"})


# Without a number of processes there is one for each processor.
@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("image_size", "batch_size") for value in [*WRONG, -1]]
    + [("num_workers", value) for value in [2.5, "3", True, -1]],
)
def test_data_modules(tmp_path: Path, name: str, value: object) -> None:
    for make in (
        lambda options: DefectDataModule(lambda: Listing([], []), **options),
        lambda options: Folder(tmp_path, **options),
        lambda options: MTD(tmp_path, **options),
        lambda options: Synthetic(tmp_path, **options),
    ):
        with pytest.raises(ValueError, match=rf"^{name} must be .*, got {re.escape(repr(value))}$"):
            make({name: value})


@pytest.mark.parametrize("name", ["per_class", "normals", "seed"])
def test_synthetic_images(tmp_path: Path, name: str) -> None:
    numbers = {"per_class": 1, "normals": 0, "seed": 0} | {name: np.int16(2)}
    data = Synthetic(tmp_path / "drawn", image_size=np.int64(64), **numbers)
    data.prepare_data()
    data.setup()
    assert len(data.records) == 7 * numbers["per_class"]
    for value in WRONG:
        with pytest.raises(ValueError, match=rf"^{name} must be a whole number, got {re.escape(repr(value))}$"):
            Synthetic(tmp_path / "none", **{name: value})
    assert not (tmp_path / "none").exists()


def test_other_places_that_draw_by_seed(tmp_path: Path, make_image: MakeImage) -> None:
    for kind in ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven"):
        for i in range(4):
            image = make_image(tmp_path / "mtd" / f"MT_{kind}" / "Imgs" / f"{i}.jpg")
            make_image(image.with_suffix(".png"))
    drawn = [list_mtd(tmp_path / "mtd", split="random", seed=seed) for seed in (3, np.int64(3))]
    assert drawn[0] == drawn[1]
    labels = [Labelled(make_image(tmp_path / f"{i}.png"), 0, "dent", False) for i in range(6)]
    for name, seed in (("plain", 3), ("numpy", np.int64(3))):
        export(labels, tmp_path / name, "yolo-cls", seed=seed, val_fraction=np.float32(0.5), folders=[tmp_path])
    plain, numpy = (
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.png"))
        for name in ("plain", "numpy")
    )
    assert plain == numpy
    for call in (
        lambda: list_mtd(tmp_path / "mtd", split="random", seed="3"),  # type: ignore[arg-type]
        lambda: export(labels, tmp_path / "out", "yolo-cls", seed="3"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"^seed must be a whole number, got '3'$"):
            call()
    for call in (
        lambda: list_mtd(tmp_path / "mtd", normal_fraction="3"),  # type: ignore[arg-type]
        lambda: export(labels, tmp_path / "out", "yolo-cls", val_fraction="3"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"_fraction must be at least 0 and below 1, got '3'$"):
            call()
    with pytest.raises(ValueError, match=r"^image_size must be a whole number, got 64.0$"):
        ImagesOfAnyForm([np.zeros((9, 9))], 64.0)  # type: ignore[arg-type]


def test_bits_are_a_whole_number_of_any_kind() -> None:
    images = [Image.new("I;16", (64, 64), level) for level in (0, 100, 4000)]
    clusterer = AnomalyClusterer(2, image_size=64, views=1, bits=np.int64(12)).fit(images)
    assert (clusterer.recipe_.bits, type(clusterer.recipe_.bits)) == (12, int)
    for value in (True, 12.0, "12", np.int64(7), np.float64(12)):
        with pytest.raises(ValueError, match=rf"^bits must be .* from 8 to 16, got {re.escape(repr(value))}$"):
            clusterer.set_params(bits=value).fit(images)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.uint8])
def test_positions_are_integers_of_64_bits(dtype: torch.dtype) -> None:
    given = torch.tensor([3, 1], dtype=dtype)
    assert positions_or_unknown(given, given).dtype == torch.int64
    assert positions_or_unknown(given, given).tolist() == [3, 1]
