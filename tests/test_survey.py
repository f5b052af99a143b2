"""What one look at the files tells: the range of values, copies, pages that are not read, masks among photographs."""

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeImage
from PIL import Image
from test_cli import configured

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import Folder
from anomaly_clustering.data.images import read_image, read_mask
from anomaly_clustering.data.opening import MOST_PAGES, read_header
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.survey import levels_of, surveyed
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.cache import Cache
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.tables import read_csv

SMALL = ["--image-size", "64", "--method", "paper"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_png_of_16_bit_colours(path: Path, pixels: np.ndarray) -> None:
    """Pillow writes none."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    height, width, _ = pixels.shape
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks.items()
        )
    )


def write_tiff_of_16_bit_colours(path: Path, pixels: np.ndarray) -> None:
    """One strip, little-endian."""
    height, width, _ = pixels.shape
    data = pixels.astype("<u2").tobytes()
    bits = 8 + 2 + 12 * 9 + 4
    short = {256: width, 257: height, 259: 1, 262: 2, 277: 3, 278: height}
    entries = {tag: struct.pack("<HHII", tag, 3, 1, value) for tag, value in short.items()}
    entries[258] = struct.pack("<HHII", 258, 3, 3, bits)
    entries[273] = struct.pack("<HHII", 273, 4, 1, bits + 6)
    entries[279] = struct.pack("<HHII", 279, 4, 1, len(data))
    directory = struct.pack("<H", 9) + b"".join(entries[tag] for tag in sorted(entries)) + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 16, 16, 16) + data)


def deep(folder: Path, to: Path, *, bits: int) -> Path:
    """The images of a folder in grey, as a camera of so many bits writes them into files of 16."""
    for path in sorted(folder.rglob("*.png")):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey << (bits - 8)).save(to / path.relative_to(folder))
    return to


def clusters(images: Path, *options: str) -> list[tuple[str, str]]:
    main(["cluster", str(images), "--clusters", "3", *SMALL, *options])
    table = read_csv(Path(f"{images.name}-clusters/assignments.csv"))
    return [(row["cluster"], row["distance_to_center"]) for row in table]


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_images_of_any_camera_are_clustered_as_those_of_8_bits(
    bits: int, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = deep(photos, tmp_path / "deep", bits=bits)
    expected = clusters(photos)
    capsys.readouterr()
    assert clusters(images) == expected
    notice = f"15 images of 16 bits are read as {bits}-bit, with values from 0 to {2**bits - 1}, since the highest is"
    assert notice in capsys.readouterr().out
    assert notice in json.loads(Path("deep-clusters/metrics.json").read_text())["notices"][0]
    assert notice in Path("deep-clusters/report.html").read_text()
    assert load_run(Path("deep-clusters")).recipe.bits == bits


@pytest.mark.parametrize("write", [write_png_of_16_bit_colours, write_tiff_of_16_bit_colours])
def test_colours_of_16_bits_are_read_by_the_bits_of_the_camera(
    write: Callable[[Path, np.ndarray], None], tmp_path: Path
) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (16, 12, 3))
    path = tmp_path / ("a.png" if write is write_png_of_16_bit_colours else "a.tif")
    write(path, expected << 4 | 7)
    assert (np.asarray(read_image(path, bits=12)) == expected).all()
    write(path, expected << 8 | 7)
    assert (np.asarray(read_image(path)) == expected).all()
    write(path, np.full((16, 12, 3), 3000))
    data = Folder(tmp_path, image_size=32, num_workers=0)
    data.setup()
    assert data.bits_read == 12
    assert data.test_dataloader().dataset[0]["image"].unique().tolist() == pytest.approx([(3000 >> 4) / 255])


def test_normal_images_share_the_scale_of_the_others(photos: Path, tmp_path: Path) -> None:
    images = deep(photos, tmp_path / "deep", bits=12)
    pixels = np.asarray(Image.open(images / "good/0.png")).copy()
    pixels[0, 0] = 16000
    Image.fromarray(pixels).save(images / "good/0.png")
    data = Folder(images, normals=images / "good", image_size=32, num_workers=0)
    data.setup()
    assert {record.bits for record in (*data.records, *data.normal_records)} == {14}


def test_the_scale_can_be_given(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = deep(photos, tmp_path / "deep", bits=10)
    clusters(images, "--bits", "12")
    assert "are read as 12-bit, with values from 0 to 4095, as given" in capsys.readouterr().out
    assert load_run(Path("deep-clusters")).recipe.bits == 12
    with pytest.raises(SystemExit):
        main(["cluster", str(images), "--bits", "9", "--out", "other", *SMALL])
    assert "holds the value" in capsys.readouterr().err
    for bits in ("7", "17", "x"):
        with pytest.raises(SystemExit):
            main(["cluster", str(images), "--bits", bits])
        assert f"8 to 16, or 'auto', got '{bits}'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="bits must be 'auto' or a whole number from 8 to 16, got 17"):
        Folder(images, bits=17)


def test_new_images_are_read_as_those_of_the_run(
    photos: Path, tmp_path: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in (1, 2):
        make_image(tmp_path / "more" / f"{kind}.png", kind, seed=20)
    # Darker than the run: by themselves they would be taken for images of 10 bits.
    for path in (tmp_path / "more").glob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 4).save(path)
    rows = {}
    for name, images in (("eight", photos), ("twelve", deep(photos, tmp_path / "deep", bits=12))):
        new = tmp_path / "more" if name == "eight" else deep(tmp_path / "more", tmp_path / "new", bits=12)
        main(["cluster", str(images), "--clusters", "3", "--out", name, *SMALL])
        main(["assign", str(new), "--run", name])
        rows[name] = [(row["cluster"], row["distance_to_center"]) for row in read_csv(Path(name) / "assigned.csv")]
    assert rows["eight"] == rows["twelve"]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["assign", str(deep(photos, tmp_path / "other", bits=14)), "--run", "twelve"])
    assert "12-bit images are read here, with values from 0 to 4095" in capsys.readouterr().err


def test_thumbnails_of_the_report_have_the_brightness_of_8_bits(photos: Path, tmp_path: Path) -> None:
    clusters(photos)
    clusters(deep(photos, tmp_path / "deep", bits=12))
    eight, twelve = (Path(f"{name}-clusters/report.html").read_text() for name in ("photos", "deep"))

    def thumbnails(page: str) -> list[str]:
        return [part.split('"')[0] for part in page.split("data:image/jpeg;base64,")[1:]]

    assert len(thumbnails(eight)) >= 15
    assert thumbnails(eight) == thumbnails(twelve)


def test_the_estimator_finds_keeps_and_takes_the_scale(photos: Path, tmp_path: Path) -> None:
    eight = AnomalyClusterer(3, image_size=64).fit(photos)
    images = deep(photos, tmp_path / "deep", bits=12)
    opened = [Image.open(path) for path in sorted(images.rglob("*.png"))]
    for form in (images, opened):
        fitted = AnomalyClusterer(3, image_size=64).fit(form)
        assert fitted.recipe_.bits == 12
        assert (fitted.embeddings_ == eight.embeddings_).all()
        fitted.save("fitted.safetensors")
        assert (AnomalyClusterer.load("fitted.safetensors").predict(form) == eight.labels_).all()
    assert AnomalyClusterer(3, image_size=64, bits=14).fit(opened).recipe_.bits == 14
    with pytest.raises(ValueError, match="holds the value 60000, but 12-bit images are read here"):
        fitted.predict([Image.new("I;16", (64, 64), 60000)])


def test_bags_in_the_cache_are_told_apart_by_their_scale(tmp_path: Path) -> None:
    Image.new("I;16", (64, 64), 1000).save(tmp_path / "a.png")
    Image.new("L", (64, 64), 9).save(tmp_path / "b.png")
    embedder = Embedder(Backbone("embedded"), cache=Cache(tmp_path / "cache", notify=print))
    bags = {}
    for bits in (10, 12):
        data = Folder(tmp_path, bits=bits, image_size=64, num_workers=0)
        data.setup()
        (batch,) = data.test_dataloader()
        bags[bits] = embedder(batch)
    assert not torch.equal(bags[10][0], bags[12][0])
    assert torch.equal(bags[10][1], bags[12][1])
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 3


def test_values_beyond_16_bits_are_named_and_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 12), 70000, dtype=np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif' holds the value 70000"):
        read_image(tmp_path / "a.tif")


def test_a_mask_of_12_bits_has_half_of_its_own_range_for_a_threshold(tmp_path: Path) -> None:
    pixels = np.zeros((16, 12), dtype=np.uint16)
    pixels[:4, :3], pixels[8:, :] = 4000, 100
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (12, 16)).sum() == 12


def test_copies_are_counted_and_can_be_left_out(
    flat_photos: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x.png", "y.png"):
        (flat_photos / name).write_bytes((flat_photos / "00.png").read_bytes())
    main(["cluster", "flat", "--clusters", "3", *SMALL])
    said = "2 images are exact copies of others, 'flat/x.png' of 'flat/00.png' for one"
    assert said in capsys.readouterr().out
    assert len(read_csv(Path("flat-clusters/assignments.csv"))) == 17
    main(["cluster", "flat", "--clusters", "3", "--copies", "once", "--out", "once", *SMALL])
    assert "left out: 2 exact copies of other images" in capsys.readouterr().out
    assert [Path(row["path"]).name for row in read_csv(Path("once/assignments.csv"))] == [
        f"{kind}{seed}.png" for kind in range(3) for seed in range(5)
    ]
    make_image(Path("new/0.png"), 1, seed=30)
    Path("new/1.png").write_bytes(Path("new/0.png").read_bytes())
    main(["assign", "new", "--run", "once"])
    assert "2 images, 0 of them of the run itself, 1 copies of others that came later" in capsys.readouterr().out


def test_images_to_cluster_that_are_normal_ones_too_are_counted(photos: Path, make_image: MakeImage) -> None:
    make_image(Path("fine/0.png"), 0, seed=40)
    (photos / "good" / "x.png").write_bytes(Path("fine/0.png").read_bytes())
    data = Folder(photos, normals="fine", image_size=32, copies="once")
    data.setup()
    assert [notice for notice in data.notices if "normal" in notice] == [
        "1 images to cluster are exact copies of images that are known to be normal"
    ]
    assert (len(data.records), len(data.normal_records)) == (16, 1)


def test_pages_that_are_not_read_are_counted_on_the_screen_in_the_metrics_and_in_the_report(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, ending in enumerate(("tif", "png", "webp")):
        pages = [Image.effect_noise((64, 64), 20 + 10 * i).convert("RGB") for _ in range(6)]
        pages[0].save(photos / "bar" / f"pages.{ending}", save_all=True, append_images=pages[1:])
    said = "left out: 15 pages after the first, of 3 files with several"
    main(["cluster", str(photos), "--clusters", "3", *SMALL])
    assert said in capsys.readouterr().out
    assert any(said in notice for notice in json.loads(Path("photos-clusters/metrics.json").read_text())["notices"])
    assert said in Path("photos-clusters/report.html").read_text()
    main(["assign", str(photos), "--run", "photos-clusters"])
    assert said in capsys.readouterr().out


def test_a_training_says_what_it_left_out(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bar" / "x.png").write_bytes((photos / "bar" / "0.png").read_bytes())
    argv = ["fit", "--model", "baselines.SCAN", *configured("fit")[3:5]]
    argv += ["--model.backbone", "embedded", "--model.crop", "64", "--model.neighbours", "auto"]
    argv += ["--model.selflabel_epochs", "0", "--model.cached_views", "2", "--data.image_size", "64"]
    argv += ["--data.root", str(photos), "--data.num_workers", "0", "--trainer.max_epochs", "1"]
    main([*argv, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.copies", "once"])
    assert "left out: 1 exact copies" in capsys.readouterr().out
    assert "left out: 1 exact copies" in json.loads(Path("runs/fit/metrics.json").read_text())["notices"][0]
    assert len(read_csv(Path("runs/fit/assignments.csv"))) == 15


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "png"), ("1", "png"), ("RGB", "bmp"), ("I;16", "tif"), ("P", "png")]
)
def test_black_and_white_images_among_photographs_are_reported(
    mode: str, ending: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[4:9, 4:9] = 1
    image = Image.fromarray(mask.astype(np.uint16)) if mode == "I;16" else Image.fromarray(255 * mask).convert(mode)
    for name in ("x", "y"):
        image.save(photos / f"{name}.{ending}")
        mask[20, 20] = 1
        image = Image.fromarray(mask.astype(np.uint16)) if mode == "I;16" else Image.fromarray(255 * mask).convert(mode)
    main(["cluster", str(photos), "--clusters", "3", *SMALL])
    said = f"2 of 17 images have one or two levels of brightness, as masks have, '{photos / f'x.{ending}'}' for one"
    assert said in capsys.readouterr().out
    main(["assign", str(photos), "--run", "photos-clusters"])
    assert said in capsys.readouterr().out
    # Where all are so, they are what the user has.
    for path in photos.glob("*/*.png"):
        path.unlink()
    data = Folder(photos, image_size=32)
    data.setup()
    assert not any("levels of brightness" in notice for notice in data.notices)


def test_masks_with_soft_edges_and_empty_ones_are_reported_and_dark_photographs_are_not(
    photos: Path, tmp_path: Path
) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (10, 10, 30, 30))
    for name in ("soft.png", "soft.jpg", "soft.webp"):
        mask.resize((100, 100), Image.Resampling.BILINEAR).save(photos / name)
    Image.new("L", (64, 64), 0).save(photos / "empty.png")
    data = Folder(photos, image_size=32)
    data.setup()
    assert "4 of 19 images have one or two levels" in data.notices[-1]
    # Dark field: a bright defect before a dark ground that has its noise.
    dark = np.random.default_rng(0).normal(20, 6, (64, 64))
    dark[10:20, 10:20] = 250
    Image.fromarray(dark.clip(0, 255).astype(np.uint8)).save(tmp_path / "dark.png")
    assert levels_of(tmp_path / "dark.png") == 3
    Image.new("L", (64, 64), 9).save(tmp_path / "grey.png")
    assert levels_of(tmp_path / "grey.png") == 1


def test_many_pages_and_many_pixels_take_neither_time_nor_memory(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 8)) for _ in range(1200)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert read_header(tmp_path / "pages.tif").pages == MOST_PAGES + 1
    Image.new("1", (6000, 6000)).save(tmp_path / "mask.png")
    tracemalloc.start()
    listing = surveyed(Listing([Record(tmp_path / name) for name in ("pages.tif", "mask.png")], ()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert any("1000 or more pages after the first, of 1 files" in notice for notice in listing.notices)
    assert peak < 2**20


@pytest.mark.parametrize("pixels", [5000, 7000])
def test_levels_of_many_pixels_are_counted_row_by_row(tmp_path: Path, pixels: int) -> None:
    mask = np.zeros((pixels, 5000), np.uint8)
    mask[: pixels // 2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    tracemalloc.start()
    assert levels_of(tmp_path / "mask.png") == 2
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * mask.nbytes


def test_the_colours_of_lab_are_named_and_skipped(tmp_path: Path, make_image: MakeImage) -> None:
    for seed in range(4):
        make_image(tmp_path / f"photos/{seed}.png", seed=seed)
    Image.new("LAB", (64, 64)).save(tmp_path / "photos/lab.tif")
    with pytest.raises(ValueError, match=r"lab\.tif' has the colours of LAB, which are not read; save it as RGB"):
        read_image(tmp_path / "photos/lab.tif")
    words = ["--clusters", "2", *SMALL, "--skip-unreadable", "--out", "run"]
    main(["cluster", "photos", *words])
    assert len(read_csv(Path("run/assignments.csv"))) == 4
