"""Lists a folder of images with a table of what they show, as data sets of Hugging Face have it.

metadata.csv, metadata.jsonl or metadata.parquet, with a column `file_name`, beside the images
test-00000-of-00001.parquet, which holds the images too; `prepare` writes them to files before
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.index_files import (
    LARGEST,
    below,
    check_columns,
    check_there,
    not_named,
    read_json_lines,
    read_rows,
    types_told,
)
from anomaly_clustering.data.sets.one_type import Several, TypedImage, listing_of
from anomaly_clustering.data.sets.parquet_images import TABLE, folder_of_parquet, parquet_files, write_images

FILE = "file_name"
WHAT = "the table of the images"
MOST_ROWS = 10_000_000


def list_metadata_folder(
    root: Path, *, label: str | None = "label", mask: str | None = None, several: Several = "leave_out"
) -> Listing:
    """List the images that the table names.

    Args:
        root: the folder of the table and the images: where there are parts such as `train` and `test`, one of them. Or
            a Parquet file that holds images, or a folder of such files.
        label: the column of the types: text, or a list of texts in JSON lines and Parquet, where an empty one is a good
            image. None where no types are known. Where Parquet that holds images has names for numbers, -1 is an
            unknown type.
        mask: a column of paths of masks, empty for images free of defects, whose type is good, normal or ok; none by
            default.
        several: whether images with a list of several types are left out or kept.

    Returns:
        The records in the order of the table. A notice counts the images that it does not name.

    Raises:
        FileNotFoundError: there is no table, or an image or a mask is missing.
        ValueError: the table is damaged, lacks a column, names paths elsewhere, or lacks masks of some images with
            defects.
        ModuleNotFoundError: the table is in Parquet, and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "0.png").touch()
        ...     _ = (Path(root) / "metadata.csv").write_text("file_name,label\\n0.png,dent\\n")
        ...     list_metadata_folder(Path(root)).class_names
        ['dent']
    """
    file = next((path for name in READERS if (path := root / name).is_file()), None)
    written = file is None
    if file is None and (files := parquet_files(root)):
        if mask is not None:
            raise ValueError(f"masks within {str(files[0])!r} are not read; leave data.mask {mask!r} out")
        root = folder_of_parquet(files, label)
        if not root.is_dir():
            raise FileNotFoundError(
                f"the images within {str(files[0])!r} are not written yet: call prepare_data() first"
            )
        file = root / TABLE
    if file is None:
        inside = sorted({path.parent.name for name in (*READERS, "[!.]*.parquet") for path in root.glob(f"*/{name}")})
        hint = f"; give one of its folders {', '.join(map(repr, inside))}, which have a table" if inside else ""
        raise FileNotFoundError(f"{str(root)!r} has no {', '.join(READERS)}{hint}")
    columns = [FILE, *(column for column in (label, mask) if column is not None)]
    rows = READERS[file.name](file, columns)
    seen = [
        TypedImage(
            below(root, row.get(FILE), file),
            # Of those within Parquet a type may be unknown, which was told apart when they were written.
            None
            if label is None or (written and row[label] is None)
            else types_told(row.get(label), file, row.get(FILE)),
            below(root, row[mask], file) if mask is not None and row.get(mask) else None,
        )
        for row in rows
    ]
    named = [path for one in seen for path in (one.image, one.mask) if path]
    check_there(named, file)
    unknown = sum(one.types is None for one in seen) if label is not None else 0
    notices = [f"images of unknown type, which are clustered and not scored: {unknown}"] * bool(unknown)
    return listing_of(seen, several=several, notices=[*notices, *not_named(root, named, file)])


def prepare(root: Path, *, label: str | None = "label") -> None:
    """Write images that lie within Parquet files into the user's cache, unless that was done; else do nothing.

    Args:
        root: as for `list_metadata_folder`.
        label: as for `list_metadata_folder`.

    Raises:
        ValueError: as `write_images` says.
        ModuleNotFoundError: pyarrow is not installed.

    Example:
        >>> prepare(Path("absent"))
    """
    if not any((root / name).is_file() for name in READERS) and (files := parquet_files(root)):
        write_images(files, label)


def _csv(file: Path, columns: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    # Names of columns are read in small letters.
    rows = read_rows(file, WHAT, [column.lower() for column in columns[:1]])
    check_columns(rows[0], [column.lower() for column in columns], file, WHAT)
    return [{column: row[column.lower()] for column in columns} for row in rows]


def _json_lines(file: Path, columns: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    rows = read_json_lines(file, WHAT)
    for line, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(f"row {line} of {WHAT}, {str(file)!r}, is no object with 'file_name': {row!r:.80}")
    # A row may leave out what is empty.
    check_columns(dict.fromkeys(column for row in rows for column in row), columns, file, WHAT)
    return rows


def _parquet(file: Path, columns: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    if not find_spec("pyarrow"):
        raise ModuleNotFoundError(
            f'{str(file)!r} is read with pyarrow, which is not installed: pip install "anomaly-clustering[parquet]"'
        )
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file)
        check_columns(table.schema_arrow.names, columns, file, WHAT)
        size = sum(
            table.metadata.row_group(group).column(i).total_uncompressed_size
            for group in range(table.metadata.num_row_groups)
            for i in range(table.metadata.num_columns)
            if table.metadata.row_group(group).column(i).path_in_schema.split(".")[0] in columns
        )
        if size > LARGEST or table.metadata.num_rows > MOST_ROWS:
            raise ValueError(
                f"{WHAT}, {str(file)!r}, holds {table.metadata.num_rows} rows of {size / 1e6:.0f} MB, more than the "
                f"{MOST_ROWS} rows or {LARGEST / 1e6:.0f} MB that are read"
            )
        return table.read(columns=list(columns)).to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{WHAT}, {str(file)!r}, is no Parquet ({error}); copy or download it again") from None


READERS: dict[str, Callable[[Path, Sequence[str]], Sequence[Mapping[str, Any]]]] = {
    "metadata.csv": _csv,
    "metadata.jsonl": _json_lines,
    "metadata.parquet": _parquet,
}
