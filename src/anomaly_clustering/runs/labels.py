"""Reads the labels that a person gave in the report: which image is of which cluster, and what that was called."""

import csv
import json
import re
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from anomaly_clustering.system.given import check_is_file
from anomaly_clustering.system.tables import read_numbered_csv

# Of a cluster: far more than a person names, and few enough to be counted one by one.
LARGEST = 999_999
# The number of what is like no image of the run.
UNKNOWN = -1
# Characters of a label, as browsers count them, and as the page allows; js/label-table.js has the same.
LONGEST_LABEL = 1000
# Characters of what is wrong.
LONGEST = 200
REQUIRED = ("path", "cluster", "label", "unsure")
# Between the numbers in `not_in`, which files of earlier versions do not have.
SEPARATOR = ";"
# Before digits, lest a spreadsheet take them for a number.
SHA256 = "sha256:"
# What spreadsheets make of the column `unsure`, and of numbers, where three zeros may be those of a thousand;
# js/label-table.js has the same.
UNSURE = {"": 0, "false": 0, "true": 1, "falsch": 0, "wahr": 1}
WHOLE = re.compile(r"([+-]?[0-9]+)(?:[.,]0{0,2})?")


class Labelled(NamedTuple):
    """One image and what was decided on it in the report.

    Attributes:
        path: of the image.
        cluster: number that the cluster had in the end, -1 for what was like no image of the run.
        label: name of the cluster, empty where it was given none.
        unsure: whether it was marked as unsure.
        not_in: clusters that it must not be put in; none where the file has no such column.
        content: the first digits of the SHA-256 of an image that came later, since its file may be moved or
            overwritten; empty for an image of the run, and where the file has no such column.

    Example:
        >>> Labelled(Path("a.png"), 0, "dent", unsure=False).label
        'dent'
    """

    path: Path
    cluster: int
    label: str
    unsure: bool
    not_in: tuple[int, ...] = ()
    content: str = ""

    @property
    def is_sure(self) -> bool:
        """Whether it has a label that was not marked as unsure."""
        return bool(self.label) and not self.unsure

    def is_of(self, path: Path, digest: str) -> bool:
        """Whether the row is of this image: by its content where that is told, else by its path.

        Args:
            path: of the image.
            digest: SHA-256 of its file.

        Example:
            >>> Labelled(Path("a.png"), 0, "dent", False, content="9f86d081").is_of(Path("moved.png"), "9f86d081884c")
            True
        """
        return digest.startswith(self.content) if self.content else self.path == path


def read_labels(file: Path | str, *, taken: Collection[int] = ()) -> list[Labelled]:
    """The rows of `labels.csv`, as the report saves them, or of the `labels.json` of an earlier version.

    Where a spreadsheet gave images of one cluster several labels, the most frequent one keeps the number, and those of
    each other label become a cluster of their own; so do unknown images that have a label.

    Args:
        file: JSON if its name ends in `.json`, else CSV.
        taken: numbers that such a cluster does not get, beside those in the file: of images that it does not list.

    Returns:
        One row an image, in the order of the file; at least one.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: it is not what the report saves, or holds no images.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "labels.csv"
        ...     _ = file.write_text("path,cluster,label,unsure\\na.png,0,dent,0\\n")
        ...     [(str(image.path), image.label) for image in read_labels(file)]
        [('a.png', 'dent')]
    """
    file = Path(file)
    check_is_file(file, give="give labels.csv, as you save it from the report")
    try:
        if file.suffix.lower() == ".json":
            images = json.loads(file.read_text(encoding="utf-8-sig"))["images"]
            rows = [(f"of image {number}", row) for number, row in enumerate(images, start=1)]
        else:
            # Spreadsheets may end a row at the last cell that holds something.
            rows = [
                (f"in line {line}", {name: value or "" for name, value in row.items()})
                for line, row in read_numbered_csv(file)
            ]
        labels = [_labelled(row, where) for where, row in rows]
    except UnicodeDecodeError:
        raise ValueError(f"{str(file)!r} is not UTF-8; save it from the report, or as 'CSV UTF-8'") from None
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error, RecursionError) as error:
        # Of a file that is something else the message may be as long as that.
        why = textwrap.shorten(f"there is no {error}" if isinstance(error, KeyError) else str(error), LONGEST)
        raise ValueError(
            f"{str(file)!r} is not a file of labels, with {', '.join(REQUIRED)} of each image: {why}; save it from the "
            "report"
        ) from None
    if not labels:
        raise ValueError(f"{str(file)!r} holds no images")
    seen: dict[Path, str] = {}
    for (where, _), image in zip(rows, labels, strict=True):
        if image.path in seen:
            raise ValueError(
                f"{str(file)!r} lists {str(image.path)!r} more than once, {seen[image.path]} and {where}; keep one row "
                "of each image"
            )
        seen[image.path] = where
    return _one_label_a_cluster(labels, taken)


def _one_label_a_cluster(labels: list[Labelled], taken: Collection[int]) -> list[Labelled]:
    """Of several labels of a cluster the most frequent one keeps its number; js/label-table.js has the same.

    Unknown images that were given a label are a cluster from now on. The order of the rows counts for nothing.
    """
    counts: dict[int, Counter[str]] = {}
    for image in labels:
        counts.setdefault(image.cluster, Counter())[image.label] += 1
    number: dict[tuple[int, str], int] = {}
    free = free_numbers({*counts, *taken}, max(counts) + 1)
    for cluster, by_label in sorted(counts.items()):
        # As JavaScript compares texts.
        often = sorted(by_label, key=lambda label: (-by_label[label], label.encode("utf-16-be", "surrogatepass")))
        first, *others = often if cluster != UNKNOWN else ["", *filter(None, often)]
        number |= {(cluster, first): cluster} | {(cluster, label): next(free) for label in others}
    return [image._replace(cluster=number[image.cluster, image.label]) for image in labels]


def free_numbers(used: Collection[int], first: int) -> Iterator[int]:
    """Numbers that no cluster has: what other files bring does not move them, so that a file always means the same.

    Args:
        used: numbers of clusters.
        first: where to begin; after the largest number that is allowed come those from 0 on.

    Example:
        >>> next(free_numbers({0, 4, 5}, 4))
        6
    """
    return (number for number in chain(range(first, LARGEST + 1), range(first)) if number not in used)


def _labelled(row: Mapping[str, Any], where: str) -> Labelled:
    cluster = _whole(row["cluster"], f"cluster {where}", least=UNKNOWN, most=LARGEST)
    told = row["unsure"]
    known = UNSURE.get(told.strip().lower()) if isinstance(told, str) else None
    unsure = _whole(told, f"unsure {where}", least=0, most=1) if known is None else known
    content = (row.get("content") or "").strip().lower().removeprefix(SHA256)
    label = _label(row["label"], where)
    return Labelled(_path(row["path"]), cluster, label, bool(unsure), _not_in(row, cluster, where), content)


def _label(text: str, where: str) -> str:
    label = text.strip()
    if (length := len(label.encode("utf-16-be", "surrogatepass")) // 2) > LONGEST_LABEL:
        raise ValueError(f"the label {where} has {length} characters, and may have {LONGEST_LABEL}")
    return label


def _not_in(row: Mapping[str, Any], cluster: int, where: str) -> tuple[int, ...]:
    """A list in JSON; in a table numbers with semicolons between them."""
    told = row.get("not_in") or ""
    values = [value for value in told.split(SEPARATOR) if value.strip()] if isinstance(told, str) else told
    found = (_whole(value, f"not_in {where}", least=UNKNOWN, most=LARGEST) for value in values)
    # Who puts an image into a cluster in a spreadsheet may leave what was written of it before.
    return tuple(dict.fromkeys(number for number in found if number != cluster))


def _whole(value: object, name: str, *, least: int, most: int) -> int:
    """A number as JSON has it, or as text, also as a spreadsheet writes it that takes it for a fraction."""
    try:
        text = WHOLE.fullmatch(value.strip()) if isinstance(value, str) else None
        found = int(text[1]) if text else int(value)  # type: ignore[call-overload]
        if (text or (found == value and not isinstance(value, str))) and least <= found <= most:
            return int(found)
    except (TypeError, ValueError, OverflowError):
        pass
    shown = textwrap.shorten(repr(value), LONGEST // 2, placeholder="...")
    raise ValueError(f"{name} must be a whole number from {least} to {most}, got {shown}")


def _path(text: str) -> Path:
    """Names that are not Unicode come as escapes, since a browser cannot save them otherwise."""
    path = Path(text)
    return path if path.exists() else Path(re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda m: chr(int(m[1], 16)), text))
