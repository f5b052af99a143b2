"""A tree of merges [N - 1, 4] and true classes [N] in; purity of its cut into 1 to N clusters [N], mAUC and R@P out.

First functions, then torchmetrics classes. Section 4.4, Figures 4 and 13, Table 3.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from anomaly_clustering.metrics.agreement import Labels, Score, each_once

Tree = Float[np.ndarray, "n_minus_1 4"]
Curve = Float[Tensor, " n"]


def purity_curve(tree: Tree, target: Labels) -> Curve:
    """Purity of the cut into K clusters at position K - 1, in one walk over the merges.

    Images with target -1 (unknown) are merged like all others and left out of the purity. The curve never falls: the
    majority of two clusters together is at most the sum of their majorities, so no merge gains. It ends at 1.

    Args:
        tree: merges in the order in which they are made, as scipy's linkage matrix, of any linkage.
        target: class of each image.

    Raises:
        ValueError: no image has a known class, or the tree is one of more or fewer images.
    """
    n = len(target)
    if len(tree) != n - 1:
        raise ValueError(f"the tree of {n} images has {n - 1} merges, got {len(tree)}")
    known = (target >= 0).cpu().numpy()
    if not known.any():
        raise ValueError("metrics need at least one labelled sample, got none")
    classes, inverse = np.unique(target.cpu().numpy()[known], return_inverse=True)
    left, right = tree[:, :2].astype(int).T
    # Merge number i makes node n + i.
    counts = np.zeros((2 * n - 1, len(classes)), dtype=np.int64)
    counts[np.flatnonzero(known), inverse] = 1
    for i in range(n - 1):
        counts[n + i] = counts[left[i]] + counts[right[i]]
    majority = counts.max(1)
    lost = majority[left] + majority[right] - majority[n:]
    hits = known.sum() - np.append(0, lost.cumsum())  # of N, N - 1, ..., 1 clusters
    return (torch.from_numpy(hits).double() / known.sum()).flip(0).to(target.device)


def mean_auc(curve: Curve) -> Score:
    """mAUC: area under the curve divided by the number of images, which is the mean purity over K = 1 to N.

    Each K takes one unit of width, so clusters that are pure at every K have area N and mAUC 1, whatever N. The paper
    does not say how it integrates. Trapezoids between K = 1 and K = N span N - 1 units only; divided by N they give
    less by (purity at K = 1 + 1) / 2N: about 0.007 for the 120 images of a usual MVTec category.
    """
    return curve.mean()


def reduction_at(curve: Curve, purity: float) -> Score:
    """R@P = 1 - (number of clusters required to reach purity P) / (number of images), footnote 2.

    The number required is the smallest K whose purity is at least P; unlabelled images count as images.

    Raises:
        ValueError: the purity is not above 0 and at most 1.
    """
    _check_purity(purity)
    num_clusters = 1 + (curve < purity).sum()  # as the curve never falls
    return 1 - num_clusters.double() / len(curve)


def _check_purity(purity: float) -> None:
    if not 0 < purity <= 1:
        raise ValueError(f"purity must be above 0 and at most 1, got {purity}")


class PurityCurve(Metric):
    """`purity_curve` of all samples as a torchmetrics class; N is known at the end only, and so is the tree.

    Samples with target -1 are in the tree and left out of the purity. A sample that a distributed sampler repeats is
    in the tree once, by its `index`; give none where there are no repetitions.

    Args:
        linkage: embeddings float64 [N, D], in the order of `index` -> tree, such as `clustering.ward`.
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
        """Add samples: embeddings (or rows of a distance matrix, if `linkage` takes it), classes, positions."""
        self.embeddings.append(embeddings)
        self.target.append(target)
        self.index.append(torch.full_like(target, -1) if index is None else index)

    def compute(self) -> Curve:
        """The curve of all samples.

        Raises:
            ValueError: no sample has a known class.
        """
        embeddings, target = each_once(self.index, self.embeddings, self.target)
        return purity_curve(self.linkage(embeddings.double().cpu().numpy()), target)


class MeanAUC(PurityCurve):
    """See `mean_auc`."""

    def compute(self) -> Score:
        """mAUC of all samples."""
        return mean_auc(super().compute())


class ReductionAt(PurityCurve):
    """See `reduction_at`."""

    def __init__(self, purity: float, linkage: Callable[[Float[np.ndarray, "n d"]], Tree]) -> None:
        super().__init__(linkage)
        _check_purity(purity)
        self.purity = purity

    def compute(self) -> Score:
        """R@P of all samples."""
        return reduction_at(super().compute(), self.purity)


def purity_metrics(linkage: Callable[[Float[np.ndarray, "n d"]], Tree]) -> MetricCollection:
    """The rows of Table 3: mAUC, R@0.9, R@0.95 and R@0.99 over one state; each builds the tree for itself."""
    return MetricCollection(
        {
            "mauc": MeanAUC(linkage),
            # In percent: torch allows no point in the name of a module.
            "r@90": ReductionAt(0.9, linkage),
            "r@95": ReductionAt(0.95, linkage),
            "r@99": ReductionAt(0.99, linkage),
        }
    )
