"""A shard: the bags of some images of a data set, such as those of one process, and their positions in it."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor


class Shard(NamedTuple):
    """Some bags of a data set, and their positions in it.

    Attributes:
        bags: patches of each image [R, P, D].
        positions: of the images in the data set [R].

    Example:
        >>> import torch
        >>> Shard(torch.zeros(2, 9, 4), torch.tensor([5, 7])).positions.tolist()
        [5, 7]
    """

    bags: Float[Tensor, "r p d"]
    positions: Int[Tensor, " r"]


def check_positions(shard: Shard) -> None:
    """Check that each bag has a position.

    Raises:
        ValueError: there are more or fewer positions than bags.

    Example:
        >>> import torch
        >>> check_positions(Shard(torch.zeros(2, 9, 4), torch.tensor([5])))
        Traceback (most recent call last):
        ValueError: positions must be one an image, got [1] for bags [2, 9, 4]
    """
    if shard.positions.shape != shard.bags.shape[:1]:
        raise ValueError(
            f"positions must be one an image, got {list(shard.positions.shape)} for bags {list(shard.bags.shape)}"
        )
