"""Rows of finished images in, some hundred at a time; a folder beside the run to come, and, after a kill, the rows out.

The folder is `OUT.unfinished`. It holds `unfinished.json`, which says what is being made and with which settings, and
files named by how many images each holds. Nothing else in it, and no other folder of that name, is ever touched.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from torch import Tensor

from anomaly_clustering.runs.file_names import MARK as MARK_OF_RUN
from anomaly_clustering.runs.mark import FORMAT
from anomaly_clustering.system.files import (
    MARK,
    UNFINISHED,
    mark,
    real_path,
    remove_leftovers,
    whole_file,
    whole_folder,
)
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.tensors import DamagedError, read_tensors, write_tensors

CARD, VERSION = "unfinished.json", 1
PART = re.compile(r"(?P<count>\d+)-images-[0-9a-f]{32}\.safetensors")
ABOUT = (
    "What `anomaly-clustering cluster` has found so far: a file's name begins with how many images it holds. The same "
    "command goes on from here, and removes this folder when it has ended. Remove it to begin anew."
)


class FinishedRows:
    """The folder that keeps finished rows until a run is complete.

    Args:
        out: the folder of the run to come.

    Example:
        >>> import tempfile
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as place:
        ...     rows = FinishedRows(Path(place) / "run")
        ...     rows.begin({"tau": 0.5}, images=3, say=print)
        ...     rows.add({"index": torch.tensor([0, 2])})
        ...     again = FinishedRows(Path(place) / "run")
        ...     again.begin({"tau": 0.5}, images=3, say=print)
        ...     [part["index"].tolist() for part in again.parts()]
        ...     again.begin({"tau": 0.1}, images=3, say=print)
        ...     again.count
        [[0, 2]]
        '...run.unfinished' was begun otherwise (tau: 0.5, now 0.1): its 2 finished images will not be used, ...
        0
    """

    def __init__(self, out: Path):
        # As the user wrote it, for what is said of it.
        self.name = out.with_name(out.name + UNFINISHED)
        place = real_path(out)
        self.folder = place.with_name(place.name + UNFINISHED)

    def begin(self, settings: Mapping[str, Any], *, images: int, say: Callable[[str], object]) -> None:
        """Make the folder, or keep what an earlier run with the same settings left in it.

        Args:
            settings: all that rows depend on, as JSON knows it.
            images: how many there are.
            say: is told where rows of other settings are dropped.

        Raises:
            FileExistsError: something is in its place that is not ours.
        """
        card = {"format": FORMAT, "version": VERSION, "about": ABOUT, "images": images, "settings": dict(settings)}
        card = json.loads(json.dumps(card))
        if not os.path.lexists(self.folder) or _is_empty(self.folder):
            with whole_folder(self.folder) as new:
                mark(new)
                _write(card, new / CARD)
            return
        found = self._own_card()
        remove_leftovers(self.folder)
        if found == card:
            return
        if count := self.count:
            say(
                f"{str(self.name)!r} was begun otherwise ({_differences(found, card)}): its "
                f"{counted(count, 'finished image')} will not be used, and all begin anew"
            )
        for path in self._files():
            path.unlink()
        with whole_file(self.folder / CARD) as part:
            _write(card, part)

    def is_there(self) -> bool:
        """Whether this process sees the folder, which another machine may have made."""
        return (self.folder / CARD).is_file()

    @property
    def count(self) -> int:
        """How many images are kept, by the names of the files."""
        return sum(int(found["count"]) for path in self._files() if (found := PART.fullmatch(path.name)))

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """The rows that are kept, file by file; a damaged file is removed, and its images are read again."""
        for path in self._files():
            try:
                yield read_tensors(path)
            except DamagedError:
                path.unlink()

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Keep rows of some images.

        Args:
            rows: by name, `index` among them.

        Raises:
            OSError: the disk is full.
        """
        write_tensors(self.folder / f"{len(rows['index'])}-images-{uuid4().hex}.safetensors", rows)

    def remove(self) -> None:
        """Remove the folder, or, where somebody has put something into it, all else in it."""
        try:
            self._own_card()
        except FileExistsError:
            return
        remove_leftovers(self.folder)
        for path in self._files():
            path.unlink(missing_ok=True)
        # Until the last moment the folder says what it is.
        for name in (MARK, CARD):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        if self.folder.is_symlink() or not self.is_there():
            return []
        return sorted(path for path in self.folder.iterdir() if PART.fullmatch(path.name) and not path.is_symlink())

    def _own_card(self) -> dict[str, Any]:
        """What the folder says of itself.

        Raises:
            FileExistsError: it is not ours, or holds what is not.
        """
        way_out = "move it away, or choose another folder with --out"
        try:
            if self.folder.is_symlink() or (self.folder / CARD).is_symlink():
                raise ValueError("a link")
            card: dict[str, Any] = json.loads((self.folder / CARD).read_text(encoding="utf-8"))
            if card["format"] != FORMAT or card["version"] > VERSION:
                raise ValueError("another format, or a newer version")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise FileExistsError(
                f"{str(self.name)!r} is in the place of what an unfinished run keeps, and is not of one; {way_out}"
            ) from None
        return card


def remove_if_complete(out: Path) -> None:
    """Remove what was kept for a run that is complete: its process was killed just before it could.

    Args:
        out: the folder of the run, which is newer than all that was kept for it; it need not be there.

    Example:
        >>> remove_if_complete(Path("nowhere"))
    """
    rows = FinishedRows(out)
    with suppress(FileNotFoundError):
        ended = (rows.folder.with_name(real_path(out).name) / MARK_OF_RUN).stat().st_mtime_ns
        if all(path.stat().st_mtime_ns < ended for path in rows.folder.iterdir()):
            rows.remove()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _write(card: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Names of the settings that differ, and their values where these can be read."""
    one, other = before.get("settings", {}), now["settings"]
    told = []
    for name in sorted({*one, *other}):
        values = one.get(name), other.get(name)
        if values[0] != values[1]:
            long = any(isinstance(value, str) and len(value) > 40 for value in values)
            told.append(f"{name} changed" if long else f"{name}: {values[0]}, now {values[1]}")
    return ", ".join(told) or "by another version"
