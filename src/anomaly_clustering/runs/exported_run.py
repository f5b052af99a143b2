"""Labels and the run whose report they are from in; where their images lie now, and what the run knows of each, out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.report.content import CONTENT_DIGITS
from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.later_images import contents_of, load_later
from anomaly_clustering.runs.moved_images import moved_to, still_holds
from anomaly_clustering.runs.regions import run_regions
from anomaly_clustering.runs.store import load_run


class Exported(NamedTuple):
    """What `export` takes of labels and their run.

    Attributes:
        labels: with the paths at which their images lie now, as far as that is known.
        regions: of defects, by these paths.
        contents: SHA-256 of what each was when the run saw it, by these paths.
    """

    labels: list[Labelled]
    regions: Mapping[Path, Sequence[Region]]
    contents: Mapping[Path, str]


def labels_and_run(
    folder: Path, labels: Sequence[Labelled], *, min_score: float = 0.0, folders: Sequence[Path] = ()
) -> Exported:
    """Bring together labels and what their run knows of the images.

    An image that was moved and then assigned again is where the run knows it to be. Any other image whose file is
    gone is looked for, by its content, in the folders.

    Args:
        folder: of the run.
        labels: from its report.
        min_score: of regions.
        folders: to look for images in that were moved; none by default.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: a file of it is damaged.
    """
    regions, run = run_regions(folder, min_score=min_score), load_run(folder)
    later = load_later(folder, run)
    # Of what a file held before and holds by now, that counts which was labelled.
    place = {content[:CONTENT_DIGITS]: i for i, content in enumerate(later.digests)}
    labels = [
        _where_it_lies(image, later.paths[place[image.content]]) if image.content in place else image
        for image in labels
    ]
    labelled = {image.path: place[image.content] for image in labels if image.content in place}
    contents = contents_of(run, later) | {path: later.digests[i] for path, i in labelled.items()}
    regions = {**regions, **{path: regions[later.paths[i]] for path, i in labelled.items()}}
    named = (image.path for image in labels if image.label)
    gone = {path: contents[path] for path in named if path in contents and not path.is_file()}
    moved = _copies_of(gone, later.copies)
    if left := {path: content for path, content in gone.items() if path not in moved}:
        moved |= moved_to(left, folders)
    return Exported(
        [image._replace(path=moved.get(image.path, image.path)) for image in labels],
        regions | {new: regions[old] for old, new in moved.items() if old in regions},
        contents | {new: contents[old] for old, new in moved.items()},
    )


def _copies_of(gone: Mapping[Path, str], copies: Mapping[Path, str]) -> dict[Path, Path]:
    """Where the run has seen what is gone since; each copy is for one image."""
    there: dict[str, list[Path]] = defaultdict(list)
    wanted = set(gone.values())
    for path, content in copies.items():
        if content in wanted and still_holds(path, content):
            there[content].append(path)
    return {path: there[content].pop(0) for path, content in gone.items() if there[content]}


def _where_it_lies(image: Labelled, known: Path) -> Labelled:
    return image._replace(path=known) if known.is_file() and not image.path.is_file() else image
