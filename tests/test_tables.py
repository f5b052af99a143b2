"""Tables are read as they were written, whatever spreadsheet had them in the meantime, and none finds a formula."""

import csv
import random
import re
from pathlib import Path

import pytest

from anomaly_clustering.system.files import digest
from anomaly_clustering.system.tables import read_csv, read_numbered_csv, write_csv


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [["a,b.png", 'say "so"'], ["two\nlines", ""], ["Kerbe \u00fc", "1"]]
    write_csv(tmp_path / "table.csv", ["path", "label"], rows)
    assert [list(row.values()) for row in read_csv(tmp_path / "table.csv")] == rows
    # As spreadsheets save it.
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "table.csv").read_bytes())
    assert read_csv(tmp_path / "bom.csv") == read_csv(tmp_path / "table.csv")
    assert digest(tmp_path / "bom.csv") != digest(tmp_path / "table.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_tables_are_read_whatever_separator_the_spreadsheet_wrote(
    tmp_path: Path, separator: str, line_end: str
) -> None:
    lines = [("Path", " cluster", "LABEL"), ("a,b;c.png", "0", "dent"), ("two\nlines.png", "1", "")]
    text = line_end.join(
        separator.join(f'"{value}"' if value[0:1] in "at" else value for value in line) for line in lines
    )
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_csv(tmp_path / "labels.csv") == [
        {"path": "a,b;c.png", "cluster": "0", "label": "dent"},
        {"path": "two\nlines.png", "cluster": "1", "label": ""},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_a_spreadsheet_leaves_empty_is_passed_over_and_lines_are_those_of_the_file(
    tmp_path: Path, separator: str
) -> None:
    lines = ["path,time,,", ",,,", '"two\nlines.png",1,,', "", "short.png", " , ,,", ",,,"]
    text = "\r\n".join([f"sep={separator}", *(line.replace(",", separator) for line in lines)])
    (tmp_path / "a.csv").write_bytes(text.encode("utf-8-sig"))
    assert read_numbered_csv(tmp_path / "a.csv") == [
        (4, {"path": "two\nlines.png", "time": "1"}),
        (7, {"path": "short.png", "time": None}),
    ]
    (tmp_path / "b.csv").write_text("path,time\na.png,1,noon\n")
    assert read_csv(tmp_path / "b.csv") == [{"path": "a.png", "time": "1", None: ["noon"]}]


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    assert read_csv(tmp_path / "empty.csv") == []


# Also behind what spreadsheets of other countries take for the end of a cell, and in full width.
FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "x;=1+1",
    'x\n=HYPERLINK("a")',
    "\uff1d1+1",
]
NO_FORMULAS = ["", "dent", "-0.5", "+1e-07", "-inf", "'quoted'", "a-b=c", "x, -y", "'"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_as_a_formula_whatever_separates_cells(tmp_path: Path, text: str) -> None:
    write_csv(tmp_path / "a.csv", [text, "cluster"], [[text, -1]])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        content = file.read()
    assert not [cell for cell in re.split(r"[,;\t\r\n]", content) if re.match(r"[ \"]*[=+@\uff1d]|-1\+", cell)]
    (row,) = read_csv(tmp_path / "a.csv")
    assert list(row.values()) == [text, "-1"]


def test_what_no_spreadsheet_computes_is_written_as_it_is(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["text", "number"], [[text, -0.25] for text in NO_FORMULAS])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == [[text, "-0.25"] for text in NO_FORMULAS]


def test_any_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices("=+-@\t\r\n ';,\"a1\uff1d", k=draw.randrange(8))) for _ in range(3000)]
    write_csv(tmp_path / "a.csv", ["text", "other"], [[text, "x"] for text in texts])
    assert [row["text"] for row in read_csv(tmp_path / "a.csv")] == texts
