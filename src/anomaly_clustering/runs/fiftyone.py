"""A stored run in; a FiftyOne dataset with clusters, embeddings, scores and heat maps out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anomaly_clustering.runs.given_folders import check_given, check_same
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.runs.unusual import graded
from anomaly_clustering.system.files import real_path

if TYPE_CHECKING:
    import fiftyone


def samples(
    run: StoredRun, labels: Mapping[Path, str] | None = None, *, images: Sequence[Path] | None = None
) -> "list[fiftyone.Sample]":
    """One sample an image, with the fields `cluster`, `distance`, `heat` and, where they are known, `score`,
    `ground_truth`, `label` and `embedding`.

    Heat maps and scores are those of the report.

    Args:
        run: with its images where they were.
        labels: names of images by path, such as those of `read_labels`.
        images: folders in which the images may lie; None for the working directory. What has the content that the run
            has seen may lie anywhere.

    Returns:
        The samples, in the order of the run.

    Raises:
        ImportError: the extra `fiftyone` is not installed.
        PermissionError: an image lies outside of the folders, and is not what the run has seen.
        ValueError: an image has changed since the run saw it.
    """
    there = [path for path in run.paths if path.is_file()]
    contents = run.contents
    check_given(there, images, contents=contents)
    check_same(there, contents)
    fo = _fiftyone()
    found = []
    heat, scores, _ = graded(run)
    for i, path in enumerate(run.paths):
        sample = fo.Sample(
            filepath=str(real_path(path)),
            cluster=fo.Classification(label=f"cluster {run.labels[i]}"),
            distance=float(run.distances[i]),
            heat=fo.Heatmap(map=heat[i].astype(np.float32), range=[0, 1]),
        )
        if scores is not None:
            sample["score"] = float(scores[i])
        if run.target[i] >= 0:
            sample["ground_truth"] = fo.Classification(label=run.class_names[run.target[i]])
        if labels and labels.get(path):
            sample["label"] = fo.Classification(label=labels[path])
        if run.embeddings is not None:
            sample["embedding"] = run.embeddings[i]
        found.append(sample)
    return found


def to_fiftyone(
    folder: Path | str,
    *,
    labels: Mapping[Path, str] | None = None,
    name: str | None = None,
    images: Sequence[Path] | None = None,
) -> "fiftyone.Dataset":
    """A dataset of the images of a run, in FiftyOne's database.

    Args:
        folder: of the run.
        labels: see `samples`.
        name: of the dataset; FiftyOne makes one up if not given.
        images: see `samples`.

    Returns:
        The dataset, which FiftyOne forgets when the program ends unless it is made persistent.

    Raises:
        ImportError: the extra `fiftyone` is not installed.
        FileNotFoundError: the folder holds no run.
        ValueError: the run is damaged, an image of it has changed, or there is a dataset of that name.
        PermissionError: an image lies outside of the folders, and is not what the run has seen.
    """
    found = samples(load_run(Path(folder)), labels, images=images)
    dataset = _fiftyone().Dataset(name)
    dataset.add_samples(found, progress=False)
    return dataset


def _fiftyone() -> Any:
    try:
        import fiftyone
    except ImportError:
        raise ImportError('FiftyOne is not installed; pip install "anomaly-clustering[fiftyone]"') from None
    return fiftyone
