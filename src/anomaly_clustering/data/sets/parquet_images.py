"""Parquet files that hold images, as data sets of Hugging Face are published, in; a folder of the images out.

The folder has a table `metadata.jsonl` beside the images, as `metadata_folder` reads it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anomaly_clustering.data.opening import looks_like
from anomaly_clustering.data.sets.cache_place import place_of
from anomaly_clustering.data.sets.index_files import types_told
from anomaly_clustering.data.walk import sorted_paths
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.replacing import replace_file

ENDINGS = {
    "a PNG image": ".png",
    "a JPEG image": ".jpg",
    "a BMP image": ".bmp",
    "a TIFF image": ".tif",
    "a WebP image": ".webp",
}
# The column of the images, where others hold images too, such as masks.
IMAGE = "image"
# Of the folder that is made.
TABLE = "metadata.jsonl"
# The number that stands for no class where numbers have names.
UNKNOWN = -1
# Rows that are in memory at once.
AT_ONCE = 32


def parquet_files(root: Path) -> list[Path]:
    """The Parquet files of a data set: the one that is given, or those in a folder, but none called `metadata`.

    Args:
        root: a file or a folder.

    Example:
        >>> parquet_files(Path("absent"))
        []
    """
    if root.suffix == ".parquet" and root.is_file():
        return [root]
    # Not the hidden ones that systems lay beside files.
    return sorted_paths(path for path in root.glob("[!.]*.parquet") if path.stem != "metadata")


def folder_of_parquet(files: Sequence[Path], label: str | None) -> Path:
    """Name the folder in the user's cache where the images of files are.

    Args:
        files: as `parquet_files` lists them.
        label: the column of the types, or None.

    Example:
        >>> folder_of_parquet([], "label") == folder_of_parquet([], None)
        False
    """
    # Names of columns may hold what names of folders may not. Folders called 'parquet-' are an earlier version's, which
    # took unknown types for a class '-1'.
    return place_of(f"parquet2-{repr(label).encode().hex()}", files)


def write_images(files: Sequence[Path], label: str | None) -> Path:
    """Write all images into the folder of `folder_of_parquet`, unless it is there; it appears only when it is whole.

    Args:
        files: as `parquet_files` lists them.
        label: the column of the types, or None. Numbers become names where the files tell them, and -1 is then an
            unknown type, null in the table.

    Returns:
        The folder.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
        ValueError: a file is no Parquet, has no column of images or of the types, or several of images of which none is
            called `image`; or a row has no image, or a type that is no text, number or list.

    Example:
        >>> import io, tempfile
        >>> from PIL import Image
        >>> pyarrow = __import__("pyarrow.parquet")
        >>> buffer = io.BytesIO()
        >>> Image.new("L", (8, 8)).save(buffer, "PNG")
        >>> with tempfile.TemporaryDirectory() as place:
        ...     row = {"image": {"bytes": buffer.getvalue(), "path": "a.png"}, "label": "dent"}
        ...     pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), f"{place}/test.parquet")
        ...     folder = write_images([Path(place) / "test.parquet"], "label")
        ...     print((folder / "metadata.jsonl").read_text(), end="")
        {"file_name": "0000000.png", "label": "dent"}
    """
    if not find_spec("pyarrow"):
        raise ModuleNotFoundError(
            f'{str(files[0])!r} is read with pyarrow, which is not installed: pip install "anomaly-clustering[parquet]"'
        )
    folder = folder_of_parquet(files, label)
    if folder.exists():
        return folder
    with whole_folder(folder, keep=True) as new, (new / TABLE).open("w", encoding="utf-8") as table:
        for number, (content, row) in enumerate(row for file in files for row in _rows(file, label)):
            part = new / f"{number:07d}"
            part.write_bytes(content)
            ending = ENDINGS.get(looks_like(part))
            if ending is None:
                raise ValueError(f"image {number} of {str(files[0].parent)!r} is none that can be read")
            image = part.with_suffix(ending)
            replace_file(part, image)
            table.write(json.dumps({"file_name": image.name} | row) + "\n")
    return folder


def _rows(file: Path, label: str | None) -> Iterator[tuple[bytes, dict[str, Any]]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file)
        schema = table.schema_arrow
        image = _column(file, schema)
        if label is not None and label not in schema.names:
            raise ValueError(f"{str(file)!r} has no column {label!r}; it has {', '.join(map(repr, schema.names))}")
        names = _class_names(schema.metadata or {}, label)
        columns = [f"{image}.bytes", *([label] if label is not None else [])]
        batches = table.iter_batches(batch_size=AT_ONCE, columns=columns)
        for number, row in enumerate(row for batch in batches for row in batch.to_pylist()):
            content = (row[image] or {}).get("bytes")
            if not content:
                raise ValueError(f"{str(file)!r} has a row without an image: it may name a file that is elsewhere")
            yield content, {} if label is None else {label: _type(row[label], names, file, f"row {number}")}
    except (ArrowException, OSError) as error:
        raise ValueError(f"{str(file)!r} is no Parquet ({error}); copy or download it again") from None


def _column(file: Path, schema: Any) -> str:
    """The column of the images to cluster."""
    found = [field.name for field in schema if _holds_images(field.type)]
    if not found:
        raise ValueError(f"{str(file)!r} has no column of images with 'bytes' and 'path'; it has {schema.names}")
    if len(found) > 1 and IMAGE not in found:
        raise ValueError(
            f"{str(file)!r} has several columns of images, {', '.join(map(repr, found))}; call the one to cluster "
            f"{IMAGE!r}"
        )
    return found[0] if len(found) == 1 else IMAGE


def _holds_images(kind: Any) -> bool:
    from pyarrow.types import is_struct

    return is_struct(kind) and {field.name for field in kind} >= {"bytes", "path"}


def _class_names(metadata: Mapping[bytes, bytes], label: str | None) -> Sequence[str]:
    """Names of the numbers of a column, which stand beside the table."""
    try:
        told = json.loads(metadata[b"huggingface"])["info"]["features"][label]
        # Of lists of types; older versions have the kind of the items in a list itself.
        while isinstance(told, list) or "feature" in told:
            told = told[0] if isinstance(told, list) else told["feature"]
        names = told["names"]
        return names if isinstance(names, list) else []
    except (LookupError, TypeError, ValueError, RecursionError):
        return []


def _type(told: Any, names: Sequence[str], file: Path, row: str) -> str | list[str] | None:
    if names and told == UNKNOWN:
        return None
    types = types_told(_name(told, names), file, row)
    return types if isinstance(told, list) else types[0]


def _name(told: Any, names: Sequence[str]) -> Any:
    if isinstance(told, list):
        return [_name(one, names) for one in told]
    return names[told] if isinstance(told, int) and 0 <= told < len(names) else told
