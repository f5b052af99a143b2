"""A feature map [B, D, H, W] in; bags of patch embeddings [B, M, D] of unit length out, M = H * W."""

from numbers import Integral

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def bag(feature_map: Float[Tensor, "batch d h w"], kernel_size: int = 3) -> Float[Tensor, "batch m d"]:
    """Average pooling with stride 1 and zero padding, then each place is a patch of unit length (section 4).

    Args:
        feature_map: channels at each place of each image [B, D, H, W].
        kernel_size: side of the pooling, in places; 3 in the paper's WideResNet-50. 1 pools nothing.

    Returns:
        Patches row by row [B, H * W, D], each of Euclidean length one (zero where all channels are zero).

    Raises:
        ValueError: `kernel_size` is not odd and positive.

    Example:
        >>> import torch
        >>> bag(torch.tensor([[[[3.0]], [[4.0]]]]), kernel_size=1).tolist()
        [[[0.6, 0.8]]]
    """
    check_kernel_size(kernel_size)
    pooled = F.avg_pool2d(feature_map, kernel_size, stride=1, padding=kernel_size // 2)
    return F.normalize(rearrange(pooled, "b d h w -> b (h w) d"), dim=-1)


def on_grid(bags: Float[Tensor, "b h w d"], grid: tuple[int, int]) -> Float[Tensor, "b rows columns d"]:
    """Average patches, by the area that they share, to another number of rows and columns, again of unit length.

    Args:
        bags: patches in rows and columns [B, H, W, D].
        grid: rows and columns to have.

    Returns:
        The patches of each image; the same where the grid is.

    Example:
        >>> import torch
        >>> on_grid(torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]), (1, 1)).tolist()
        [[[[0.7071067690849304, 0.7071067690849304]]]]
    """
    if bags.shape[1:3] == grid:
        return bags
    maps = F.interpolate(rearrange(bags, "b h w d -> b d h w"), size=grid, mode="area")
    return F.normalize(rearrange(maps, "b d h w -> b h w d"), dim=-1)


def check_kernel_size(kernel_size: int) -> None:
    """Check the side of the average pooling of `bag`.

    Args:
        kernel_size: in places of the feature map.

    Raises:
        ValueError: it is not odd and positive, so that no place would be in the middle.
    """
    if not isinstance(kernel_size, Integral) or kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
