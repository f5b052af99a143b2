"""A folder that images come into, and a run, in; a line of JSON for each image out: `anomaly-clustering watch`."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anomaly_clustering.data.opening import EXTENSIONS, UnreadableImageError
from anomaly_clustering.data.walk import CANNOT_BE_READ, NOT_TO_BE_READ, FolderContent, check_may_be_read, look
from anomaly_clustering.runs.assigned import what_to_know
from anomaly_clustering.runs.changing_files import Signature, signature
from anomaly_clustering.runs.run_away import ChangingError, RunAwayError
from anomaly_clustering.runs.watched import Watcher, watcher_of
from anomaly_clustering.system.full_disk import FULL

# Looks at a file, or folder, that cannot be read and does not change, until it is given up.
MOST_LOOKS = 5
# Files that take a while, of which the user is told.
MANY = 1000
# Seconds that another command may work on the run until the user is told why nothing comes.
WORTH_A_WORD = 5.0
# Seconds that the user's command has.
MOST_SECONDS = 60
UNKNOWN_CAME, BROKEN = 3, 2
IMAGE = "ANOMALY_CLUSTERING_IMAGE"
STANDARD_ERROR = 2
Done = TypeVar("Done")


def watch(options: argparse.Namespace) -> None:
    """Run the command; for the options see `watch_options`."""
    check_may_be_read(options.images)
    folder = _Folder(options.images)
    with watcher_of(options.run, options.false_alarms, checkpoint=options.checkpoint) as watcher:
        for notice in what_to_know(watcher.run, len(watcher.known.fitted.labels), watcher.false_alarms):
            _say(notice)
        unknown = _watch(options, watcher, folder)
    if unknown or folder.broken or folder.closed or folder.unread:
        sys.exit(UNKNOWN_CAME if unknown else BROKEN)


def _watch(options: argparse.Namespace, watcher: Watcher, folder: "_Folder") -> bool:
    """Take what comes, for ever or once; whether an image was unknown."""
    last = watcher.last()
    if options.on_unknown and last and last.row.get("unknown") is True and not last.told:
        # This command was ended after the image was assigned, and before the user's was told of it.
        _tell(options, watcher, last.row, last.digest)
    unknown, overwritten, told = False, set[Path](), False
    while True:
        began = time.monotonic()
        settled = folder.settled()
        took = time.monotonic() - began
        for path in settled:
            row = _taken(options, watcher, folder, path)
            if watcher.apart is not None and path not in overwritten:
                overwritten.add(path)
                _say(
                    f"{str(path)!r} held another image before, which goes by {str(watcher.apart)!r} now, and of "
                    "which a small picture is left at most; let each image have a name of its own"
                )
            if row is None:
                continue
            print(json.dumps(row, default=str), flush=True)
            if row["unknown"]:
                unknown = True
                if options.on_unknown:
                    _tell(options, watcher, row, watcher.digest)
        is_last = options.once and not folder.waiting
        _waiting(options, partial(watcher.tidy, now=is_last))
        if watcher.why_behind and not told:
            _say(f"{watcher.why_behind}; what comes is assigned all the same, and entered in it afterwards")
        told = bool(watcher.why_behind)
        if is_last:
            return unknown
        # Where many files lie, looks at them take half of a processor at most.
        time.sleep(max(options.every, took))


class _Folder:
    """What lies in the folder, and what became of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.seen: dict[Path, Signature] = {}
        """As each file was at the last look."""
        self.done: dict[Path, Signature] = {}
        self.failed: dict[Path, int] = {}
        """How often a file could not be read since it last changed."""
        self.broken: set[Path] = set()
        self.is_away = False
        self.closed: set[Path] = set()
        """Folders in it, links and files that the user lacks the permission to read."""
        self.unread: dict[Path, int] = {}
        """In how many looks up to now a folder in it could not be read for another reason."""

    def settled(self) -> Sequence[Path]:
        """Files that are as they were at the last look, and not done."""
        content = self._content()
        if content is None:
            return []
        before, self.seen = self.seen, {}
        for path in content.files:
            with suppress(OSError):
                if path.suffix.lower() in EXTENSIONS:
                    self.seen[path] = signature(path)
        changed = {path for path, now in self.seen.items() if before.get(path) != now}
        for path in changed:
            self.failed.pop(path, None)
            self.broken.discard(path)
        # What is in a folder that cannot be read for a while comes back as it was.
        self.done = {path: found for path, found in self.done.items() if path in self.seen or self._is_unread(path)}
        settled = [path for path in self.seen if path not in changed and self._is_open(path)]
        if len(settled) >= MANY:
            # At its start a command looks into all files, and prints nothing of those that it knows.
            _say(f"{len(settled):,} files to look through")
        return settled

    def _content(self) -> FolderContent | None:
        """What lies there; None where that cannot be told, since a folder on a network may be away for a while."""
        why, content = "", None
        try:
            content = look(self.folder)
            if not self.folder.is_dir():
                why = "is away"
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        if why and not self.is_away:
            _say(f"{str(self.folder)!r} {why}; waiting for it")
        self.is_away = bool(why)
        if content is None or self.is_away:
            return None
        self._tell_of(content.left_out)
        return content

    def _tell_of(self, left_out: Mapping[Path, str]) -> None:
        closed = {folder for folder, why in left_out.items() if why == NOT_TO_BE_READ}
        for folder in sorted(closed - self.closed):
            _say(f"{str(folder)!r} is passed over as long as it may not be read")
        unread = {folder: why for folder, why in left_out.items() if why.startswith(CANNOT_BE_READ)}
        for folder in sorted(unread.keys() - self.unread.keys()):
            _say(f"{str(folder)!r} is passed over as long as it {unread[folder].removeprefix('which ')}")
        self.closed, self.unread = closed, {folder: self.unread.get(folder, 0) + 1 for folder in unread}

    def _is_unread(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.unread)

    def _is_open(self, path: Path) -> bool:
        return self.done.get(path) != self.seen[path] and path not in self.broken

    @property
    def waiting(self) -> bool:
        """Whether a file is still to be taken, or may come into sight again."""
        back = any(looks < MOST_LOOKS for looks in self.unread.values())
        return self.is_away or back or any(self._is_open(path) for path in self.seen)

    def finish(self, path: Path) -> None:
        """A file was taken."""
        self.done[path] = self.seen[path]

    def leave(self, path: Path) -> None:
        """A file is gone."""
        self.seen.pop(path, None)

    def fail(self, path: Path) -> bool:
        """A file could not be read; true when it is to be given up, until it changes."""
        self.failed[path] = self.failed.get(path, 0) + 1
        if self.failed[path] < MOST_LOOKS:
            return False
        self.broken.add(path)
        return True


def _taken(options: argparse.Namespace, watcher: Watcher, folder: _Folder, path: Path) -> dict[str, Any] | None:
    """The row of a file; None where there is none, or not yet."""
    try:
        row = _waiting(options, lambda: watcher.take(path))
    except RunAwayError:
        raise
    except FileNotFoundError:
        folder.leave(path)
        return None
    except ChangingError:
        # It waits for the next look.
        return None
    except (UnreadableImageError, OSError) as error:
        if folder.fail(path):
            _say(str(error))
            print(json.dumps({"path": str(path), "error": str(error)}), flush=True)
        return None
    folder.finish(path)
    return row


def _waiting(options: argparse.Namespace, work: Callable[[], Done]) -> Done:
    """Do something as soon as the run is there and not in use, and the disk has room."""
    said, begun = False, time.monotonic()
    while True:
        try:
            return work()
        except BlockingIOError as error:
            if not said and time.monotonic() - begun > WORTH_A_WORD:
                said = True
                _say(f"{str(error).partition(';')[0]}; waiting for the end of that")
            time.sleep(min(options.every, 0.2))
        except Exception as error:
            is_away = isinstance(error, RunAwayError)
            if (is_away and options.once) or (not is_away and getattr(error, "errno", None) not in FULL):
                raise
            if not said:
                _say(f"{error}; waiting for {'it' if is_away else 'room'}")
            said = True
            time.sleep(options.every)


def _tell(options: argparse.Namespace, watcher: Watcher, row: Mapping[str, Any], content: str) -> None:
    """Have the user's command called; whatever becomes of it, the work goes on."""
    words = [*options.on_unknown, str(row["path"])]
    line = json.dumps(dict(row), default=str)
    try:
        if slip := _called(words, line):
            _say(slip)
    except OSError as error:
        _say(f"{words[0]!r} was not run for {str(row['path'])!r}: {error}")
    _waiting(options, partial(watcher.note_told, content))


def _called(words: Sequence[str], line: str) -> str:
    """What went wrong with the user's command, if anything; where it takes too long it is ended."""
    called = subprocess.Popen(
        words,
        env=os.environ | {IMAGE: line},
        stdin=subprocess.DEVNULL,
        # Standard output is for lines of JSON.
        stdout=STANDARD_ERROR,
        start_new_session=True,
    )
    try:
        status = called.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        became = "was ended" if _end(called) else "may not be ended"
        return f"{words[0]!r} took more than {MOST_SECONDS} seconds for {words[-1]!r} and {became}"
    except BaseException:
        _end(called)
        raise
    return f"{words[0]!r} ended with status {status} for {words[-1]!r}" if status else ""


def _end(called: subprocess.Popen[bytes]) -> bool:
    """End the user's command, on Linux and macOS with all that it started; whether it has ended."""
    try:
        if sys.platform == "win32":
            called.kill()
        else:
            os.killpg(called.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # On macOS a group may not be ended whose first process has ended and was not waited for.
        with suppress(PermissionError):
            called.kill()
    # What is another user's, as by sudo, may not be ended, and is not waited for.
    with suppress(subprocess.TimeoutExpired):
        called.wait(WORTH_A_WORD)
    return called.returncode is not None


def _say(sentence: str) -> None:
    print(f"watch: {sentence}", file=sys.stderr, flush=True)
