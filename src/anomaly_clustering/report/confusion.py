"""Clusters against known classes: cluster ids [N] and class ids [N] -> counts [K, C], and counts -> purity."""

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
