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
from anomaly_clustering.runs.regions import check_regions, regions_among
from anomaly_clustering.runs.store import load_run


class Exported(NamedTuple):
    """What `export` takes of labels and their run.

    Attributes:
        labels: with the SHA-256 of each image that the run knows, and the path at which it lies now, as far as one is
            known that still holds it.
        regions: of defects, by these paths.
        contents: SHA-256 of the images that were found, by these paths.
    """

    labels: list[Labelled]
    regions: Mapping[Path, Sequence[Region]]
    contents: Mapping[Path, str]


def labels_and_run(
    folder: Path, labels: Sequence[Labelled], *, min_score: float = 0.0, folders: Sequence[Path] = ()
) -> Exported:
    """Bring together labels and what their run knows of the images.

    An image whose file is gone, or holds another one by now, is where the run has seen it too, or else is looked for,
    by its content, in the folders. One that is nowhere keeps its path.

    Args:
        folder: of the run.
        labels: from its report.
        min_score: of regions.
        folders: to look for images in that were moved; none by default.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the run has no heat maps, or is damaged; `min_score` is not between 0 and 1.
    """
    run = load_run(folder)
    check_regions(run, min_score)
    later = None if run.embeddings is None else load_later(folder, run)
    contents, copies = (run.contents, {}) if later is None else (contents_of(run, later), later.copies)
    # Of what a file held before and holds by now, that counts which was labelled.
    known = _known(labels, contents)
    labels = [image._replace(content=contents[known[image.path]]) if image.path in known else image for image in labels]
    sought = {image.path: image.content for image in labels if image.is_sure and image.path in known}
    places = _places(sought, {**contents, **copies}, folders)
    regions = regions_among(folder, run, later, images={known[path] for path in places}, min_score=min_score)
    return Exported(
        [image._replace(path=places.get(image.path, image.path)) for image in labels],
        {place: regions[known[path]] for path, place in places.items()},
        {place: sought[path] for path, place in places.items()},
    )


def _known(labels: Sequence[Labelled], contents: Mapping[Path, str]) -> dict[Path, Path]:
    """By which path the run knows each image, by the path in the labels; none of images that it does not know."""
    by_content = {content[:CONTENT_DIGITS]: path for path, content in contents.items()}
    by_path = {path: path for path in contents}
    paths = {
        image.path: by_content.get(image.content[:CONTENT_DIGITS]) if image.content else by_path.get(image.path)
        for image in labels
    }
    return {image: path for image, path in paths.items() if path is not None}


def _places(sought: Mapping[Path, str], seen: Mapping[Path, str], folders: Sequence[Path]) -> dict[Path, Path]:
    """The files that hold what is sought: its own, or where the run has seen it, or in the folders.

    Args:
        sought: SHA-256 of images by their paths.
        seen: SHA-256 of files, as the run has seen them.
        folders: to look for what is left.

    Returns:
        Files by the paths of the images; none of an image that is nowhere.
    """
    places = {path: path for path, content in sought.items() if still_holds(path, content)}
    left = {path: content for path, content in sought.items() if path not in places}
    wanted, there = set(left.values()), defaultdict[str, list[Path]](list)
    for path, content in seen.items():
        if content in wanted and path not in places and still_holds(path, content):
            there[content].append(path)
    places |= {path: there[content].pop(0) for path, content in left.items() if there[content]}
    gone = {path: content for path, content in left.items() if path not in places}
    return places | (moved_to(gone, folders) if gone else {})
