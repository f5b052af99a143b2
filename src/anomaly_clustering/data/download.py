"""Downloads data sets into folders, which appear whole and checked or not at all."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from anomaly_clustering.data.archives import UnpackByHandError, ending_of, is_archive, unpack, unpacked
from anomaly_clustering.data.walk import SYSTEM_FOLDERS, sorted_paths
from anomaly_clustering.system.downloads import alone, check_room, complete
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.locks import LOCK, naming
from anomaly_clustering.system.progress import tracked
from anomaly_clustering.system.replacing import remove_file, replace_file

# Seconds without a byte after which a server is given up: some pack the archive first.
PATIENCE = 30
# Bytes that are written at a time.
CHUNK = 2**18


def provide(
    root: Path,
    *,
    url: str | None,
    allowed: bool,
    by_hand: str,
    licence: str,
    sha256: str | None = None,
    check: Callable[[Path], None] = lambda folder: None,
) -> None:
    """Unpack a data set at `unpacked(root)`, and download it before where it is missing; do nothing where it is there.

    Of several processes one downloads, and the others wait. The archive is removed when it has been unpacked, unless it
    was there before.

    Args:
        root: a folder, used as it is; an archive, unpacked beside itself; or where to put the download.
        url: the archive, fetched if `root` does not exist and `allowed`; None where the owner offers none.
        allowed: whether the user asked for the download.
        by_hand: a sentence for the error messages: how the user gets the data without this download.
        licence: what the owner of the data allows, which is printed before a download begins.
        sha256: checksum of the archive; None where the publisher may repack it.
        check: raises if the downloaded and unpacked folder is not what it should be; by default any will do.

    Raises:
        FileNotFoundError: `root` does not exist, and the download is not allowed.
        FileExistsError: beside the archive is a folder of its name that was not unpacked from it; or, where a download
            would go, a file that is not known to be the archive.
        ConnectionError: the address cannot be reached, or was lost.
        ValueError: the checksum is wrong, or the archive is damaged; nothing is kept.
        UnpackByHandError: the archive cannot be unpacked here, as on a full disk; it is kept.

    Example:
        >>> import shutil, tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = shutil.make_archive(f"{place}/mine", "zip", place)
        ...     provide(Path(place) / "mine.zip", url=None, allowed=False, by_hand="", licence="")
        ...     print(sorted(path.name for path in Path(place).iterdir()))
        ['mine', 'mine.zip']
    """
    if is_archive(root):
        unpack(root, unpacked(root))
    elif not root.exists():
        if url is None or not allowed:
            way_out = "" if url is None else ", or set data.download to true"
            raise FileNotFoundError(f"{str(root)!r} does not exist. {by_hand}{way_out}")
        archive = root.with_name(f"{root.name}{ending_of(url)}")
        lock = archive.with_name(f".{archive.name}{LOCK}")
        with naming(root.parent, lock), alone(lock):
            # Another process may have been faster.
            if root.exists():
                return
            if os.path.lexists(archive):
                _check_own(archive, sha256)
                unpack(archive, root, check=check)
                return
            print(f"Downloading {licence}", file=sys.stderr, flush=True)
            download(url, archive, sha256=sha256, by_hand=by_hand)
            try:
                unpack(archive, root, check=check)
            except UnpackByHandError:
                raise
            except ValueError:
                # The next try would stumble over it.
                remove_file(archive)
                raise
            remove_file(archive)


def _check_own(archive: Path, sha256: str | None) -> None:
    """Check that a file which was there before is the archive that would be downloaded."""
    if not (sha256 and archive.is_file() and digest(archive) == sha256):
        raise FileExistsError(
            f"{str(archive)!r} is where the download would go, and is not known to be the same; give it as data.root "
            "to use it, or move it away"
        )


def find(root: Path, name: str, *, levels: int = 1) -> Path | None:
    """Find a folder in `root` or below, where archives often put it.

    Args:
        root: where to look.
        name: the folder's name.
        levels: how many folders there may be between the two.

    Returns:
        The folder's path, or None; the highest comes first.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "dataset-main" / "MT_Free").mkdir(parents=True)
        ...     print(find(Path(root), "MT_Free").parent.name)
        dataset-main
    """
    return next(iter(find_all(root, name, levels=levels)), None)


def find_all(root: Path, name: str, *, levels: int = 1) -> list[Path]:
    """Find all folders of a name in `root` or below.

    Args:
        root: where to look.
        name: the folders' name.
        levels: how many folders there may be between; none that are hidden, or that systems make beside others.

    Returns:
        Their paths, the highest first.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for folder in ("__MACOSX/MT_Free", "dataset-main/MT_Free", "MT_Free"):
        ...         (Path(root) / folder).mkdir(parents=True)
        ...     [path.parent.name for path in find_all(Path(root), "MT_Free")][1:]
        ['dataset-main']
    """
    below = (path for level in range(1, levels + 1) for path in sorted_paths(root.glob(f"{'*/' * level}{name}")))
    return [
        path for path in (root / name, *below) if path.is_dir() and not _of_systems(path.relative_to(root).parts[:-1])
    ]


def _of_systems(folders: Sequence[str]) -> bool:
    return any(folder.startswith(".") or folder.lower() in SYSTEM_FOLDERS for folder in folders)


def download(url: str, path: Path, *, sha256: str | None, by_hand: str) -> Path:
    """Download a file with a progress bar; it appears only when it is whole and checked.

    What a call has left that was cut off lies in a hidden file beside `path`, and the next call goes on from there if a
    checksum can tell whether the rest belongs to it.

    Args:
        url: the file's address.
        path: where to put it; its folder is there, and no other process downloads the same, see `alone`.
        sha256: the checksum that the file must have, 64 hexadecimal digits; None where there is none to check.
        by_hand: a sentence for the error messages: how the user gets the file without this download.

    Returns:
        `path`.

    Raises:
        ConnectionError: the address cannot be reached, or was lost.
        ValueError: the checksum is wrong; nothing is kept.
        OSError: the disk is too small.

    Example:
        >>> try:
        ...     download("http://127.0.0.1:9/a.zip", Path("a.zip"), sha256=None, by_hand="Ask us for a.zip.")
        ... except ConnectionError as error:
        ...     print(str(error)[-17:])
        Ask us for a.zip.
    """
    part = path.with_name(f".{path.name}.incomplete")
    if sha256 is None:
        remove_file(part)
    try:
        with naming_a_full_disk(path.parent):
            complete(part, partial(_receive, url, called=path.name), url=url, sha256=sha256)
    except (URLError, HTTPException, TimeoutError, ConnectionError, SSLError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        on = ""
        if sha256 is None:
            remove_file(part)
        elif part.exists():
            on = f"; {part.stat().st_size:,} bytes are kept: start the command again to go on"
        raise ConnectionError(f"could not download {url} ({reason}){on}. {by_hand}") from None
    except ValueError as error:
        raise ValueError(f"{error}. {by_hand}") from None
    replace_file(part, path)
    return path


def _receive(url: str, file: BinaryIO, has: int, *, called: str) -> None:
    """Write what is missing of a file, or all of it where the server does not give parts."""
    request = Request(url, headers={"User-Agent": "anomaly-clustering"})
    if has:
        request.add_header("Range", f"bytes={has}-")
    try:
        answer = urlopen(request, timeout=PATIENCE)
    except HTTPError as error:
        if not has or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # It is not the beginning of what the server has.
        file.truncate(0)
        file.seek(0)
        _receive(url, file, 0, called=called)
        return
    with answer:
        if has and answer.status != HTTPStatus.PARTIAL_CONTENT:
            file.truncate(0)
            file.seek(0)
        told = answer.headers["Content-Length"]
        size = int(told) if told else None
        if size is not None:
            check_room(Path(file.name).parent, size, called=called)
        came = 0
        chunks = iter(partial(answer.read, CHUNK), b"")
        for chunk in tracked(chunks, f"Downloading {called}", total=-(-size // CHUNK) if size is not None else None):
            came += file.write(chunk)
    if size is not None and came < size:
        raise ConnectionError(f"the server sent {came:,} of {size:,} bytes")


def tree_digest(folder: Path, files: list[Path]) -> str:
    """Digest files by names and contents, for data whose publisher repacks the archive.

    Args:
        folder: the names count as they are below it, so it can lie anywhere.
        files: which of its files count; their order does not.

    Returns:
        A SHA-256, 64 hexadecimal digits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "0.txt").write_text("a line")
        ...     print(tree_digest(Path(folder), [Path(folder) / "0.txt"])[:8])
        45556d65
    """
    tree = hashlib.sha256()
    for path in sorted_paths(files):
        tree.update(path.relative_to(folder).as_posix().encode())
        tree.update(bytes.fromhex(digest(path)))
    return tree.hexdigest()
