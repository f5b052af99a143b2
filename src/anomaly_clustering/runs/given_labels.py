"""A file of labels and what was decided before in; what is decided from then on, and what to know of it, out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from anomaly_clustering.report.content import CONTENT_DIGITS
from anomaly_clustering.runs.decisions import APART, Decisions, load_decisions, told_apart
from anomaly_clustering.runs.labels import Labelled, free_numbers, read_labels
from anomaly_clustering.runs.later_images import LaterImages, load_later
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.system.messages import counted


def decisions_on(folder: Path, run: StoredRun, labels: Path | None) -> tuple[LaterImages, Decisions]:
    """The images that came after a run, and what was decided on them and on its own.

    Args:
        folder: of the run.
        run: as it is stored there.
        labels: a file of labels that takes the place of earlier decisions, see `decided`; None for these.

    Raises:
        ValueError: the run has no embeddings, the labels are those of another run, or a file is damaged.
    """
    if run.embeddings is None:
        raise ValueError(f"run {run.title!r} compared images patch by patch: it has no embeddings to assign by")
    decisions, later = load_decisions(folder, run), load_later(folder, run)
    return later, decisions if labels is None else decided(run, later, labels, decisions)


def decided(run: StoredRun, later: LaterImages, file: Path, before: Decisions) -> Decisions:
    """The decisions in a file of labels, as the report saves it.

    An image that came later is where the file has it from now on, unless it is marked as unsure, is in no cluster, or
    in a group that was proposed and got neither a name nor an image of the run. One that the file does not list may
    have come after it was saved, so what was decided on it before stays, and the name of its cluster too: if the file
    gives the number of that cluster to another name, the image's cluster gets another number. Rows of images that
    nobody has seen here name no cluster.

    Args:
        run: whose report saved the file.
        later: images that came after it.
        file: labels.csv or labels.json.
        before: earlier decisions, of which proposed groups are kept, and what the file cannot know.

    Raises:
        ValueError: the labels are those of another run.
    """
    # Read twice: numbers of images that the file does not list are not given again.
    listed = _of_later({image.path: image for image in read_labels(file)}, later)
    taken = {*before.groups, *(cluster for content, cluster in before.later.items() if content not in listed)}
    rows = {image.path: image for image in read_labels(file, taken=taken)}
    _check_rows(rows, run, later, file)
    later_rows = _of_later(rows, later)
    before = _with_groups_of(later_rows, {rows[path].cluster for path in run.paths}, before)
    own_rows = dict(zip(told_apart(run.digests), (rows[path] for path in run.paths), strict=True))
    marked = own_rows | later_rows
    joined = {row.cluster: row for row in (rows[path] for path in run.paths) if row.cluster in before.groups}
    proposed = {*before.groups} - joined.keys()
    held = {content: row.cluster for content, row in later_rows.items() if _holds(row, proposed)}
    names = {row.cluster: row.label for row in marked.values() if row.label and row.cluster >= 0}
    own = np.array([rows[path].cluster for path in run.paths])
    in_file = {row.cluster for row in rows.values()}
    used = {*in_file, *before.groups, *before.known_clusters, *before.names}
    kept, renumbered = _renumbered(_not_listed(before, marked), names, used)
    later_clusters = {**kept.later, **held}
    listed_clusters = {*own.tolist(), *held.values()}
    return Decisions(
        labels=own,
        names={k: name for k, name in kept.names.items() if k not in listed_clusters} | names,
        later=later_clusters,
        not_in={**kept.not_in, **{image: row.not_in for image, row in marked.items() if row.not_in}},
        proposed=_regrouped(later_rows, later_clusters, before),
        groups=before.groups,
        unsure=[*kept.unsure, *(image for image, row in marked.items() if row.unsure)],
        false_alarms=before.false_alarms,
        files_given=before.files_given + 1,
        told=[
            *_told(_strangers(rows, run, later), {*kept.later, *kept.not_in, *kept.unsure}, renumbered),
            *_told_of_joined(joined),
            *_told_of_undone(_names_before(run, before), marked, {*own_rows, *held}),
            *_told_of_unsure([row for row in later_rows.values() if row.unsure and _holds(_sure(row), proposed)]),
        ],
    )


def _not_listed(before: Decisions, listed: Collection[str]) -> Decisions:
    """Earlier decisions on images that a file does not list, with the names of the clusters that these are in."""
    later = {image: k for image, k in before.later.items() if image not in listed}
    proposed = {image: k for image, k in before.proposed.items() if image not in listed}
    clusters = {*later.values(), *proposed.values()}
    return replace(
        before,
        names={k: name for k, name in before.names.items() if k in clusters},
        later=later,
        not_in={image: barred for image, barred in before.not_in.items() if image not in listed},
        unsure=[image for image in before.unsure if image not in listed],
    )


def _renumbered(
    kept: Decisions, names: Mapping[int, str], used: Collection[int]
) -> tuple[Decisions, dict[str, tuple[int, int]]]:
    """Clusters of images that a file does not list, under other numbers where the file gives theirs another name.

    Nothing tells whether the file renames the cluster or uses its number for another one, so the images stay in one of
    the name that was decided on: that of the file, or else a new one.
    """
    others = [k for k in sorted({*kept.later.values()}) if k in names and kept.names.get(k, names[k]) != names[k]]
    of_name = {name: k for k, name in sorted(names.items(), reverse=True)}
    free = free_numbers(used, max(used) + 1)
    number = {k: of_name[name] if (name := kept.names[k]) in of_name else next(free) for k in others}
    moved = replace(
        kept,
        names={number.get(k, k): name for k, name in kept.names.items()},
        later={image: number.get(k, k) for image, k in kept.later.items()},
    )
    return moved, {kept.names[k]: (k, number[k]) for k in others}


def _strangers(rows: Mapping[Path, Labelled], run: StoredRun, later: LaterImages) -> list[Path]:
    """Files of rows that are of no image: of a run that had others, or of what a file held before."""
    own, contents = set(run.paths), {content[:CONTENT_DIGITS] for content in later.digests}
    return [path for path, row in rows.items() if row.content and row.content not in contents and path not in own]


def _with_groups_of(rows: Mapping[str, Labelled], own: Collection[int], before: Decisions) -> Decisions:
    """With groups that were proposed by decisions which are gone: clusters of later images alone, without a name.

    Those that a person makes on the page begin at 0, so few of them are numbered as groups are.
    """
    found = {row.cluster for row in rows.values() if row.cluster >= APART and not row.label}
    named = {row.cluster for row in rows.values() if row.label}
    groups = found - {*named, *own, *before.known_clusters}
    return replace(before, groups=sorted({*before.groups, *groups}))


def _check_rows(rows: Mapping[Path, Labelled], run: StoredRun, later: LaterImages, file: Path) -> None:
    """Fail unless each image of the run has a row, and each row is of an image that is known, or was by its content."""
    known = {*run.paths, *later.paths, *later.copies}
    missing = [path for path in run.paths if path not in rows]
    strange = [path for path, row in rows.items() if path not in known and not row.content]
    slips = []
    if missing:
        slips.append(f"{len(missing)} of its images are not in it, {str(missing[0])!r} for one")
    if strange:
        slips.append(f"it lists {str(strange[0])!r}, which this run has not seen")
    if slips:
        raise ValueError(f"{str(file)!r} is not of this run: {'; '.join(slips)}")


def _told(
    strangers: Sequence[Path], not_listed: Collection[str], renumbered: Mapping[str, tuple[int, int]]
) -> list[str]:
    """What a table says of images that are not there, and what it cannot know of those that are."""
    number = len(strangers)
    what = "is of no image" if number == 1 else "are of no images"
    notices = [
        f"{counted(number, 'row')} of the labels, such as {str(path)!r}, {what} that this run has seen, and "
        f"{'counts' if number == 1 else 'count'} for nothing"
        for path in strangers[:1]
    ]
    if not_listed:
        images = counted(len(not_listed), "image")
        notices.append(f"the labels do not list {images} that came later, on which earlier ones decided: that stays")
    notices += [
        f"the labels give cluster {before}, which was {name!r}, another name: images that came later and that they do "
        f"not list stay in {name!r}, which is cluster {now} from now on; name both alike where they are one"
        for name, (before, now) in renumbered.items()
    ]
    return notices


def _told_of_joined(joined: Mapping[int, Labelled]) -> list[str]:
    """What to know of proposed groups that images of the run were moved to; one of these for each."""
    return [
        f"group {group} has no name yet, and is a cluster by these labels, since images of the run were moved there, "
        f"{str(row.path)!r} for one; name it in the report, or move them back to have it proposed still"
        for group, row in sorted(joined.items())
        if not row.label
    ]


def _names_before(run: StoredRun, before: Decisions) -> dict[str, str]:
    """What images were called whose cluster was named, or which came later and were known, as `told_apart` has them."""
    own = dict(zip(told_apart(run.digests), before.labels.tolist(), strict=True))
    named = {image: k for image, k in own.items() if k in before.names}
    return {image: before.names.get(k, "") for image, k in {**named, **before.later}.items()}


def _told_of_undone(before: Mapping[str, str], rows: Mapping[str, Labelled], held: Collection[str]) -> list[str]:
    """What labels undo of those that were given before, as where two people have begun from the same page.

    A name that took the place of another one, as when clusters are renamed or joined, undoes nothing.
    """
    listed = {
        image: name for image, name in before.items() if image in rows and (image in held or not rows[image].unsure)
    }
    now = {image: rows[image].label if image in held else "" for image in listed}
    gone = {name for image, name in listed.items() if name and not now[image]} - {row.label for row in rows.values()}
    if not gone and listed.keys() <= {*held}:
        return []
    changed = [rows[image].path for image, name in listed.items() if now[image] != name or image not in held]
    are = "1 name is" if len(gone) == 1 else f"{len(gone)} names are"
    names = f"{are} gone, {min(gone)!r} for one; " if gone else ""
    return [
        f"these labels differ from the ones given before on {counted(len(changed), 'image')}, {str(changed[0])!r} for "
        f"one; {names}if another person gave those, give that file to `update` again, and label on in the report that "
        "it leaves"
    ]


def _told_of_unsure(rows: Sequence[Labelled]) -> list[str]:
    """What to know of images that came later and would be where a file has them, but for a mark; their rows in."""
    if not rows:
        return []
    are, them = ("is", "it") if len(rows) == 1 else ("are", "them")
    return [
        f"{counted(len(rows), 'image')} marked as unsure {are} not held where the labels have {them}, "
        f"{str(rows[0].path)!r} for one: take the mark off in the report to keep {them} there"
    ]


def _of_later(rows: Mapping[Path, Labelled], later: LaterImages) -> dict[str, Labelled]:
    """The rows of images that came later, by their content: files may have been moved or overwritten since."""
    by_content = {row.content: row for row in rows.values() if row.content}
    found = {}
    for path, digest in later.contents.items():
        row = by_content.get(digest[:CONTENT_DIGITS]) or rows.get(path)
        if row is not None and row.is_of(path, digest):
            found[digest] = row
    return found


def _regrouped(rows: Mapping[str, Labelled], held: Mapping[str, int], before: Decisions) -> dict[str, int]:
    """Groups of images on which nothing is decided: where the file has them, and in none that they are not in."""
    moved = {content: row.cluster for content, row in rows.items() if row.cluster in before.groups}
    barred = {content: row.not_in for content, row in rows.items()}
    groups = {**before.proposed, **moved}.items()
    return {content: k for content, k in groups if content not in held and k not in barred.get(content, ())}


def _sure(row: Labelled) -> Labelled:
    return row._replace(unsure=False)


def _holds(row: Labelled, proposed: Collection[int]) -> bool:
    return row.cluster >= 0 and not row.unsure and (bool(row.label) or row.cluster not in proposed)
