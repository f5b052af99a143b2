"""Cluster ids and true classes, integers [N], in; how well they agree out. First functions, then torchmetrics classes.

Arguments are always (preds, target). Ids are names: they need not be contiguous, nor as many on one side as on the
other. All sums are exact or in float64.
"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

Labels = Int[Tensor, " n"]
Score = Float[Tensor, ""]


def contingency(preds: Labels, target: Labels) -> Float[Tensor, "clusters classes"]:
    """How many samples of each class each cluster holds.

    Raises:
        ValueError: no samples.
    """
    if len(target) == 0:
        raise ValueError("metrics need at least one labelled sample, got none")
    _, rows = preds.unique(return_inverse=True)
    _, columns = target.unique(return_inverse=True)
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    return torch.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).view(shape).double()


def normalized_mutual_information(preds: Labels, target: Labels) -> Score:
    """Mutual information over the arithmetic mean of the two entropies; 1 where both sides are one single group."""
    counts = contingency(preds, target)
    if counts.numel() == 1:
        return counts.new_ones(())
    joint = counts / counts.sum()
    rows, columns = joint.sum(1), joint.sum(0)
    information = torch.special.xlogy(joint, joint / torch.outer(rows, columns).clamp_min(1e-300)).sum()
    mean_entropy = (torch.special.entr(rows).sum() + torch.special.entr(columns).sum()) / 2
    return (information / mean_entropy).clamp(0, 1)


def adjusted_rand_index(preds: Labels, target: Labels) -> Score:
    """Share of pairs of samples on which both sides agree, corrected for chance (Hubert and Arabie 1985)."""
    counts = contingency(preds, target)
    together = _pairs(counts).sum()
    rows, columns, everything = _pairs(counts.sum(1)).sum(), _pairs(counts.sum(0)).sum(), _pairs(counts.sum())
    if rows == columns and rows in (0, everything):
        return counts.new_ones(())
    expected = rows * columns / everything
    return (together - expected) / ((rows + columns) / 2 - expected)


def _pairs(counts: Tensor) -> Tensor:
    return counts * (counts - 1) / 2


def matched_f1(preds: Labels, target: Labels) -> Score:
    """Support-weighted F1 after clusters were matched to classes one to one; an unmatched class has F1 zero."""
    counts = contingency(preds, target)
    rows, columns = _match(counts)
    return _support_weighted_f1(counts)[rows, columns].sum()


def matched_accuracy(preds: Labels, target: Labels) -> Score:
    """Share of samples in the cluster that is matched to their class one to one ('micro F1' of later papers)."""
    counts = contingency(preds, target)
    rows, columns = _match(counts)
    return counts[rows, columns].sum() / counts.sum()


def _match(counts: Float[Tensor, "clusters classes"]) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
    """The Hungarian matching on counts; of equal ones that of the highest F1, whatever the order of ids."""
    rows, columns = linear_sum_assignment((counts + _support_weighted_f1(counts) / 2).cpu(), maximize=True)
    return torch.from_numpy(rows).to(counts.device), torch.from_numpy(columns).to(counts.device)


def _support_weighted_f1(counts: Float[Tensor, "clusters classes"]) -> Float[Tensor, "clusters classes"]:
    """What each cluster would add to the weighted F1 if matched to each class; a matching adds at most 1 in all."""
    support = counts.sum(0)
    return 2 * counts / (counts.sum(1)[:, None] + support) * support / counts.sum()


def purity(preds: Labels, target: Labels) -> Score:
    """Share of samples that belong to the most frequent class of their cluster."""
    counts = contingency(preds, target)
    return counts.amax(1).sum() / counts.sum()


def each_once(index: list[Tensor], *states: list[Tensor]) -> tuple[Tensor, ...]:
    """What a metric accumulated, in the order of `index`; of samples with the same index only the first.

    A distributed sampler repeats samples to fill up. An index below zero is unknown and never counts as repeated.
    """
    positions = dim_zero_cat(index)
    order = positions.argsort(stable=True)
    ordered = positions[order]
    repeated = (ordered.diff(prepend=ordered.new_tensor([-1])) == 0) & (ordered >= 0)
    return tuple(dim_zero_cat(state)[order[~repeated]] for state in states)


class ClusteringMetric(Metric):
    """A function of all cluster ids and classes as a torchmetrics class.

    Samples with target -1 (unknown) are left out. A sample that a distributed sampler repeats is counted once, by its
    `index`; give none where there are no repetitions.
    """

    full_state_update = False
    higher_is_better = True
    function: "ClassVar[staticmethod[[Labels, Labels], Score]]"
    preds: list[Tensor]
    target: list[Tensor]
    index: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("preds", "target", "index"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, preds: Labels, target: Labels, index: Labels | None = None) -> None:
        """Add samples: cluster ids, classes, positions in the data set."""
        self.preds.append(preds)
        self.target.append(target)
        self.index.append(torch.full_like(target, -1) if index is None else index)

    def compute(self) -> Score:
        """The function on all samples.

        Raises:
            ValueError: no sample has a known class.
        """
        preds, target = each_once(self.index, self.preds, self.target)
        known = target >= 0
        return type(self).function(preds[known], target[known])


class NormalizedMutualInformation(ClusteringMetric):
    """See `normalized_mutual_information`."""

    function = staticmethod(normalized_mutual_information)


class AdjustedRandIndex(ClusteringMetric):
    """See `adjusted_rand_index`."""

    function = staticmethod(adjusted_rand_index)


class MatchedF1(ClusteringMetric):
    """See `matched_f1`."""

    function = staticmethod(matched_f1)


class MatchedAccuracy(ClusteringMetric):
    """See `matched_accuracy`."""

    function = staticmethod(matched_accuracy)


class Purity(ClusteringMetric):
    """See `purity`."""

    function = staticmethod(purity)


def clustering_metrics() -> MetricCollection:
    """The evaluator that all methods share: NMI, ARI, F1, accuracy and purity over one state."""
    return MetricCollection(
        {
            "nmi": NormalizedMutualInformation(),
            "ari": AdjustedRandIndex(),
            "f1": MatchedF1(),
            "accuracy": MatchedAccuracy(),
            "purity": Purity(),
        }
    )
