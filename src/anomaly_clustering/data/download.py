"""Archives in, from the internet or from disk; folders out, whole and checked or not at all."""

import hashlib
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.error import URLError

import torch

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")


def provide(
    root: Path,
    *,
    url: str,
    allowed: bool,
    by_hand: str,
    sha256: str | None = None,
    check: Callable[[Path], None] = lambda folder: None,
) -> None:
    """See to it that a data set lies unpacked at `unpacked(root)`.

    Args:
        root: a folder, used as it is; an archive, unpacked beside itself; or where to put the download.
        url: the archive, fetched if `root` does not exist and `allowed`.
        by_hand: a sentence for the error messages: how the user gets the data without this download.
        sha256: checksum of the archive; None where the publisher may repack it.
        check: raises if the downloaded and unpacked folder is not what it should be.
    """
    if is_archive(root):
        unpack(root, unpacked(root))
    elif not root.exists():
        if not allowed:
            raise FileNotFoundError(f"{str(root)!r} does not exist. {by_hand}, or set data.download to true")
        archive = download(url, root.with_name(f"{root.name}{_suffix(url)}"), sha256=sha256, by_hand=by_hand)
        # What is wrong is not kept, or the next try would stumble over it; what is right is not kept twice.
        try:
            unpack(archive, root, check=check)
        finally:
            archive.unlink()


def is_archive(path: Path) -> bool:
    return path.is_file() and bool(_suffix(path.name))


def _suffix(name: str) -> str:
    return next((suffix for suffix in ARCHIVES if name.endswith(suffix)), "")


def unpacked(root: Path) -> Path:
    """The folder that belongs to `root`: itself, or, for an archive, the folder of the same name beside it."""
    return root.with_name(root.name.removesuffix(_suffix(root.name))) if is_archive(root) else root


def find(root: Path, name: str) -> Path | None:
    """The folder `name` in `root` or one level below, where archives often put it."""
    return next((path for path in [root / name, *sorted(root.glob(f"*/{name}"))] if path.is_dir()), None)


def download(url: str, path: Path, *, sha256: str | None, by_hand: str) -> Path:
    """Download a file with a progress bar; it appears only when whole and checked.

    Raises:
        ConnectionError: the address cannot be reached.
        ValueError: the checksum is wrong; nothing is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256)
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"could not download {url} ({reason}). {by_hand}") from None
    except RuntimeError as error:
        raise ValueError(f"{url} has a wrong checksum ({error}); nothing was kept. {by_hand}") from None
    return path


def unpack(archive: Path, folder: Path, *, check: Callable[[Path], None] = lambda folder: None) -> Path:
    """Unpack an archive into a new folder, unless the folder is there; it appears only when whole and checked.

    Raises:
        ValueError: the archive is damaged, or holds a path that points outside of it.
    """
    if folder.exists():
        return folder
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        partial = Path(temporary) / folder.name
        if not hasattr(tarfile, "data_filter"):
            raise ValueError(f"this Python cannot unpack safely (3.11.4 can); unpack {str(archive)!r} by hand")
        try:
            if zipfile.is_zipfile(archive):
                _unzip(archive, partial)
            else:
                with tarfile.open(archive) as tar:
                    tar.extractall(partial, filter="data")
        except tarfile.FilterError as error:
            raise ValueError(f"{str(archive)!r} was not unpacked: {error}") from None
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise ValueError(f"{str(archive)!r} is not an archive that can be unpacked: {error}") from None
        check(partial)
        partial.rename(folder)
    return folder


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for name in zipped.namelist():
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{str(archive)!r} was not unpacked: {name!r} points outside of it")
        zipped.extractall(folder)


def tree_digest(folder: Path, files: list[Path]) -> str:
    """SHA-256 over names and contents, for data whose publisher repacks the archive."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
