"""A word of the user in; the value of an option, or one line that says what is wrong with the word, out."""

import argparse
import os
import shlex
import shutil
import sys
from contextlib import suppress
from datetime import time
from pathlib import Path
from typing import Literal

from anomaly_clustering.data.times import FRACTION, with_colons
from anomaly_clustering.runs.find_store import find_store
from anomaly_clustering.system.given import check_is_file


def shifts(text: str) -> list[time]:
    """Times of the day at which shifts begin, sorted. Time zones are left out, as in times of images."""
    written = [with_colons(part.strip()) for part in text.split(",")]
    try:
        if any(FRACTION.search(f" {part}") for part in written):
            raise ValueError
        found = sorted({time.fromisoformat(part).replace(tzinfo=None) for part in written})
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"shifts are times of the day with commas between, such as 06:00,14:00,22:00, got {text!r}"
        ) from None
    return found


def table(text: str) -> Path:
    """A CSV file that is there."""
    check_is_file(Path(text), called="metadata ", give="give a CSV file with a column 'path'")
    return Path(text)


def references(text: str) -> int | Literal["auto", "all"]:
    """How many images to compare with, 'all', or 'auto'."""
    if text in ("auto", "all"):
        return "auto" if text == "auto" else "all"
    return _whole(text, "it must be a whole number of at least 2, or all", least=2)


def num_clusters(text: str) -> int | str:
    """A number of clusters, or 'auto'."""
    return text if text == "auto" else _whole(text, "the number of clusters must be 2 or more, or 'auto'", least=2)


def bits(text: str) -> int | str:
    """Bits of a value of a camera, or 'auto'."""
    return text if text == "auto" else _whole(text, "the bits of a camera are 8 to 16, or 'auto'", least=8, most=16)


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, "a whole number of at least 1 is asked for", least=1)


def seconds(text: str) -> float:
    """Seconds between two looks."""
    return _below(text, 86400.0, "the seconds between two looks are more than 0, such as 1")


def share(text: str) -> float:
    """A share between 0 and 1."""
    return _below(text, 1.0, "the share of known images that may be flagged is between 0 and 1, such as 0.05")


def command_words(text: str) -> list[str]:
    """The words of a command whose program is there. On Windows a backslash is part of a path, and escapes nothing."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters = True, ""
    if os.name == "nt":
        reader.escape = ""
    try:
        words = list(reader)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no command: {error}") from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no command that is there; give a program, and its words")
    if os.name != "nt":
        return words
    if not program.lower().endswith((".exe", ".com")):
        # Of a batch file the shell would run what stands behind an '&' in the name of an image.
        raise argparse.ArgumentTypeError(
            f"{program!r} is a file that another program runs; give that program too, such as "
            r"'python C:\tools\alarm.py', which is no shell"
        )
    # Without its ending Windows would look for an .exe alone.
    return [program, *words[1:]]


def folder(text: str) -> Path:
    """A folder that is there."""
    return _folder_of(text, "images")


def run_folder(text: str) -> Path:
    """The folder of a run."""
    find_store(Path(text))
    return Path(text)


def maps(text: str) -> Path:
    """A folder of anomaly maps."""
    return _folder_of(text, "anomaly maps", called="folder of anomaly maps ")


def checkpoint(text: str) -> Path:
    """A file of weights that is there."""
    check_is_file(Path(text), called="checkpoint ", give="give a file of weights")
    return Path(text)


def labels_file(text: str) -> Path:
    """A file of labels that is there."""
    check_is_file(Path(text), give="give labels.csv, as you save it from the report")
    return Path(text)


def _folder_of(text: str, what: str, *, called: str = "") -> Path:
    path = Path(text)
    if not path.exists():
        raise FileNotFoundError(f"{called}{text!r} does not exist")
    if not path.is_dir():
        raise NotADirectoryError(f"{text!r} is a file; give the folder that holds the {what}")
    return path


def _whole(text: str, asked: str, *, least: int, most: int = sys.maxsize) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{asked}, got {text!r}")
    return int(text)


def _below(text: str, most: float, asked: str) -> float:
    """A number between 0 and another one."""
    with suppress(ValueError):
        if 0 < float(text) < most:
            return float(text)
    raise argparse.ArgumentTypeError(f"{asked}, got {text!r}")
