"""Downloads data sets into folders, which appear whole and checked or not at all."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

from anomaly_clustering.data.archives import ending_of, is_archive, unpack, unpacked
from anomaly_clustering.system.files import digest


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
        FileExistsError: beside the archive is a folder of its name that was not unpacked from it.
        ConnectionError: the address cannot be reached.
        ValueError: the checksum is wrong, or the archive is damaged or too large; nothing is kept.

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
        print(f"Downloading {licence}", file=sys.stderr, flush=True)
        archive = download(url, root.with_name(f"{root.name}{ending_of(url)}"), sha256=sha256, by_hand=by_hand)
        # What is wrong is not kept, or the next try would stumble over it; what is right is not kept twice.
        try:
            unpack(archive, root, check=check)
        finally:
            archive.unlink()


def find(root: Path, name: str) -> Path | None:
    """Find a folder in `root` or one level below, where archives often put it.

    Args:
        root: where to look.
        name: the folder's name.

    Returns:
        The folder's path, or None; `root / name` comes first.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "dataset-main" / "MT_Free").mkdir(parents=True)
        ...     print(find(Path(root), "MT_Free").parent.name)
        dataset-main
    """
    return next((path for path in [root / name, *sorted(root.glob(f"*/{name}"))] if path.is_dir()), None)


def download(url: str, path: Path, *, sha256: str | None, by_hand: str) -> Path:
    """Download a file with a progress bar; it appears only when it is whole and checked.

    Args:
        url: the file's address.
        path: where to put it; folders above it are made where they are missing.
        sha256: the checksum that the file must have, 64 hexadecimal digits; None where there is none to check.
        by_hand: a sentence for the error messages: how the user gets the file without this download.

    Returns:
        `path`.

    Raises:
        ConnectionError: the address cannot be reached.
        ValueError: the checksum is wrong; nothing is kept.

    Example:
        >>> try:
        ...     download("http://127.0.0.1:9/a.zip", Path("a.zip"), sha256=None, by_hand="Ask us for a.zip.")
        ... except ConnectionError as error:
        ...     print(str(error)[-17:])
        Ask us for a.zip.
    """
    # Importing torch takes a second, and most calls of this module find the data there.
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256)
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"could not download {url} ({reason}). {by_hand}") from None
    except RuntimeError as error:
        raise ValueError(f"{url} has a wrong checksum ({error}); nothing was kept. {by_hand}") from None
    return path


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
    for path in sorted(files):
        tree.update(path.relative_to(folder).as_posix().encode())
        tree.update(bytes.fromhex(digest(path)))
    return tree.hexdigest()
