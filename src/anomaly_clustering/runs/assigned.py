"""Assigns images to the run that lies in a folder, and leaves there what came of it: a table, the page, the images."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.report.places import place_among
from anomaly_clustering.report.sheets import sheets_of
from anomaly_clustering.runs.assign import Assignment, Fitted, assign, most_like_of_its_own
from anomaly_clustering.runs.assigned_rows import COLUMNS_OF_LATER, all_asked, rows_of
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.decisions import Decisions, given_to_page, told_apart
from anomaly_clustering.runs.earlier_sheets import remove_sheets
from anomaly_clustering.runs.embed_later import embed_later
from anomaly_clustering.runs.false_alarms import check_false_alarms, why_coarse, why_none
from anomaly_clustering.runs.file_names import ASSIGNED, DECISIONS, LATER, MARK, METADATA, PAGE, PICTURES
from anomaly_clustering.runs.find_store import find_store
from anomaly_clustering.runs.fitted_and_new import fitted_to, new_to
from anomaly_clustering.runs.given_folders import check_given, check_same
from anomaly_clustering.runs.given_labels import decisions_on
from anomaly_clustering.runs.given_metadata import of_images
from anomaly_clustering.runs.journal import read_times
from anomaly_clustering.runs.kept_metadata import (
    dated,
    load_metadata,
    of_holders,
    times_to_keep,
    with_times,
    write_metadata,
)
from anomaly_clustering.runs.kept_pictures import KeptPictures, listing_pictures
from anomaly_clustering.runs.later_images import LaterImages, contents_of, told_of_overwritten
from anomaly_clustering.runs.mark import files_into, write_mark
from anomaly_clustering.runs.output_folder import own_mark
from anomaly_clustering.runs.proposed import groups_of, proposed, what_is_proposed
from anomaly_clustering.runs.read_files import ReadFiles
from anomaly_clustering.runs.run_report import AssignedImages, draw_report
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.system.files import digest, remove_leftovers
from anomaly_clustering.system.locks import PATIENCE, working_on
from anomaly_clustering.system.replacing import check_closed


class Assigned(NamedTuple):
    """What became of images that were assigned to a run.

    Attributes:
        rows: of `runs.assignments`.
        notices: what a reader should know before reading on.
    """

    rows: list[dict[str, Any]]
    notices: list[str]


def assign_to_run(
    folder: Path | str,
    images: Sequence[Path | str],
    *,
    labels: Path | str | None = None,
    folders: Sequence[Path | str] | None = None,
    false_alarms: float | None = None,
    propose: bool = False,
    metadata: Mapping[Path, Metadata] | None = None,
    checkpoint: Path | str | None = None,
) -> Assigned:
    """Assign images to the clusters of a run; all of its folder is brought up to date, or nothing.

    Args:
        folder: of the run.
        images: files; those that the run or an earlier call has seen are told by their content.
        labels: labels.csv or labels.json from the report, where clusters were corrected or named. It holds for later
            calls too, until another file decides on the same images, see `decided`.
        folders: in which the images of the run, and those of earlier calls, may lie; None for the working directory.
            What has the content that the run has seen may lie anywhere. A run of somebody else could name any image.
        false_alarms: share of known images that may be taken for unknown, see `nearest_clusters`; it holds for later
            calls too. None for the one that the run was told last, 0.05 where it was told none.
        propose: whether unknown images are grouped anew; groups that were proposed before stay in any case.
        metadata: of the images, or, where none are given, of those of the run and of later ones by the paths that they
            have there; kept with the run beside what it has.
        checkpoint: where the weights of the run's network are now; None where they are where they were.

    Returns:
        Rows of `all_asked`, of this call and of all before: clusters may have been corrected since.

    Raises:
        FileNotFoundError: the folder holds no run, or no image of the run is where it was.
        FileExistsError: one of the images has the path of one of the run, and is another.
        ValueError: the run compared images patch by patch, labels are those of another run, a file is damaged, an image
            of the run has changed, or `false_alarms` is no share.
        PermissionError: an image of the run lies outside of the folders.
        OpenElsewhereError: another program has a file open that is to be replaced; it is told before the work.
        BlockingIOError: another process works on the run.
    """
    folder, given, labels = Path(folder), [Path(image) for image in images], None if labels is None else Path(labels)
    places = None if folders is None else [Path(place) for place in folders]
    find_store(folder)
    if false_alarms is not None:
        check_false_alarms(false_alarms)
    # From what is read to what is written: two at once would each keep their own images alone.
    with working_on(folder, patience=PATIENCE), KeptPictures(folder) as kept:
        remove_leftovers(folder)
        check_closed(folder / name for name in (ASSIGNED, DECISIONS, LATER, MARK, METADATA, PAGE, PICTURES))
        run = load_run(folder, checkpoint=checkpoint)
        gone = _what_is_gone(run, kept)
        before, decisions = decisions_on(folder, run, labels)
        share = decisions.false_alarms if false_alarms is None else false_alarms
        decisions = replace(decisions, false_alarms=share)
        asked = set(given)
        not_asked = [path for path in (*before.paths, *before.copies) if path not in asked and path.is_file()]
        read = ReadFiles(before.read)
        there = {path: read.digest(path) for path in not_asked}
        seen_before = {*run.digests, *before.digests}
        swapped = {path: content for path, content in there.items() if content in seen_before}
        seen = before.with_overwritten(there).seen_at(swapped)
        own = [path for path in run.paths if path.is_file()]
        contents = {**before.copies, **contents_of(run, seen)}
        check_given([*own, *_files_that_could_be_shown(before, seen)], places, contents=contents)
        check_same([path for path in own if path not in asked], contents_of(run, seen), read.digest)
        later = embed_later(run, seen, given, share, read.digest)
        came = {**read_times(folder), **before.times}
        later = replace(later, times=times_to_keep(later.contents, came), read=read.now)
        new, fitted = new_to(run, later, decisions), fitted_to(run, later, decisions)
        files = all_asked(run, later)
        of_files = assign([file.content for file in files], new, fitted, false_alarms=share)
        # Later images come before the copies.
        found = Assignment(*(column[: len(later.paths)] for column in of_files))
        if propose:
            decisions = proposed(later, found, decisions)
        rows = rows_of(files, of_files, decisions)
        notices = [
            *gone,
            *decisions.told,
            *told_of_overwritten(before, later),
            *what_to_know(run, len(fitted.labels), share),
            *what_is_proposed(later, found, decisions),
        ]
        told, told_otherwise = _metadata_of(folder, run, before, later, asked, metadata or {})
        _write(folder, run, later, found, fitted, decisions, rows, told, kept)
        return Assigned(rows, [*notices, *told_otherwise])


def what_to_know(run: StoredRun, among: int, false_alarms: float) -> list[str]:
    """What a run cannot tell of images that come later.

    Args:
        run: as it is stored.
        among: how many images new ones are ranked among.
        false_alarms: share of known images that may be taken for unknown.

    Returns:
        Sentences for the user.
    """
    coarse = why_coarse(len(run.normal_top_scores), false_alarms, weights=run.recipe.weights)
    notices = [why_none(among, false_alarms), coarse]
    if run.recipe.weights != "uniform" and np.isnan(run.top_scores).any():
        notices.append(
            "the run is of an earlier version, which did not keep how unusual the most unusual patches are: what is "
            "unknown is told by the distance to the nearest images alone; cluster the images anew to tell it by both"
        )
    return [notice for notice in notices if notice]


def _metadata_of(
    folder: Path,
    run: StoredRun,
    before: LaterImages,
    later: LaterImages,
    asked: Set[Path],
    given: Mapping[Path, Metadata],
) -> tuple[dict[Path, Metadata], list[str]]:
    """What is known of all images by now, where they lie now, and notices on what is told of copies otherwise."""
    # Of an image that was moved is told what was told of it where it lay before.
    places = dict(zip(later.digests, later.paths, strict=True))
    moved = {path: places[content] for path, content in before.contents.items()}
    held = of_holders(load_metadata(folder), before.contents)
    held = {moved.get(path, path): told for path, told in held.items()}
    # What was given is of the images of this call, whatever lay in their place before.
    named = {**later.copies, **contents_of(run, later)}
    files = {path: named.get(path) or digest(path) for path in asked} | {
        path: content for path, content in contents_of(run, before).items() if path not in asked
    }
    return of_images(given, held, files, contents_of(run, later))


def _what_is_gone(run: StoredRun, kept: KeptPictures) -> list[str]:
    """Where no image of a run is there, most likely this is another working directory: what to know then."""
    if any(path.is_file() for path in run.paths):
        return []
    first = str(run.paths[0])
    gone = f"none of the {len(run.paths)} images of the run, which the report shows, is there, {first!r} for one"
    way_out = (
        "run the command where `anomaly-clustering cluster` was run, or, if they were moved, put them, or a link to "
        "their folder, where they were: --images names folders where they may lie, and only that of `export` looks "
        "there for what was moved"
    )
    if not any(content in kept for content in run.digests):
        raise FileNotFoundError(f"{gone}; {way_out}")
    return [f"{gone}: it shows them as small as they were kept; to have links to them again, {way_out}"]


def _files_that_could_be_shown(before: LaterImages, seen: LaterImages) -> list[Path]:
    """Those of later images, and copies of what is gone whatever they hold by now: a stranger's run could name any."""
    gone = {content for path, content in before.contents.items() if not path.is_file()}
    copies = [path for path, content in before.copies.items() if content in gone]
    return [path for path in dict.fromkeys([*seen.paths, *copies]) if path.is_file()]


def _write(
    folder: Path,
    run: StoredRun,
    later: LaterImages,
    found: Assignment,
    fitted: Fitted,
    decisions: Decisions,
    rows: Sequence[Mapping[str, object]],
    metadata: Mapping[Path, Metadata],
    kept: KeptPictures,
) -> None:
    """All of it, or nothing; pictures that are kept on the way are right in any case."""
    if metadata:
        contents = contents_of(run, later)
        # The time of a file comes last: it may have been copied since the image came.
        metadata = dated(metadata, contents, {**read_times(folder), **later.times})
        metadata = with_times(metadata, contents, copies=later.copies)
    mark = listing_pictures(folder, own_mark(folder))
    write_mark(folder, mark)
    before = sheets_of(folder / PAGE)
    with files_into(folder, mark) as new:
        write_assignments(new / ASSIGNED, rows, columns=COLUMNS_OF_LATER)
        later.save(new)
        decisions.save(new)
        if metadata:
            write_metadata(new, metadata)
        shown = [content for content, finding in zip(later.digests, found.finding, strict=True) if finding]
        given = given_to_page(run, [*run.digests, *shown], decisions)
        drawn = _drawn(run, later, found, fitted, decisions)
        draw_report(new, run, kept, drawn, home=folder, given=given, metadata=metadata)
    # The page that was here may still be open.
    remove_sheets(folder, keep=before | sheets_of(folder / PAGE))


def _drawn(
    run: StoredRun, later: LaterImages, found: Assignment, fitted: Fitted, decisions: Decisions
) -> AssignedImages:
    """The later images as the report shows them, but for those without a finding."""
    assert run.embeddings is not None
    # Each goes with the image of the run that it is most like, of its own cluster if that has any.
    of_run, shown = {name: i for i, name in enumerate(told_apart(run.digests))}, found.finding
    nearest = np.array([of_run.get(fitted.digests[i], -1) for i in found.nearest], dtype=np.int64)
    nearest[shown] = most_like_of_its_own(
        later.embeddings[shown], found.labels[shown], run.embeddings, decisions.labels, nearest[shown]
    )
    groups = groups_of(later, found, decisions)
    own = np.where(found.unknown, groups, found.labels)
    # A cluster that a person made of later images has none of the run.
    follows = ~found.unknown & np.isin(found.labels, decisions.labels)
    return _of(
        AssignedImages(
            paths=later.paths,
            labels=np.where(follows, run.labels[nearest], own),
            nearest=nearest,
            distances=found.distances,
            weights=later.weights.astype(np.float16),
            places=place_among(later.embeddings, run.embeddings, run.places),
            groups=decisions.groups,
            notices=what_is_proposed(later, found, decisions),
            embeddings=later.embeddings,
            scores=later.scores,
            digests=later.digests,
        ),
        found.finding,
    )


def _of(images: AssignedImages, chosen: Bool[np.ndarray, " k"]) -> AssignedImages:
    """Some of them; what is of no single image, or of none, stays."""
    per_image = ("labels", "nearest", "distances", "weights", "places", "embeddings", "scores")
    arrays = {name: getattr(images, name) for name in per_image}
    kept = {name: array[chosen] for name, array in arrays.items() if array is not None}
    digests = list(compress(images.digests, chosen))
    return images._replace(paths=list(compress(images.paths, chosen)), digests=digests, **kept)
