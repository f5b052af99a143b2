"""Images that keep their aspect: laws of sizes and canvases, then runs on images of several aspects."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from commands import configured, refused, rows
from PIL import Image
from test_mic import folder, run_mic, trainer
from torch import Tensor

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.any_form import ImagesOfAnyForm
from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.data.kept_size import kept_size
from anomaly_clustering.data.records import Record
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.canvas import by_size, reunited
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import method_arguments
from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.streaming import Stream
from anomaly_clustering.runs.regions import run_regions
from anomaly_clustering.runs.store import load_run

METHODS = {name: method_arguments(name, normals=False) for name in ("paper", "signed_residuals")}
# Width and height in pixels.
SHAPES = [(64, 64), (128, 48), (48, 128), (96, 64), (64, 96)]


def write_image(path: Path, width: int, height: int, kind: int, seed: int) -> Path:
    """Noise, with a defect of as many pixels whatever the aspect: 1 a bright square, 2 a dark bar."""
    rng = np.random.default_rng([seed, kind])
    pixels = rng.normal(128, 12, (height, width))
    y, x = rng.integers(4, height - 22), rng.integers(4, width - 32)
    if kind == 1:
        pixels[y : y + 14, x : x + 14] = 250
    if kind == 2:
        pixels[y : y + 4, x : x + 26] = 5
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB").save(path)
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """5 images each of 'good', 'bright' and 'bar', each of another aspect."""
    for kind, name in enumerate(["good", "bright", "bar"]):
        for seed, (width, height) in enumerate(SHAPES):
            write_image(tmp_path / "mixed" / name / f"{seed}.png", width, height, kind, seed)
    return tmp_path / "mixed"


def test_a_square_stays_the_square_and_a_turned_image_has_the_turned_size() -> None:
    assert kept_size(700, 700, 256) == (256, 256)
    for ratio in np.geomspace(1 / 60, 60, 101):
        size = kept_size(round(6000 * ratio), 6000, 256)
        assert kept_size(6000, round(6000 * ratio), 256) == size[::-1]


def test_sizes_have_nearly_the_area_of_the_square_and_the_aspect_of_the_image() -> None:
    for ratio in np.geomspace(1 / 60, 60, 101):
        height, width = kept_size(round(6000 * ratio), 6000, 256)
        assert abs(height * width / 256**2 - 1) <= 1 / 8
        assert height % 16 == width % 16 == 0
        distortion = np.exp(abs(np.log(width / height / ratio)))
        assert distortion < (1.125 if 1 / 16 < ratio < 16 else 1.34), (ratio, height, width)


def test_canvases_give_back_each_image_and_its_place() -> None:
    images = [torch.rand(4, *size) for size in [(3, 5), (5, 3), (3, 5), (4, 4)]]
    for image in images:
        image[3] = 1
    batch = as_batch([{"image": image, "index": i} for i, image in enumerate(images)])
    assert batch["image"].shape == (4, 4, 5, 5)
    parts = by_size(batch["image"])
    assert sorted(len(part) for _, part in parts) == [1, 1, 2]
    for places, part in parts:
        assert all(torch.equal(one, images[place][:3]) for place, one in zip(places.tolist(), part, strict=True))
    sums = reunited([places for places, _ in parts], [part.sum((1, 2, 3)) for _, part in parts])
    torch.testing.assert_close(sums, torch.stack([image[:3].sum() for image in images]))


@pytest.mark.parametrize("method", METHODS)
def test_squares_are_clustered_as_ever_bit_for_bit(photos: Path, method: str) -> None:
    square, kept = (run_mic(folder(photos, aspect=aspect), **METHODS[method])[0] for aspect in ("square", "keep"))
    assert np.array_equal(square.grouping.embeddings, kept.grouping.embeddings)
    assert np.array_equal(square.grouping.weights, kept.grouping.weights)
    assert np.array_equal(square.grouping.labels, kept.grouping.labels)


@pytest.mark.parametrize("method", METHODS)
def test_planted_defects_are_found_in_images_of_any_aspect_in_batches_of_any_size(mixed: Path, method: str) -> None:
    data = folder(mixed, aspect="keep")
    mic, scores = run_mic(data, **METHODS[method])
    assert scores["nmi"] == 1
    data.batch_size = 1
    single, _ = run_mic(data, **METHODS[method])
    assert np.allclose(mic.grouping.weights, single.grouping.weights, atol=1e-5)
    assert np.allclose(mic.grouping.embeddings, single.grouping.embeddings, atol=1e-4)


@pytest.mark.parametrize("distance", ["max_hausdorff", "spoc", "holistic"])
def test_every_kind_of_distance_takes_images_of_any_aspect(mixed: Path, distance: Any) -> None:
    mic, _ = run_mic(folder(mixed, aspect="keep"), distance=distance, resamples=2)
    assert mic.grouping.weights.shape == (15, 8, 8)


def spread_in_pixels(weights: np.ndarray, width: int, height: int) -> tuple[float, float]:
    """Standard deviations across and along an image, in its pixels, of what weighs more than the mean."""
    above = np.clip(weights.astype(float) - weights.mean(), 0, None)
    above = above * (above > 0.1 * above.max())
    rows, columns = weights.shape
    ys, xs = (np.arange(rows) + 0.5) * height / rows, (np.arange(columns) + 0.5) * width / columns
    x, y = np.average(xs, weights=above.sum(0)), np.average(ys, weights=above.sum(1))
    return (
        float(np.average((xs - x) ** 2, weights=above.sum(0)) ** 0.5),
        float(np.average((ys - y) ** 2, weights=above.sum(1)) ** 0.5),
    )


@pytest.mark.parametrize(("aspect", "least", "most"), [("keep", 0.8, 1.25), ("square", 1.8, 3)])
def test_a_round_spot_in_a_wide_image_has_a_round_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aspect: str, least: float, most: float
) -> None:
    monkeypatch.chdir(tmp_path)
    width, height = 600, 240
    y, x = np.mgrid[:height, :width]
    centres = [240, 300, 360]
    Path("wide").mkdir()
    for i in range(6):
        pixels = np.random.default_rng(i).normal(128, 12, (height, width))
        if i < 3:
            pixels[(x - centres[i]) ** 2 + (y - 120) ** 2 < 12**2] = 250
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(f"wide/{i}.png")
    flags = ["--clusters", "2", "--method", "paper", "--tau", "0.1", "--aspect", aspect, "--out", "run"]
    main(["cluster", "wide", *flags])
    run, regions = load_run(Path("run")), run_regions(Path("run"))
    for i, centre in enumerate(centres):
        across, along = spread_in_pixels(run.weights[i], width, height)
        assert least < across / along < most, (across, along)
        left, top, right, bottom = regions[Path(f"wide/{i}.png")][0].box
        assert left * width < centre < right * width
        assert top * height < 120 < bottom * height
        if aspect == "keep":
            assert 0.6 < (right - left) * width / ((bottom - top) * height) < 1.6


def canvas(images: list[Tensor]) -> Tensor:
    whole = [torch.cat([image, torch.ones(1, *image.shape[1:])]) for image in images]
    return as_batch([{"image": image} for image in whole])["image"]


def test_a_turned_image_has_turned_weights() -> None:
    torch.manual_seed(1)
    how = Recipe("embedded", "pyramid", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None, 0.75, views=4)
    # In all four quarters, since references are turned with the images.
    references = [torch.rot90(one, k, (1, 2)) for one in torch.rand(2, 3, 40, 104) for k in range(4)]
    wide = torch.rand(3, 40, 104)
    embedder = Embedder(Backbone("embedded", layer="pyramid"), side=64)
    with torch.inference_mode():
        stream = Stream(embedder, (canvas(references) * 255).round().to(torch.uint8), how, tau=0.02)
        found = stream({"image": canvas([wide, torch.rot90(wide, 1, (1, 2))])})
    assert torch.allclose(found["weights"][1], torch.rot90(found["weights"][0]), atol=1e-6)
    assert torch.allclose(found["embeddings"][0], found["embeddings"][1], atol=1e-5)


def test_later_images_are_embedded_with_their_aspect(mixed: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    main(["cluster", "mixed", "--clusters", "3", "--image-size", "64", "--aspect", "keep", "--out", "run"])
    run = load_run(Path("run"))
    assert run.recipe.aspect == "keep"
    assert run.facts["Image size"] == "as many as 64 x 64 pixels, up to an eighth, aspect kept"
    assert run.references is not None
    assert run.references.shape[1] == 4
    cluster = dict(zip(run.paths, run.labels.tolist(), strict=True))
    for path in run.paths:
        pixels = np.array(Image.open(path))
        pixels[0, 0] += 1  # Another file, all but the same to look at.
        new = Path("new") / f"{path.parent.name}-{path.name}"
        new.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(new)
    main(["assign", "new", "--run", "run"])
    assigned = list(csv.DictReader((Path("run") / "assigned.csv").open()))
    assert len(assigned) == 15
    for row in assigned:
        kind, _, name = Path(row["path"]).name.partition("-")
        assert int(row["cluster"]) == cluster[Path("mixed") / kind / name], row


def test_the_estimator_saves_and_loads_what_keeps_its_aspect(mixed: Path, tmp_path: Path) -> None:
    paths = sorted(mixed.rglob("*.png"))
    fitted = AnomalyClusterer(3, image_size=64, aspect="keep", views=1).fit(paths, normals=paths[-5:])
    assert fitted.labels_.tolist() == fitted.predict([Image.open(path) for path in paths]).tolist()
    fitted.save(tmp_path / "fitted.safetensors")
    loaded = AnomalyClusterer.load(tmp_path / "fitted.safetensors")
    assert loaded.aspect == loaded.recipe_.aspect == "keep"
    wide, high = (write_image(tmp_path / f"{n}.png", *shape, 1, 9) for n, shape in enumerate([(128, 48), (48, 128)]))
    assert loaded.predict([wide, high]).tolist() == fitted.predict([wide, high]).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_the_cache_tells_squares_from_what_keeps_its_aspect(mixed: Path, tmp_path: Path, method: str) -> None:
    def run(aspect: str, cache: Path | None) -> np.ndarray:
        mic, _ = run_mic(folder(mixed, aspect=aspect), cache=cache, **METHODS[method])
        assert mic.grouping.embeddings is not None
        return mic.grouping.embeddings

    square, kept = run("square", None), run("keep", None)
    assert not np.allclose(square, kept, atol=1e-2)
    for _ in range(2):
        assert np.allclose(run("square", tmp_path / "cache"), square, atol=1e-5)
        assert np.allclose(run("keep", tmp_path / "cache"), kept, atol=1e-5)


def test_masks_lie_on_images_of_any_aspect(tmp_path: Path) -> None:
    for name in ("good", "bright"):
        for i, (width, height) in enumerate(SHAPES[1:]):
            image = np.random.default_rng(i).normal(128, 12, (height, width)).clip(0, 255).astype(np.uint8)
            mask = np.zeros_like(image)
            if name == "bright":
                mask[16:32, 24:40] = 255
                image[mask > 0] = 250
            for part, pixels in (("images", image), ("masks", mask)):
                path = tmp_path / part / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    data = folder(tmp_path / "images", masks=tmp_path / "masks", aspect="keep")
    _, scores = run_mic(data)
    assert scores["localisation_auroc"] > 0.95


def test_samples_have_their_size_and_masks_that_of_bags(tmp_path: Path) -> None:
    path = write_image(tmp_path / "wide.png", 128, 48, 0, 0)
    Image.new("L", (128, 48)).save(tmp_path / "mask.png")
    sample = DefectImages([Record(path, mask=tmp_path / "mask.png")], 64, aspect="keep")[0]
    assert sample["image"].shape == (4, 40, 104)
    assert sample["mask"].shape == (1, 64, 64)
    # Also within a program that makes its own tensors elsewhere.
    images = DefectImages([Record(path), Record(path, mask=tmp_path / "mask.png")], 64, aspect="keep")
    with torch.device("meta"):
        batch = as_batch([images[0], images[1]])
        given = ImagesOfAnyForm([path], 64, aspect="keep")[0]["image"]
    assert (batch["mask"].tolist(), batch["index"].tolist()) == (torch.zeros(2, 1, 64, 64).tolist(), [0, 1])
    assert given.tolist() == batch["image"][0].tolist()


def test_transformers_take_sides_in_sixteenths_of_a_multiple_of_16_patches(tmp_path: Path) -> None:
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    torch.save(timm.create_model(name).state_dict(), tmp_path / "vit.pth")
    backbone = Backbone(name, checkpoint=tmp_path / "vit.pth")
    with torch.no_grad():
        bags = Embedder(backbone, side=256)({"image": canvas([torch.rand(3, *kept_size(300, 100, 256))])})
        assert bags.shape[:3] == (1, 16, 16)
        with pytest.raises(ValueError, match=r"182x70 pixels cannot be cut into the 16-pixel.*image size to 256"):
            Embedder(backbone, side=112)({"image": canvas([torch.rand(3, *kept_size(260, 100, 112))])})


@pytest.mark.usefixtures("unchecked_types")
def test_what_takes_squares_alone_refuses(mixed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(mixed.parent)
    flags = (
        "--model",
        "baselines.SCAN",
        "--model.backbone",
        "embedded",
        "--model.crop",
        "64",
        "--model.num_clusters",
        "3",
    )
    line = refused(["fit", *flags, "--data", "Folder", "--data.root", "mixed", "--data.aspect", "keep"], capsys)
    assert line == "error: aspect 'keep' is for MIC; SCAN takes images of one size: leave aspect at 'square'"
    line = refused(["cluster", "--synthetic", "--aspect", "keep"], capsys)
    assert line.startswith("error: --aspect is for a folder of images")
    data = folder(mixed, aspect="keep")
    data.setup()
    with pytest.raises(ValueError, match="come with a data module, but the trainer has loaders alone"):
        trainer().test(MIC("embedded", num_clusters=3), data.test_dataloader())
    with pytest.raises(ValueError, match=r"aspect must be one of \('square', 'keep'\), got 'wide'"):
        folder(mixed, aspect="wide")


@pytest.mark.slow
def test_two_processes_give_what_one_gives(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mixed.parent)
    views = ("--model.layer", "pyramid", "--model.residual_share", "0.75", "--model.signed_root", "true")
    for method, flags in {"paper": (), "residuals": views}.items():
        for name, devices in (("one", []), ("two", ["--trainer.devices", "2", "--trainer.strategy", "ddp"])):
            argv = configured("test", "--data.root", "mixed", "--data.batch_size", "4", "--out", f"{method}-{name}")
            argv += ["--data.aspect", "keep", *flags, *devices]
            subprocess.run([sys.executable, "-m", "anomaly_clustering", *argv], check=True, timeout=300)
        one, two = (rows(Path(f"{method}-{name}")) for name in ("one", "two"))
        assert [row["cluster"] for row in one] == [row["cluster"] for row in two]
        nmi = [json.loads((Path(f"{method}-{name}") / "metrics.json").read_text())["nmi"] for name in ("one", "two")]
        assert nmi[0] == pytest.approx(nmi[1], abs=1e-6)


def test_upright_and_lying_images_of_one_colour_are_two_images_and_others_keep_their_digests() -> None:
    sample = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    grey = np.full((64, 128, 3), 200, np.uint8)
    found = ImagesOfAnyForm([grey, grey.transpose(1, 0, 2), sample], 64, aspect="keep")
    pixels = [found[i]["image"] for i in range(3)]
    assert pixels[0].numpy().tobytes() == pixels[1].numpy().tobytes()
    assert found.digests[0] != found.digests[1]
    assert found.digests[2] == hashlib.sha256(pixels[2].numpy().tobytes()).hexdigest()
    square = ImagesOfAnyForm([grey], 64)
    assert hashlib.sha256(square[0]["image"].numpy().tobytes()).hexdigest() == square.digests[0]
