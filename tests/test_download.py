import errno
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from anomaly_clustering.data import MTD, MVTecAD
from anomaly_clustering.data.download import provide, unpack, unpacked


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves tmp_path/served on this machine."""
    (tmp_path / "served").mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


def make_zip(path: Path, names: tuple[str, ...] = ("set/a.txt", "set/b.txt")) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_download_checks_unpacks_and_leaves_the_folder_alone(server: str, tmp_path: Path) -> None:
    sha256 = make_zip(tmp_path / "served" / "data.zip")
    root = tmp_path / "data"
    provide(root, url=f"{server}/data.zip", sha256=sha256, allowed=True, by_hand="")
    assert (root / "set" / "a.txt").read_text() == "set/a.txt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "served"]


def test_wrong_checksum_keeps_nothing(server: str, tmp_path: Path) -> None:
    make_zip(tmp_path / "served" / "data.zip")
    with pytest.raises(ValueError, match=r"wrong checksum.*Get it there"):
        provide(tmp_path / "data", url=f"{server}/data.zip", sha256="0" * 64, allowed=True, by_hand="Get it there.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


def test_wrong_content_keeps_nothing(server: str, tmp_path: Path) -> None:
    def check(folder: Path) -> None:
        raise ValueError("wrong content")

    make_zip(tmp_path / "served" / "data.zip")
    with pytest.raises(ValueError, match="wrong content"):
        provide(tmp_path / "data", url=f"{server}/data.zip", allowed=True, by_hand="", check=check)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


def test_unreachable_server_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"could not download.*Get it there"):
        provide(tmp_path / "data", url="http://127.0.0.1:9/data.zip", allowed=True, by_hand="Get it there.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", [MVTecAD, MTD])
def test_nothing_is_downloaded_unasked(module: type[MTD | MVTecAD], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist.*data\.root.*data\.download"):
        module(tmp_path / "absent").prepare_data()


def test_an_archive_at_hand_is_used_as_it_is(tmp_path: Path) -> None:
    make_zip(tmp_path / "mine.zip")
    provide(tmp_path / "mine.zip", url="http://127.0.0.1:9/", allowed=False, by_hand="")
    assert unpacked(tmp_path / "mine.zip") == tmp_path / "mine"
    assert (tmp_path / "mine" / "set" / "b.txt").is_file()


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "a/../../outside.txt"])
def test_zip_with_paths_outside_is_refused(tmp_path: Path, name: str) -> None:
    make_zip(tmp_path / "evil.zip", ("fine.txt", name))
    with pytest.raises(ValueError, match=r"evil\.zip.*outside"):
        unpack(tmp_path / "evil.zip", tmp_path / "evil")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.zip"]


@pytest.mark.parametrize("name", ["../outside.txt", "a/../../outside.txt"])
def test_tar_with_paths_outside_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "evil.tar.xz", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match=r"evil\.tar\.xz.*outside"):
        unpack(tmp_path / "evil.tar.xz", tmp_path / "evil")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.tar.xz"]


def test_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tar.xz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match=r"bad\.tar\.xz.*not an archive"):
        unpack(tmp_path / "bad.tar.xz", tmp_path / "bad")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar.xz"]


def test_of_two_processes_that_unpack_the_same_archive_the_first_wins(tmp_path: Path) -> None:
    make_zip(tmp_path / "mine.zip")

    def check(folder: Path) -> None:
        # Another process is done by the time that this one looks at what it has unpacked.
        unpack(tmp_path / "mine.zip", tmp_path / "mine")
        (tmp_path / "mine" / "first").touch()

    assert unpack(tmp_path / "mine.zip", tmp_path / "mine", check=check) == tmp_path / "mine"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["first", "set"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.zip"]


@pytest.mark.parametrize(
    ("local", "central", "value", "why"),
    [(6, 8, 1, "it is encrypted"), (8, 10, 99, "compression method is not supported")],
)
def test_an_archive_that_python_cannot_unpack_says_so(
    local: int, central: int, value: int, why: str, tmp_path: Path
) -> None:
    archive = tmp_path / "data.zip"
    make_zip(archive, ("a.txt",))
    content = bytearray(archive.read_bytes())
    # The flags, or the method, of the one file: before it, and in the list at the end.
    for header, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        content[content.index(header) + place] = value
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=f"data.zip' was not unpacked: .*{why}; unpack it by hand"):
        unpack(archive, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("crack/0.txt", "a line")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("anomaly_clustering.data.download._unzip", full)
    with pytest.raises(OSError, match=r"the disk of .*mine' is full"):
        unpack(tmp_path / "mine.zip", tmp_path / "mine")
