"""An index file that says what images show in; its content, once its size and form are as they should be, out.

Index files come with images from somebody else. No more of them is read than memory has room for, and the paths in them
lead nowhere else than below the folder that the user gave.
"""

import csv
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from anomaly_clustering.data.walk import image_files, real_paths
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.tables import read_numbered_csv

# Bytes: the annotations of COCO itself have 470 million, and Python takes some ten times as much to hold them.
LARGEST = 2**29
# Bytes of what is told of a single image.
LARGEST_OF_ONE = 2**20
MOST_NAMED = 3
# How a path of Windows begins that leads elsewhere; cameras put the time into names, with colons.
DRIVE = re.compile("[A-Za-z]:")


def read_json(file: Path, what: str) -> Any:
    """Read an index in JSON.

    Args:
        file: its path.
        what: what it should be, for the error messages, such as "the index of Real-IAD".

    Returns:
        What JSON holds, of whatever type.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, or not JSON.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "index.json").write_text('{"test": []}')
        ...     read_json(Path(folder) / "index.json", "the index")
        {'test': []}
    """
    return _json(_text(file, what, LARGEST), file, what)


def read_json_lines(file: Path, what: str) -> list[Any]:
    """Read an index that holds JSON in each line.

    Args:
        file: its path.
        what: as for `read_json`.

    Returns:
        What each line holds; empty lines are passed over.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, or a line is not JSON.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "index.jsonl").write_text('{"file_name": "0.png"}\\n')
        ...     read_json_lines(Path(folder) / "index.jsonl", "the index")
        [{'file_name': '0.png'}]
    """
    # Within a text of JSON there may be other characters that end a line, such as U+2028.
    lines = _text(file, what, LARGEST).split("\n")
    return [_json(line, file, what, f"line {i} of ") for i, line in enumerate(lines, start=1) if line.strip()]


def read_rows(file: Path, what: str, columns: Sequence[str]) -> list[Mapping[str, str]]:
    """Read an index in CSV.

    Args:
        file: its path.
        what: as for `read_json`.
        columns: that it must have, and each row a value of, in small letters.

    Returns:
        Its rows by the names of the columns.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, no CSV in UTF-8, has no rows, lacks a column or has one twice, or a row has none of
            the values.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "index.csv").write_text("image,label\\n0.png,crack\\n")
        ...     read_rows(Path(folder) / "index.csv", "the index", ["image"])
        [{'image': '0.png', 'label': 'crack'}]
    """
    _check(file, what, LARGEST)
    try:
        rows = read_numbered_csv(file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{_name(file, what)} is no CSV in UTF-8: {error}; unpack or download it again") from None
    except ValueError as error:
        raise ValueError(f"in {_name(file, what)} {error}; keep one of them, or rename the others") from None
    check_columns(rows[0][1].keys() if rows else (), columns, file, what)
    for line, row in rows:
        if None in row or not all(row[column] for column in columns):
            raise ValueError(
                f"line {line} of {_name(file, what)} has no {' or no '.join(columns)}, or more cells than there are "
                "columns; unpack or download it again"
            )
    return [row for _, row in rows]


def check_columns(there: Collection[str], wanted: Sequence[str], file: Path, what: str) -> None:
    """See that an index has the columns that are needed.

    Args:
        there: names of its columns.
        wanted: those that are needed.
        file: the index.
        what: as for `read_json`.

    Raises:
        ValueError: one is not there.

    Example:
        >>> check_columns(["file_name"], ["file_name", "label"], Path("metadata.csv"), "the index")
        Traceback (most recent call last):
        ValueError: the index, 'metadata.csv', has no column 'label'; it has 'file_name'
    """
    missing = [column for column in wanted if column not in there]
    if missing:
        raise ValueError(
            f"{_name(file, what)} has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(repr(str(column)) for column in there) or 'no rows'}"
        )


def types_told(told: Any, file: Path, image: Any) -> list[str]:
    """The types of defects that an index tells of an image: one of a text or a number, several of a list.

    Args:
        told: what stands there.
        file: the index.
        image: what the index calls the image.

    Raises:
        ValueError: it is nothing of the kind, or empty.

    Example:
        >>> types_told(["dent", 3], Path("metadata.jsonl"), "0.png")
        ['dent', '3']
    """
    types = told if isinstance(told, list) else [told]
    # JSON and Parquet may have a number that is none, which is not equal to itself.
    if not all(isinstance(name, str | int | float) and name == name and str(name).strip() for name in types):
        raise ValueError(
            f"{str(file)!r} has the label {told!r:.80} for {image!r:.200}, no text, number or list of texts; give "
            "images without a defect one too, such as 'good'"
        )
    return [str(name).strip() for name in types]


def read_boxes(file: Path) -> list[str]:
    """Read the types of the boxes that Pascal VOC's XML draws in an image.

    Args:
        file: of one image.

    Returns:
        The name of each box, in the order of the file.

    Raises:
        ValueError: it is too large or no such XML.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "0.xml").write_text("<annotation><object><name>dent</name></object></annotation>")
        ...     read_boxes(Path(folder) / "0.xml")
        ['dent']
    """
    what = "an annotation"
    text = _text(file, what, LARGEST_OF_ONE)
    # Annotations need no definitions; entities that name one another would fill the memory.
    if "<!" in text.replace("<!--", ""):
        raise ValueError(f"{_name(file, what)} defines a type of document, which annotations have no need of")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"{_name(file, what)} is no XML ({error}); unpack or download it again") from None
    names = [(box.findtext("name") or "").strip() for box in root.iter("object")]
    if "" in names:
        raise ValueError(f"{_name(file, what)} has a box without a name; unpack or download it again")
    return names


def below(root: Path, text: Any, file: Path) -> Path:
    """The file that an index names, below the folder that the user gave.

    Args:
        root: that folder.
        text: a path from there, as the index has it.
        file: the index, for the error message.

    Returns:
        The path, whether or not it is there.

    Raises:
        ValueError: it is no path, or leads elsewhere.

    Example:
        >>> below(Path("photos"), "crack/0.png", Path("index.csv")).as_posix()
        'photos/crack/0.png'
        >>> below(Path("photos"), "../secret.png", Path("index.csv"))
        Traceback (most recent call last):
        ValueError: 'index.csv' names '../secret.png', which is no path below 'photos'
    """
    path = PurePosixPath(text.replace("\\", "/")) if isinstance(text, str) else PurePosixPath()
    if not path.parts or path.is_absolute() or ".." in path.parts or DRIVE.match(str(path)) or "\0" in str(path):
        raise ValueError(f"{str(file)!r} names {text!r:.200}, which is no path below {str(root)!r}")
    return root / path


def check_there(files: Sequence[Path], file: Path) -> None:
    """See that all files are there that an index names.

    Args:
        files: images and masks.
        file: the index.

    Raises:
        FileNotFoundError: some are missing; the message names one, and how many there are.

    Example:
        >>> check_there([Path("absent.png")], Path("index.csv"))
        Traceback (most recent call last):
        FileNotFoundError: 1 of the 1 file that 'index.csv' names is missing, 'absent.png' for one; ...
    """
    missing = [path for path in files if not path.is_file()]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        named = counted(len(files), "file")
        raise FileNotFoundError(
            f"{len(missing)} of the {named} that {str(file)!r} names {are} missing, {str(missing[0])!r} for "
            "one; the copy is not complete: unpack or copy it again"
        )


def not_named(folder: Path, named: Collection[Path], file: Path) -> list[str]:
    """Say how many images lie in a folder that an index does not name, and so are not looked at.

    Args:
        folder: of the images.
        named: images and masks that the index names.
        file: the index.

    Returns:
        A notice, or none where it names all.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("0.png", "1.png"):
        ...         (Path(folder) / name).touch()
        ...     print(*not_named(Path(folder), [Path(folder) / "0.png"], Path("index.csv")))
        left out: 1 image in '...' that 'index.csv' does not name, '1.png' for one
    """
    known = {*named}
    others = [path for path in image_files(folder) if path not in known]
    # An index may name a link, of which the walk gives the file.
    really = set(real_paths(known)) if others else set()
    others = [path for path, place in zip(others, real_paths(others), strict=True) if place not in really]
    return [
        f"left out: {counted(len(others), 'image')} in {str(folder)!r} that {str(file)!r} does not name, "
        f"{str(path.relative_to(folder))!r} for one"
        for path in others[:1]
    ]


def _name(file: Path, what: str) -> str:
    return f"{what}, {str(file)!r},"


def _check(file: Path, what: str, largest: int) -> None:
    if file.is_dir():
        raise IsADirectoryError(f"{_name(file, what)} is a folder; give the file")
    if not file.is_file():
        raise FileNotFoundError(f"there is no {str(file)!r}, {what}; the copy is not complete: unpack or copy it again")
    if file.stat().st_size > largest:
        raise ValueError(
            f"{_name(file, what)} has {file.stat().st_size / 1e6:.0f} MB, more than the {largest / 1e6:.0f} MB that "
            "are read"
        )


def _text(file: Path, what: str, largest: int) -> str:
    _check(file, what, largest)
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{_name(file, what)} is not UTF-8 ({error}); unpack or download it again") from None


def _json(text: str, file: Path, what: str, where: str = "") -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}{_name(file, what)} is no JSON ({error}); unpack or download it again") from None
