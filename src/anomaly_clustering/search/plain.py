"""Bags in; distances to the nearest patches of others, by operations that exporters of networks can follow, out.

What `nearest.py` gives, without kernels, threads and blocks that hang on the machine: for a model that leaves PyTorch.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# Products of one image's patches at a time: 32 MiB.
PRODUCTS = 2**23


def plain_nearest(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Float[Tensor, "b r m"]:
    """Distance from each patch to the nearest patch of each reference, as `nearest_distances` has it.

    |z|^2 / 2 - z x is least where |x - z| is least; the distance to that patch is computed from the difference.

    Args:
        queries: bags whose patches are looked at [B, M, D].
        references: bags that they are compared with [R, P, D].

    Returns:
        Distances [B, R, M].

    Example:
        >>> queries, references = torch.tensor([[[0.0], [5.0]]]), torch.tensor([[[1.0], [2.0]], [[4.0], [9.0]]])
        >>> plain_nearest(queries, references).tolist()
        [[[1.0, 3.0], [4.0, 1.0]]]
    """
    size = max(1, PRODUCTS // (queries.shape[1] * references.shape[1]))
    return torch.cat([_nearest(queries, part) for part in references.split(size)], dim=1)


def plain_nearest_of_all(queries: Float[Tensor, "b m d"], patches: Float[Tensor, "p d"]) -> Float[Tensor, "b m"]:
    """Distance from each patch to the nearest of many patches, as `nearest_of_all` has it.

    Args:
        queries: bags whose patches are looked at [B, M, D].
        patches: of all images that they are compared with [P, D].

    Returns:
        Distances [B, M].

    Example:
        >>> plain_nearest_of_all(torch.tensor([[[0.0], [9.0]]]), torch.tensor([[1.0], [2.0]])).tolist()
        [[1.0, 7.0]]
    """
    size = max(1, PRODUCTS // queries.shape[1])
    return torch.cat([_nearest(queries, part[None]) for part in patches.split(size)], dim=1).amin(1)


def _nearest(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Float[Tensor, "b r m"]:
    patches = references.flatten(0, 1)
    likeness = queries @ patches.T - patches.square().sum(1) / 2  # [B, M, R P]
    nearest = likeness.unflatten(2, references.shape[:2]).argmax(3)  # [B, M, R]
    first = torch.arange(len(references), device=queries.device) * references.shape[1]
    found = F.embedding(nearest + first, patches)  # [B, M, R, D]
    return torch.linalg.vector_norm(queries[:, :, None] - found, dim=3).transpose(1, 2)
