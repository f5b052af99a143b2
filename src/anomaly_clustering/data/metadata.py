"""A CSV file of what is known of images, and these images, in; for each its time, batch, line and the rest out."""

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.data.named_images import finder
from anomaly_clustering.data.times import FIRST_YEAR, as_time, changed_at, taken_at
from anomaly_clustering.system.given import check_is_file
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.tables import read_numbered_csv

PATH, TIME = "path", "time"
MOST_NAMED = 3


class Metadata(NamedTuple):
    """What is known of an image besides its pixels.

    Attributes:
        time: when it was taken, as the clock there showed it; None where that is not told.
        values: other columns by name, in small letters, such as batch, line and station; '' where one is empty.
        source: where the time comes from: 'metadata', 'EXIF' or 'file'.

    Example:
        >>> Metadata(datetime(2026, 3, 1, 6, 30), {"batch": "17"}).values["batch"]
        '17'
    """

    time: datetime | None
    values: Mapping[str, str]
    source: str = "metadata"


class Matched(NamedTuple):
    """Metadata of images.

    Attributes:
        of: what is known of each image that the file lists.
        notices: which images and rows were left without the other.
    """

    of: Mapping[Path, Metadata]
    notices: Sequence[str]


class Times(NamedTuple):
    """When images were taken.

    Attributes:
        of: each image.
        source: of the time of each: 'metadata', 'EXIF' or 'file'.
    """

    of: Mapping[Path, datetime]
    source: Mapping[Path, str]


def read_metadata(file: Path, images: Sequence[Path], *, folder: Path | None = None) -> Matched:
    """Read a CSV file with a column `path`, and any others that have a name; `time` is read as a time.

    A row is of the image whose path it names: whole, from the working directory, from the image folder, or from the
    folder of the file; else of the one image whose path ends in all of it; else, where photos were moved, of the one in
    whose path below the image folder it ends, a folder at least with it. Where rows name several folders, those count
    whose folders agree most with the image folder's.

    Args:
        file: with commas, semicolons or tabs.
        images: that it may tell of.
        folder: the image folder, from which paths may begin.

    Returns:
        What is known of the images.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: it has no column `path` or no rows, several columns have the same name, a time cannot be read, a
            name fits several images, two rows are of one image, or no row is of any image.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "made.csv"
        ...     _ = file.write_text("path;time;batch\\na.png;2026-03-01 06:30;17\\n")
        ...     found = read_metadata(file, [Path("photos/dent/a.png")])
        >>> [(image.name, str(known.time), known.values) for image, known in found.of.items()]
        [('a.png', '2026-03-01 06:30:00', {'batch': '17'})]
    """
    name, rows = repr(str(file)), _rows(file)
    find = finder(images, [place for place in (Path(), folder, file.parent) if place is not None], folder)
    found: dict[Path, tuple[int, Metadata]] = {}
    lost = []
    told = [find(row[PATH] or "") for _, row in rows]
    most = max(fit.agreement for fit in told)
    for (line, row), fit in zip(rows, told, strict=True):
        fits = fit.images if fit.agreement == most else []
        if len(fits) > 1:
            raise ValueError(
                f"line {line} of {name}: {row[PATH]!r} is the name of {len(fits)} images, {str(fits[0])!r} and "
                f"{str(fits[1])!r} among them; write more of its path"
            )
        if not fits:
            lost.append(f"{row[PATH]!r} (line {line})")
            continue
        (image,) = fits
        if image in found:
            raise ValueError(
                f"lines {found[image][0]} and {line} of {name} are both of image {str(image)!r}; keep one, or write "
                "more of their paths"
            )
        values = {key: (value or "").strip() for key, value in row.items() if key and key not in (PATH, TIME)}
        found[image] = (line, Metadata(_time(row.get(TIME) or "", line, name), values))
    if not found:
        raise ValueError(
            f"no row of {name} is of any of the {counted(len(images), 'image')}; its first path is "
            f"{rows[0][1][PATH]!r}" + (f", and the first image {str(images[0])!r}" if images else "")
        )
    without = [repr(str(image)) for image in images if image not in found]
    notices = [
        *([f"of {_some(lost)} in {name} there is no image"] if lost else []),
        *([f"{name} does not tell of {_some(without)}, of {counted(len(images), 'image')}"] if without else []),
    ]
    return Matched({image: known for image, (_, known) in found.items()}, notices)


def times_of(
    images: Sequence[Path], known: Mapping[Path, Metadata], *, holds: Callable[[Path], bool] = Path.is_file
) -> Times:
    """When images were taken: by the metadata, else by EXIF's DateTimeOriginal, else by when the file was last changed.

    Args:
        images: files; those that are no longer there, and of which nothing else tells, are left out.
        known: metadata of some of them.
        holds: whether a file is there and still holds its image; it is asked of images without a time alone.

    Returns:
        Their times, and where these come from.

    Example:
        >>> image = Path("photos/a.png")
        >>> times_of([image], {image: Metadata(datetime(2026, 3, 1), {})}).source
        {PosixPath('photos/a.png'): 'metadata'}
    """
    found: dict[Path, tuple[datetime, str]] = {}
    for image in images:
        told = known.get(image, Metadata(None, {}))
        if told.time is not None:
            found[image] = (told.time, told.source)
        elif holds(image):
            if taken := taken_at(image):
                found[image] = (taken, "EXIF")
            elif changed := changed_at(image.stat().st_mtime):
                found[image] = (changed, "file")
    return Times(
        {image: time for image, (time, _) in found.items()}, {image: source for image, (_, source) in found.items()}
    )


def _rows(file: Path) -> Sequence[tuple[int, Mapping[str, str]]]:
    """With the number of the line of each."""
    name = repr(str(file))
    check_is_file(file, called="metadata ", give="give a CSV file with a column 'path'")
    try:
        rows = read_numbered_csv(file)
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8; save it as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise ValueError(f"{name} is not a CSV file: {error}") from None
    except ValueError as error:
        raise ValueError(f"in {name} {error}; keep one of them, or rename the others") from None
    first = rows[0][1] if rows else {}
    if PATH not in first:
        columns = ", ".join(repr(column) for column in first if column is not None) or "no rows"
        raise ValueError(
            f"{name} must have a column 'path' that names an image in each row, and may have 'time', 'batch', 'line', "
            f"'station' and others; it has {columns}"
        )
    for line, row in rows:
        # So cells beyond the last column are called.
        if None in row:
            raise ValueError(
                f"line {line} of {name} has more cells than there are columns; put texts with commas in quotes"
            )
    return rows


def _time(text: str, line: int, name: str) -> datetime | None:
    if not text.strip():
        return None
    found = as_time(text.strip())
    if found is None:
        raise ValueError(
            f"line {line} of {name}: {text[:40]!r} is no time from {FIRST_YEAR} on; write it as 2026-03-01 06:30:00, "
            "or 01.03.2026 06:30, and nothing where none is known"
        )
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
