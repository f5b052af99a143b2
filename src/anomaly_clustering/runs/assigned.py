"""Assigns images to the run that lies in a folder, and leaves there what came of it: a table, the page, the images."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.datamodule import DefectImages
from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.data.records import Record
from anomaly_clustering.mic.recipe import Recipe, embed_new
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.report.places import place_among
from anomaly_clustering.runs.assign import Assignment, Embedded, Fitted, assign
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS, check_false_alarms, why_none
from anomaly_clustering.runs.file_names import ASSIGNED
from anomaly_clustering.runs.given_folders import check_given, check_same
from anomaly_clustering.runs.kept_metadata import load_metadata, write_metadata
from anomaly_clustering.runs.known_clusters import known_clusters
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.later_images import LaterImages, contents_of, load_later
from anomaly_clustering.runs.mark import files_into
from anomaly_clustering.runs.output_folder import mark_of_run
from anomaly_clustering.runs.patch_scores import patch_scores
from anomaly_clustering.runs.run_report import AssignedImages, draw_report
from anomaly_clustering.runs.store import StoredRun, find_store, load_run
from anomaly_clustering.system.files import digest, remove_leftovers
from anomaly_clustering.system.locks import working_on


class Assigned(NamedTuple):
    """What became of images that were assigned to a run.

    Attributes:
        rows: of `runs.assignments`.
        notices: what a reader should know before reading on.
    """

    rows: list[dict[str, Any]]
    notices: list[str]


def assign_to_run(
    folder: Path,
    images: Sequence[Path],
    *,
    labels: Path | None = None,
    folders: Sequence[Path] | None = None,
    false_alarms: float = FALSE_ALARMS,
    metadata: Mapping[Path, Metadata] | None = None,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> Assigned:
    """Assign images to the clusters of a run; all of its folder is brought up to date, or nothing.

    Args:
        folder: of the run.
        images: files; those that the run or an earlier call has seen are told by their content.
        labels: labels.csv or labels.json from the report, where clusters were corrected or named.
        folders: in which the images of the run, and those of earlier calls, may lie; None for the working directory.
            What has the content that the run has seen may lie anywhere. A run of somebody else could name any image.
        false_alarms: share of known images that may be taken for unknown, see `nearest_clusters`.
        metadata: of the images, kept with the run beside what it has.
        progress: wraps the images while the report is drawn.

    Returns:
        A row of `runs.assignments` for each given image that is of the run, then one for each image that came later,
        in this call or before: clusters may have been corrected since.

    Raises:
        FileNotFoundError: the folder holds no run, or images of the run are not where they were.
        ValueError: the run compared images patch by patch, labels are those of another run, a file is damaged, an image
            has changed since it was seen, or `false_alarms` is no share.
        PermissionError: an image of the run lies outside of the folders.
        BlockingIOError: another process works on the run.
    """
    find_store(folder)
    check_false_alarms(false_alarms)
    # From what is read to what is written: two at once would each keep their own images alone.
    with working_on(folder):
        remove_leftovers(folder)
        run = load_run(folder)
        _check_there(run)
        known = known_clusters(run, labels)
        seen = load_later(folder, run)
        drawn = [path for path in [*run.paths, *seen.paths] if path.is_file()]
        check_given(drawn, folders, contents=contents_of(run, seen))
        asked = set(images)
        check_same([path for path in drawn if path not in asked], contents_of(run, seen))
        later, given = embed_later(run, seen, images)
        new = Embedded(later.digests, later.embeddings, later.top_scores)
        fitted = fitted_to(run, known.labels)
        contents = set(run.digests)
        of_run = {image: content for image, content in given.items() if content in contents}
        # Of later images too there may be copies.
        first = dict(zip(later.digests, later.paths, strict=True))
        again = {image: content for image, content in given.items() if first.get(content, image) != image}
        found_own, found, found_again = (
            assign(contents, new, fitted, false_alarms=false_alarms)
            for contents in (list(of_run.values()), later.digests, list(again.values()))
        )
        rows = [
            *_rows(list(of_run), found_own, known.names, same_as=[str(run.paths[i]) for i in found_own.nearest]),
            *_rows(later.paths, found, known.names, same_as=[""] * len(later.paths)),
            *_rows(list(again), found_again, known.names, same_as=[str(first[content]) for content in again.values()]),
        ]
        _write(folder, run, later, found, rows, load_metadata(folder) | dict(metadata or {}), known.given, progress)
        return Assigned(rows, what_to_know(run, false_alarms))


def what_to_know(run: StoredRun, false_alarms: float) -> list[str]:
    """What a run cannot tell of images that come later.

    Args:
        run: as it is stored.
        false_alarms: share of known images that may be taken for unknown.

    Returns:
        Sentences for the user.
    """
    none = why_none(len(run.paths), false_alarms)
    notices = [none] if none else []
    if run.recipe.weights != "uniform" and np.isnan(run.top_scores).any():
        notices.append(
            "the run is of an earlier version, which did not keep how unusual the most unusual patches are: what is "
            "unknown is told by the distance to clusters alone; cluster the images anew to tell it by patches too"
        )
    return notices


def fitted_to(run: StoredRun, labels: Int[np.ndarray, " n"]) -> Fitted:
    """A stored run, as later images are assigned to it.

    Args:
        run: with embeddings.
        labels: cluster of each image of the run [N], which may have been corrected since.

    Returns:
        What `assign` asks for.
    """
    assert run.embeddings is not None
    return Fitted(run.recipe, run.references, run.digests, run.embeddings, labels, run.top_scores)


def embed_later(run: StoredRun, seen: LaterImages, images: Sequence[Path]) -> tuple[LaterImages, dict[Path, str]]:
    """Embed those images that are neither of the run nor seen before; what has the same content is the same image.

    Args:
        run: with embeddings.
        seen: images that came after the run and were embedded before.
        images: files of the images that are asked for.

    Returns:
        All later images, and the digest of each of the given ones.

    Raises:
        ValueError: an image has the path of one of the run, or seen before, but another content.
    """
    contents = {image: digest(image) for image in images}
    before = contents_of(run, seen)
    for image, content in contents.items():
        if before.get(image, content) != content:
            raise ValueError(
                f"image {str(image)!r} is not what it was when the run last saw it; give new images names of their own"
            )
    now = {content: image for image, content in reversed(contents.items())}
    places = zip(seen.paths, seen.digests, strict=True)
    # What was moved is where it was found.
    seen = replace(seen, paths=[path if path.is_file() else now.get(content, path) for path, content in places])
    known = {*run.digests, *seen.digests}
    new = {content: image for image, content in reversed(contents.items()) if content not in known}
    if not new:
        return seen, contents
    paths = sorted(new.values())
    found = embed_new(_batches(paths, run.recipe), run.recipe, run.references, center=run.center, device=ACCELERATOR)
    for name, own, theirs in (
        ("weights", run.weights, found.weights),
        ("embeddings", run.embeddings, found.embeddings),
    ):
        if own is None or own.shape[1:] != theirs.shape[1:]:
            raise ValueError(
                f"the run is damaged: by its recipe {name} of an image are {list(theirs.shape[1:])}, and it holds "
                f"{list(own.shape[1:]) if own is not None else 'none'}"
            )
    later = LaterImages(
        [*seen.paths, *paths],
        [*seen.digests, *(contents[path] for path in paths)],
        np.concatenate([seen.weights, found.weights]),
        np.concatenate([seen.embeddings, found.embeddings]),
        np.concatenate([seen.mean_scores, found.mean_scores]),
        np.concatenate([seen.top_scores, found.top_scores]),
        None
        if seen.scores is None
        else np.concatenate([seen.scores, patch_scores(found.weights, found.mean_scores, run.recipe.tau)]),
    )
    return later, contents


def _batches(images: Sequence[Path], recipe: Recipe) -> Iterator[Float[Tensor, "_ channels h w"]]:
    records = [Record(image, bits=recipe.bits) for image in images]
    loader = DataLoader(
        DefectImages(records, recipe.image_size, aspect=recipe.aspect), batch_size=recipe.batch, collate_fn=as_batch
    )
    for batch in track(loader, "Comparing with the run", transient=True):
        yield batch["image"]


def _check_there(run: StoredRun) -> None:
    missing = [path for path in run.paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(run.paths)} images of the run, which the report shows, are not there, "
            f"{str(missing[0])!r} for one; run the command where `anomaly-clustering cluster` was run"
        )


def _rows(
    images: Sequence[Path], found: Assignment, names: Mapping[int, str], *, same_as: Sequence[str]
) -> list[dict[str, object]]:
    return [
        {
            "path": image,
            "cluster": int(cluster),
            "label": "" if unknown else names.get(int(cluster), ""),
            "distance_to_center": float(distance),
            "unknown": bool(unknown),
            "p_value": "" if np.isnan(p) else float(p),
            "same_as": same,
        }
        for image, cluster, distance, unknown, p, same in zip(
            images, found.labels, found.distances, found.unknown, found.p_values, same_as, strict=True
        )
    ]


def _write(
    folder: Path,
    run: StoredRun,
    later: LaterImages,
    found: Assignment,
    rows: Sequence[Mapping[str, object]],
    metadata: Mapping[Path, Metadata],
    labels: Sequence[Labelled],
    progress: Callable[[Iterable[Path]], Iterable[Path]],
) -> None:
    """All of it, or nothing."""
    assert run.embeddings is not None
    mark = mark_of_run(folder)
    assert mark is not None
    with files_into(folder, mark, last=".html") as new:
        write_assignments(new / ASSIGNED, rows)
        later.save(new)
        if metadata:
            write_metadata(new, [*run.paths, *later.paths], metadata)
        drawn = AssignedImages(
            paths=later.paths,
            nearest=found.nearest,
            distances=found.distances,
            unknown=found.unknown,
            weights=later.weights.astype(np.float16),
            places=place_among(later.embeddings, run.embeddings, run.places),
            embeddings=later.embeddings,
            scores=later.scores,
        )
        draw_report(new, run, drawn, home=folder, labels=labels, progress=progress)
