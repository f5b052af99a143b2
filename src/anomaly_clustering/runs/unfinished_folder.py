"""The folder `OUT.unfinished` beside a run to come in; what it holds of which run, and its removal, out.

It holds `unfinished.json`, which says what is being made and with which settings, and files named by how many images
each holds. Nothing else in it, and no other folder of that name, is ever touched. No tensor is read here, so that a
command which is interrupted while it still imports can tell what is kept.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from anomaly_clustering.runs.file_names import STORE
from anomaly_clustering.runs.mark import FORMAT, read_mark
from anomaly_clustering.system.files import OURS, UNFINISHED, digest, real_path, remove_leftovers, whole_file
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.replacing import remove_file

CARD, VERSION = "unfinished.json", 1
PART = re.compile(r"(?P<count>\d+)-images-[0-9a-f]{32}\.safetensors")
# On the card, once all images are finished: SHA-256 of the store of the run that is about to take its place.
RESULT = "result"


class UnfinishedFolder:
    """What is kept for a run until it is complete, as any command may look at it.

    Args:
        out: the folder of the run to come.

    Example:
        >>> unfinished = UnfinishedFolder(Path("nowhere"))
        >>> str(unfinished.name), unfinished.count, unfinished.kept()
        ('nowhere.unfinished', 0, '')
    """

    def __init__(self, out: Path):
        # As the user wrote it, for what is said of it. (The root has no name, and is refused later.)
        self.name = Path(f"{out}{UNFINISHED}")
        self.folder = Path(f"{real_path(out)}{UNFINISHED}")

    def is_there(self) -> bool:
        """Whether this process sees the folder, which another machine may have made."""
        return (self.folder / CARD).is_file()

    @property
    def count(self) -> int:
        """How many images are kept, by the names of the files."""
        return sum(int(found["count"]) for path in self._files() if (found := PART.fullmatch(path.name)))

    def kept(self) -> str:
        """How many images are kept, and how to go on: the end of a sentence, empty where none are.

        Raises:
            FileExistsError: the folder is not ours.
        """
        count = self.count
        are = "is" if count == 1 else "are"
        if not count:
            return ""
        of = counted(self.card()["images"], "image")
        return f"{count} of {of} {are} kept in {str(self.name)!r}: start the command again to go on"

    def completes(self, run: Path) -> None:
        """Say which run is about to take its place, so that what is kept is known for done with if that one is there.

        Args:
            run: the folder in which it is written, with its store.
        """
        if self.is_there():
            self._replace_card(self.card() | {RESULT: digest(run / STORE)})

    def remove(self) -> None:
        """Remove the folder, or, where somebody has put something into it, all else in it."""
        try:
            self.card()
        except FileExistsError:
            return
        remove_leftovers(self.folder)
        for path in self._files():
            remove_file(path)
        # Until the last moment the folder says what it is.
        for name in (OURS, CARD):
            remove_file(self.folder / name)
        with suppress(OSError):
            self.folder.rmdir()

    def remove_if_empty(self) -> None:
        """Remove the folder where no image is finished."""
        if not self.count:
            self.remove()

    def card(self) -> dict[str, Any]:
        """What the folder says of itself.

        Raises:
            FileExistsError: it is not ours, or holds what is not.
        """
        way_out = "move it away, or choose another folder with --out"
        try:
            if self.folder.is_symlink() or (self.folder / CARD).is_symlink():
                raise ValueError("a link")
            card: dict[str, Any] = json.loads((self.folder / CARD).read_text(encoding="utf-8"))
            if card["format"] != FORMAT or card["version"] > VERSION or not isinstance(card["images"], int):
                raise ValueError("another format, or a newer version")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise FileExistsError(
                f"{str(self.name)!r} is in the place of what an unfinished run keeps, and is not of one; {way_out}"
            ) from None
        return card

    def _files(self) -> list[Path]:
        if self.folder.is_symlink() or not self.is_there():
            return []
        return sorted(path for path in self.folder.iterdir() if PART.fullmatch(path.name) and not path.is_symlink())

    def _replace_card(self, card: Mapping[str, Any]) -> None:
        with whole_file(self.folder / CARD) as part:
            write_card(card, part)


def write_card(card: Mapping[str, Any], path: Path) -> None:
    """Write what such a folder says of itself.

    Args:
        card: what is being made, as JSON knows it.
        path: of the file.
    """
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def remove_if_complete(out: Path) -> None:
    """Remove what was kept for a run that is complete: its process was killed just before it could.

    The run is known by its store, which no command writes anew as long as it is there. (Times of files tell nothing:
    `assign` and others write the mark of the run that an unfinished one is to replace.)

    Args:
        out: the folder of the run; it need not be there.

    Raises:
        ValueError: the mark of the run is damaged.

    Example:
        >>> remove_if_complete(Path("nowhere"))
    """
    unfinished = UnfinishedFolder(out)
    with suppress(FileExistsError):
        result, mark = unfinished.card().get(RESULT), read_mark(out)
        if mark is not None and result is not None and mark.files.get(STORE) == result:
            unfinished.remove()
