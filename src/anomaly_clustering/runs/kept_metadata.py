"""Metadata of images in; `metadata.csv` in the folder of their run, with a row for each image, out; and read again."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from anomaly_clustering.data.metadata import PATH, TIME, Metadata, Times, times_of
from anomaly_clustering.data.times import as_time
from anomaly_clustering.runs.file_names import METADATA
from anomaly_clustering.runs.moved_images import still_holds
from anomaly_clustering.runs.names_apart import held_by
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.tables import ERRORS, read_numbered_csv, write_csv

# Which of them its time is of: 'metadata', 'EXIF' or 'file'.
SOURCE = "time_from"


def write_metadata(folder: Path, metadata: Mapping[Path, Metadata]) -> None:
    """Write what is known of the images of a run, and when each was taken.

    Args:
        folder: to write to.
        metadata: of all images of the run, and of later ones, as `with_times` has it.

    Example:
        >>> import tempfile
        >>> from datetime import datetime
        >>> metadata = {Path("a.png"): Metadata(datetime(2026, 3, 1, 6, 30), {"batch": "17"})}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_metadata(Path(folder), metadata)
        ...     print((Path(folder) / "metadata.csv").read_text(), end="")
        path,time,time_from,batch
        a.png,2026-03-01T06:30:00,metadata,17
    """
    columns = columns_of(metadata)
    rows = [
        [
            image,
            *(("", "") if one.time is None else (one.time.isoformat(), one.source)),
            *(one.values.get(column, "") for column in columns),
        ]
        for image, one in metadata.items()
    ]
    write_csv(folder / METADATA, [PATH, TIME, SOURCE, *columns], rows)


def load_metadata(folder: Path) -> dict[Path, Metadata]:
    """Read what is known of the images of a run.

    Args:
        folder: of the run.

    Returns:
        Metadata by image; none where the run was given none. Times out of EXIF and of files are among it.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / METADATA
    if not path.is_file():
        return {}
    try:
        return {Path(row[PATH]): _of_row(row) for _, row in read_numbered_csv(path, errors=ERRORS)}
    except (csv.Error, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged: {error}; delete it, and give --metadata again to `assign` or `trends`"
        ) from None


def of_holders(metadata: Mapping[Path, Metadata], contents: Mapping[Path, str]) -> dict[Path, Metadata]:
    """What was kept under a path is of the image that it held then, though another one may have come there since.

    Args:
        metadata: as the run has kept it: of each image that it knew, by its path.
        contents: SHA-256 of the images that it knows by now, by path, in the order in which they came.

    Example:
        >>> morning = Metadata(None, {"batch": "17"})
        >>> of_holders({Path("a.png"): morning}, {Path("a.png#9f86"): "9f86", Path("a.png"): "60303a"})
        {PosixPath('a.png#9f86'): Metadata(time=None, values={'batch': '17'}, source='metadata')}
    """
    told, met = dict(metadata), set[Path]()
    for path, content in contents.items():
        before = held_by(path, content)
        # What came to a file after the image that it holds again was never kept under its path.
        if before in told and path not in told and before not in met:
            told[path] = told.pop(before)
        met.add(path)
    return told


def with_more(metadata: Mapping[Path, Metadata], given: Mapping[Path, Metadata]) -> dict[Path, Metadata]:
    """What is known of images, and what a later table tells of them: that counts, and what it leaves out stays.

    Args:
        metadata: of images.
        given: of some of them, and maybe of others.

    Example:
        >>> from datetime import datetime
        >>> image = Path("a.png")
        >>> batch, time = Metadata(None, {"batch": "17"}), Metadata(datetime(2026, 3, 1), {})
        >>> found = with_more({image: batch}, {image: time})[image]
        >>> found.time.day, found.values
        (1, {'batch': '17'})
    """
    both = dict(metadata)
    for image, new in given.items():
        old = both.get(image, Metadata(None, {}))
        told = {name: value for name, value in new.values.items() if value or name not in old.values}
        both[image] = (old if new.time is None else new)._replace(values={**old.values, **told})
    return both


def dated(
    metadata: Mapping[Path, Metadata], contents: Mapping[Path, str], times: Mapping[str, Metadata]
) -> dict[Path, Metadata]:
    """What is known of images, where nothing tells a time with that which was told when they came.

    Args:
        metadata: of images.
        contents: SHA-256 of images by path.
        times: when images were taken, by their SHA-256.

    Example:
        >>> from datetime import datetime
        >>> came = {"9f86": Metadata(datetime(2026, 3, 1), {}, "file")}
        >>> dated({}, {Path("gone.png"): "9f86"}, came)[Path("gone.png")].source
        'file'
    """
    both, nothing = dict(metadata), Metadata(None, {})
    for path, content in contents.items():
        known = metadata.get(path, nothing)
        if content in times and known.time is None:
            both[path] = times[content]._replace(values=known.values)
    return both


def times_by_content(
    metadata: Mapping[Path, Metadata], contents: Mapping[Path, str], *, copies: Mapping[Path, str] | None = None
) -> Times:
    """When images were taken: as it is known, else as the file at their path tells, or a copy, that still holds them.

    Args:
        metadata: of images.
        contents: SHA-256 of all images by path.
        copies: SHA-256 of other files by path, such as those that images were moved to.

    Returns:
        Their times; none of an image whose file is gone, or holds another one by now.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     times_by_content({}, {Path(file.name): "9f86"}).of
        {}
    """
    found = times_of(list(contents), metadata, holds=lambda path: still_holds(path, contents[path]))
    gone = {content for path, content in contents.items() if path not in found.of}
    others = {path: content for path, content in (copies or {}).items() if content in gone}
    by_copy = times_of(list(others), {}, holds=lambda path: still_holds(path, others[path]))
    there = {others[path]: path for path in reversed(list(by_copy.of))}
    moved = {path: there[content] for path, content in contents.items() if path not in found.of and content in there}
    return Times(
        {**found.of, **{path: by_copy.of[copy] for path, copy in moved.items()}},
        {**found.source, **{path: by_copy.source[copy] for path, copy in moved.items()}},
    )


def with_times(
    metadata: Mapping[Path, Metadata], contents: Mapping[Path, str], *, copies: Mapping[Path, str] | None = None
) -> dict[Path, Metadata]:
    """What is known of all images, with the times that `times_by_content` finds.

    Args:
        metadata: of some images.
        contents: SHA-256 of all images by path.
        copies: see `times_by_content`.

    Returns:
        Metadata of each image, in the order of the contents; without a time where nothing tells one.

    Example:
        >>> with_times({}, {Path("gone.png"): "9f86"})
        {PosixPath('gone.png'): Metadata(time=None, values={}, source='metadata')}
    """
    times, nothing = times_by_content(metadata, contents, copies=copies), Metadata(None, {})
    values = {image: metadata.get(image, nothing).values for image in contents}
    return {
        image: Metadata(times.of.get(image), values[image], times.source.get(image, nothing.source))
        for image in contents
    }


def times_to_keep(contents: Mapping[Path, str], came: Mapping[str, Metadata]) -> dict[str, Metadata]:
    """When images that came later were taken, to be kept with them: their files may be gone when somebody asks.

    Args:
        contents: SHA-256 of these images by path.
        came: times that are kept already, by SHA-256.

    Returns:
        Times by SHA-256; none of an image of which nothing tells it.

    Example:
        >>> times_to_keep({Path("gone.png"): "9f86"}, {})
        {}
    """
    times = times_by_content(dated({}, contents, came), contents)
    return {contents[path]: Metadata(time, {}, times.source[path]) for path, time in times.of.items()}


def columns_of(metadata: Mapping[Path, Metadata]) -> list[str]:
    """Names of the columns besides path and time, in the order in which they come.

    Args:
        metadata: of images.

    Example:
        >>> columns_of({Path("a.png"): Metadata(None, {"batch": "17", "line": "2"})})
        ['batch', 'line']
    """
    return [
        column for column in dict.fromkeys(name for one in metadata.values() for name in one.values) if column != SOURCE
    ]


def told_times(times: Times) -> str:
    """Where times come from, and of how many images.

    Args:
        times: of images.

    Example:
        >>> from datetime import datetime
        >>> of = {Path(name): datetime(2026, 3, 1) for name in "abc"}
        >>> told_times(Times(of, dict(zip(of, ["EXIF", "file", "file"], strict=True))))
        'times of 3 images: 2 by the time of the file, 1 by EXIF'
    """
    words = {"metadata": "by the metadata", "EXIF": "by EXIF", "file": "by the time of the file"}
    sources = Counter(times.source.values()).most_common()
    listed = ", ".join(f"{count} {words[source]}" for source, count in sources)
    return f"times of {counted(len(times.of), 'image')}: {listed}"


def _of_row(row: Mapping[str, str]) -> Metadata:
    # Earlier versions kept columns without a name.
    values = {name: value for name, value in row.items() if name and name not in (PATH, TIME, SOURCE)}
    return Metadata(as_time(row[TIME]), values, row[SOURCE] or "metadata")
