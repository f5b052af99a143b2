"""Clusters against known classes: cluster ids [N] and class ids [N] -> counts [K, C], and what they say."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment


def confusion(
    labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"], *, num_classes: int
) -> Int[np.ndarray, "k {num_classes}"]:
    """How many images of each class (column) each cluster (row) holds; images of unknown class (-1) are not counted."""
    known = target >= 0
    counts = np.zeros((labels.max() + 1, num_classes), dtype=np.int64)
    np.add.at(counts, (labels[known], target[known]), 1)
    return counts


def purity(counts: Int[np.ndarray, "k c"]) -> float | None:
    """Share of the images that are of their cluster's most frequent class; None where no class is known."""
    total = counts.sum()
    return float(counts.max(axis=1).sum() / total) if total else None


def match(counts: Int[np.ndarray, "k c"]) -> Int[np.ndarray, " k"]:
    """The class that each cluster is matched to one to one, so that most images agree; -1 where none is left."""
    matched = np.full(len(counts), -1)
    clusters, classes = linear_sum_assignment(counts, maximize=True)
    matched[clusters] = classes
    return matched


class Row(NamedTuple):
    """One cluster."""

    number: int
    size: int
    counts: Sequence[int]  # per class
    matched: int | None  # the class that the cluster stands for when clusters and classes are matched one to one

    @property
    def unknown(self) -> int:
        return self.size - sum(self.counts)

    @property
    def majority(self) -> int | None:
        return self.counts.index(max(self.counts)) if any(self.counts) else None

    @property
    def purity(self) -> float | None:
        return max(self.counts) / sum(self.counts) if any(self.counts) else None


class Confusion(NamedTuple):
    """All clusters, the largest first."""

    rows: Sequence[Row]
    totals: Sequence[int]  # per class
    purity: float
    accuracy: float  # share of the images of known class that are in the cluster matched to their class

    @property
    def unknown(self) -> list[int]:
        return [row.unknown for row in self.rows]


def against_classes(
    labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"], *, num_classes: int
) -> Confusion | None:
    """The table of a report; images in no cluster (-1) are left out. None where no class is known."""
    labels, target = labels[labels >= 0], target[labels >= 0]
    counts = confusion(labels, target, num_classes=num_classes)
    total_purity = purity(counts)
    if total_purity is None:
        return None
    matched = {k: c for k, c in enumerate(match(counts).tolist()) if c >= 0 and counts[k, c]}
    numbers, sizes = np.unique(labels, return_counts=True)
    rows = [
        Row(int(numbers[i]), int(sizes[i]), counts[numbers[i]].tolist(), matched.get(int(numbers[i])))
        for i in np.argsort(-sizes, kind="stable")
    ]
    agree = sum(counts[k, c] for k, c in matched.items())
    return Confusion(rows, counts.sum(0).tolist(), total_purity, float(agree / counts.sum()))
