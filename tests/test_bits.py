"""Images and masks of 10 to 16 bits: one look at the files tells the range of values that all are read by."""

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MakeImage
from PIL import Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import Folder
from anomaly_clustering.data.images import read_image, read_mask
from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.survey import surveyed
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.cache import Cache
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.tables import read_csv

SMALL = ["--image-size", "64", "--method", "paper"]
pytestmark = pytest.mark.usefixtures("in_tmp")


def write_png_of_16_bit_colours(path: Path, pixels: np.ndarray) -> None:
    """Pillow writes none. Of two channels the second is alpha, and of four the last."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    height, width, channels = pixels.shape
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0),
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


def write_tiff_of_16_bit_colours(path: Path, pixels: np.ndarray, *, planes: int = 1, alpha: int = 2) -> None:
    """One strip, little-endian; of four channels the last is alpha, where it is not 0 that says so."""
    height, width, channels = pixels.shape
    data = pixels.astype("<u2").tobytes()
    short = {256: width, 257: height, 259: 1, 262: 2, 277: channels, 278: height, 284: planes}
    short |= {338: alpha} if channels == 4 else {}
    bits = 8 + 2 + 12 * (len(short) + 3) + 4
    entries = {tag: struct.pack("<HHII", tag, 3, 1, value) for tag, value in short.items()}
    entries[258] = struct.pack("<HHII", 258, 3, channels, bits)
    entries[273] = struct.pack("<HHII", 273, 4, 1, bits + 2 * channels)
    entries[279] = struct.pack("<HHII", 279, 4, 1, len(data))
    directory = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<H", 16) * channels + data)


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


@pytest.mark.parametrize("kind", ["grey PNG", "PNG", "TIFF", "TIFF without a meaning"])
def test_colours_of_16_bits_with_an_alpha_channel_are_read_alike(kind: str, tmp_path: Path) -> None:
    expected = np.random.default_rng(0).integers(0, 256, (16, 12, 3))
    expected = expected[..., :1].repeat(3, 2) if kind == "grey PNG" else expected
    alpha = np.full((16, 12, 1), 2**16 - 1)
    seen = kind != "TIFF without a meaning"
    alpha[0] = 0 if seen else alpha[0]
    # What is transparent may be brighter than the camera.
    colours = np.where(alpha == 0, 2**16 - 1, expected << 4 | 7)
    pixels = np.concatenate([colours[..., :1] if kind == "grey PNG" else colours, alpha], axis=2)
    if "PNG" in kind:
        write_png_of_16_bit_colours(tmp_path / "a.png", pixels)
    else:
        write_tiff_of_16_bit_colours(tmp_path / "a.tif", pixels, alpha=2 if seen else 0)
    (path,) = tmp_path.iterdir()
    listing = surveyed(Listing([Record(path)], []))
    assert listing.records[0].bits == 12
    assert (np.asarray(read_image(path, bits=12)) == np.where(alpha == 0, 255, expected)).all()


def test_16_bits_in_a_form_that_would_be_read_amiss_are_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (16, 12, 4))
    for planes, alpha, channels, why in ((2, 2, 3, "one plane for each"), (1, 1, 4, "multiplied by its alpha")):
        write_tiff_of_16_bit_colours(tmp_path / "a.tif", pixels[..., :channels], planes=planes, alpha=alpha)
        with pytest.raises(UnreadableImageError, match=rf"a\.tif' has colours of 16 bits .*{why}.*; save it"):
            read_image(tmp_path / "a.tif")
    Image.fromarray(pixels[..., 0].astype(np.uint16)).save(tmp_path / "b.tif")
    meaning = [struct.pack("<HHII", 262, 3, 1, value) for value in (1, 0)]
    (tmp_path / "b.tif").write_bytes((tmp_path / "b.tif").read_bytes().replace(*meaning))
    with pytest.raises(UnreadableImageError, match=r"b\.tif' has grey values of .* of which 0 is white .*; save it"):
        read_image(tmp_path / "b.tif")


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


def brighter(source: Path, to: Path) -> Path:
    """An image of which one pixel has more than 10 bits."""
    pixels = np.asarray(Image.open(source)).copy()
    pixels[0, 0] = 1100
    to.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(to)
    return to


def test_an_image_that_is_brighter_than_the_run_is_named_and_the_others_go_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = deep(photos, tmp_path / "dark", bits=10)
    clusters(images)
    brighter(images / "bar/0.png", Path("camera/a.png"))
    shutil.copy(images / "bar/1.png", "camera/b.png")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["assign", "camera", "--run", "dark-clusters"])
    assert "--bits) where they are clustered; --skip-unreadable lists such files" in capsys.readouterr().err
    main(["assign", "camera", "--run", "dark-clusters", "--skip-unreadable"])
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: 'camera/a.png' holds the value 1100, but 10-bit images are read here" in said
    assert [row["path"] for row in read_csv(Path("dark-clusters/assigned.csv"))] == ["camera/b.png"]
    shutil.copy(images / "bar/2.png", "camera/c.png")
    with pytest.raises(SystemExit) as end:
        main(["watch", "camera", "--run", "dark-clusters", "--once", "--every", "0.02"])
    assert end.value.code == 2
    found = {row["path"]: row.get("error") for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert "holds the value 1100" in found.pop("camera/a.png")
    assert found == {"camera/c.png": None}


def test_an_image_that_is_brighter_than_the_scale_given_is_left_out_if_asked(photos: Path, tmp_path: Path) -> None:
    images = deep(photos, tmp_path / "dark", bits=10)
    for name in ("bar/0.png", "good/0.png"):
        brighter(images / name, images / name)
    data = Folder(images, normals=images / "good", bits=10, skip_unreadable=True, image_size=32, num_workers=0)
    data.setup()
    assert [record.image.name for record in data.records if record.image.parent.name == "bar"] == [
        f"{number}.png" for number in range(1, 5)
    ]
    assert "holds the value 1100, but 10-bit images are read here" in data.notices[0]
    assert len(data.normal_records) == 4


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
