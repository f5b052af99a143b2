"""Rows of finished images in, some hundred at a time; a folder that keeps them, and, after a kill, the rows, out."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from torch import Tensor

from anomaly_clustering.runs.mark import FORMAT
from anomaly_clustering.runs.unfinished_folder import CARD, RESULT, VERSION, UnfinishedFolder, write_card
from anomaly_clustering.system.files import mark, remove_leftovers
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.replacing import remove_file
from anomaly_clustering.system.tensors import DamagedError, read_tensors, write_tensors

ABOUT = (
    "What `anomaly-clustering cluster` has found so far: a file's name begins with how many images it holds. The same "
    "command goes on from here, and removes this folder when it has ended. Remove it to begin anew."
)


class FinishedRows(UnfinishedFolder):
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
                write_card(card, new / CARD)
            return
        found = {name: told for name, told in self.card().items() if name != RESULT}
        remove_leftovers(self.folder)
        if found == card:
            return
        if count := self.count:
            say(
                f"{str(self.name)!r} was begun otherwise ({_differences(found, card)}): its "
                f"{counted(count, 'finished image')} will not be used, and all begin anew"
            )
        for path in self._files():
            remove_file(path)
        self._replace_card(card)

    def parts(self) -> Iterator[dict[str, Tensor]]:
        """The rows that are kept, file by file; a damaged file is removed, and its images are read again."""
        for path in self._files():
            part = None
            with suppress(DamagedError):
                part = read_tensors(path)
            if part is None:
                # No sooner: Windows removes no file that is mapped to memory, as it is while the error is known.
                remove_file(path)
            else:
                yield part

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Keep rows of some images.

        Args:
            rows: by name, `index` among them.

        Raises:
            OSError: the disk is full.
        """
        write_tensors(self.folder / f"{len(rows['index'])}-images-{uuid4().hex}.safetensors", rows)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


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
