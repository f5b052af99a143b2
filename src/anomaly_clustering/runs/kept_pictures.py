"""What the report shows of an image in; the same, though the file of the image is gone, out.

A run keeps a small picture of each image by what is in its file. They lie in one tar archive, which only grows and
which any tool unpacks.
"""

import os
import tarfile
from dataclasses import replace
from functools import partial
from io import FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple

from PIL import Image

from anomaly_clustering.data.decoding import needed_within
from anomaly_clustering.data.images import read_image
from anomaly_clustering.data.opening import small_jpeg
from anomaly_clustering.report.pictures import THUMBNAIL_SIDE, encoded, thumbnail
from anomaly_clustering.runs.file_names import PICTURES
from anomaly_clustering.runs.mark import Mark, is_free_for
from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.lines import append_whole

BLOCK = tarfile.BLOCKSIZE
ENDING = ".jpg"


class _Place(NamedTuple):
    begin: int
    size: int


class KeptPictures:
    """The pictures of a run. Several threads may ask at once, one process at a time may add.

    Args:
        folder: of the run, or of one that is being written.

    Raises:
        ValueError: the archive is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, KeptPictures(Path(folder)) as kept:
        ...     kept.keep("9f86", Image.new("RGB", (12, 8), "white"))
        ...     kept.get("9f86").size, kept.get("6030")
        ((12, 8), None)
    """

    def __init__(self, folder: Path):
        self.path = folder / PICTURES
        self._lock = Lock()
        self._file: FileIO | None = None
        self._places, self._end = _read(self.path)

    def __enter__(self) -> "KeptPictures":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __contains__(self, content: str) -> bool:
        return content in self._places

    def get(self, content: str) -> Image.Image | None:
        """The picture of an image; None where none was kept, or a loss of power has damaged it.

        Args:
            content: SHA-256 of the file of the image.
        """
        place = self._places.get(content)
        if place is None:
            return None
        with self.path.open("rb") as file:
            file.seek(place.begin)
            return small_jpeg(file.read(place.size), THUMBNAIL_SIDE)

    def keep(self, content: str, picture: Image.Image) -> None:
        """Add a picture; of two of the same image the later one counts.

        Args:
            content: SHA-256 of the file of the image.
            picture: of at most 256 pixels a side.

        Raises:
            OSError: the disk is full; the archive is as it was.
            ValueError: another process has damaged the archive meanwhile.
        """
        data = encoded(picture, "JPEG")
        header = tarfile.TarInfo(f"{content}{ENDING}")
        header.size = len(data)
        member = header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)
        with self._lock, naming_a_full_disk(self.path.parent):
            append_whole(self._descriptor(), member, durable=False)
            self._places[content] = _Place(self._end + BLOCK, len(data))
            self._end += len(member)

    def _descriptor(self) -> int:
        """Of the file, which is open and ends with a whole picture."""
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
        if os.fstat(self._file.fileno()).st_size != self._end:
            # Another command has added some, or a loss of power has left a part of one.
            self._places, self._end = _read(self.path)
            self._file.truncate(self._end)
        return self._file.fileno()


def listing_pictures(folder: Path, mark: Mark) -> Mark:
    """The mark of a run with its pictures, of which an earlier version kept none.

    Args:
        folder: of the run.
        mark: of the run.

    Raises:
        FileExistsError: a file that is not the run's has this name.
    """
    if not is_free_for(folder, PICTURES, mark):
        raise FileExistsError(f"{str(folder / PICTURES)!r} is not the run's: move it away, and run the command again")
    return replace(mark, files={**mark.files, PICTURES: None})


def small_picture(path: Path, bits: int) -> Image.Image:
    """An image as small as the report shows it.

    Args:
        path: of its file.
        bits: of a value in images of 16 bits.

    Raises:
        UnreadableImageError: it is no image.
    """
    return thumbnail(read_image(path, bits, partial(needed_within, side=THUMBNAIL_SIDE)))


def _read(path: Path) -> tuple[dict[str, _Place], int]:
    """Where each picture is, and where the last one that is whole ends."""
    places: dict[str, _Place] = {}
    end = 0
    if not path.is_file():
        return places, end
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while (header := file.read(BLOCK)).strip(b"\0") and len(header) == BLOCK:
            try:
                member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise ValueError(
                    f"{str(path)!r} is damaged at byte {end}: {error}; move it away: of images whose files are there "
                    "pictures are made anew"
                ) from None
            after = end + BLOCK + -(-member.size // BLOCK) * BLOCK
            if not end < after <= size:
                break
            places[member.name.removesuffix(ENDING)] = _Place(end + BLOCK, member.size)
            end = file.seek(after)
    return places, end
