"""An archive in; a folder of what it holds, out: whole, no larger than the disk, and known to be of this archive."""

import bz2
import gzip
import io
import json
import lzma
import shutil
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, cast

from anomaly_clustering.system.files import digest, whole_file
from anomaly_clustering.system.folders import whole_folder

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
# In a folder that was unpacked: from which archive.
ORIGIN = ".unpacked-from.json"
# By the first bytes of a file that holds a TAR.
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}
# Bytes that a file takes on the disk, whatever it holds.
BLOCK = 4096
# Bytes of a header in a TAR, which is held in memory: names and the like, some kilobytes.
LARGEST_HEADER = 2**20
# Bytes of a path in a TAR, few enough that a system can still look up where the folder and all links lead.
LONGEST_PATH = 1000


class UnpackByHandError(ValueError):
    """An archive cannot be unpacked here, though it may be sound."""


def is_archive(path: Path) -> bool:
    """Tell whether a path is a file with the ending of an archive: ZIP, or TAR with or without compression.

    Args:
        path: any path; it need not exist.

    Example:
        >>> is_archive(Path("absent.zip"))
        False
    """
    return path.is_file() and bool(ending_of(path.name))


def ending_of(name: str) -> str:
    """The ending by which a name or an address is that of an archive; empty where it is not.

    Args:
        name: of a file, or an address; capitals do not matter.

    Example:
        >>> ending_of("data.tar.xz"), ending_of("DATA.ZIP"), ending_of("data.txt")
        ('.tar.xz', '.ZIP', '')
    """
    return next((name[-len(suffix) :] for suffix in ARCHIVES if name.lower().endswith(suffix)), "")


def check_folder(root: Path) -> None:
    """See that what should be a data set's folder, or what an archive is unpacked to, is there and no file.

    Args:
        root: its path.

    Raises:
        FileNotFoundError: it is not there.
        NotADirectoryError: it is a file.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".7z") as file:
        ...     try:
        ...         check_folder(Path(file.name))
        ...     except NotADirectoryError as error:
        ...         print(str(error).partition("7z' ")[2][:49])
        is a file, and none of the archives that are read
    """
    if root.is_file():
        raise NotADirectoryError(
            f"{str(root)!r} is a file, and none of the archives that are read ({', '.join(ARCHIVES)}): unpack it, and "
            "give the folder"
        )
    if not root.exists():
        raise FileNotFoundError(
            f"{str(root)!r} does not exist: call prepare_data() first, which unpacks archives and may download"
        )


def unpacked(root: Path) -> Path:
    """Name the folder that belongs to `root`: itself, or, for an archive, the folder of the same name beside it.

    Args:
        root: a folder or an archive.

    Returns:
        The folder's path, whether or not it is there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     (Path(place) / "mine.tar.gz").touch()
        ...     print(unpacked(Path(place) / "mine.tar.gz").name)
        mine
    """
    return root.with_name(root.name.removesuffix(ending_of(root.name))) if is_archive(root) else root


def unpack(archive: Path, folder: Path, *, check: Callable[[Path], None] = lambda folder: None) -> Path:
    """Unpack an archive into a new folder, unless that was done before; it appears only when it is whole and checked.

    It takes no more space than the disk has free when it begins, whatever the archive says that it holds. Where two
    processes unpack it at once, the first to finish keeps its own folder, and the other's is dropped.

    Args:
        archive: a ZIP or TAR file.
        folder: where to put the content.
        check: raises if the content, in the folder that it is given, is not what it should be; by default any will do.

    Returns:
        `folder`.

    Raises:
        ValueError: the archive is damaged, or holds a path that points outside of it; nothing is kept.
        UnpackByHandError: it holds more than the disk has free, or is packed in a way that Python does not know.
        FileExistsError: the folder is there and was not unpacked from this archive as it is now.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     with zipfile.ZipFile(f"{place}/mine.zip", "w") as archive:
        ...         archive.writestr("crack/0.txt", "a line")
        ...     folder = unpack(Path(place) / "mine.zip", Path(place) / "mine")
        ...     print((folder / "crack" / "0.txt").read_text())
        a line
    """
    if not folder.exists():
        if not hasattr(tarfile, "data_filter"):
            raise UnpackByHandError(f"this Python cannot unpack safely (3.11.4 can); unpack {str(archive)!r} by hand")
        origin = _look_of(archive) | {"sha256": digest(archive)}
        with whole_folder(folder, keep=True) as new:
            _unpack_into(archive, new)
            check(new)
            with whole_file(new / ORIGIN) as part:
                part.write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
    if not _is_of(folder, archive):
        raise FileExistsError(
            f"{str(folder)!r} is there, and was not unpacked from {str(archive)!r} as that is now; give the folder to "
            "use what it holds, or move it away to have the archive unpacked"
        )
    return folder


def _look_of(archive: Path) -> dict[str, object]:
    """What changes with the content, and takes no time to look at."""
    found = archive.stat()
    return {"archive": archive.name, "size": found.st_size, "times": [found.st_mtime_ns, found.st_ctime_ns]}


def _is_of(folder: Path, archive: Path) -> bool:
    if not (folder / ORIGIN).is_file():
        return False
    try:
        told = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        known = told.pop("sha256")
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return False
    return told == _look_of(archive) or known == digest(archive)


def _unpack_into(archive: Path, folder: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        else:
            _untar(archive, folder)
    except tarfile.FilterError as error:
        raise ValueError(f"{str(archive)!r} was not unpacked: {error}") from None
    except (RuntimeError, NotImplementedError) as error:
        # So zipfile says that it needs a password, or does not know the compression.
        why = "it is encrypted" if "encrypted" in str(error) else str(error)
        raise UnpackByHandError(f"{str(archive)!r} was not unpacked: {why}; unpack it by hand") from None
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        if getattr(error, "errno", None):
            # The system's: the archive may be sound.
            raise
        raise ValueError(f"{str(archive)!r} is not an archive that can be unpacked: {error}") from None


class _Room:
    """What the disk of a folder has free when an archive begins to be unpacked there; nothing is written beyond."""

    def __init__(self, archive: Path, folder: Path):
        self.archive = archive
        self.free = self.left = shutil.disk_usage(folder).free

    def take(self, size: int) -> None:
        self.left -= max(-(-size // BLOCK), 1) * BLOCK
        if self.left < 0:
            raise UnpackByHandError(
                f"{str(self.archive)!r} was not unpacked: it holds more than the {self.free / 1e6:,.0f} MB that the "
                "disk has free; free some space, or unpack what you need of it by hand"
            )


def _unzip(archive: Path, folder: Path) -> None:
    room = _Room(archive, folder)
    with zipfile.ZipFile(archive) as zipped:
        for member in zipped.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{str(archive)!r} was not unpacked: {member.filename!r} points outside of it")
            # No more than that is read of it.
            room.take(member.file_size)
        zipped.extractall(folder)


def _untar(archive: Path, folder: Path) -> None:
    room, names, links = _Room(archive, folder), _Names(archive), list[tarfile.TarInfo]()
    with archive.open("rb") as file:
        first = file.read(8)
        opened = next((how for begin, how in COMPRESSED.items() if first.startswith(begin)), open)
    with opened(archive, "rb") as stream, tarfile.open(fileobj=cast(Any, _Careful(stream)), mode="r:") as tar:
        for member in tar:
            room.take(names.add(member))
            if member.issym():
                links.append(member)
            else:
                tar.extract(member, folder, filter="data")
        names.check_links(links)
        # Last, so that nothing is written through one of them.
        for link in links:
            tar.extract(link, folder, filter="data")


class _Names:
    """The names in a TAR, which are checked without the disk: its answer to long ones may be wrong (CVE-2025-4517)."""

    def __init__(self, archive: Path):
        self.archive = archive
        # Bytes of files, by the parts of their paths; 0 of folders.
        self.sizes: dict[tuple[str, ...], int] = {}
        self.links: set[tuple[str, ...]] = set()

    def add(self, member: tarfile.TarInfo) -> int:
        """Check a member, after all that stand before it, and tell how many bytes it takes."""
        name = self._parts(member.name)
        if name in (self.sizes if member.issym() else self.links):
            self._refuse(f"{member.name!r} is in it as a link and as something else")
        if member.issym():
            self.links.add(name)
            return 0
        if member.islnk() and (target := self._parts(member.linkname)) not in self.sizes:
            self._refuse(f"{member.name!r} is a link to {member.linkname!r}, which does not stand before it")
        # Where there are no hard links, the file is written again.
        self.sizes[name] = self.sizes[target] if member.islnk() else member.size
        return self.sizes[name]

    def check_links(self, links: list[tarfile.TarInfo]) -> None:
        """Check, when all members are known, that no path leads through a link, also none that a link leads to."""
        leads_to = [self._parts(link.linkname, self._parts(link.name)[:-1]) for link in links]
        for path in (*self.sizes, *self.links, *leads_to):
            for depth in range(1, len(path)):
                if path[:depth] in self.links:
                    self._refuse(f"{'/'.join(path)!r} leads through the link {'/'.join(path[:depth])!r}")

    def _parts(self, path: str, folder: tuple[str, ...] = ()) -> tuple[str, ...]:
        if len(path.encode(errors="surrogateescape")) > LONGEST_PATH:
            self._refuse(f"{path!r} has more than {LONGEST_PATH:,} bytes")
        # Names that are one on some file systems are one.
        plain = unicodedata.normalize("NFC", path.replace("\\", "/")).casefold().lstrip("/")
        parts = PurePosixPath(plain).parts
        up = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
        if up > len(folder) or ".." in parts[up:]:
            self._refuse(f"{path!r} points outside of it, or up from a folder below")
        return *folder[: len(folder) - up], *parts[up:]

    def _refuse(self, why: str) -> NoReturn:
        raise ValueError(f"{str(self.archive)!r} was not unpacked: {why}; unpack what you need of it by hand")


class _Careful:
    """The content of a TAR, as `tarfile` reads it, which takes the size of a header from the header itself."""

    def __init__(self, stream: io.BufferedIOBase):
        self.stream = stream

    def read(self, size: int) -> bytes:
        if size > LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.stream.read(size)

    def seek(self, place: int) -> int:
        return self.stream.seek(place)

    def tell(self) -> int:
        return self.stream.tell()
