"""Counts how many samples of each class each cluster holds, and matches clusters to classes one to one by that."""

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from anomaly_clustering.metrics.samples import Labels, NothingToScore, check_ids


def contingency(preds: Labels, target: Labels) -> Float[Tensor, "clusters classes"]:
    """Count how many samples of each class each cluster holds.

    Args:
        preds: cluster id of each sample [N].
        target: class of each sample [N]; samples of a negative (unknown) class are left out.

    Returns:
        One row for each id in `preds`, one column for each class in `target`, both in ascending order.

    Raises:
        ValueError: no sample has a known class, or the two are not integers, one a sample.

    Example:
        >>> contingency(torch.tensor([5, 5, 9]), torch.tensor([0, 1, 1])).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    check_ids(preds=preds, target=target)
    known = target >= 0
    if not known.any():
        raise NothingToScore("metrics need at least one labelled sample, got none")
    _, rows = preds[known].unique(return_inverse=True)
    _, columns = target[known].unique(return_inverse=True)
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    return torch.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).view(shape).double()


def confusion(
    labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"], *, num_classes: int
) -> Int[np.ndarray, "k {num_classes}"]:
    """Count how many images of each class (column) each cluster (row) holds.

    Args:
        labels: cluster of each image [N], from 0 on; a number that no image has gets a row of zeros.
        target: class of each image [N], below `num_classes`; images of unknown class (-1) are not counted.
        num_classes: columns.

    Returns:
        Number of images [K, C], where K is one more than the largest cluster number and C is `num_classes`.

    Raises:
        ValueError: the lengths differ, a cluster is negative, or a class has no column.

    Example:
        >>> confusion(np.array([0, 0, 2]), np.array([1, 0, -1]), num_classes=2).tolist()
        [[1, 1], [0, 0], [0, 0]]
    """
    if len(labels) != len(target):
        raise ValueError(f"labels and target must be one an image, got {len(labels)} and {len(target)}")
    if labels.min(initial=0) < 0:
        raise ValueError(f"clusters must be numbered from 0, got {labels.min()}")
    if target.max(initial=-1) >= num_classes:
        raise ValueError(f"classes must be below {num_classes} (num_classes), got {target.max()}")
    known = target >= 0
    counts = np.zeros((labels.max(initial=-1) + 1, num_classes), dtype=np.int64)
    np.add.at(counts, (labels[known], target[known]), 1)
    return counts


def match_clusters(counts: Shaped[Tensor, "clusters classes"]) -> Int[Tensor, " clusters"]:
    """Match clusters to classes one to one so that most samples agree: the Hungarian algorithm on counts (section 4).

    If several matchings have the most hits, the one with the highest weighted F1 is taken, so that no score depends on
    the order of ids. Rows and columns without a sample change nothing.

    Args:
        counts: samples of each class (column) in each cluster (row), such as those of `contingency`.

    Returns:
        The class, a column, of each cluster; -1 where no class is left that has a sample in the cluster.

    Raises:
        ValueError: a count is negative or not finite.

    Example:
        >>> match_clusters(torch.tensor([[0, 5], [4, 1], [3, 3]])).tolist()
        [1, 0, -1]
    """
    if not (counts.isfinite() & (counts >= 0)).all():
        raise ValueError(f"counts must be finite and not negative, got {counts.tolist()}")
    # Whatever the matching, F1 adds at most 1 in all: halved, it never outweighs one sample.
    gains = (counts.double() + support_weighted_f1(counts) / 2).cpu()
    rows, columns = (torch.from_numpy(found).to(counts.device) for found in linear_sum_assignment(gains, maximize=True))
    classes = torch.full((len(counts),), -1, device=counts.device)
    classes[rows] = torch.where(counts[rows, columns] > 0, columns, -1)
    return classes


def support_weighted_f1(counts: Shaped[Tensor, "clusters classes"]) -> Float[Tensor, "clusters classes"]:
    """What each cluster would add to the weighted F1 if it were matched to each class.

    Args:
        counts: samples of each class (column) in each cluster (row).

    Example:
        >>> import torch
        >>> support_weighted_f1(torch.tensor([[2, 0], [1, 1]])).tolist()
        [[0.6, 0.0], [0.3, 0.167]]
    """
    exact = counts.double()
    support = exact.sum(0)
    # The denominators are zero only where no sample is counted.
    f1 = 2 * exact / (exact.sum(1)[:, None] + support).clamp_min(1)
    return f1 * support / exact.sum().clamp_min(1)
