"""The state of one run of MIC: what it holds between its first batch and its result."""

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Float, Float16, Int
from torch import Tensor

from anomaly_clustering.mic.comparison_cache import ComparisonCache
from anomaly_clustering.mic.references import ComparedWith
from anomaly_clustering.mic.row_buffer import RowBuffer


@dataclass
class Run:
    """Made when a run starts, filled batch by batch, and dropped when the result is known."""

    rows: RowBuffer
    """What is known so far of each image that this process was given, with its index and target."""
    results: ComparisonCache
    """What comparing these images gave an earlier run, and will give a later one."""
    compared_with: ComparedWith | None
    """What each batch is compared with as it comes; None where that takes all images."""
    tau: float
    """Smoothness of the weights: as given, or, once it is chosen, what makes the asked number of patches count."""
    grid: tuple[int, int] = (0, 0)
    """Rows and columns of patches."""
    reference_bags: Float16[Tensor, "r p d"] | None = field(init=False)
    """A sample of what patches were compared with, for images that come later; None where they were not compared."""
    bags_and_nearest: tuple[Float[Tensor, "n m d"], Float[Tensor, "n n m"]] | None = None
    """What subsets of the images are weighed from: all bags and their nearest distances."""
    masks: tuple[Int[Tensor, " n"], Bool[Tensor, "n 1 height width"]] | None = None
    """Position and mask of the images of this process, where there are masks."""
    predictions: list[dict[str, Any]] = field(default_factory=list)
    """Batches that `Trainer.predict` returns; their labels are filled in when they are known."""

    def __post_init__(self) -> None:
        self.reference_bags = self.compared_with.reference_bags if self.compared_with else None
