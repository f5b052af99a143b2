"""Photographs that lie on their side are turned upright by their EXIF, and EXIF that is malformed stops nothing."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from anomaly_clustering.data.images import as_rgb, read_image, read_mask
from anomaly_clustering.data.opening import image_size

LIES = 0x0112  # EXIF's tag of how an image lies


def noise(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)).convert(mode)


@pytest.mark.parametrize("lies", range(10))
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tif"])
def test_images_are_turned_as_pillow_turns_them_and_once(tmp_path: Path, extension: str, mode: str, lies: int) -> None:
    exif = Image.Exif()
    exif[LIES] = lies
    path = tmp_path / f"a{extension}"
    noise("L" if (mode, extension) == ("P", ".jpg") else mode).save(path, exif=exif)
    with Image.open(BytesIO(path.read_bytes())) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    found = read_image(path)
    assert found.size == expected.size == image_size(path)
    assert found.tobytes() == expected.tobytes()
    assert as_rgb(found, "the same again").tobytes() == expected.tobytes()


def with_width_as_text(lies: int) -> bytes:
    """EXIF as some cameras write it: a whole number is stored as text."""
    width = struct.pack(">HHI", 0x0100, 2, 3) + b"64\0\0"
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + width + struct.pack(">HHIHHI", LIES, 3, 1, lies, 0, 0)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp"])
def test_exif_with_a_value_of_another_type_turns_an_image_all_the_same(tmp_path: Path, extension: str) -> None:
    noise("L").save(tmp_path / f"plain{extension}")
    noise("L").save(tmp_path / f"turned{extension}", exif=with_width_as_text(6))
    upright = read_image(tmp_path / f"plain{extension}").transpose(Image.Transpose.ROTATE_270)
    assert read_image(tmp_path / f"turned{extension}").tobytes() == upright.tobytes()
    assert image_size(tmp_path / f"turned{extension}") == (10, 20)
    assert (read_mask(tmp_path / f"turned{extension}", (10, 20)) == (np.asarray(upright.convert("L")) > 127.5)).all()


# No EXIF at all; an orientation of no length; one that is said to lie elsewhere.
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0no EXIF at all",
        b"Exif\0\0MM\0*" + struct.pack(">IHHHII", 8, 1, LIES, 3, 0, 0) + bytes(4),
        b"Exif\0\0MM\0*" + struct.pack(">IHHHII", 8, 1, LIES, 3, 9, 9999) + bytes(4),
        b"Exif\0\0MM\0*" + struct.pack(">I", 9999),
    ],
)
@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp"])
def test_an_image_whose_exif_is_malformed_is_taken_as_it_lies(tmp_path: Path, extension: str, exif: bytes) -> None:
    noise().save(tmp_path / f"plain{extension}")
    noise().save(tmp_path / f"malformed{extension}", exif=exif)
    expected = read_image(tmp_path / f"plain{extension}").tobytes()
    assert read_image(tmp_path / f"malformed{extension}").tobytes() == expected
    assert image_size(tmp_path / f"malformed{extension}") == (20, 10)
