"""What torchmetrics classes have in common that say something of all samples, and not of every batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from anomaly_clustering.metrics.samples import NothingToScore


class MetricOfBatches(Metric):
    """A metric whose `forward` gives NaN of a batch that says nothing, such as one without a known class, and keeps it.

    Without it the error would come between two batches, when torchmetrics has laid aside what it has of the earlier
    ones. `compute` of all samples raises the error.

    Example:
        >>> class LeastKnown(MetricOfBatches):
        ...     full_state_update = False
        ...
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.add_state("target", default=[], dist_reduce_fx="cat")
        ...
        ...     def update(self, target):
        ...         self.target.append(target)
        ...
        ...     def compute(self):
        ...         return self.scored(self.least)
        ...
        ...     def least(self):
        ...         known = [x for x in torch.cat(self.target).tolist() if x >= 0]
        ...         if not known:
        ...             raise NothingToScore("no class is known")
        ...         return torch.tensor(min(known))
        >>> metric = LeastKnown()
        >>> metric(torch.tensor([3, 2])).item(), metric(torch.tensor([-1])).item(), metric.compute().item()
        (2, nan, 2)
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_of_batch = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch.

        Args:
            args: as `update` takes them.
            kwargs: likewise.

        Returns:
            The score of the batch alone; NaN where it has none.
        """
        self.is_of_batch = True
        try:
            return super().forward(*args, **kwargs)
        finally:
            self.is_of_batch = False

    def scored(self, score: Callable[[], Tensor], shape: tuple[int, ...] = ()) -> Tensor:
        """What `compute` returns.

        Args:
            score: of the samples that are held; raises `NothingToScore` where they have none. Other errors are told.
            shape: of the score, if it is not one number.

        Returns:
            The score; NaN where `forward` asks for that of a batch and there is none.

        Raises:
            NothingToScore: all samples have no score.
        """
        try:
            return score()
        except NothingToScore:
            if not self.is_of_batch:
                raise
            return torch.full(shape, torch.nan, dtype=torch.float64, device=self.device)
