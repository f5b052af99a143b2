"""Small pictures that a run keeps: they outlast the files of the images, and what happens to a machine."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomaly_clustering.runs.file_names import PICTURES
from anomaly_clustering.runs.kept_pictures import KeptPictures, listing_pictures
from anomaly_clustering.runs.mark import Mark

A, B, C = ("9f86d0" * 11)[:64], ("60303a" * 11)[:64], ("fd61a0" * 11)[:64]


def plain(level: int, size: tuple[int, int] = (20, 12)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def level(picture: Image.Image | None) -> float:
    assert picture is not None
    return float(np.asarray(picture).mean())


def kept(folder: Path, *levels: tuple[str, int]) -> Path:
    with KeptPictures(folder) as pictures:
        for content, grey in levels:
            pictures.keep(content, plain(grey))
    return folder / PICTURES


def test_what_is_kept_is_there_for_the_next(tmp_path: Path) -> None:
    kept(tmp_path, (A, 50), (B, 200))
    with KeptPictures(tmp_path) as pictures:
        assert level(pictures.get(A)) == pytest.approx(50, abs=2)
        assert level(pictures.get(B)) == pytest.approx(200, abs=2)
        assert A in pictures
        assert C not in pictures
        assert pictures.get(C) is None


def test_nothing_is_written_where_nothing_is_kept(tmp_path: Path) -> None:
    with KeptPictures(tmp_path) as pictures:
        assert pictures.get(A) is None
    assert not list(tmp_path.iterdir())


def test_other_tools_unpack_it(tmp_path: Path) -> None:
    path = kept(tmp_path, (A, 50), (B, 200))
    said = subprocess.run(["tar", "tf", path], capture_output=True, text=True, check=True)
    assert (said.stdout.split(), said.stderr) == ([f"{A}.jpg", f"{B}.jpg"], "")
    with tarfile.open(path) as archive:
        file = archive.extractfile(f"{B}.jpg")
        assert file is not None
        assert level(Image.open(io.BytesIO(file.read()))) == pytest.approx(200, abs=2)


@pytest.mark.parametrize("lost", [1, 300, 511, 512, 600, 1023, 1024])
def test_a_part_that_a_loss_of_power_has_left_is_cut_off(tmp_path: Path, lost: int) -> None:
    path = kept(tmp_path, (A, 50), (B, 200))
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    with KeptPictures(tmp_path) as pictures:
        assert level(pictures.get(A)) == pytest.approx(50, abs=2)
        assert B not in pictures
        pictures.keep(C, plain(120))
    kept(tmp_path, (B, 200))
    with KeptPictures(tmp_path) as pictures:
        assert [round(level(pictures.get(content)), -1) for content in (A, B, C)] == [50, 200, 120]


def test_zeros_that_a_loss_of_power_has_left_are_cut_off(tmp_path: Path) -> None:
    path = kept(tmp_path, (A, 50), (B, 200))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + bytes(1500))
    assert kept(tmp_path, (C, 120)).stat().st_size < size + 1500
    with KeptPictures(tmp_path) as pictures:
        assert all(content in pictures for content in (A, B, C))


def test_a_picture_that_cannot_be_read_is_as_good_as_none_and_kept_anew(tmp_path: Path) -> None:
    path = kept(tmp_path, (A, 50), (B, 200))
    data = bytearray(path.read_bytes())
    data[512:1024] = bytes(512)
    path.write_bytes(data)
    with KeptPictures(tmp_path) as pictures:
        assert pictures.get(A) is None
        assert level(pictures.get(B)) == pytest.approx(200, abs=2)
        pictures.keep(A, plain(50))
        assert level(pictures.get(A)) == pytest.approx(50, abs=2)
    with KeptPictures(tmp_path) as pictures:
        assert level(pictures.get(A)) == pytest.approx(50, abs=2)


def test_what_another_process_has_added_meanwhile_stays(tmp_path: Path) -> None:
    with KeptPictures(tmp_path) as one:
        one.keep(A, plain(50))
        kept(tmp_path, (B, 200))
        one.keep(C, plain(120))
        assert [round(level(one.get(content)), -1) for content in (A, B, C)] == [50, 200, 120]


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(tmp_path, (A, 50))
    before, write = path.read_bytes(), os.write
    with KeptPictures(tmp_path) as pictures:
        monkeypatch.setattr("os.write", lambda descriptor, data: write(descriptor, data[:700]))
        with pytest.raises(OSError, match=f"the disk of '{tmp_path}' is full"):
            pictures.keep(B, plain(200))
        monkeypatch.undo()
        assert path.read_bytes() == before
        assert B not in pictures
        pictures.keep(C, plain(120))
        assert level(pictures.get(C)) == pytest.approx(120, abs=2)


def test_what_is_no_such_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / PICTURES).write_bytes(b"something else" * 100)
    with pytest.raises(ValueError, match=r"pictures.tar' is damaged at byte 0: .*; move it away"):
        KeptPictures(tmp_path)


def test_what_a_stranger_put_in_is_never_larger_than_what_is_kept(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / PICTURES, "w") as archive:
        for content, size, kind in ((A, (300, 4), "JPEG"), (B, (8, 8), "PNG")):
            buffer = io.BytesIO()
            plain(9, size).save(buffer, kind)
            member = tarfile.TarInfo(f"{content}.jpg")
            member.size = len(buffer.getvalue())
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    with KeptPictures(tmp_path) as pictures:
        assert pictures.get(A) is None
        assert pictures.get(B) is None
    # Of more pixels than Pillow opens, by what its header says.
    data = bytearray((tmp_path / PICTURES).read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / PICTURES).write_bytes(data)
    with KeptPictures(tmp_path) as pictures:
        assert pictures.get(A) is None


def test_a_file_of_the_user_is_left_alone(tmp_path: Path) -> None:
    mark = Mark("run", {"report.html": None})
    assert listing_pictures(tmp_path, mark).files[PICTURES] is None
    (tmp_path / PICTURES).write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"pictures.tar' is not the run's"):
        listing_pictures(tmp_path, mark)
