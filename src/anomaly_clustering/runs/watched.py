"""A run, and files that come one after another, in; each assigned once, whatever ends this process, out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from anomaly_clustering.clustering.neighbours import Neighbours
from anomaly_clustering.clustering.unknown import NEIGHBOURS
from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.metadata import times_of
from anomaly_clustering.mic.recipe import NewEmbedder
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.runs.assign import Embedded, Fitted, assign
from anomaly_clustering.runs.assigned_rows import COLUMNS_OF_LATER, Asked, all_asked, findings_of, first_files, rows_of
from anomaly_clustering.runs.assignments import append_assignment, write_assignments
from anomaly_clustering.runs.changing_files import Signature, gone_from, signature
from anomaly_clustering.runs.decisions import Decisions
from anomaly_clustering.runs.embed_later import check_name, images_of
from anomaly_clustering.runs.file_names import ASSIGNED, DECISIONS, LATER, STORE, WATCHED
from anomaly_clustering.runs.find_store import find_store
from anomaly_clustering.runs.fitted_and_new import fitted_to, new_to
from anomaly_clustering.runs.given_labels import decisions_on
from anomaly_clustering.runs.journal import ARRAYS, Entry, read_journal, record, record_told
from anomaly_clustering.runs.kept_pictures import KeptPictures, listing_pictures, small_picture
from anomaly_clustering.runs.later_images import LaterImages, contents_of
from anomaly_clustering.runs.mark import check_free, files_into, write_mark
from anomaly_clustering.runs.names_apart import apart
from anomaly_clustering.runs.output_folder import own_mark
from anomaly_clustering.runs.run_away import ChangingError, blaming_the_run
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.files import digest, real_path, remove_leftovers
from anomaly_clustering.system.lines import mend
from anomaly_clustering.system.locks import watching, working_on
from anomaly_clustering.system.replacing import OpenElsewhereError, check_closed

# How much longer the table is left as it is than it takes to write it anew.
REST = 20


class _Seen(NamedTuple):
    """A file that was looked at."""

    path: Path
    was: Signature
    """Its `signature` then."""
    content: str
    image: LaterImages
    picture: Image.Image | None
    """For the report; None for an image without a finding, which no report shows."""


class _Known(NamedTuple):
    """What the folder of the run holds, as of its last change."""

    files: tuple[object, ...]
    decisions: Decisions
    fitted: Fitted
    came: Embedded
    """The images that have come and whose cluster nobody has decided, and those of the run that were taken out."""
    is_finding: dict[str, bool]
    """See `findings_of`."""
    places: dict[str, list[Path]]
    """Where each content has been seen."""
    holds: dict[Path, str]
    """What was seen last under each path."""
    own: dict[str, Path]
    """What `first_files` knows each image by, if no copy takes its place."""
    neighbours: Neighbours
    """Of the images of the run, which the mean of all images moves away from as more come."""
    written: dict[Path, Path]
    """How the path of each file was written when it was seen, by where it is."""


@contextmanager
def watcher_of(folder: Path, false_alarms: float | None, *, checkpoint: Path | None = None) -> Iterator["Watcher"]:
    """The one watcher of a run, until this ends: what a second one took, the first would not know.

    Args:
        folder: of the run.
        false_alarms: see `assign_to_run`.
        checkpoint: where the weights of the run's network are now; None where they are where they were.

    Raises:
        BlockingIOError: another process watches already.
    """
    find_store(folder)
    with watching(folder), KeptPictures(folder) as kept:
        yield Watcher(folder, false_alarms, kept, checkpoint=checkpoint)


class Watcher:
    """Assigns files to a run as they come. The network stays loaded; the folder of the run is locked for moments only.

    Args:
        folder: of the run.
        false_alarms: see `assign_to_run`.
        kept: pictures of the run, to which those of findings are added.
        checkpoint: where the weights of the run's network are now; None where they are where they were.

    Raises:
        FileNotFoundError: the folder holds no run.
        FileExistsError: a file that is not the run's has the name of one that grows as files come.
        ValueError: the run compared images patch by patch, or a file of it is damaged.
    """

    def __init__(self, folder: Path, false_alarms: float | None, kept: KeptPictures, *, checkpoint: Path | None = None):
        self.folder = folder
        self.false_alarms_asked = false_alarms
        self.kept = kept
        self.digest = ""
        """SHA-256 of the file that was looked at last."""
        self.apart: Path | None = None
        """What an image goes by that the file that was taken last has overwritten; None where it has none."""
        self.seen: _Seen | None = None
        """The last file whose content was new."""
        self.behind = False
        """Whether the table has files where they are no more."""
        self.why_behind = ""
        """Why it was left so, where that is not for lack of time, as where another program has it open."""
        self.due = 0.0
        """When it may be written anew, by the clock of `time.monotonic`."""
        with working_on(folder):
            remove_leftovers(folder)
            self.run = run = load_run(folder, checkpoint=checkpoint)
            # Before anything is written: it may fail.
            self.embedder = NewEmbedder(run.recipe, run.references, center=run.center, device=ACCELERATOR)
            self.store = signature(folder / STORE)
            check_free(folder, (ASSIGNED, WATCHED), own_mark(folder))
            mend(folder / WATCHED)
            self.known = self._brought_up_to_date()
        self.own = run.contents

    @property
    def false_alarms(self) -> float:
        """Share of known images that may be taken for unknown: as it was asked for, else as the run was told last."""
        return self.known.decisions.false_alarms

    def last(self) -> Entry | None:
        """The file that came last, if one did."""
        entries = read_journal(self.folder)
        return entries[-1] if entries else None

    def take(self, path: Path) -> dict[str, Any] | None:
        """Assign a file; the journal and the table have it when this returns.

        Args:
            path: of the file, which seems to be finished.

        Returns:
            Its row, in which a file that the run knows goes by its path as that was written then; None where it was
            assigned before, under this path, another way to write it, or one that it was moved from.

        Raises:
            ChangingError: it is still being written.
            FileExistsError: it has the path of an image of the run, and is another one.
            UnreadableImageError: it is no image.
            OSError: it is gone, or the disk is full.
            RunAwayError: the run is gone, or nothing may be written to it.
            BlockingIOError: another command works on the run.
            ValueError: the run was replaced.
        """
        self.apart = None
        with blaming_the_run(self.folder):
            self._check_same()
        before = signature(path)
        # Whoever waits for another command asks again and again.
        seen = self.seen if self.seen and (self.seen.path, self.seen.was) == (path, before) else None
        content = self.digest = seen.content if seen else digest(path)
        check_name(self._as_written(path), content, self.own)
        found = None
        if content not in self.known.places:
            found = self.seen = seen or self._look_at(path, before, content)
        if signature(path) != before:
            raise ChangingError(f"{str(path)!r} has changed while it was read")
        with blaming_the_run(self.folder), working_on(self.folder):
            self._refresh()
            if found is None and content not in self.known.places:
                raise ChangingError("what is known has changed")
            return self._recorded(self._as_written(path), content, found)

    def tidy(self, *, now: bool = False) -> None:
        """Write the table anew if files were moved or overwritten, so that it has them where they are.

        Args:
            now: though it was done a moment ago. Where files move on all day it is else done as often as leaves 95% of
                the time for images.

        Raises:
            OSError: the disk is full.
            RunAwayError: the run is gone, or nothing may be written to it.
            BlockingIOError: another command works on the run.
            ValueError: the run was replaced.
        """
        if not self.behind or not (now or time.monotonic() >= self.due):
            return
        begun = time.monotonic()
        with blaming_the_run(self.folder), working_on(self.folder):
            self._refresh()
            if self.behind:
                self.known = self._brought_up_to_date(patience=None if now else 0.0)
        self.due = time.monotonic() + REST * (time.monotonic() - begun)

    def _look_at(self, path: Path, was: Signature, content: str) -> _Seen:
        embedded = self.embedder(as_batch([images_of([path], self.run.recipe)[0]])["image"])
        image = LaterImages.of_none(self.run).and_new(self.run, [path], [content], embedded, self.false_alarms)
        picture = small_picture(path, self.run.recipe.bits) if image.finding[0] else None
        return _Seen(path, was, content, image, picture)

    def _recorded(self, path: Path, content: str, found: _Seen | None) -> dict[str, Any] | None:
        known, seen = self.known, self.known.places.get(content, [])
        if path in seen:
            return None
        gone = gone_from(seen, content)
        # Until it is written anew, the table has the place that a file was moved from.
        self.behind |= bool(gone)
        self._overwrite(path, content)
        if seen and len(gone) == len(seen):
            record(self.folder, path, content, {}, False, {}, times_of([path], {}))
            self._place(path, content)
            return None
        same_as, came, arrays = "", known.came, dict[str, np.ndarray]()
        if seen or found is None:
            same_as, finding = str(self._known_as(content, gone)), known.is_finding[content]
        else:
            one, finding = found.image, bool(found.image.finding[0])
            arrays = {name: array for name in ARRAYS if (array := getattr(one, name)) is not None}
            if found.picture is not None and content not in self.kept:
                self.kept.keep(content, found.picture)
            not_in, taken_out = [known.decisions.not_in.get(content, ())], np.zeros(1, dtype=bool)
            new = Embedded([content], one.embeddings, one.top_scores, one.finding, not_in, taken_out)
            came = came.followed_by(new)
        share, neighbours = self.false_alarms, known.neighbours
        assigned = assign([content], came, known.fitted, false_alarms=share, neighbours=neighbours)
        asked = Asked(path, content, same_as, finding if len(self.run.normal_top_scores) else None)
        (row,) = rows_of([asked], assigned, known.decisions)
        record(self.folder, path, content, row, finding, arrays, times_of([path], {}))
        if not same_as:
            known.own[content], known.is_finding[content] = path, finding
            self.known = known._replace(came=came)
        self._place(path, content)
        try:
            append_assignment(self.folder / ASSIGNED, row)
        except OSError:
            # The journal has it, so that it is in the table when that can be written anew.
            self.behind = True
        return row

    def _known_as(self, content: str, gone: Mapping[Path, str]) -> Path:
        """The file that a copy is told as a copy of, as `first_files` has it; an image of the run goes by its own."""
        own = self.known.own[content]
        if own in self.own or (own not in gone and own.is_file()):
            return own
        return next(place for place in self.known.places[content] if place not in gone)

    def note_told(self, content: str) -> None:
        """Note that the user's command was told of an image.

        Args:
            content: SHA-256 of the image.

        Raises:
            OSError: the disk is full.
            RunAwayError: the run is gone, or nothing may be written to it.
            BlockingIOError: another command works on the run.
            ValueError: the run was replaced.
        """
        with blaming_the_run(self.folder), working_on(self.folder):
            self._check_same()
            record_told(self.folder, content)

    def _as_written(self, path: Path) -> Path:
        return self.known.written.get(real_path(path), path)

    def _place(self, path: Path, content: str) -> None:
        self.known.places.setdefault(content, []).append(path)
        self.known.holds[path] = content
        self.known.written[real_path(path)] = path

    def _overwrite(self, path: Path, content: str) -> None:
        """What had this path before goes by a name of its own, as `load_later` has it."""
        before = self.known.holds.pop(path, content)
        if before != content:
            named, self.behind = apart(path, before), True
            places = self.known.places[before]
            places[places.index(path)] = named
            if self.known.own[before] == path:
                self.known.own[before] = named
                # Where a copy of it is left, it goes by that.
                self.apart = named if len(gone_from(places, before)) == len(places) else None

    def _check_same(self) -> None:
        if signature(self.folder / STORE) != self.store:
            raise ValueError(f"the run in {str(self.folder)!r} was replaced: start the command again")

    def _files(self) -> tuple[object, ...]:
        paths = (self.folder / name for name in (LATER, DECISIONS))
        return tuple(signature(path) if path.exists() else None for path in paths)

    def _refresh(self) -> None:
        """Another command may have changed what is known."""
        self._check_same()
        if self._files() != self.known.files:
            self.known = self._brought_up_to_date()

    def _brought_up_to_date(self, *, patience: float | None = 0.0) -> _Known:
        """What is known, once mark, decisions and table are as is needed here; for `patience` see `once_closed`."""
        run = self.run
        # Both grow while the run goes on.
        mark = listing_pictures(self.folder, own_mark(self.folder))
        mark = replace(mark, files={**mark.files, WATCHED: None, ASSIGNED: None})
        write_mark(self.folder, mark)
        later, decisions = decisions_on(self.folder, run, None)
        if self.false_alarms_asked not in (None, decisions.false_alarms):
            decisions = replace(decisions, false_alarms=self.false_alarms_asked)
            with files_into(self.folder, mark) as added:
                decisions.save(added)
        files = self._files()
        later = later.seen_at({})
        own = first_files(run, later)
        new, fitted = new_to(run, later, decisions), fitted_to(run, later, decisions)
        # What was recorded, and not yet written to the table, is so now.
        asked, neighbours = all_asked(run, later), Neighbours(NEIGHBOURS)
        contents, share = [file.content for file in asked], decisions.false_alarms
        assigned = assign(contents, new, fitted, false_alarms=share, neighbours=neighbours)
        rows = rows_of(asked, assigned, decisions)
        try:
            check_closed([self.folder / ASSIGNED], patience=patience)
            write_assignments(self.folder / ASSIGNED, rows, columns=COLUMNS_OF_LATER)
            self.behind, self.why_behind = False, ""
        except OpenElsewhereError as error:
            # A spreadsheet has it; it can be made of the journal as soon as that lets go.
            self.behind, self.why_behind = True, str(error)
        places: dict[str, list[Path]] = {}
        for path, content in (*contents_of(run, later).items(), *later.copies.items()):
            places.setdefault(content, []).append(path)
        holds = {path: content for content, seen in places.items() for path in seen}
        written, is_finding = {real_path(path): path for path in holds}, findings_of(run, later)
        return _Known(files, decisions, fitted, new, is_finding, places, holds, own, neighbours, written)
