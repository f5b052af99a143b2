"""What `watch` found, line after line, in a file that only grows; a line is there whole or not at all."""

import base64
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anomaly_clustering.data.metadata import Metadata, Times
from anomaly_clustering.data.times import if_set
from anomaly_clustering.runs.file_names import WATCHED
from anomaly_clustering.system.lines import append_line

# Arrays of an image that an entry may have.
ARRAYS = ("weights", "embeddings", "mean_scores", "top_scores", "scores")


class Entry(NamedTuple):
    """A file that came.

    Attributes:
        path: of the file.
        digest: SHA-256 of it.
        row: of `assigned.csv`; empty for a file that was moved, of which nobody is told.
        finding: whether it is more unusual than normal images are.
        arrays: what became of embedding it, one row each; none for a copy of what was seen before.
        told: whether the user's command was told of it.
    """

    path: Path
    digest: str
    row: dict[str, Any]
    finding: bool
    arrays: dict[str, np.ndarray]
    told: bool


def record(
    folder: Path,
    path: Path,
    digest: str,
    row: Mapping[str, Any],
    finding: bool,
    arrays: Mapping[str, np.ndarray],
    times: Times | None = None,
) -> None:
    """Add a file that came to the journal of a run.

    Args:
        folder: of the run.
        path: of the file.
        digest: SHA-256 of it.
        row: see `Entry`.
        finding: see `Entry`.
        arrays: see `Entry`.
        times: when the image was taken, and what tells that, since its file may be gone when somebody asks; None for a
            time that nobody will ask for.

    Raises:
        OSError: the disk is full.
    """
    packed = {
        name: [list(array.shape), base64.b64encode(array.astype(_type_of(name)).tobytes()).decode()]
        for name, array in arrays.items()
    }
    content = {"path": str(path), "digest": digest, "row": dict(row), "finding": finding, "arrays": packed}
    if times is not None and path in times.of:
        content |= {"time": times.of[path].isoformat(), "time_from": times.source[path]}
    append_line(folder / WATCHED, json.dumps(content, default=str))


def record_told(folder: Path, digest: str) -> None:
    """Note that the user's command was told of an image.

    Args:
        folder: of the run.
        digest: of the image.
    """
    append_line(folder / WATCHED, json.dumps({"told": digest}))


def read_journal(folder: Path, *, stored: Collection[str] = ()) -> list[Entry]:
    """All files that came, in their order; a last line without its end does not count.

    Args:
        folder: of the run.
        stored: SHA-256 of images whose arrays are kept elsewhere, and which here have none.

    Raises:
        ValueError: a line is damaged.
    """
    entries: list[Entry] = []
    # A copy that came later is told of by a line of its own.
    untold: defaultdict[str, list[int]] = defaultdict(list)
    with _lines_of(folder / WATCHED) as lines:
        for told in lines:
            if "told" in told:
                for i in untold.pop(str(told["told"]), ()):
                    entries[i] = entries[i]._replace(told=True)
                continue
            digest, row = str(told["digest"]), dict(told["row"])
            packed = {} if digest in stored else told["arrays"]
            arrays = {name: _unpacked(name, *packed[name]) for name in ARRAYS if name in packed}
            untold[digest].append(len(entries))
            entries.append(Entry(Path(told["path"]), digest, row, bool(told["finding"]), arrays, told=False))
    return entries


def since(entries: Sequence[Entry], heard: tuple[int, str]) -> Sequence[Entry]:
    """Those that came after others that are known; all of a journal that began anew, since the old one was moved away.

    Args:
        entries: of the journal, in their order.
        heard: how many are known, and the SHA-256 of the last of them.

    Example:
        >>> entries = [Entry(Path(name), name, {}, False, {}, told=False) for name in "abc"]
        >>> [entry.digest for entry in since(entries, (2, "b"))], len(since(entries, (2, "f")))
        (['c'], 3)
    """
    count, last = heard
    return entries[count:] if 0 < count <= len(entries) and entries[count - 1].digest == last else entries


def checked_heard(told: object) -> tuple[int, str]:
    """What of the journal is known, out of a file that a stranger may have written.

    Args:
        told: see `since`.

    Raises:
        ValueError: it tells nothing of the kind.

    Example:
        >>> checked_heard([2, "9f86"])
        (2, '9f86')
    """
    match told:
        case [int(count), str(last)]:
            return count, last
    raise ValueError(f"{str(told)[:60]!r} does not tell what of the journal it has")


def checked_times(told: object) -> dict[str, Metadata]:
    """When images were taken, out of a file that a stranger may have written.

    Args:
        told: by the SHA-256 of each image its time, and what told that.

    Raises:
        ValueError: it tells nothing of the kind.

    Example:
        >>> checked_times({"9f86": ["2026-03-01 06:30:00", "file"]})["9f86"].source
        'file'
    """
    found: dict[str, Metadata] = {}
    for content, one in told.items() if isinstance(told, dict) else [("", told)]:
        match one:
            case [str(taken), ("EXIF" | "file") as source]:
                # Earlier versions kept such as were never set, too.
                if time := if_set(datetime.fromisoformat(taken).replace(tzinfo=None)):
                    found[content] = Metadata(time, {}, source)
            case _:
                raise ValueError(f"{str(one)[:60]!r} does not tell when an image was taken")
    return found


def read_times(folder: Path) -> dict[str, Metadata]:
    """When the images that came were taken, as it was told then, by the SHA-256 of their files.

    Args:
        folder: of the run.

    Raises:
        ValueError: a line is damaged.
    """
    found: dict[str, Metadata] = {}
    with _lines_of(folder / WATCHED) as lines:
        for told in lines:
            # Earlier versions kept none.
            if "time" in told and (time := if_set(datetime.fromisoformat(told["time"]))):
                found.setdefault(str(told["digest"]), Metadata(time, {}, str(told["time_from"])))
    return found


@contextmanager
def _lines_of(path: Path) -> Iterator[Iterator[Any]]:
    """The lines of a journal, if it is there; what turns out to be damaged in one of them is told of the file."""
    # One at a time, since each has the arrays of an image.
    file: AbstractContextManager[Iterable[str]] = nullcontext(())
    if path.is_file():
        file = path.open(encoding="utf-8", newline="\n")
    with file as lines:
        try:
            yield (json.loads(line) for line in lines if line.endswith("\n"))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"{str(path)!r} is damaged: {str(error)[:200]}; move it away, and the files that are still there are "
                "assigned again"
            ) from None


def _type_of(name: str) -> type:
    return np.float16 if name in ("weights", "scores") else np.float32


def _unpacked(name: str, shape: list[int], content: str) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(content), _type_of(name)).reshape(shape).astype(np.float32)
    if name != "top_scores" and name != "mean_scores" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds what is no number")
    return array
