"""A tree of merges [N - 1, 4] and true classes [N] in; purity of its cut into 1 to N clusters [N], mAUC and R@P out.

First functions, then torchmetrics classes. Section 4.4, Figures 4 and 13, Table 3.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import MetricCollection

from anomaly_clustering.metrics.agreement import Score
from anomaly_clustering.metrics.batches import MetricOfBatches
from anomaly_clustering.metrics.samples import Labels, NothingToScore, check_ids, each_once, positions_or_unknown

Tree = Float[np.ndarray, "n_minus_1 4"]
# At position K - 1 the purity of K clusters.
PurityOfCuts = Float[Tensor, " n"]


def purity_curve(tree: Tree, target: Labels) -> PurityOfCuts:
    """Purity of the cut into K clusters at position K - 1, in one walk over the merges (section 4.4, Figure 4).

    The curve never falls: the majority of two clusters together is at most the sum of their majorities, so no merge
    gains. It ends at 1.

    Args:
        tree: merges in the order in which they are made, as scipy's linkage matrix [N - 1, 4], of any linkage.
        target: class of each image [N]. Images of a negative (unknown) class are merged like all others and left out
            of the purity.

    Returns:
        Purity of 1 to N clusters [N], in float64.

    Raises:
        ValueError: no image has a known class; classes are not integers, one an image; the tree is one of more or
            fewer images, or does not merge each node once.

    Example:
        >>> merges = np.array([[0, 1, 1.0, 2], [4, 2, 2.0, 3], [5, 3, 6.0, 4]])
        >>> purity_curve(merges, torch.tensor([7, 7, 2, 5])).tolist()
        [0.5, 0.75, 1.0, 1.0]
    """
    check_ids(target=target)
    n = len(target)
    _check_tree(tree, n)
    known = (target >= 0).cpu().numpy()
    if not known.any():
        raise NothingToScore("metrics need at least one labelled sample, got none")
    inverse = np.unique(target.cpu().numpy()[known], return_inverse=True)[1]
    lost = _lost(
        tree[:, :2].astype(int).tolist(), dict(zip(np.flatnonzero(known).tolist(), inverse.tolist(), strict=True))
    )
    hits = known.sum() - np.append(0, lost.cumsum())  # of N, N - 1, ..., 1 clusters
    return (torch.from_numpy(hits).double() / known.sum()).flip(0).to(target.device)


def _lost(merges: list[list[int]], class_of: dict[int, int]) -> Int[np.ndarray, " n_minus_1"]:
    """How many images each merge takes out of the majority of their cluster.

    Of each node, only the classes that it holds are counted, and the fewer are added to the more.
    """
    n = len(merges) + 1
    counts: list[Counter[int]] = [Counter([class_of[i]]) if i in class_of else Counter() for i in range(n)]
    majority, lost = [max(held.values(), default=0) for held in counts], np.empty(n - 1, dtype=np.int64)
    for i, (left, right) in enumerate(merges):
        fewer, more = sorted((counts[left], counts[right]), key=len)
        # What was joined is not asked for again.
        counts[left] = counts[right] = Counter()
        largest = max(majority[left], majority[right])
        for name, count in fewer.items():
            more[name] += count
            largest = max(largest, more[name])
        counts.append(more)
        majority.append(largest)
        lost[i] = majority[left] + majority[right] - largest
    return lost


def _check_tree(tree: Tree, n: int) -> None:
    if len(tree) != n - 1:
        raise ValueError(f"the tree of {n} images has {n - 1} merges, got {len(tree)}")
    merged = tree[:, :2]
    if (np.sort(merged, axis=None) != np.arange(2 * n - 2)).any() or (merged.max(1) >= n + np.arange(n - 1)).any():
        raise ValueError(
            f"a tree merges each of its nodes 0 to {2 * n - 3} once, after it was made; got merges of {merged.tolist()}"
        )


def mean_auc(curve: PurityOfCuts) -> Score:
    """Area under the curve divided by the number of images, mAUC: the mean purity over K = 1 to N (Table 3).

    Each K takes one unit of width, so clusters that are pure at every K have area N and mAUC 1, whatever N. The paper
    does not say how it integrates. Trapezoids between K = 1 and K = N span N - 1 units only; divided by N they give
    less by (purity at K = 1 + 1) / 2N: about 0.007 for the 120 images of a usual MVTec category.

    Args:
        curve: purity of 1 to N clusters [N], such as that of `purity_curve`.

    Raises:
        ValueError: the curve is empty, or no tensor.

    Example:
        >>> mean_auc(torch.tensor([0.5, 0.75, 1.0, 1.0])).item()
        0.8125
    """
    _check_curve(curve)
    return curve.mean()


def reduction_at(curve: PurityOfCuts, purity: float) -> Score:
    """R@P = 1 - (number of clusters required to reach purity P) / (number of images) (footnote 2, Table 3).

    The number required is the smallest K whose purity is at least P; images of unknown class count as images.

    Args:
        curve: purity of 1 to N clusters [N], such as that of `purity_curve`.
        purity: P, above 0 and at most 1.

    Raises:
        ValueError: the purity is not above 0 and at most 1, or the curve is empty, or no tensor.

    Example:
        >>> reduction_at(torch.tensor([0.5, 0.75, 1.0, 1.0]), 0.7).item()
        0.5
    """
    _check_purity(purity)
    _check_curve(curve)
    num_clusters = 1 + (curve < purity).sum()  # as the curve never falls
    return 1 - num_clusters.double() / len(curve)


def _check_curve(curve: PurityOfCuts) -> None:
    if not isinstance(curve, Tensor):
        raise ValueError(f"a curve is a tensor of the purity of 1 to N clusters, got a {type(curve).__name__}")
    if curve.ndim != 1 or len(curve) == 0:
        raise ValueError(f"a curve has the purity of 1 to N clusters [N], got one of shape {list(curve.shape)}")


def _check_purity(purity: float) -> None:
    if not 0 < purity <= 1:
        raise ValueError(f"purity must be above 0 and at most 1, got {purity}")


class PurityCurve(MetricOfBatches):
    """`purity_curve` of all samples as a torchmetrics class; N is known at the end only, and so is the tree.

    Samples of a negative (unknown) class are in the tree and left out of the purity; `forward` of a batch that has no
    tree or no known class gives a curve of NaN, one for each of its samples. A sample that a distributed sampler
    repeats is in the tree once, by its `index`; give none where there are no repetitions.

    Args:
        linkage: embeddings float64 [N, D], in the order of `index` -> tree, such as `clustering.ward`.

    Example:
        >>> from anomaly_clustering.clustering import ward
        >>> metric = PurityCurve(ward)
        >>> metric(torch.tensor([[0.0], [1.0], [3.0], [9.0]]), torch.tensor([7, 7, 2, 5])).tolist()
        [0.5, 0.75, 1.0, 1.0]
    """

    full_state_update = False
    higher_is_better = True
    embeddings: list[Tensor]
    target: list[Tensor]
    index: list[Tensor]

    def __init__(self, linkage: Callable[[Float[np.ndarray, "n d"]], Tree]) -> None:
        super().__init__()
        self.linkage = linkage
        for name in ("embeddings", "target", "index"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, embeddings: Float[Tensor, "n d"], target: Labels, index: Labels | None = None) -> None:
        """Add samples.

        Args:
            embeddings: one row a sample [B, D]; or rows of a distance matrix [B, N], if `linkage` takes it.
            target: class of each sample [B], negative where unknown.
            index: position of each sample in the data set [B].

        Raises:
            ValueError: classes and positions are not integers, one a sample, or embeddings are no tensor with a row for
                each.
        """
        check_ids(target=target, index=index)
        if not isinstance(embeddings, Tensor):
            raise ValueError(f"embeddings must be a tensor, one row a sample, got a {type(embeddings).__name__}")
        if embeddings.ndim != 2 or len(embeddings) != len(target):
            raise ValueError(
                f"embeddings must be one row a sample, got {list(embeddings.shape)} and target {list(target.shape)}"
            )
        self.embeddings.append(embeddings)
        self.target.append(target)
        self.index.append(positions_or_unknown(index, target))

    def compute(self) -> PurityOfCuts:
        """The curve of all samples.

        Raises:
            ValueError: no sample was added, or none has a known class.
        """
        return self.scored(self._curve, (sum(map(len, self.target)),))

    def _curve(self) -> PurityOfCuts:
        embeddings, target = each_once(self.index, self.embeddings, self.target)
        if not (target >= 0).any():
            raise NothingToScore("metrics need at least one labelled sample, got none")
        return purity_curve(self._tree(embeddings.double().cpu().numpy()), target)

    def _tree(self, embeddings: Float[np.ndarray, "n d"]) -> Tree:
        try:
            return self.linkage(embeddings)
        except ValueError as error:
            if len(embeddings) > 1:
                raise
            # Few functions make a tree of a single sample.
            raise NothingToScore(str(error)) from error


class MeanAUC(PurityCurve):
    """`mean_auc` of all samples.

    Args:
        linkage: embeddings float64 [N, D], in the order of `index` -> tree, such as `clustering.ward`.

    Example:
        >>> from anomaly_clustering.clustering import ward
        >>> metric = MeanAUC(ward)
        >>> metric(torch.tensor([[0.0], [1.0], [3.0], [9.0]]), torch.tensor([7, 7, 2, 5])).item()
        0.8125
    """

    def compute(self) -> Score:
        """mAUC of all samples."""
        return self.scored(lambda: mean_auc(self._curve()))


class ReductionAt(PurityCurve):
    """`reduction_at` of all samples.

    Args:
        purity: P, above 0 and at most 1.
        linkage: embeddings float64 [N, D], in the order of `index` -> tree, such as `clustering.ward`.

    Example:
        >>> from anomaly_clustering.clustering import ward
        >>> metric = ReductionAt(0.7, ward)
        >>> metric(torch.tensor([[0.0], [1.0], [3.0], [9.0]]), torch.tensor([7, 7, 2, 5])).item()
        0.5
    """

    def __init__(self, purity: float, linkage: Callable[[Float[np.ndarray, "n d"]], Tree]) -> None:
        super().__init__(linkage)
        _check_purity(purity)
        self.purity = purity

    def compute(self) -> Score:
        """R@P of all samples."""
        return self.scored(lambda: reduction_at(self._curve(), self.purity))


def purity_metrics(linkage: Callable[[Float[np.ndarray, "n d"]], Tree]) -> MetricCollection:
    """The rows of Table 3: mAUC, R@0.9, R@0.95 and R@0.99 over one state; each builds the tree for itself.

    They have the names that `MIC` and the tables of experiments have for them.

    Args:
        linkage: embeddings float64 [N, D], in the order of `index` -> tree, such as `clustering.ward`.

    Example:
        >>> from anomaly_clustering.clustering import ward
        >>> metrics = purity_metrics(ward)
        >>> scores = metrics(torch.tensor([[0.0], [1.0], [3.0], [9.0]]), torch.tensor([7, 7, 2, 5]))
        >>> {name: score.item() for name, score in scores.items()}
        {'mauc': 0.8125, 'r@90%': 0.25, 'r@95%': 0.25, 'r@99%': 0.25}
    """
    return MetricCollection(
        {
            "mauc": MeanAUC(linkage),
            # In percent: torch allows no point in the name of a module.
            "r@90%": ReductionAt(0.9, linkage),
            "r@95%": ReductionAt(0.95, linkage),
            "r@99%": ReductionAt(0.99, linkage),
        }
    )
