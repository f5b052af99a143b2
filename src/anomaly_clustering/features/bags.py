"""A feature map [B, D, H, W] in; bags of patch embeddings [B, M, D] of unit length out, M = H * W."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def bag(feature_map: Float[Tensor, "batch d h w"], kernel_size: int = 3) -> Float[Tensor, "batch m d"]:
    """Average pooling with stride 1 and zero padding, then each place is a patch of unit length (section 4).

    Raises:
        ValueError: `kernel_size` is not odd and positive.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
    pooled = F.avg_pool2d(feature_map, kernel_size, stride=1, padding=kernel_size // 2)
    return F.normalize(rearrange(pooled, "b d h w -> b (h w) d"), dim=-1)
