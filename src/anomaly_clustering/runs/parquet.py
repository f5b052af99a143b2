"""Rows of a table of assignments in; the same as a Parquet file, where pyarrow is installed, out."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from anomaly_clustering.runs.assignments import in_order


def write_parquet(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a row for each image, in columns of their types; nothing where pyarrow is not installed.

    Numbers are as exact as they are known, where the CSV file has six digits, and text is as it is: what a spreadsheet
    would take for a formula is none in Parquet. Of names that are not Unicode, what is not is written as an escape.

    Args:
        path: of the file.
        rows: all with the same of the `COLUMNS`, one at least.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_parquet(Path(folder) / "assignments.parquet", [{"cluster": 2, "path": Path("a.png")}])
    """
    if not find_spec("pyarrow"):
        return
    import pyarrow
    from pyarrow.parquet import write_table

    table = {name: [_plain(row[name]) for row in rows] for name in in_order(rows[0])}
    # By its path pyarrow writes no file whose name is not Unicode.
    with path.open("wb") as file:
        write_table(pyarrow.table(table), file)


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | np.number):
        return value
    # Names of files need not be valid Unicode, and Parquet holds nothing else.
    return str(value).encode("utf-8", "backslashreplace").decode()
