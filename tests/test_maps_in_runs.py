"""Anomaly maps of other detectors in; batches, weights, scores and regions of runs, on any scale of the maps, out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from commands import ROOT, refused
from lightning import Trainer
from PIL import Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import Folder
from anomaly_clustering.data.synthetic_images import write_dataset
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.weights import effective_patches
from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.regions import run_regions
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.unusual import graded
from anomaly_clustering.system.tables import read_csv

pytestmark = pytest.mark.usefixtures("in_tmp")


def save_maps(photos: Path, scale: float = 1.0) -> Path:
    """A random map of 16x16 values for each image."""
    for image, values in random_maps(photos):
        np.save(map_of(image, ".npy"), (scale * values).astype(np.float32))
    return Path("maps")


def random_maps(photos: Path) -> list[tuple[Path, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(image, rng.random((16, 16)) ** 8) for image in sorted(photos.rglob("*.png"))]


def map_of(image: Path, extension: str) -> Path:
    path = Path("maps") / image.parent.name / f"{image.stem}{extension}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run(data: Folder, **options: object) -> MIC:
    mic = MIC("embedded", weights="maps", **options)  # type: ignore[arg-type]
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.validate(mic, datamodule=data, verbose=False)
    return mic


def folder(photos: Path, maps: Path, **options: object) -> Folder:
    return Folder(photos, maps=maps, image_size=64, num_workers=0, **options)  # type: ignore[arg-type]


def test_a_batch_holds_the_maps_at_the_size_of_the_images(photos: Path) -> None:
    data = folder(photos, save_maps(photos, scale=1000.0))
    data.setup()
    batch = next(iter(data.test_dataloader()))
    assert batch["map"].shape == (15, 1, 64, 64)
    first = torch.from_numpy(np.load("maps/bar/0.npy"))
    assert torch.allclose(batch["map"][0], F.interpolate(first[None, None], size=64, mode="bilinear")[0], rtol=1e-4)


def test_maps_inside_the_folder_of_images_are_not_clustered(photos: Path) -> None:
    for image in sorted(photos.rglob("*.png")):
        path = photos / "maps" / image.parent.name / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    data = folder(photos, photos / "maps", normals=photos / "good")
    data.setup()
    assert len(data.records) == 10
    assert all(record.map and record.map.is_relative_to(photos / "maps") for record in data.records)
    assert {record.map for record in data.normal_records} == {None}


def test_the_scale_of_maps_does_not_matter_to_the_effective_number(photos: Path) -> None:
    small = run(folder(photos, save_maps(photos)), effective_patches=8.0)
    large = run(folder(photos, save_maps(photos, scale=1e4)), effective_patches=8.0)
    weights = torch.from_numpy(small.grouping.weights)
    assert effective_patches(weights.flatten(1)).mean() == pytest.approx(8, rel=1e-2)
    assert torch.allclose(weights, torch.from_numpy(large.grouping.weights), atol=1e-4)
    assert large.grouping.tau == pytest.approx(1e4 * small.grouping.tau, rel=1e-3)


def test_weights_are_the_softmax_of_the_maps_on_the_patches(photos: Path) -> None:
    data = folder(photos, save_maps(photos))
    weights = torch.from_numpy(run(data, tau=0.3, top_k=5).grouping.weights).flatten(1)
    assert ((weights > 0).sum(1) == 5).all()
    scores = F.avg_pool2d(next(iter(data.test_dataloader()))["map"], 8).flatten(1)
    top = scores.topk(5)
    assert torch.allclose(weights.gather(1, top.indices), (top.values / 0.3).softmax(1), atol=1e-6)


def test_maps_are_asked_for(photos: Path) -> None:
    with pytest.raises(ValueError, match=r"need anomaly maps, but the data has none: give their folder as data\.maps"):
        run(Folder(photos, image_size=64, num_workers=0))


@pytest.fixture
def product() -> Path:
    """A tiny synthetic product, and as maps of its test images their masks."""
    write_dataset(Path("product"), per_class=4, normals=0, size=64, difficulty=0.0)
    for image in sorted(Path("product/test").rglob("*.png")):
        mask = Path("product/ground_truth") / image.parent.name / f"{image.stem}_mask.png"
        path = Path("maps/images/test") / image.parent.name / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        (Image.open(mask) if mask.is_file() else Image.new("L", (64, 64))).save(path)
    return Path("product")


def on_product(weights: str, *flags: str) -> list[str]:
    return [
        "test",
        *("-c", str(ROOT / f"configs/mic/{weights}.yaml"), "-c", str(ROOT / "configs/data/mvtec.yaml")),
        *("--data.root", ".", "--data.category", "product", "--data.image_size", "64", "--data.num_workers", "0"),
        *("--model.backbone", "embedded", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        *("--out", f"by_{weights}", *flags),
    ]


def test_masks_as_maps_rank_patches_as_mask_weights_do(product: Path) -> None:
    main(on_product("mask"))
    main(on_product("maps", "--data.maps", "maps", "--model.effective_patches", "null", "--model.tau", "60.0"))
    by_mask, by_map = load_run(Path("by_mask")), load_run(Path("by_maps"))
    assert by_mask.scores is None
    assert by_map.scores is not None
    assert by_mask.paths == by_map.paths
    assert len(by_map.paths) == 28
    # What is good has nothing to show.
    for hot in (graded(by_mask).heat, graded(by_map).heat):
        assert sum(grid.any() for grid in hot) == 24
    for weights, scores in zip(by_mask.weights.reshape(28, -1), by_map.scores.reshape(28, -1), strict=True):
        assert (np.diff(scores[np.lexsort((scores, weights))]) >= 0).all()
    metrics = json.loads(Path("by_maps/metrics.json").read_text())
    assert metrics["localisation_auroc"] > 0.95
    assert "patches that the anomaly maps of maps mark" in Path("by_maps/report.html").read_text()


def test_cluster_takes_maps(photos: Path) -> None:
    main(["cluster", str(photos), "--maps", str(save_maps(photos)), "--clusters", "3", "--image-size", "64"])
    assert "patches that the anomaly maps of maps mark" in Path("photos-clusters/report.html").read_text()


def test_neither_scores_nor_regions_depend_on_the_scale_of_maps(photos: Path) -> None:
    maps = random_maps(photos)
    defective = [image.parent.name != "good" for image, _ in maps]
    for (image, values), is_defective in zip(maps, defective, strict=True):
        values[3:11, 3:11] = 1 if is_defective else values[3:11, 3:11]
        np.save(map_of(image, ".npy"), values.astype(np.float32))
    scores, regions = scores_and_regions(photos, "plain")
    assert [any(region.score > 0.9 for region in some) for some in regions] == defective
    # Of the last ones float32 itself holds a thousandth.
    for scale, offset, rounding in [(1e6, 0.0, 1e-4), (1e-8, 0.0, 1e-4), (1e-12, 0.0, 1e-4), (1.0, 1e4, 1e-2)]:
        for image, values in maps:
            np.save(map_of(image, ".npy"), (scale * values + offset).astype(np.float32))
        check_alike(scores_and_regions(photos, f"{scale}{offset}"), (scores, regions), rounding)
    shutil.rmtree("maps")
    for image, values in maps:
        Image.fromarray((65535 * values).round().astype(np.uint16)).save(map_of(image, ".png"))
    check_alike(scores_and_regions(photos, "saturated"), (scores, regions), 1e-3)


Found = tuple[list[float], list[list[Region]]]


def scores_and_regions(photos: Path, out: str) -> Found:
    main(["cluster", str(photos), "--maps", "maps", "--clusters", "3", "--image-size", "64", "--out", out])
    scores = [float(row["score"]) for row in read_csv(Path(out) / "assignments.csv")]
    return scores, list(run_regions(Path(out)).values())


def check_alike(found: Found, plain: Found, rounding: float) -> None:
    assert found[0] == pytest.approx(plain[0], abs=rounding)
    for some, others in zip(found[1], plain[1], strict=True):
        assert [region.score for region in some] == pytest.approx([region.score for region in others], abs=rounding)
        for one, other in zip(some, others, strict=True):
            assert np.array(one.polygon) == pytest.approx(np.array(other.polygon), abs=rounding)


def test_bad_maps_end_in_one_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = save_maps(photos)
    argv = ["cluster", str(photos), "--maps", str(maps), "--image-size", "64"]
    assert "two ways to weigh patches" in refused([*argv, "--normal", str(photos / "good")], capsys)
    np.save(maps / "bar" / "3.npy", np.full((4, 4), np.nan))
    assert "'maps/bar/3.npy' holds values that are NaN or infinite" in refused(argv, capsys)
    (maps / "bar" / "3.npy").unlink()
    assert "bar/3.png' is missing: no file in 'maps' ends in 'bar/3'" in refused(argv, capsys)
