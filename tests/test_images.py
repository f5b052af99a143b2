import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from anomaly_clustering.data.images import highest_value, read_image, read_mask
from anomaly_clustering.data.maps import read_map
from anomaly_clustering.data.opening import UnreadableImageError, image_size, read_header
from anomaly_clustering.data.walk import image_files

RED = (250, 10, 20)


def red(size: tuple[int, int] = (12, 16)) -> Image.Image:
    return Image.new("RGB", size, RED)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".JPEG", ".bmp", ".tif", ".tiff", ".webp"])
def test_common_formats_give_the_same_rgb_pixels(tmp_path: Path, extension: str) -> None:
    red().save(tmp_path / f"a{extension}")
    image = read_image(tmp_path / f"a{extension}")
    assert (image.mode, image.size) == ("RGB", (12, 16))
    assert np.abs(np.asarray(image, dtype=int) - RED).max() <= 8  # lossy formats
    assert image_files(tmp_path) == [tmp_path / f"a{extension}"]


def test_palette_and_grey_become_rgb(tmp_path: Path) -> None:
    red().quantize(4).save(tmp_path / "palette.png")
    Image.new("L", (12, 16), 77).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "palette.png").getpixel((3, 3)) == RED
    assert read_image(tmp_path / "grey.png").getpixel((3, 3)) == (77, 77, 77)


def test_transparent_pixels_show_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (12, 16), (*RED, 0))
    image.paste((*RED, 255), (0, 0, 6, 16))
    image.save(tmp_path / "alpha.png")
    read = read_image(tmp_path / "alpha.png")
    assert read.getpixel((0, 0)) == RED
    assert read.getpixel((11, 0)) == (255, 255, 255)


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_16_bit_grey_is_scaled_by_its_full_range(tmp_path: Path, extension: str) -> None:
    pixels = np.full((16, 12), 65535, dtype=np.uint16)
    pixels[:, :6] = 257 * 100
    Image.fromarray(pixels).save(tmp_path / f"deep{extension}")
    read = read_image(tmp_path / f"deep{extension}")
    assert read.getpixel((0, 0)) == (100, 100, 100)
    assert read.getpixel((11, 0)) == (255, 255, 255)


def test_exif_orientation_turns_the_image_upright(tmp_path: Path) -> None:
    image = red((20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (10, 20)


def test_text_named_png_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("this is no image")
    with pytest.raises(UnreadableImageError, match=r"no\.png.*not an image"):
        read_image(tmp_path / "no.png")


def test_truncated_jpeg_is_named_in_the_error(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableImageError, match=r"cut\.jpg.*damaged.*truncated"):
        read_image(tmp_path / "cut.jpg")


def test_one_pixel_is_too_small(tmp_path: Path) -> None:
    red((1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(UnreadableImageError, match=r"dot\.png.*1x1"):
        read_image(tmp_path / "dot.png")


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((16, 12), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(UnreadableImageError, match="8 or 16 bits"):
        read_image(tmp_path / "float.tif")


def test_newlines_in_a_name_do_not_break_the_message(tmp_path: Path) -> None:
    (tmp_path / "a\nb.png").write_text("")
    with pytest.raises(UnreadableImageError, match=r"a\\nb\.png") as raised:
        read_image(tmp_path / "a\nb.png")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("mode", "value"), [("L", 255), ("1", 1), ("RGB", (255, 255, 255)), ("I;16", 65535)])
def test_masks_of_any_mode_are_zero_and_one(tmp_path: Path, mode: str, value: object) -> None:
    mask = Image.new(mode, (12, 16), 0)
    mask.paste(value, (0, 0, 3, 4))
    mask.save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png", (12, 16))
    assert read.shape == (16, 12)
    assert read.sum() == read[:4, :3].sum() == 12


def two_level_masks() -> dict[str, Image.Image]:
    ones = Image.new("L", (12, 16), 0)
    ones.paste(1, (0, 0, 3, 4))
    red = Image.new("RGB", (12, 16), "black")
    red.paste((200, 0, 0), (0, 0, 3, 4))
    palette = Image.new("P", (12, 16), 0)
    palette.putpalette([0, 0, 0, 0, 0, 90])
    palette.paste(1, (0, 0, 3, 4))
    grey = Image.new("L", (12, 16), 40)
    grey.paste(90, (0, 0, 3, 4))
    sixteen = Image.fromarray(np.asarray(ones).astype(np.uint16))
    seen = Image.new("RGBA", (12, 16), (200, 0, 0, 0))
    seen.paste((200, 0, 0, 255), (0, 0, 3, 4))
    masks = {"0 and 1": ones, "red on black": red, "a palette": palette, "grey on grey": grey, "16 bits": sixteen}
    return masks | {"alpha": seen}


@pytest.mark.parametrize("kind", two_level_masks())
def test_of_two_levels_the_brighter_one_marks(tmp_path: Path, kind: str) -> None:
    two_level_masks()[kind].save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png", (12, 16))
    assert read.sum() == read[:4, :3].sum() == 12


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_of_the_value_of_a_mark_alone_marks_all(value: int, tmp_path: Path) -> None:
    Image.new("L", (12, 16), value).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (12, 16)).all()


def test_noise_of_a_lossy_mask_is_no_second_level(tmp_path: Path) -> None:
    mask = Image.new("L", (16, 16), 0)
    mask.paste(3, (0, 0, 8, 8))
    mask.save(tmp_path / "mask.jpg", quality=95)
    assert read_mask(tmp_path / "mask.jpg", (16, 16)).sum() == 0


def test_compression_noise_in_a_mask_is_not_a_defect(tmp_path: Path) -> None:
    Image.new("L", (12, 16), 9).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (12, 16)).sum() == 0


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "mask.png")
    with pytest.raises(UnreadableImageError, match=r"mask\.png.*5x5.*12x16"):
        read_mask(tmp_path / "mask.png", (12, 16))


def test_a_mask_of_floating_point_pixels_is_refused_as_such_an_image_is(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 12), 0.39, np.float32)).save(tmp_path / "mask.tif")
    with pytest.raises(UnreadableImageError, match=r"mask '.*mask\.tif' holds floating-point pixels; save it with 8"):
        read_mask(tmp_path / "mask.tif", (12, 16))


POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\nshowpage\n"


def test_postscript_named_as_an_image_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    # Pillow looks for the program once.
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    for name in ("a.png", "a.tif", "a.jpg"):
        (tmp_path / name).write_text(POSTSCRIPT)
        of_headers = (read_header, image_size, highest_value)
        for read in (read_image, read_map, lambda path: read_mask(path, (50, 50)), *of_headers):
            with pytest.raises(ValueError, match=r"not an image that can be read: by its.*PostScript"):
                read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("kind", "name"), [("GIF", "a GIF image"), ("PPM", ""), ("ICO", ""), ("JPEG2000", "")])
def test_kinds_that_are_not_promised_are_not_read_whatever_they_are_called(
    kind: str, name: str, tmp_path: Path
) -> None:
    red((16, 16)).save(tmp_path / "a.png", kind)
    with pytest.raises(UnreadableImageError, match=rf"a\.png' is not an image that can be read.*{name}"):
        read_image(tmp_path / "a.png")


def test_a_photograph_beyond_the_limit_is_said_to_be_that(tmp_path: Path) -> None:
    """Its header alone, of a line-scan camera's image."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 16000, 12320, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", len(header) - 4) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "long.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 100) + b"IDAT")
    with pytest.raises(UnreadableImageError, match=r"long\.png' has 197 megapixels, more than the 178 .*; scale it"):
        read_image(tmp_path / "long.png")


def test_a_file_that_ends_in_its_header_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with pytest.raises(UnreadableImageError, match=r"a\.png' is damaged: it begins as a PNG image, but holds none"):
        read_image(tmp_path / "a.png")


REFUSES_BOMBS = """
import sys, warnings
from pathlib import Path
from PIL import Image
{refusing}
from anomaly_clustering.data.opening import UnreadableImageError, image_size
Image.MAX_IMAGE_PIXELS = 100
for open_it in (image_size, Image.open):
    try:
        print(open_it(Path(sys.argv[1])) == (15, 10))
    except (Image.DecompressionBombWarning, UnreadableImageError) as refused:
        print(str(refused)[-39:])
"""


@pytest.mark.parametrize(
    ("refusing", "said"),
    [
        ("warnings.simplefilter('error', Image.DecompressionBombWarning)", ["or let these images pass", "attack."]),
        ("", ["True", "False"]),
    ],
)
def test_a_program_that_refuses_large_images_still_does(refusing: str, said: list[str], tmp_path: Path) -> None:
    red((15, 10)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", REFUSES_BOMBS.format(refusing=refusing), str(tmp_path / "a.png")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.endswith(end) for line, end in zip(lines, said, strict=True)] == [True, True]
