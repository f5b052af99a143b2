"""The tables that say which image is of which cluster: one schema for all of them, whoever writes them.

`assignments.csv` of a run or a training, `assigned.csv` of images that came later, and `labels.csv`, which the report
saves, each hold some of these columns, in this order.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from anomaly_clustering.system.lines import append_line
from anomaly_clustering.system.tables import csv_row, write_csv

COLUMNS = {
    "index": "position in the data set, where the data has no files",
    "path": "the image",
    "cluster": "number of its cluster, 0 the largest; -1 in labels.csv for an image that is like none of the run",
    "class": "defect type that was known before, from the name of its folder; empty where unknown",
    "matched_class": "defect type that its cluster is matched to one to one; empty where none is left",
    "label": "name that a person gave its cluster; empty where nobody did",
    "distance_to_center": "distance of its embedding to the mean of its cluster",
    "score": "how far the image is from what is usual: 0 where that ends, about 1 at the most unusual of the run",
    "confidence": "probability of its cluster, of a method that knows one",
    "unsure": "1 where a person marked it as unsure, else 0",
    "not_in": "clusters that a person took it out of, separated by ';'; empty where there are none",
    "content": "start of the SHA-256 of an image that came later; empty for images of the run",
    "unknown": "1 where it is more unusual than known images are, else 0",
    "p_value": "how probable it is that a known image is as unusual; empty for images of the run",
    "finding": "1 where it is more unusual than normal images are, else 0; empty where none were given",
    "same_as": "of a copy, the image of the run, or the one that came later, that has the same content; else empty",
}


def write_assignments(
    path: Path,
    rows: Sequence[Mapping[str, object]],
    *,
    columns: Sequence[str] | None = None,
    result: Path | None = None,
) -> None:
    """Write a row for each image, fractions with six digits after the point.

    Args:
        path: of the file.
        rows: all with the same of the `COLUMNS`.
        columns: their names; None for those of the first row, of which there must be one.
        result: see `whole_file`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_assignments(Path(folder) / "assignments.csv", [{"cluster": 2, "path": "a.png"}])
        ...     (Path(folder) / "assignments.csv").read_text()
        'path,cluster\\na.png,2\\n'
    """
    names = in_order(columns if columns is not None else rows[0])
    write_csv(path, names, [[_written(row[name]) for name in names] for row in rows], result=result)


def append_assignment(path: Path, row: Mapping[str, object]) -> None:
    """Add a row to a table that is there, or leave it as it is.

    Args:
        path: of the file.
        row: with the columns of the table.

    Raises:
        OSError: the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Path(folder) / "assigned.csv"
        ...     write_assignments(table, [], columns=["cluster", "path"])
        ...     append_assignment(table, {"cluster": 2, "path": "a.png"})
        ...     table.read_text()
        'path,cluster\\na.png,2\\n'
    """
    append_line(path, csv_row([_written(row[name]) for name in in_order(row)]))


def in_order(names: Collection[str]) -> list[str]:
    """The names of some columns in the order in which all tables have them.

    Args:
        names: some of the `COLUMNS`, such as a row.

    Returns:
        The same names.

    Example:
        >>> in_order({"cluster": 2, "path": "a.png"})
        ['path', 'cluster']
    """
    assert set(names) <= COLUMNS.keys(), names
    return [name for name in COLUMNS if name in names]


def _written(value: object) -> object:
    return f"{value:.6f}" if isinstance(value, float) else int(value) if isinstance(value, bool) else value
