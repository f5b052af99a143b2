"""Files that are damaged or hostile: a command names them, runs nothing that is in them, and writes nothing."""

import json
import os
import shutil
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import timm
import torch
from commands import ROOT, SMALL, configured, refused, rows
from PIL import Image

from anomaly_clustering.cli.console import offering_to_skip
from anomaly_clustering.cli.main import main
from anomaly_clustering.data.opening import UnreadableImageError, read_header

pytestmark = pytest.mark.usefixtures("in_tmp")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_text_named_png(photos: Path, capsys: pytest.CaptureFixture[str], workers: str) -> None:
    (photos / "bar" / "text.png").write_text("no image")
    line = refused(configured("test", "--data.root", str(photos), "--data.num_workers", workers), capsys)
    assert line.startswith("error: ")
    assert "text.png' is not an image" in line


def cut_jpeg(folder: Path) -> None:
    Image.effect_noise((64, 64), 50).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:900])


def test_truncated_jpeg(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_jpeg(flat_photos)
    line = refused(["cluster", str(flat_photos), *SMALL], capsys)
    assert line.startswith("error: ")
    assert "cut.jpg' is damaged" in line
    assert line.endswith("; --skip-unreadable lists such files and goes on without them")


def test_truncated_jpeg_is_listed_and_left_out_if_asked(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_jpeg(flat_photos)
    main(["cluster", str(flat_photos), "--skip-unreadable", *SMALL])
    assert len(rows(Path("flat-clusters"))) == 15
    assert "cut.jpg" in capsys.readouterr().out.replace("\n", "")
    assert "cut.jpg" in json.loads(Path("flat-clusters/metrics.json").read_text())["notices"][0]
    assert "cut.jpg" in Path("flat-clusters/report.html").read_text()


# Directories of pages: one that says nothing, and one of 8x8 pixels that are compressed in a way that nobody knows.
NOTHING = bytes(6)
UNKNOWN = struct.pack("<H", 3) + b"".join(
    struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in ((256, 8), (257, 8), (259, 77))
)


@pytest.mark.parametrize("page", [NOTHING, UNKNOWN + bytes(4)], ids=["nothing", "unknown"])
def test_of_a_tiff_the_first_page_is_read_whatever_the_next_one_is(flat_photos: Path, page: bytes) -> None:
    Image.effect_noise((64, 64), 50).save(flat_photos / "scan.tif")
    data = bytearray((flat_photos / "scan.tif").read_bytes())
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + 12 * entries, len(data))
    (flat_photos / "scan.tif").write_bytes(data + page)
    assert read_header(flat_photos / "scan.tif").pages == 1
    main(["cluster", str(flat_photos), "--skip-unreadable", *SMALL])
    assert len(rows(Path("flat-clusters"))) == 16


def test_image_of_one_pixel(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (1, 1)).save(flat_photos / "dot.png")
    assert "dot.png' has 1x1 pixels" in refused(["cluster", str(flat_photos), *SMALL], capsys)


def test_the_way_out_follows_what_another_process_said_of_an_image() -> None:
    with pytest.raises(UnreadableImageError) as caught, offering_to_skip():
        raise UnreadableImageError("Traceback (most recent call last):\nUnreadableImageError: 'a.png' is damaged\n")
    assert str(caught.value).endswith("'a.png' is damaged; --skip-unreadable lists such files and goes on without them")


def test_files_beside_the_images_take_no_librarys_place(flat_photos: Path) -> None:
    Path("yaml.py").write_text("raise SystemExit('not this one')")
    command = [str(Path(sys.executable).with_name("anomaly-clustering")), "cluster", "absent"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == "error: 'absent' does not exist\n"


def by_mask(photos: Path, masks: Path) -> list[str]:
    return configured("test", "--data.root", str(photos), "--data.masks", str(masks), "--model.weights", "mask")


def test_mask_of_another_size(photos: Path, masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (5, 7)).save(masks / "bar" / "2.png")
    line = refused(by_mask(photos, masks), capsys)
    assert "bar/2.png' has 5x7 pixels, but its image 64x64" in line


def test_mask_missing(photos: Path, masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (masks / "bar" / "2.png").unlink()
    assert "bar/2.png' is missing" in refused(by_mask(photos, masks), capsys)


def test_empty_mask_falls_back_to_uniform_and_says_so(
    photos: Path, masks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (64, 64)).save(masks / "bar" / "2.png")
    main(by_mask(photos, masks))
    assert "bar/2.png" in capsys.readouterr().out.replace("\n", "")
    notices = json.loads(Path("runs/test/metrics.json").read_text())["notices"]
    assert any("empty mask, so weights are uniform" in notice and "bar/2.png" in notice for notice in notices)


def test_checkpoint_of_another_network(flat_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "other.pth")
    line = refused(["cluster", str(flat_photos), "--backbone", "resnet18", "--checkpoint", "other.pth"], capsys)
    assert "other.pth' does not fit network 'resnet18'; keys:" in line


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_pickle_that_would_run_code(flat_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Evil(), tmp_path / "evil.pth")
    line = refused(["cluster", str(flat_photos), "--backbone", "resnet18", "--checkpoint", "evil.pth"], capsys)
    assert "loading it could run code" in line


def test_archive_with_paths_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import zipfile

    with zipfile.ZipFile("mtd.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
    argv = [*configured("test")[:3], "-c", str(ROOT / "configs/data/mtd.yaml"), "--data.root", "mtd.zip"]
    line = refused([*argv, "--model.backbone", "embedded", "--trainer.accelerator", "cpu"], capsys)
    assert "'../outside.txt' points outside" in line


def test_hostile_file_names(flat_photos: Path) -> None:
    names = ['"><script>alert(1).png', "it's & <blink>.png", "new\nline.png", "ümlaut 漢字.png", "\udcff.png"]
    for name, source in zip(names, sorted(flat_photos.iterdir()), strict=False):
        shutil.move(source, flat_photos / name)
    main(["cluster", str(flat_photos), "--clusters", "3", *SMALL])
    assert {Path(row["path"]).name for row in rows(Path("flat-clusters"))} >= set(names)
    scripts: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag in ("script", "blink"):
                scripts.append(tag)

    Parser().feed(Path("flat-clusters/report.html").read_text())
    # The page's own: what it shows, and what shows it.
    assert scripts == ["script"] * 3
