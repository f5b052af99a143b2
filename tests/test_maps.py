"""Anomaly maps of other detectors: how they are found, read and used as weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomaly_clustering.data.maps import UnreadableMapError, match_maps, read_map

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


@pytest.mark.parametrize("header", ["(" * 9000, "-" * 8990 + "1"])
def test_a_header_that_is_no_header_is_said_to_be_damaged(tmp_path: Path, header: str) -> None:
    (tmp_path / "map.npy").write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header.encode())
    with pytest.raises(UnreadableMapError, match=r"'.*map\.npy' cannot be read"):
        read_map(tmp_path / "map.npy")


def test_a_map_of_too_many_pixels_takes_no_memory(tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "map.npy", mode="w+", dtype="u1", shape=(25_000, 25_000)).flush()
    with pytest.raises(UnreadableMapError, match="has 625 megapixels, more than the"):
        read_map(tmp_path / "map.npy")
