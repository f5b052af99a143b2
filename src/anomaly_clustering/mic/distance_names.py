"""The name of a distance of the paper and bags of all processes in; rows of distances, or vectors to compare, out."""

from collections.abc import Callable
from itertools import islice
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.mic import pooling
from anomaly_clustering.mic.distances import OverPatches, Symmetrise, directed_distances, mean_mean, symmetric
from anomaly_clustering.mic.processes import gather, ring
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.search.precision import Precision

Distance = Literal[
    "weighted_average",
    "max_hausdorff",
    "max_hausdorff_mean",
    "mean_hausdorff",
    "mean_hausdorff_mean",
    "min_hausdorff",
    "mean_mean",
    "max",
    "gem",
    "spoc",
    "bag_of_words",
    "holistic",
]
# Appendix C: the operator of Eq. 3 over patches, the operator of Eq. 2 over directions.
HAUSDORFF: dict[str, tuple[OverPatches, Symmetrise]] = {
    "max_hausdorff": ("max", "max"),
    "max_hausdorff_mean": ("max", "mean"),
    "mean_hausdorff": ("mean", "max"),
    "mean_hausdorff_mean": ("mean", "mean"),
    "min_hausdorff": ("min", "max"),
}
PATCHWISE = (*HAUSDORFF, "mean_mean")
# Table 9: one vector an image, from its bag and the rows and columns of patches.
POOLING: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "max": lambda bags, grid: pooling.max(bags),
    "gem": lambda bags, grid: pooling.gem(bags),
    "spoc": pooling.spoc,
}


def directed_rows(
    name: str, shard: Shard, precision: Precision, advance: Callable[[int], object]
) -> Float[Tensor, "n total"]:
    """Distances from the images of this process to those of all, one direction; `join` makes them symmetric.

    Args:
        name: one of `PATCHWISE`.
        shard: the images of this process.
        precision: of the search, see `nearest_blocks`.
        advance: is told how many pairs of images were compared, for a progress bar.

    Returns:
        One row for each image of this process, one column for each of the data set.

    Example:
        >>> shard = Shard(torch.tensor([[[0.0], [1.0]], [[0.0], [9.0]]]), torch.tensor([0, 1]))
        >>> directed_rows("max_hausdorff", shard, "fp32", lambda pairs: None).tolist()
        [[0.0, 1.0], [8.0, 0.0]]
    """
    others = islice(ring(shard), 1, None)
    if name == "mean_mean":
        return mean_mean(shard.bags, positions=shard.positions, others=others, advance=advance)
    over_patches, _ = HAUSDORFF[name]
    directed = directed_distances(
        shard.bags, positions=shard.positions, others=others, precision=precision, advance=advance
    )
    return cast(Tensor, getattr(directed, over_patches))


def join(name: str, directed: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """The symmetric distance; it is set to zero from an image to itself, which 'mean_mean' alone would not give.

    Args:
        name: one of `PATCHWISE`.
        directed: the rows of all processes together, in the order of the data set [N, N].

    Returns:
        Distances in float64 [N, N].

    Example:
        >>> join("max_hausdorff", torch.tensor([[0.0, 1.0], [8.0, 0.0]])).tolist()
        [[0.0, 8.0], [8.0, 0.0]]
    """
    how: Symmetrise = HAUSDORFF[name][1] if name in HAUSDORFF else "mean"
    return symmetric(directed, how).double().fill_diagonal_(0)


def bag_of_words(shard: Shard, seed: int) -> Float[Tensor, "n words"]:
    """Words of the images of this process; the codebook is made from all bags, in the order of the data set.

    Args:
        shard: the images of this process [n, M, D]; those of all processes have at least 512 patches.
        seed: of the codebook.

    Returns:
        Share of each image's patches that are nearest to each of 512 words [n, 512].

    Raises:
        ValueError: there are fewer patches than words.

    Example:
        >>> bag_of_words(Shard(torch.zeros(2, 9, 4), torch.tensor([0, 1])), seed=0)
        Traceback (most recent call last):
        ValueError: words must be between 1 and 18 (the number of patches), got 512
    """
    positions = torch.cat(gather(shard.positions))
    order = positions.argsort()
    words = pooling.bag_of_words(torch.cat(gather(shard.bags))[order], seed=seed)
    return words[torch.searchsorted(positions[order], shard.positions)]
