"""A run, and maybe the labels that a person saved from its report, in; its clusters and their names out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from anomaly_clustering.runs.labels import Labelled, read_labels
from anomaly_clustering.runs.store import StoredRun


class KnownClusters(NamedTuple):
    """The clusters of a run, or what became of them in the report.

    Attributes:
        labels: cluster of each image of the run [N].
        names: of the clusters that a person named, by number; '' where one was not named.
        given: all images that the person's file names, later ones too.
    """

    labels: Int[np.ndarray, " n"]
    names: Mapping[int, str]
    given: Sequence[Labelled] = ()


def known_clusters(run: StoredRun, file: Path | None) -> KnownClusters:
    """The clusters that later images can join.

    Args:
        run: as it is stored.
        file: labels.csv or labels.json from the report of this run; None for the clusters as they were found.

    Returns:
        Cluster of each image, and names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the run has no embeddings, or the labels are those of another run.
    """
    if run.embeddings is None:
        raise ValueError(f"run {run.title!r} compared images patch by patch: it has no embeddings to assign by")
    if file is None:
        return KnownClusters(run.labels, {})
    decided = {image.path: image for image in read_labels(file)}
    missing = [path for path in run.paths if path not in decided]
    if missing:
        raise ValueError(
            f"{str(file)!r} is not of this run: {len(missing)} of its images are not in it, {str(missing[0])!r} for one"
        )
    own = [decided[path] for path in run.paths]
    labels = np.array([image.cluster for image in own])
    return KnownClusters(labels, {image.cluster: image.label for image in own}, list(decided.values()))
