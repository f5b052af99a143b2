"""A stored run and images that came later in; its report, drawn, out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float16, Int
from PIL import Image

from anomaly_clustering.data.metadata import TIME, Metadata
from anomaly_clustering.report.content import CONTENT_DIGITS, Given, Report
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.originals import address
from anomaly_clustering.report.page import write_report
from anomaly_clustering.report.pictures import Outline
from anomaly_clustering.runs.file_names import PAGE
from anomaly_clustering.runs.kept_metadata import columns_of
from anomaly_clustering.runs.kept_pictures import KeptPictures, small_picture
from anomaly_clustering.runs.regions import regions_of
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.runs.unusual import grade, scale_of_run, sound_of
from anomaly_clustering.system.progress import tracked

GONE_SIZE = (64, 64)


class AssignedImages(NamedTuple):
    """Images that were assigned to the clusters of a run, one entry an image.

    Attributes:
        paths: their files.
        labels: cluster of each, as the page counts clusters: that which the run has of the nearest image, where it goes
            with that one; -1 of an unknown image [K].
        nearest: the image of the run that each is most like, in the cluster that it was assigned to [K].
        distances: to the centre of that cluster [K].
        weights: of the patches of each image [K, H, W].
        places: on the map of the run [K, 2].
        embeddings: one vector an image [K, D]; None where the run has none.
        scores: how unusual each patch is [K, H, W]; None where the run knows of none.
        groups: numbers of all groups of unknown images that were ever proposed.
        notices: what is to be said of them.
        digests: SHA-256 of the files.
    """

    paths: Sequence[Path]
    labels: Int[np.ndarray, " k"]
    nearest: Int[np.ndarray, " k"]
    distances: Float[np.ndarray, " k"]
    weights: Float16[np.ndarray, "k h w"]
    places: Float[np.ndarray, "k 2"]
    embeddings: Float[np.ndarray, "k d"] | None = None
    scores: Float[np.ndarray, "k h w"] | None = None
    groups: Sequence[int] = ()
    notices: Sequence[str] = ()
    digests: Sequence[str] = ()


def draw_report(
    folder: Path,
    run: StoredRun,
    kept: KeptPictures,
    later: AssignedImages | None = None,
    *,
    home: Path,
    metadata: Mapping[Path, Metadata],
    given: Given | None = None,
) -> None:
    """Write the report, and the thumbnails beside it where there are many.

    Args:
        folder: to write to.
        run: as it is stored.
        kept: pictures of images by their content; those that are drawn and not among them are added.
        later: images that are not of the run; None where there are none.
        home: of the run, from where the page leads to the files of the images.
        metadata: of the images, where there is any.
        given: decisions that the page opens with; None where nobody has decided anything.

    Raises:
        ValueError: an image cannot be read.
        OSError: the report cannot be written.
    """
    if later is None:
        h, w = run.weights.shape[1:]
        none, no_patch = np.empty(0, dtype=np.int64), np.empty((0, h, w), np.float16)
        later = AssignedImages([], none, none, np.empty(0), no_patch, np.empty((0, 2)), scores=no_patch)
    scores = None
    if run.scores is not None and later.scores is not None:
        scores = np.concatenate([run.scores, later.scores])
    sound = sound_of(run.top_scores, run.normal_top_scores)
    if sound is not None:
        # Of those that came later only findings are shown.
        sound = np.append(sound, np.zeros(len(later.paths), dtype=bool))
    found = grade(np.concatenate([run.weights, later.weights]), scores, scale_of_run(run), sound)
    paths = [*run.paths, *later.paths]
    contents = dict(zip(paths, [*run.digests, *later.digests], strict=True))
    report = Report(
        title=run.title,
        paths=paths,
        read=lambda path: _picture(path, contents[path], kept, run.recipe.bits),
        names=[*short_names(run.paths), *short_names(later.paths)],
        labels=np.append(run.labels, later.labels),
        distances=np.append(run.distances, later.distances),
        heat=found.heat,
        scores=found.scores,
        sound=found.sound,
        outlines=(lambda i: []) if found.scores is None else lambda i: _outlines(found.heat[i]),
        target=np.append(run.target, np.full(len(later.paths), -1)),
        class_names=run.class_names,
        tree=run.tree,
        places=np.concatenate([run.places, later.places]),
        map_name=run.map_name,
        curves=run.curves,
        nearest=later.nearest.tolist(),
        facts=run.facts,
        groups=later.groups,
        notices=[
            *run.notices,
            *_told_of_gone("of the run", run.paths, run.digests, kept),
            *_told_of_gone("that came later", later.paths, later.digests, kept),
            *later.notices,
        ],
        originals=[address(path, home) if path.is_file() else "" for path in paths],
        alike=most_alike(_vectors(run, later)),
        given=given,
        contents=[digest[:CONTENT_DIGITS] for digest in later.digests],
        metadata=_columns(paths, metadata),
    )
    write_report(folder / PAGE, report, progress=lambda images: tracked(images, "Drawing the report"))


def _told_of_gone(which: str, paths: Sequence[Path], contents: Sequence[str], kept: KeptPictures) -> list[str]:
    gone = [content for path, content in zip(paths, contents, strict=True) if not path.is_file()]
    grey = sum(kept.get(content) is None for content in gone)
    shown = (("shown as small as they were kept", len(gone) - grey), ("shown grey", grey))
    return [f"{how}, since their files are gone: {count} of the images {which}" for how, count in shown if count]


def _columns(paths: Sequence[Path], metadata: Mapping[Path, Metadata]) -> dict[str, list[str]]:
    """Time, where any image has one, and the other columns of the metadata, with a text for each image."""
    told = [metadata.get(path, Metadata(None, {})) for path in paths]
    times = ["" if one.time is None else one.time.isoformat() for one in told]
    first = {TIME: times} if any(times) else {}
    return first | {name: [one.values.get(name, "") for one in told] for name in columns_of(metadata)}


def _outlines(heat: Float[np.ndarray, "h w"]) -> list[Outline]:
    """None where the heat falls into pieces, as that of a pattern does, and shows no defect."""
    try:
        return [region.polygon for region in regions_of(heat)]
    except ValueError:
        return []


def _vectors(run: StoredRun, later: AssignedImages) -> Float[np.ndarray, "n d"]:
    """Embeddings; of a run that compared images patch by patch the places on its map, which is all that it keeps."""
    if run.embeddings is None:
        return np.concatenate([run.places, later.places])
    return run.embeddings if later.embeddings is None else np.concatenate([run.embeddings, later.embeddings])


def _picture(path: Path, content: str, kept: KeptPictures, bits: int) -> Image.Image:
    """As it was kept, or else as its file has it; grey where an image has been moved away or overwritten before."""
    picture = kept.get(content)
    if picture is None:
        if not path.is_file():
            return Image.new("RGB", GONE_SIZE, "grey")
        picture = small_picture(path, bits)
        kept.keep(content, picture)
    return picture


def short_names(images: Sequence[Path]) -> list[str]:
    """Names without the part of the path that all have in common.

    Args:
        images: files of the images.

    Returns:
        A name for each image, with slashes between folders.

    Example:
        >>> short_names([Path("photos/dent/0.png"), Path("photos/good/0.png")])
        ['dent/0.png', 'good/0.png']
    """
    if not images:
        return []
    folders = {image.parent for image in images}
    shared = next(
        (folder for folder in [images[0].parent, *images[0].parents] if all(f.is_relative_to(folder) for f in folders)),
        None,
    )
    return [(image.relative_to(shared) if shared else image).as_posix() for image in images]
