import errno
import hashlib
import io
import os
import random
import re
import shutil
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from anomaly_clustering.data import MTD, MVTecAD
from anomaly_clustering.data.archives import unpack, unpacked
from anomaly_clustering.data.download import provide


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


def test_download_tells_the_licence_checks_unpacks_and_leaves_the_folder_alone(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sha256 = make_zip(tmp_path / "served" / "data.zip")
    root = tmp_path / "data"
    provide(root, url=f"{server}/data.zip", sha256=sha256, allowed=True, by_hand="", licence="these data: CC BY 4.0")
    # Before the progress bar.
    assert capsys.readouterr().err.startswith("Downloading these data: CC BY 4.0\n")
    assert (root / "set" / "a.txt").read_text() == "set/a.txt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "served"]


def test_wrong_checksum_keeps_nothing(server: str, tmp_path: Path) -> None:
    make_zip(tmp_path / "served" / "data.zip")
    with pytest.raises(ValueError, match=r"wrong checksum.*Get it there"):
        provide(
            tmp_path / "data",
            url=f"{server}/data.zip",
            sha256="0" * 64,
            allowed=True,
            by_hand="Get it there.",
            licence="",
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


def test_wrong_content_keeps_nothing(server: str, tmp_path: Path) -> None:
    def check(folder: Path) -> None:
        raise ValueError("wrong content")

    make_zip(tmp_path / "served" / "data.zip")
    with pytest.raises(ValueError, match="wrong content"):
        provide(tmp_path / "data", url=f"{server}/data.zip", allowed=True, by_hand="", licence="", check=check)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


def test_unreachable_server_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"could not download.*Get it there"):
        provide(tmp_path / "data", url="http://127.0.0.1:9/data.zip", allowed=True, by_hand="Get it there.", licence="")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", [MVTecAD, MTD])
def test_nothing_is_downloaded_unasked(module: type[MTD | MVTecAD], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist.*data\.root.*data\.download"):
        module(tmp_path / "absent").prepare_data()


def test_the_licence_is_told_before_the_download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConnectionError):
        provide(tmp_path / "data", url="http://127.0.0.1:9/a.zip", allowed=True, by_hand="", licence="for research")
    assert capsys.readouterr().err.startswith("Downloading for research\n")


def test_an_archive_at_hand_is_used_as_it_is(tmp_path: Path) -> None:
    make_zip(tmp_path / "mine.zip")
    provide(tmp_path / "mine.zip", url="http://127.0.0.1:9/", allowed=False, by_hand="", licence="")
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
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [".unpacked-from.json", "first", "set"]
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

    monkeypatch.setattr("anomaly_clustering.data.archives._unzip", full)
    with pytest.raises(OSError, match=r"the disk of .*mine' is full"):
        unpack(tmp_path / "mine.zip", tmp_path / "mine")


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:xz") -> None:
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))


def member(name: str, size: int = 0, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    return info


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target), b""


def longer_than_any_path() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Links with short names to folders with long ones, by which Python's own check loses its way (CVE-2025-4517)."""
    members, path, steps = [], "", "abcdefghijklmnop"
    for step in steps:
        members += [(member(f"{path}{'d' * 247}", type=tarfile.DIRTYPE, mode=0o755), b""), link(path + step, "d" * 247)]
        path += "d" * 247 + "/"
    deepest = "/".join(steps) + "/" + "l" * 254
    return [*members, link(deepest, "../" * 16), link("escape", f"{deepest}/../../beside"), OUT]


OUT = (member("escape/a.txt", 4), b"text")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (longer_than_any_path(), "has more than 1,000 bytes"),
        ([link("escape", "set"), OUT], "'escape/a.txt' leads through the link 'escape'"),
        ([OUT, link("escape", "set")], "'escape/a.txt' leads through the link 'escape'"),
        ([link("Escape", "set"), OUT], "'escape/a.txt' leads through the link 'escape'"),
        ([link("a", "set"), link("b", "a/c")], "'a/c' leads through the link 'a'"),
        ([link("a", "set"), link("set/b", "../a/c")], "'a/c' leads through the link 'a'"),
        ([link("a", "set"), link("b", "a/../..")], "'a/../..' points outside of it, or up"),
        ([link("set/a", "../../b")], "'../../b' points outside of it"),
        ([link("set/a", "/etc")], "absolute path"),
        ([link("a", "set"), link("b", "a", tarfile.LNKTYPE)], "'b' is a link to 'a', which does not stand before it"),
        ([link("a", "set"), (member("a"), b"")], "'a' is in it as a link and as something else"),
    ],
)
def test_nothing_is_unpacked_of_a_tar_that_leads_through_links(
    members: list[tuple[tarfile.TarInfo, bytes]], why: str, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    make_tar(tmp_path / "evil.tar", members, "w")
    with pytest.raises(ValueError, match=rf"evil\.tar' was not unpacked: .*{re.escape(why)}"):
        unpack(tmp_path / "evil.tar", tmp_path / "evil")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["beside", "evil.tar"]


def test_links_within_a_tar_are_kept(tmp_path: Path) -> None:
    links = [link("set/new", "../old/a.txt"), link("again", "set/new"), link("hard", "old/a.txt", tarfile.LNKTYPE)]
    make_tar(tmp_path / "a.tar", [*links[:2], (member("old/a.txt", 4), b"text"), links[2]], "w")
    unpack(tmp_path / "a.tar", tmp_path / "a")
    assert [(tmp_path / "a" / name).read_text() for name in ("set/new", "again", "hard")] == ["text"] * 3
    assert (tmp_path / "a" / "set" / "new").is_symlink()


def zip_of_zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", bytes(9_000_000))


def zip_of_empty_files(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3_000):
            archive.writestr(str(number), b"")


def tar_of_zeros(path: Path) -> None:
    make_tar(path, [(member(name, 5_000_000), bytes(5_000_000)) for name in "ab"])


def tar_of_links(path: Path) -> None:
    links = [(member(str(i), type=tarfile.LNKTYPE, linkname="a"), b"") for i in range(9)]
    make_tar(path, [(member("a", 1_000_000), bytes(1_000_000)), *links], "w:gz")


@pytest.mark.parametrize(
    ("name", "make"),
    [("a.zip", zip_of_zeros), ("a.zip", zip_of_empty_files), ("a.tar.xz", tar_of_zeros), ("a.tgz", tar_of_links)],
)
def test_an_archive_that_holds_more_than_the_disk_has_free_is_not_unpacked(
    name: str, make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / name)
    free = SimpleNamespace(free=8_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with pytest.raises(
        ValueError, match=rf"{name}' was not unpacked: it holds more than the 8 MB that the disk has free"
    ):
        unpack(tmp_path / name, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    free.free = 20_000_000
    unpack(tmp_path / name, tmp_path / "a")


def test_no_more_is_unpacked_of_a_zip_than_it_says(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    zip_of_zeros(archive)
    # The sizes that the two lists of files say.
    archive.write_bytes(archive.read_bytes().replace((9_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little")))
    with pytest.raises(ValueError, match=r"a\.zip' is not an archive that can be unpacked: Bad CRC"):
        unpack(archive, tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_header_of_a_tar_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    make_tar(tmp_path / "a.tar.gz", [(member("x", 500_000_000, type=tarfile.XHDTYPE), bytes(500_000_000))], "w:gz")
    tracemalloc.start()
    with pytest.raises(ValueError, match="a header of 500000256 bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "a")
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_an_archive_that_is_damaged_in_the_middle_is_named(tmp_path: Path, name: str) -> None:
    noise = random.Random(0).randbytes(50_000)
    if name == "a.zip":
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", noise.hex())
    else:
        make_tar(tmp_path / name, [(member("a", 100_000), noise.hex().encode())], f"w:{name[-2:]}")
    content = bytearray((tmp_path / name).read_bytes())
    content[20_000:30_000] = bytes(10_000)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}' is not an archive that can be unpacked"):
        unpack(tmp_path / name, tmp_path / "a")


def test_an_archive_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    archive, folder = tmp_path / "mine.zip", tmp_path / "mine"
    make_zip(archive, ("a.txt",))
    unpack(archive, folder)
    # Moved, copied or touched it is the same, and what was changed in the folder since is the user's business.
    (folder / "a.txt").unlink()
    content = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(content)
    assert unpack(archive, folder) == folder
    assert not (folder / "a.txt").exists()
    times = archive.stat()
    make_zip(archive, ("b.txt",))
    os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert archive.stat().st_size == times.st_size
    with pytest.raises(
        FileExistsError, match=r"mine' is there, and was not unpacked from '.*mine.zip' as that is now; "
    ):
        unpack(archive, folder)
    folder.rename(tmp_path / "old")
    assert (unpack(archive, folder) / "b.txt").is_file()


@pytest.mark.parametrize("note", [None, "", "[]", "{}", "null", '{"sha256": 1}', "[" * 9000])
def test_a_folder_that_merely_bears_the_name_is_not_taken_for_the_content(tmp_path: Path, note: str | None) -> None:
    make_zip(tmp_path / "mine.zip")
    (tmp_path / "mine").mkdir()
    if note is not None:
        (tmp_path / "mine" / ".unpacked-from.json").write_text(note)
    with pytest.raises(FileExistsError, match="give the folder to use what it holds, or move it away"):
        provide(tmp_path / "mine.zip", url="http://127.0.0.1:9/", allowed=False, by_hand="", licence="")
