"""What torchmetrics classes have in common that say something of all samples, and not of every batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


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
        ...         return self.scored(lambda: torch.tensor(min(x for x in torch.cat(self.target).tolist() if x >= 0)))
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

    def scored(self, score: Callable[[], Tensor]) -> Tensor:
        """What `compute` returns.

        Args:
            score: of the samples that are held.

        Returns:
            The score; NaN where `forward` asks for that of a batch and there is none.

        Raises:
            ValueError: all samples have no score.
        """
        try:
            return score()
        except ValueError:
            if not self.is_of_batch:
                raise
            return torch.full((), torch.nan, dtype=torch.float64, device=self.device)
