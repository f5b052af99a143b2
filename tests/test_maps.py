"""Anomaly maps of other detectors: how they are found, read and used as weights."""

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
from anomaly_clustering.data.maps import UnreadableMapError, match_maps, read_map
from anomaly_clustering.data.synthetic_images import write_dataset
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.weights import effective_patches
from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.regions import run_regions
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.unusual import graded
from anomaly_clustering.system.tables import read_csv

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)
pytestmark = pytest.mark.usefixtures("in_tmp")


def touched(*names: str) -> list[Path]:
    paths = [Path(name) for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


# Which map belongs to which image.

MVTEC = ("mvtec/bottle/test/good/000.png", "mvtec/bottle/test/broken/000.png", "mvtec/bottle/test/broken/001.png")


@pytest.mark.parametrize(
    "layout",
    [
        "results/padim/mvtec/bottle/run/images/{type}/{name}.png",
        "results/Padim/MVTec/bottle/latest/images/test/{type}/{name}.png",
        "results/Patchcore/MVTecAD/bottle/v0/images/test/{type}/{name}.png",
        "results/Patchcore/MVTecAD/bottle/latest/images/{type}/{name}.png",
        "anomaly_maps/bottle/test/{type}/{name}.tiff",
        "{type}/{name}.npy",
    ],
    ids=["anomalib 0", "anomalib 1", "anomalib 2", "anomalib without its data set", "MVTec AD", "types only"],
)
def test_maps_of_the_layouts_in_use_are_found(layout: str) -> None:
    images = touched(*MVTEC)
    maps = [Path("there") / layout.format(type=image.parent.name, name=image.stem) for image in images]
    touched(*map(str, maps), "there/weights/model.ckpt", "there/images/curve.png")
    assert match_maps(images, Path("there")) == maps


def test_the_link_to_the_last_run_is_no_second_run() -> None:
    """As anomalib leaves it: 'latest' leads to 'v0'."""
    images = touched(*MVTEC)
    maps = touched(*(f"run/v0/images/test/{image.parent.name}/{image.name}" for image in images))
    Path("run/latest").symlink_to(Path("run/v0").absolute(), target_is_directory=True)
    assert [path.resolve() for path in match_maps(images, Path("run"))] == [path.resolve() for path in maps]


def test_names_that_all_differ_need_no_folders() -> None:
    images = touched("photos/bar/a.jpg", "photos/bright/b.jpg")
    touched("flat/a.npy", "flat/b.npy")
    assert match_maps(images, Path("flat")) == [Path("flat/a.npy"), Path("flat/b.npy")]


def test_the_longest_common_tail_wins() -> None:
    images = touched("mvtec/bottle/test/good/000.png")
    touched("maps/cable/test/good/000.png", "maps/bottle/train/good/000.png", "maps/bottle/test/good/000.png")
    assert match_maps(images, Path("maps")) == [Path("maps/bottle/test/good/000.png")]


def test_the_map_of_another_image_is_no_substitute() -> None:
    images = touched(*MVTEC)
    touched("maps/broken/000.png", "maps/broken/001.png")
    with pytest.raises(
        FileNotFoundError, match=r"test/good/000\.png' is missing: no file in 'maps' ends in 'good/000'"
    ):
        match_maps(images, Path("maps"))


def test_two_runs_are_ambiguous() -> None:
    images = touched(*MVTEC)
    touched(*(f"maps/{run}/{image.parent.name}/{image.name}" for run in ("v0", "v1") for image in images))
    with pytest.raises(
        ValueError, match=r"2 anomaly maps fit '.*good/000\.png' alike, such as 'maps/v0/.*' and 'maps/v1"
    ):
        match_maps(images, Path("maps"))


def test_images_that_differ_in_their_extension_only_are_named() -> None:
    images = touched("photos/a.png", "photos/a.jpg")
    touched("maps/a.npy")
    with pytest.raises(ValueError, match=r"photos/a\.png' in its extension only"):
        match_maps(images, Path("maps"))


def test_folders_without_maps_are_named() -> None:
    touched("empty/a.jpg", "photos/a.png")
    with pytest.raises(ValueError, match=r"'empty' holds no anomaly maps \(\.npy, \.png, \.tif, \.tiff\)"):
        match_maps([Path("photos/a.png")], Path("empty"))
    with pytest.raises(FileNotFoundError, match="'absent' is not a folder of anomaly maps"):
        match_maps([Path("photos/a.png")], Path("absent"))


# What a map says.


def test_every_format_keeps_its_values() -> None:
    np.save("plain.npy", VALUES)
    np.save("channel.npy", VALUES[None].astype(np.float16))
    np.save("whole.npy", VALUES.astype(np.int64))
    np.save("marked.npy", VALUES > 5)
    Image.fromarray(VALUES.astype(np.uint8)).save("grey.png")
    Image.fromarray((VALUES * 5000).astype(np.uint16)).save("deep.png")
    Image.fromarray((VALUES * 5000).astype(np.uint16)).save("deep.tif")
    Image.fromarray(VALUES - 0.5).save("float.tiff")
    Image.fromarray(VALUES / 7).save("packed.tiff", compression="tiff_adobe_deflate")
    expected = {"marked.npy": VALUES > 5, "deep.png": VALUES * 5000, "deep.tif": VALUES * 5000}
    expected |= {"float.tiff": VALUES - 0.5, "packed.tiff": VALUES / 7}
    for path in sorted(Path().iterdir()):
        found = read_map(path)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected.get(path.name, VALUES)), path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_colours_are_not_scores(mode: str) -> None:
    Image.new(mode, (12, 16)).save("heat.png")
    with pytest.raises(UnreadableMapError, match=rf"'heat\.png' is a picture in colours \({mode}\).*not scores"):
        read_map(Path("heat.png"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("extension", [".npy", ".tif"])
def test_values_that_are_not_finite_are_refused(extension: str, value: float) -> None:
    values = np.where(VALUES == 5, value, VALUES.astype(np.float64))
    if extension == ".npy":
        np.save("map.npy", values)
    else:
        with np.errstate(over="ignore"):
            Image.fromarray(values.astype(np.float32)).save("map.tif")
    with pytest.raises(UnreadableMapError, match=r"'map\..*' holds values that are NaN or infinite"):
        read_map(Path(f"map{extension}"))


@pytest.mark.parametrize(
    "array", [np.zeros((3, 4, 4)), np.zeros(4), np.zeros((0, 4)), np.float32(3), np.zeros((4, 4, 3))]
)
def test_arrays_of_another_shape_are_refused(array: np.ndarray) -> None:
    np.save("map.npy", array)
    with pytest.raises(UnreadableMapError, match=r"'map\.npy' must be of shape \[H, W\] or \[1, H, W\], got \("):
        read_map(Path("map.npy"))


def test_files_that_hold_no_map_are_named() -> None:
    for name in ("text.npy", "text.png", "text.tif", "void.npy"):
        Path(name).write_text("" if name == "void.npy" else "this is no map")
        with pytest.raises(UnreadableMapError, match=name.replace(".", r"\.")) as raised:
            read_map(Path(name))
        assert "\n" not in str(raised.value)
    np.save("objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save("complex.npy", VALUES * 1j)
    for name in ("objects.npy", "complex.npy"):
        with pytest.raises(UnreadableMapError, match=name):
            read_map(Path(name))


# Batches and weights.


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


# The command line.


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


@pytest.mark.parametrize("header", ["(" * 9000, "-" * 8990 + "1"])
def test_a_header_that_is_no_header_is_said_to_be_damaged(tmp_path: Path, header: str) -> None:
    (tmp_path / "map.npy").write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header.encode())
    with pytest.raises(UnreadableMapError, match=r"'.*map\.npy' cannot be read"):
        read_map(tmp_path / "map.npy")


def test_a_map_of_too_many_pixels_takes_no_memory(tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "map.npy", mode="w+", dtype="u1", shape=(25_000, 25_000)).flush()
    with pytest.raises(UnreadableMapError, match="has 625 megapixels, more than the"):
        read_map(tmp_path / "map.npy")
