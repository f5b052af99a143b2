"""The table of clusters against known classes that the report shows: majority, purity and match of each cluster."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from anomaly_clustering.metrics.agreement import matched_accuracy, purity
from anomaly_clustering.metrics.counts import confusion, match_clusters


class ClusterRow(NamedTuple):
    """One cluster: its number, how many images it has and of which classes.

    Attributes:
        number: of the cluster, as in the labels.
        size: how many images it has, of known and of unknown class.
        counts: how many of its images are of each class [C].
        matched: the class that it stands for when clusters and classes are matched one to one; None where none is left.

    Example:
        >>> row = against_classes(np.zeros(5, dtype=int), np.array([1, 1, 1, 0, -1]), num_classes=2).rows[0]
        >>> row.size, row.unknown, row.majority, row.purity
        (5, 1, 1, 0.75)
    """

    number: int
    size: int
    counts: Sequence[int]
    matched: int | None

    @property
    def unknown(self) -> int:
        """How many of its images are of unknown class."""
        return self.size - sum(self.counts)

    @property
    def majority(self) -> int | None:
        """The class that most of its images are of; None where no class is known."""
        return self.counts.index(max(self.counts)) if any(self.counts) else None

    @property
    def purity(self) -> float | None:
        """Share of the majority among its images of known class, from 0 to 1; None where no class is known."""
        return max(self.counts) / sum(self.counts) if any(self.counts) else None


class Confusion(NamedTuple):
    """All clusters, the largest first.

    Attributes:
        rows: one a cluster.
        totals: how many images there are of each class [C].
        purity: share of the images of known class that are of their cluster's majority, from 0 to 1.
        accuracy: share of the images of known class that are in the cluster matched to their class, from 0 to 1.

    Example:
        >>> table = against_classes(np.array([0, 0, 1]), np.array([1, -1, 0]), num_classes=2)
        >>> table.totals, table.unknown
        ([1, 1], [1, 0])
    """

    rows: Sequence[ClusterRow]
    totals: Sequence[int]
    purity: float
    accuracy: float

    @property
    def unknown(self) -> list[int]:
        """How many images of unknown class each cluster has, in the order of the rows."""
        return [row.unknown for row in self.rows]


def against_classes(
    labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"], *, num_classes: int
) -> Confusion | None:
    """Compare clusters with known classes, for the table of a report; images in no cluster (-1) are left out.

    Args:
        labels: cluster of each image [N], -1 where it is in none.
        target: class of each image [N], -1 where unknown.
        num_classes: columns of the table.

    Returns:
        The table, or None where no class is known.

    Raises:
        ValueError: the lengths differ, or a class is not below `num_classes`.

    Example:
        >>> found = against_classes(np.array([0, 0, 0, 1, -1]), np.array([1, 1, 0, 0, 0]), num_classes=2)
        >>> found.accuracy, [row.matched for row in found.rows]
        (0.75, [1, 0])
    """
    if len(labels) != len(target):
        raise ValueError(f"labels and target must be one an image, got {len(labels)} and {len(target)}")
    labels, target = labels[labels >= 0], target[labels >= 0]
    if not (target >= 0).any():
        return None
    counts = confusion(labels, target, num_classes=num_classes)
    matched = [c if c >= 0 else None for c in match_clusters(torch.from_numpy(counts)).tolist()]
    numbers, sizes = np.unique(labels, return_counts=True)
    rows = [
        ClusterRow(int(numbers[i]), int(sizes[i]), counts[numbers[i]].tolist(), matched[numbers[i]])
        for i in np.argsort(-sizes, kind="stable")
    ]
    preds, classes = torch.from_numpy(labels), torch.from_numpy(target)
    return Confusion(
        rows, counts.sum(0).tolist(), float(purity(preds, classes)), float(matched_accuracy(preds, classes))
    )
