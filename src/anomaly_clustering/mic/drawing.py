"""How many images there are, and a seed, in; positions of those that all others are compared with out."""

import torch
from jaxtyping import Int
from torch import Tensor


def draw(total: int, count: int, seed: int) -> Int[Tensor, " count"]:
    """So many of a number of positions, or all if there are fewer; sorted."""
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:count].sort().values


def draw_normals(total: int, fraction: float, seed: int) -> Int[Tensor, " count"]:
    """Of the normal images (Eq. 6, Figure 8)."""
    if total == 0:
        raise ValueError("weights 'novelty' compare with normal images, but the data has none")
    return draw(total, max(1, round(fraction * total)), seed)


def draw_references(total: int, count: int, seed: int) -> Int[Tensor, " count"]:
    """Of the images that are clustered (Eq. 7)."""
    if count > total:
        raise ValueError(f"num_references must be at most {total} (the number of images), got {count}")
    return draw(total, count, seed)
