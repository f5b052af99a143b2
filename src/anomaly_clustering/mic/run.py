"""The state of one run of MIC: what it holds between its first batch and its result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Int, UInt8
from torch import Tensor

from anomaly_clustering.mic.comparison_cache import ComparisonCache
from anomaly_clustering.mic.references import ComparedWith
from anomaly_clustering.mic.row_buffer import RowBuffer
from anomaly_clustering.mic.scores import TOP
from anomaly_clustering.mic.streaming import Stream


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
    channels: Sequence[int]
    """Of each level of the network, which may be one alone."""
    seen: set[int] = field(default_factory=set)
    """Positions of the images that this process has had so far."""
    grid: tuple[int, int] = (0, 0)
    """Rows and columns of patches."""
    size: tuple[int, int] = (0, 0)
    """Height and width in pixels of the images of the first batch, or of the canvases that they stand on."""
    stream: Stream | None = None
    """What embeds each batch as it comes, where the options ask for more than the paper does."""
    reference_bags: Float16[Tensor, "r p d"] | None = None
    """A sample of what all patches were compared with, for images that come later; None where that was a sample."""
    reference_images: UInt8[Tensor, "r channels height width"] | None = None
    """What a stream compares with, for the same purpose."""
    bags_and_nearest: tuple[Float[Tensor, "n m d"], Float[Tensor, "n n m"]] | None = None
    """What subsets of the images are weighed from: all bags and their nearest distances."""
    band: Float[np.ndarray, "n t d"] | None = None
    """Embeddings of all images at each tau of a band, where subsets are scored and their weights depend on tau."""
    masks: tuple[Int[Tensor, " n"], Bool[Tensor, "n 1 height width"]] | None = None
    """Position and mask of the images of this process, where there are masks."""
    predictions: list[dict[str, Any]] = field(default_factory=list)
    """Batches that `Trainer.predict` returns; their labels are filled in when they are known."""

    def check_grid(self, grid: Sequence[int], size: Sequence[int]) -> None:
        """See that the patches of all batches stand on one grid, as weights that are shown side by side must.

        Args:
            grid: rows and columns of patches of a batch.
            size: height and width of its images, in pixels.

        Raises:
            ValueError: an earlier batch had another grid.
        """
        rows, columns = grid
        height, width = size
        if not self.size[0]:
            self.grid, self.size = (rows, columns), (height, width)
        if self.grid != (rows, columns):
            raise ValueError(
                f"all images of a run must have one size, but those of the first batch have {self.size[1]}x"
                f"{self.size[0]} pixels and those of a later one {width}x{height}: resize them alike"
            )

    @property
    def references(self) -> Float16[Tensor, "r p d"] | UInt8[Tensor, "r channels height width"] | None:
        """What later images are compared with; None where patches were not compared."""
        if self.reference_images is not None:
            return self.reference_images
        if self.reference_bags is None and self.compared_with is not None:
            return self.compared_with.reference_bags
        return self.reference_bags

    @property
    def normal_top_scores(self) -> Float[Tensor, "r 4"]:
        """How unusual the most unusual patches of normal images are among the others; none if there are no others."""
        if self.stream is not None:
            return self.stream.normal_top_scores
        if self.compared_with is not None:
            return self.compared_with.normal_top_scores
        return torch.empty(0, len(TOP), dtype=torch.float32)

    @property
    def shared(self) -> dict[str, Tensor]:
        """What is kept in the cache beside a row for each image."""
        if self.stream is not None:
            return {"tau": torch.tensor(self.tau, dtype=torch.float64), "normal_top_scores": self.normal_top_scores}
        if self.references is None:
            return {}
        return {"reference_bags": self.references, "normal_top_scores": self.normal_top_scores}
