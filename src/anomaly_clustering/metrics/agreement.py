"""Cluster ids and true classes, integers [N], in; how well they agree out. First functions, then torchmetrics classes.

Arguments are always (preds, target). Ids are names: they need not be contiguous, nor as many on one side as on the
other. A negative class is unknown, and its sample is left out. All sums are exact or in float64.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MetricCollection

from anomaly_clustering.metrics.batches import MetricOfBatches
from anomaly_clustering.metrics.counts import contingency, match_clusters, support_weighted_f1
from anomaly_clustering.metrics.samples import Labels, check_ids, each_once, positions_or_unknown

Score = Float[Tensor, ""]


def normalized_mutual_information(preds: Labels, target: Labels) -> Score:
    """NMI: mutual information I(P; T) / ((H(P) + H(T)) / 2); 1 where both sides are one single group (section 4).

    Args:
        preds: cluster id of each sample [N].
        target: class of each sample [N]; samples of a negative (unknown) class are left out.

    Returns:
        From 0 (neither side tells anything of the other) to 1 (the same groups).

    Raises:
        ValueError: no sample has a known class, or the two are not integers, one a sample.

    Example:
        >>> normalized_mutual_information(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 3, 7])).item()
        0.344
    """
    counts = contingency(preds, target)
    if counts.numel() == 1:
        return counts.new_ones(())
    joint = counts / counts.sum()
    rows, columns = joint.sum(1), joint.sum(0)
    information = torch.special.xlogy(joint, joint / torch.outer(rows, columns).clamp_min(1e-300)).sum()
    mean_entropy = (torch.special.entr(rows).sum() + torch.special.entr(columns).sum()) / 2
    return (information / mean_entropy).clamp(0, 1)


def adjusted_rand_index(preds: Labels, target: Labels) -> Score:
    """ARI: share of pairs of samples on which both sides agree, corrected for chance (Hubert and Arabie 1985).

    Args:
        preds: cluster id of each sample [N].
        target: class of each sample [N]; samples of a negative (unknown) class are left out.

    Returns:
        1 for the same groups, around 0 for random ones, below 0 for worse than random.

    Raises:
        ValueError: no sample has a known class, or the two are not integers, one a sample.

    Example:
        >>> adjusted_rand_index(torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 0, 0, 1, 1])).item()
        0.167
    """
    counts = contingency(preds, target)
    together = _pairs(counts).sum()
    rows, columns, everything = _pairs(counts.sum(1)).sum(), _pairs(counts.sum(0)).sum(), _pairs(counts.sum())
    if rows == columns and rows in (0, everything):
        return counts.new_ones(())
    expected = rows * columns / everything
    return (together - expected) / ((rows + columns) / 2 - expected)


def _pairs(counts: Tensor) -> Tensor:
    return counts * (counts - 1) / 2


def _over_matched(values: Float[Tensor, "clusters classes"], counts: Float[Tensor, "clusters classes"]) -> Score:
    """Sum of the values of all pairs of a cluster and the class that it is matched to."""
    classes = match_clusters(counts)
    matched = classes >= 0
    return values[matched, classes[matched]].sum()


def matched_f1(preds: Labels, target: Labels) -> Score:
    """F1 after `match_clusters`, averaged over classes by their support; an unmatched class has F1 zero (section 4).

    Args:
        preds: cluster id of each sample [N].
        target: class of each sample [N]; samples of a negative (unknown) class are left out.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: no sample has a known class, or the two are not integers, one a sample.

    Example:
        >>> matched_f1(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 3, 7])).item()
        0.767
    """
    counts = contingency(preds, target)
    return _over_matched(support_weighted_f1(counts), counts)


def matched_accuracy(preds: Labels, target: Labels) -> Score:
    """Share of samples in the cluster that `match_clusters` gives their class ('micro F1' of later papers).

    Args:
        preds: cluster id of each sample [N].
        target: class of each sample [N]; samples of a negative (unknown) class are left out.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: no sample has a known class, or the two are not integers, one a sample.

    Example:
        >>> matched_accuracy(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 3, 7])).item()
        0.75
    """
    counts = contingency(preds, target)
    return _over_matched(counts, counts) / counts.sum()


def purity(preds: Labels, target: Labels) -> Score:
    """Share of samples that belong to the most frequent class of their cluster (section 4.4).

    Args:
        preds: cluster id of each sample [N].
        target: class of each sample [N]; samples of a negative (unknown) class are left out.

    Returns:
        Above 0, at most 1.

    Raises:
        ValueError: no sample has a known class, or the two are not integers, one a sample.

    Example:
        >>> purity(torch.tensor([0, 0, 0, 1]), torch.tensor([3, 3, 7, 7])).item()
        0.75
    """
    counts = contingency(preds, target)
    return counts.amax(1).sum() / counts.sum()


class ClusteringMetric(MetricOfBatches):
    """A function of all cluster ids and classes as a torchmetrics class; each subclass names its function.

    Samples of a negative (unknown) class are left out; `forward` of a batch without a known class gives NaN. A sample
    that a distributed sampler repeats is counted once, by its `index`; give none where there are no repetitions.

    Example:
        >>> class Hits(ClusteringMetric):
        ...     function = staticmethod(lambda preds, target: (preds == target).double().mean())
        >>> metric = Hits()
        >>> metric.update(torch.tensor([0, 1]), torch.tensor([0, 0]))
        >>> metric.compute().item()
        0.5
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
        """Add samples.

        Args:
            preds: cluster id of each sample [B].
            target: class of each sample [B], negative where unknown.
            index: position of each sample in the data set [B].

        Raises:
            ValueError: they are not integers, one a sample.
        """
        check_ids(preds=preds, target=target, index=index)
        self.preds.append(preds)
        self.target.append(target)
        self.index.append(positions_or_unknown(index, target))

    def compute(self) -> Score:
        """The function of all samples.

        Raises:
            ValueError: no sample was added, or none has a known class.
        """
        return self.scored(lambda: type(self).function(*each_once(self.index, self.preds, self.target)))


class NormalizedMutualInformation(ClusteringMetric):
    """`normalized_mutual_information` of all samples.

    Example:
        >>> metric = NormalizedMutualInformation()
        >>> metric(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 7, 7])).item()
        1.0
    """

    function = staticmethod(normalized_mutual_information)


class AdjustedRandIndex(ClusteringMetric):
    """`adjusted_rand_index` of all samples.

    Example:
        >>> metric = AdjustedRandIndex()
        >>> metric(torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 0, 0, 1, 1])).item()
        0.167
    """

    function = staticmethod(adjusted_rand_index)


class MatchedF1(ClusteringMetric):
    """`matched_f1` of all samples.

    Example:
        >>> metric = MatchedF1()
        >>> metric(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 3, 7])).item()
        0.767
    """

    function = staticmethod(matched_f1)


class MatchedAccuracy(ClusteringMetric):
    """`matched_accuracy` of all samples.

    Example:
        >>> metric = MatchedAccuracy()
        >>> metric(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 3, 7])).item()
        0.75
    """

    function = staticmethod(matched_accuracy)


class Purity(ClusteringMetric):
    """`purity` of all samples.

    Example:
        >>> metric = Purity()
        >>> metric(torch.tensor([0, 0, 0, 1]), torch.tensor([3, 3, 7, 7])).item()
        0.75
    """

    function = staticmethod(purity)


# The scores that all methods share.
METRICS: Mapping[str, type[ClusteringMetric]] = {
    "nmi": NormalizedMutualInformation,
    "ari": AdjustedRandIndex,
    "f1": MatchedF1,
    "accuracy": MatchedAccuracy,
    "purity": Purity,
}
# The same without torchmetrics, whose classes wait for other processes, which may have nothing to say.
FUNCTIONS: Mapping[str, Callable[[Labels, Labels], Score]] = {name: metric.function for name, metric in METRICS.items()}


def clustering_metrics() -> MetricCollection:
    """The evaluator that all methods share: NMI, ARI, F1, accuracy and purity over one state.

    Example:
        >>> evaluator = clustering_metrics()
        >>> scores = evaluator(torch.tensor([0, 0, 1, 1]), torch.tensor([3, 3, 3, 7]))
        >>> {name: round(score.item(), 2) for name, score in scores.items()}
        {'accuracy': 0.75, 'ari': 0.0, 'f1': 0.77, 'nmi': 0.34, 'purity': 0.75}
    """
    return MetricCollection({name: metric() for name, metric in METRICS.items()})
