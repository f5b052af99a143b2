"""Rows in; a CSV file that any spreadsheet opens, and in which none finds a formula, out; and the rows again."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anomaly_clustering.system.files import whole_file

# Names of files need not be valid Unicode; what is not is written as it is.
ENCODING, ERRORS = "utf-8", "surrogateescape"
# Of columns, as spreadsheets of different countries write them; the first where there is one column alone.
SEPARATORS = ",;\t"
# Where a spreadsheet would begin to compute: at the start of a cell, and behind what some take for the end of one, also
# by full-width signs. The page has the same in report/js/table.js.
FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=[' \t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n])")
# The first line by which Excel is told what separates the columns of a file.
TOLD = re.compile(rf"sep=([{SEPARATORS}])\s*", re.IGNORECASE)
# A cell of the head in which a separator is none; it may go on on the next line.
QUOTED = re.compile(r'"[^"]*(?:"|$)')
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)", re.IGNORECASE)


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, result: Path | None = None
) -> None:
    """Write a CSV file that any spreadsheet opens: commas, quotes where they are needed, a line feed after each row.

    What a spreadsheet would compute gets an apostrophe before it, see `as_text`; `read_csv` takes it away.

    Args:
        path: of the file.
        columns: their names, the first row.
        rows: one value a column.
        result: see `whole_file`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_csv(Path(folder) / "a.csv", ["path", "cluster"], [("x,y.png", 0), ("=1+1.png", -1)])
        ...     print((Path(folder) / "a.csv").read_text(), end="")
        path,cluster
        "x,y.png",0
        '=1+1.png,-1
    """
    with whole_file(path, result=result) as part, part.open("w", newline="", encoding=ENCODING, errors=ERRORS) as file:
        for row in (columns, *rows):
            file.write(csv_row(row) + "\n")


def csv_row(values: Sequence[object]) -> str:
    """One row of what `write_csv` writes, without its end.

    Args:
        values: one a column.

    Example:
        >>> csv_row(["x,y.png", None, 2])
        '"x,y.png",,2'
    """
    return ",".join(_quoted(as_text("" if value is None else str(value))) for value in values)


def _quoted(cell: str) -> str:
    # The writer of the standard library, told to end lines by line feeds, leaves carriage returns without quotes.
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('",\r\n') else cell


def as_text(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, whoever named the folder or the class that it holds.

    Args:
        cell: any text; numbers stay as they are.

    Returns:
        The same, with an apostrophe before each place where a formula would begin; `as_written` takes them away.

    Example:
        >>> as_text("=1+1"), as_text("dent"), as_text("-0.5"), as_text("'=1+1")
        ("'=1+1", 'dent', '-0.5', "''=1+1")
    """
    return cell if NUMBER.fullmatch(cell) else FORMULA.sub("'", cell)


def as_written(cell: str) -> str:
    """The text that `as_text` was given.

    Args:
        cell: of a table.

    Example:
        >>> as_written("'=1+1"), as_written("'quoted'"), as_written("-0.5")
        ('=1+1', "'quoted'", '-0.5')
    """
    return re.sub(f"{FORMULA.pattern}'", "", cell)


def read_csv(path: Path) -> list[Mapping[str, str]]:
    """The rows of a CSV file by the names of the columns, whatever separator and capitals the spreadsheet wrote.

    Apostrophes that `write_csv`, or the report, put before what a spreadsheet would compute are gone, and so are rows
    and columns that a spreadsheet left empty.

    Args:
        path: of the file, whose first row names the columns, separated by commas, semicolons or tabs. A line such as
            `sep=;` may stand before it.

    Returns:
        One row a line of the table, all values as text, None where a row is too short; names of columns in small
        letters. Cells beyond the last column, if any holds something, are under None.

    Raises:
        UnicodeDecodeError: the file is not UTF-8; a byte order mark before it is left out.
        ValueError: several columns have the same name, capitals aside.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a.csv").write_text("Path;Cluster\\na,b.png;0\\n")
        ...     read_csv(Path(folder) / "a.csv")
        [{'path': 'a,b.png', 'cluster': '0'}]
    """
    return [row for _, row in read_numbered_csv(path)]


def read_numbered_csv(path: Path, *, errors: str = "strict") -> list[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV file as `read_csv` gives them, each with the number of the line on which it begins.

    Args:
        path: of the file.
        errors: what becomes of bytes that are not UTF-8, as `open` has it; `ERRORS` reads what `write_csv` wrote of
            names of files that are none. By default they are refused.

    Returns:
        Number, from 1 on, and row. The page counts alike, in report/js/table.js.

    Raises:
        UnicodeDecodeError: the file is not UTF-8, where `errors` refuses that.
        ValueError: several columns have the same name, capitals aside.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a.csv").write_text("sep=;\\npath;cluster\\na.png;0\\n;\\nb.png;1\\n")
        ...     [(line, row["path"]) for line, row in read_numbered_csv(Path(folder) / "a.csv")]
        [(3, 'a.png'), (5, 'b.png')]
    """
    with path.open(newline="", encoding="utf-8-sig", errors=errors) as file:
        head = next((line for line in file if line.strip()), "")
        told = TOLD.fullmatch(head)
        bare = QUOTED.sub("", head)
        file.seek(0)
        reader = csv.reader(file, delimiter=told[1] if told else max(SEPARATORS, key=bare.count))
        # Behind what is told to Excel.
        (_, names), *rows = list(_filled(reader))[1 if told else 0 :] or [(1, [])]
        columns = [as_written(name).strip().lower() for name in names]
        while columns and not columns[-1]:
            columns.pop()
        for column, number in Counter(columns).items():
            # What has no name is asked for by nobody.
            if column and number > 1:
                raise ValueError(f"several columns are called {column!r}, capitals aside")
        return [(line, _row(columns, cells)) for line, cells in rows]


def _filled(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows in which something stands, each with its first line; a cell may go on over several lines."""
    before = reader.line_num
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield before + 1, cells
        before = reader.line_num


def _row(columns: Sequence[str], cells: Sequence[str]) -> Mapping[Any, Any]:
    row: dict[Any, Any] = dict.fromkeys(columns)
    row |= {column: as_written(cell) for column, cell in zip(columns, cells, strict=False)}
    beyond = cells[len(columns) :]
    return row | {None: beyond} if any(cell.strip() for cell in beyond) else row
