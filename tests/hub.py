"""Files in; a server that answers for them as the Hugging Face Hub does, out."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Weights lie elsewhere, as on the hub: the address in the repository answers with where, their size and SHA-256.

    Attributes:
        files: content by OWNER/NAME and the name of the file.
        commit: of all repositories.
        gated: repositories that want an account.
        asked: what was asked for: method, path, and the byte from which on.
        changed: serve other content than the SHA-256 tells.
        pause_after: bytes after which nothing comes any more; None where all comes.
        paused: nothing comes any more.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[tuple[str, str], bytes] = {}
        self.commit = COMMIT
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str, int]] = []
        self.changed = False
        self.pause_after: int | None = None
        self.paused = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def downloads(self) -> list[int]:
        """The byte from which on each download began."""
        return [start for method, path, start in self.asked if method == "GET" and path.startswith("/elsewhere/")]


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.server.asked.append((self.command, self.path, start))
        if self.path.startswith("/elsewhere/"):
            self.content(start)
        elif "/resolve/" in self.path:
            self.resolve()
        else:
            self.head(404, {})

    def resolve(self) -> None:
        owner, name, _resolve, _revision, file = self.path.strip("/").split("/")
        repository = f"{owner}/{name}"
        content = self.server.files.get((repository, file))
        if repository in self.server.gated:
            self.head(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif content is not None:
            sha256 = hashlib.sha256(content).hexdigest()
            # Of another name, so that the client takes it for another machine.
            where = f"http://localhost:{self.server.server_port}/elsewhere/{repository}/{file}"
            tells = {
                "X-Repo-Commit": self.server.commit,
                "X-Linked-Etag": f'"{sha256}"',
                "X-Linked-Size": str(len(content)),
            }
            self.head(302, {**tells, "Location": where})
        elif any(known == repository for known, _ in self.server.files):
            self.head(404, {"X-Error-Code": "EntryNotFound"})
        else:
            self.head(401, {"X-Error-Code": "RepoNotFound"})

    def content(self, start: int) -> None:
        owner, name, file = self.path.strip("/").split("/")[1:]
        whole = self.server.files[f"{owner}/{name}", file]
        sent = (bytes(len(whole)) if self.server.changed else whole)[start:]
        span = {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"} if start else {}
        self.head(206 if start else 200, span, length=len(sent))
        if self.command == "HEAD":
            return
        if self.server.pause_after is not None:
            self.wfile.write(sent[: self.server.pause_after])
            self.wfile.flush()
            self.server.paused.set()
            threading.Event().wait()
        self.wfile.write(sent)

    def head(self, status: int, headers: dict[str, str], length: int = 0) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub on this machine, without files."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        hub.shutdown()
