"""Downloads of data sets that are cut off, stall, meet a full disk, another process or a file of the user's."""

import hashlib
import io
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from anomaly_clustering.data.download import provide
from anomaly_clustering.system.downloads import alone


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("set/a.txt", "x" * 3_000_000)
    return content.getvalue()


DATA = zipped()
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves DATA as far as `sent` goes, of a size that is `told`, then is `silent` for seconds, and keeps `ranges`."""

    daemon_threads = True
    sent, silent, chunked, told = len(DATA), 0.0, False, len(DATA)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.zip"


class Answer(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    close_connection = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(self.server.told - start))
        self.end_headers()
        if self.server.chunked:
            self.wfile.write(b"%x\r\n" % (len(DATA) - start))
        self.wfile.write(DATA[start : self.server.sent])
        self.wfile.flush()
        time.sleep(self.server.silent)
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    http = Server()
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http
    http.shutdown()


def get(root: Path, url: str, sha256: str | None = SHA256) -> None:
    provide(root, url=url, sha256=sha256, allowed=True, by_hand="Get it there.", licence="")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download_that_was_lost_goes_on(chunked: bool, server: Server, tmp_path: Path) -> None:
    server.sent, server.chunked = 2_000_000, chunked
    with pytest.raises(ConnectionError, match=r"could not download .* bytes are kept: .* go on\. Get it there\."):
        get(tmp_path / "data", server.url)
    kept = (tmp_path / ".data.zip.incomplete").stat().st_size
    assert kept > 1_500_000
    assert names(tmp_path) == [".data.zip.incomplete"]
    server.sent, server.chunked = len(DATA), False
    get(tmp_path / "data", server.url)
    assert server.ranges == [None, f"bytes={kept}-"]
    assert names(tmp_path) == ["data"]


def test_without_a_checksum_nothing_is_kept_that_may_belong_to_another_archive(server: Server, tmp_path: Path) -> None:
    server.sent = 2_000_000
    with pytest.raises(ConnectionError, match=r"the server sent 2,000,000 of [\d,]+ bytes\)\. Get it there\."):
        get(tmp_path / "data", server.url, sha256=None)
    # As a kill leaves it.
    (tmp_path / ".data.zip.incomplete").write_bytes(b"of another archive")
    server.sent = len(DATA)
    get(tmp_path / "data", server.url, sha256=None)
    assert server.ranges == [None, None]
    assert names(tmp_path) == ["data"]


def test_what_cannot_be_the_beginning_is_begun_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".data.zip.incomplete").write_bytes(DATA)
    get(tmp_path / "data", server.url)
    assert server.ranges == []
    (tmp_path / ".more.zip.incomplete").write_bytes(b"x" * 1_000)
    with pytest.raises(ValueError, match="wrong checksum"):
        get(tmp_path / "more", server.url)
    get(tmp_path / "more", server.url)
    assert names(tmp_path) == ["data", "more"]


def test_a_silent_server_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomaly_clustering.data.download.PATIENCE", 0.2)
    server.sent, server.silent = 0, 5
    with pytest.raises(ConnectionError, match="timed out"):
        get(tmp_path / "data", server.url)
    assert names(tmp_path) == []


def test_an_empty_answer_is_no_archive(server: Server, tmp_path: Path) -> None:
    server.sent = server.told = 0
    with pytest.raises(ValueError, match=r"data\.zip' is not an archive"):
        get(tmp_path / "data", server.url, sha256=None)
    assert names(tmp_path) == []


def test_two_commands_download_the_same_once(server: Server, tmp_path: Path) -> None:
    server.silent = 0.3
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(partial(get, url=server.url), [tmp_path / "data"] * 2))
    assert server.ranges == [None]
    assert names(tmp_path) == ["data"]


def test_who_waits_long_for_another_download_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, met = tmp_path / ".a.zip.lock", threading.Event()
    monkeypatch.setattr("anomaly_clustering.system.downloads.QUIET", 0.3)

    def wait() -> None:
        with alone(lock):
            met.set()

    with ThreadPoolExecutor(1) as thread:
        with alone(lock):
            waiting = thread.submit(wait)
            assert not met.wait(1.0)
        waiting.result(timeout=10)
    assert capsys.readouterr().err == f"Waiting for another process that downloads the same (it holds {lock})\n"


def test_an_archive_of_the_user_s_beside_the_root_is_used_or_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(DATA)
    get(tmp_path / "data", server.url)
    (tmp_path / "other.zip").write_bytes(b"my own")
    for sha256 in (SHA256, None):
        with pytest.raises(FileExistsError, match=r"other\.zip' is where the download would go.*data\.root.*move it"):
            get(tmp_path / "other", server.url, sha256)
    assert names(tmp_path) == ["data", "data.zip", "other.zip"]
    assert [(tmp_path / name).read_bytes() for name in ("data.zip", "other.zip")] == [DATA, b"my own"]
    assert server.ranges == []


def test_a_download_is_kept_where_the_disk_is_too_full_to_unpack_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=len(DATA) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    with pytest.raises(OSError, match=r"data\.zip takes [\d,]+ bytes more"):
        get(tmp_path / "data", server.url)
    assert names(tmp_path) == []
    # The content and the place that it takes on the disk.
    free.free = len(DATA)
    with pytest.raises(ValueError, match=r"data\.zip' was not unpacked: it holds more than"):
        get(tmp_path / "data", server.url)
    assert names(tmp_path) == ["data.zip"]
    free.free = 2 * len(DATA)
    server.ranges.clear()
    get(tmp_path / "data", server.url)
    assert server.ranges == []
