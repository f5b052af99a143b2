"""The folder of a run in; `trends.csv` and `trends.html` in it, with what became of its defects over time, out."""

from collections.abc import Mapping, Sequence
from datetime import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomaly_clustering.data.layouts import DEFECT_FREE
from anomaly_clustering.data.metadata import Metadata, read_metadata
from anomaly_clustering.metrics.changes import LEVEL
from anomaly_clustering.report.trends_page import Chart, Stretch, TrendsPage, write_trends_page
from anomaly_clustering.runs.assign import assign
from anomaly_clustering.runs.assigned_rows import findings_of
from anomaly_clustering.runs.decisions import Decisions, moved_by_hand, told_apart
from anomaly_clustering.runs.file_names import MARK, TRENDS, TRENDS_PAGE
from anomaly_clustering.runs.find_store import find_store
from anomaly_clustering.runs.fitted_and_new import fitted_to, new_to
from anomaly_clustering.runs.given_labels import decisions_on
from anomaly_clustering.runs.journal import read_times
from anomaly_clustering.runs.kept_metadata import (
    dated,
    load_metadata,
    of_holders,
    times_by_content,
    told_times,
    with_more,
)
from anomaly_clustering.runs.later_images import LaterImages
from anomaly_clustering.runs.mark import files_into
from anomaly_clustering.runs.output_folder import own_mark
from anomaly_clustering.runs.period_names import PERIODS_OF_TIME
from anomaly_clustering.runs.periods import Periods, periods_of, told_of_column, told_of_gaps
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.runs.trends import ALL, Course, ImagesOverTime, Trends, trends
from anomaly_clustering.system.files import remove_leftovers
from anomaly_clustering.system.locks import PATIENCE, working_on
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.replacing import check_closed
from anomaly_clustering.system.tables import write_csv

COLUMNS = ("period", "defect", "images", "of", "share", "drift", "changed")


class TrendsOfRun(NamedTuple):
    """Trends, and what a reader should know before reading on."""

    trends: Trends
    notices: list[str]


def trends_of_run(
    folder: Path,
    *,
    by: str,
    shifts: Sequence[time],
    labels: Path | None,
    metadata: Path | None,
) -> TrendsOfRun:
    """Find the trends of a run, and write them into its folder.

    Args:
        folder: of the run.
        by: the periods, see `periods_of`.
        shifts: when shifts begin, in order.
        labels: labels.csv or labels.json from the report, where clusters were corrected or named; None for those that
            `assign` or `update` was last given.
        metadata: CSV file, on top of what the run has kept; nothing of it is kept. None for that alone.

    Returns:
        The trends, and notices.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: labels or metadata do not fit, a file of the run is damaged, no image has a time, or periods are
            too many.
        OpenElsewhereError: another program has a file open that is to be replaced.
        BlockingIOError: another process works on the run.
    """
    find_store(folder)
    with working_on(folder, patience=PATIENCE):
        remove_leftovers(folder)
        check_closed(folder / name for name in (MARK, TRENDS, TRENDS_PAGE))
        run = load_run(folder)
        seen, decisions, digests, later = _seen(folder, run, labels)
        notices = [*decisions.told, *_told_of_named(seen, run, decisions)]
        contents = dict(zip(seen.paths, digests, strict=True))
        told, untold = _metadata(folder, seen, contents, metadata)
        came, copies = ({}, {}) if later is None else (later.times, later.copies)
        told = dated(told, contents, {**read_times(folder), **came})
        times = times_by_content(told, contents, copies=copies)
        periods = periods_of(seen.paths, times.of, told, by=by, shifts=shifts)
        notices += [*untold, *told_of_column(by, told)]
        if seen.later.any():
            notices.append(
                f"which of the later images are unknown is told at a share of false alarms of "
                f"{decisions.false_alarms:g}, that of the last `assign`, `update` or `watch`"
            )
        if periods.by in PERIODS_OF_TIME:
            notices.append(told_times(times))
        notices += [*_left_out(seen.paths, periods), *told_of_gaps(periods)]
        if seen.embeddings is None:
            notices.append("images of this run were compared patch by patch: there are no embeddings that could drift")
        found = trends(seen, periods, decisions.names)
        with files_into(folder, own_mark(folder)) as new:
            write_csv(new / TRENDS, COLUMNS, _rows(found))
            gaps = [i for i, empty in enumerate(periods.empty) if empty]
            write_trends_page(new / TRENDS_PAGE, _page(run.title, found, notices, gaps))
    return TrendsOfRun(found, notices)


def _seen(
    folder: Path, run: StoredRun, labels: Path | None
) -> tuple[ImagesOverTime, Decisions, Sequence[str], LaterImages | None]:
    """All images by their cluster, as `assign` tells it, what was decided, SHA-256 of their files, and later ones."""
    if run.embeddings is None:
        if labels is not None:
            raise ValueError(f"run {run.title!r} compared images patch by patch: leave --labels out")
        none = np.zeros(len(run.paths), dtype=bool)
        return ImagesOverTime(run.paths, run.labels, none, none, None), Decisions(run.labels), run.digests, None
    later, decisions = decisions_on(folder, run, labels)
    digests = [*run.digests, *later.digests]
    new, fitted = new_to(run, later, decisions), fitted_to(run, later, decisions)
    found = assign(told_apart(digests), new, fitted, false_alarms=decisions.false_alarms)
    is_finding = findings_of(run, later)
    # Whether an image is of the run or came later: what is no more unusual than normal images are is no defect, unless
    # a person has put it where it is.
    moved = moved_by_hand(run.labels, decisions.labels) | (decisions.labels < 0)
    put = [*moved.tolist(), *(content in decisions.later for content in later.digests)]
    finding = np.array([is_finding[content] or by_hand for content, by_hand in zip(digests, put, strict=True)])
    return (
        ImagesOverTime(
            [*run.paths, *later.paths],
            # Of an unknown one the nearest, though a person has taken it out of that.
            np.where(finding, np.where(found.unknown, fitted.labels[found.nearest], found.labels), -1),
            np.arange(len(digests)) >= len(run.digests),
            found.unknown & finding,
            np.concatenate([run.embeddings, later.embeddings]),
        ),
        decisions,
        digests,
        later,
    )


def _told_of_named(seen: ImagesOverTime, run: StoredRun, decisions: Decisions) -> list[str]:
    """What the report counts otherwise: images of the run without a finding, in a cluster that is named as a defect."""
    names = {k: name for k, name in decisions.names.items() if name.casefold() not in DEFECT_FREE}
    own = zip(told_apart(run.digests), decisions.labels.tolist(), seen.cluster.tolist(), strict=False)
    named = [k for image, k, shown in own if shown < 0 and k in names and image not in decisions.unsure]
    if not named:
        return []
    return [
        f"No finding has {counted(len(named), 'image')} of the run whose cluster has a name, {names[named[0]]!r} for "
        "one: the summary of the report, labels.csv and `export` count them by that name; move those that are defects "
        "to it by hand, and they count here too"
    ]


def _metadata(
    folder: Path, seen: ImagesOverTime, contents: Mapping[Path, str], file: Path | None
) -> tuple[Mapping[Path, Metadata], list[str]]:
    kept = of_holders(load_metadata(folder), contents)
    if file is None:
        return kept, []
    given = read_metadata(file, seen.paths)
    return with_more(kept, given.of), list(given.notices)


def _left_out(images: Sequence[Path], periods: Periods) -> list[str]:
    left = np.delete(np.arange(len(images)), periods.images)
    if not len(left):
        return []
    said = f"{len(left)} of {len(images)} images are left out: nothing tells their {periods.by}"
    if periods.by not in PERIODS_OF_TIME:
        return [said]
    return [
        f"{said}, and their files are gone from where they were, or hold others by now, {str(images[left[0]])!r} for "
        "one; give --metadata, or run the command where they are"
    ]


def _rows(found: Trends) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    courses = [*found.defects, *found.others]
    for t, period in enumerate(found.periods):
        drift = "" if found.drift is None else f"{found.drift[t]:.4f}"
        rows.append((period, ALL, int(found.images[t]), int(found.images[t]), 1, drift, _in(found.drift_change, t)))
        for course in courses:
            if course.of[t]:
                counts = int(course.counts[t]), int(course.of[t])
                rows.append((period, course.name, *counts, f"{course.shares[t]:.4f}", "", _in(course.change, t)))
    return rows


def _in(change: Stretch | None, period: int) -> int:
    return int(change is not None and change.first <= period <= change.last)


def _page(title: str, found: Trends, notices: Sequence[str], gaps: Sequence[int]) -> TrendsPage:
    drift = None
    if found.drift is not None:
        drift = Chart("Drift of embeddings", found.drift.tolist(), "{:.2f}".format, found.drift_change, gaps=gaps)
    return TrendsPage(
        title=title,
        by=found.by,
        periods=found.periods,
        images=found.images.tolist(),
        defects=[_chart(course, "of all images", gaps) for course in found.defects],
        counts=[course.counts.tolist() for course in found.defects],
        sound=_chart(found.sound, "of all images", gaps) if found.sound else None,
        unknown=_chart(found.unknown, "of the images that came later", gaps) if found.unknown else None,
        drift=drift,
        notices=notices,
        level=LEVEL,
        tests=found.tests,
        others=[(course.name, course.counts.tolist()) for course in found.others],
    )


def _chart(course: Course, of: str, gaps: Sequence[int]) -> Chart:
    images = "image" if course.total == 1 else "images"
    return Chart(
        course.name,
        course.shares.tolist(),
        "{:.1%}".format,
        course.change,
        f"{course.total} {images}, {of}",
        gaps,
    )
