"""Bags of patches in; for each patch the distance to the nearest patch of each other bag out. The hot loop.

Patches are extended by two numbers, a' = [a, -|a|^2/2, 1] and b' = [b, 1, -|b|^2/2], so that one matrix product holds
-|a - b|^2 / 2 for all pairs of patches. Its maxima over columns and over rows are the nearest distances in both
directions, and the product itself is dropped while it is still in the cache.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

# Products of one block: 2^21 float32 are 8 MiB, about a processor's cache.
BLOCK = 2**21
# Squared distances below this share of the patches' squared length are dominated by rounding.
CLOSE = 1e-3


class Block(NamedTuple):
    """Nearest distances from the bags `rows` of the queries to the bags `columns` of the references."""

    rows: slice
    columns: slice
    distances: Float[Tensor, "rows columns m"]


def nearest_distances(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Float[Tensor, "b r m"]:
    """min over p of |queries[b, m] - references[r, p]|, the inner minimum of Eq. 3, 5 and 6."""
    distances = queries.new_empty(len(queries), len(references), queries.shape[1])
    for rows, columns, block in nearest_blocks(queries, references):
        distances[rows, columns] = block
    return distances


def nearest_blocks(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Iterator[Block]:
    """`nearest_distances` block by block, for who reduces them at once and never holds [B, R, M]."""
    left, right = _extend(queries), _extend(references, swap=True)
    for rows, columns in tiles(queries, references):
        product = _product(left[rows], right[columns])
        yield Block(rows, columns, _forward(product, queries[rows], references[columns]))


def pairwise_nearest(bags: Float[Tensor, "n m d"]) -> Iterator[Block]:
    """`nearest_blocks(bags, bags)`, both directions from one product; distances of a bag to itself are zero."""
    left, right = _extend(bags), _extend(bags, swap=True)
    for rows, columns in tiles(bags, bags):
        if rows.start > columns.start:
            continue
        product = _product(left[rows], right[columns])
        yield Block(rows, columns, _forward(product, bags[rows], bags[columns]))
        if rows != columns:
            yield Block(columns, rows, _forward(product.permute(2, 3, 0, 1), bags[columns], bags[rows]))


def _extend(bags: Float[Tensor, "n m d"], *, swap: bool = False) -> Float[Tensor, "n m e"]:
    half = -bags.square().sum(-1, keepdim=True) / 2
    one = torch.ones_like(half)
    return torch.cat([bags, one, half] if swap else [bags, half, one], dim=-1)


def tiles(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Iterator[tuple[slice, slice]]:
    patches = queries.shape[1] * references.shape[1]
    side = max(1, int((BLOCK / patches) ** 0.5))
    for i in range(0, len(queries), side):
        for j in range(0, len(references), side):
            yield slice(i, min(i + side, len(queries))), slice(j, min(j + side, len(references)))


def _product(left: Float[Tensor, "b m e"], right: Float[Tensor, "r p e"]) -> Float[Tensor, "b m r p"]:
    return (left.flatten(0, 1) @ right.flatten(0, 1).T).unflatten(1, right.shape[:2]).unflatten(0, left.shape[:2])


def _forward(
    product: Float[Tensor, "b m r p"], queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]
) -> Float[Tensor, "b r m"]:
    """Distances from the largest product over p; those near zero, where rounding would show, computed anew."""
    largest = product.amax(-1)  # [b, m, r]
    distances = (-2 * largest).clamp_min(0).sqrt()
    scale = queries.square().sum(-1)[:, :, None]
    b, m, r = torch.nonzero(-2 * largest < CLOSE * scale, as_tuple=True)
    if len(b):
        nearest = product[b, m, r].argmax(-1)
        distances[b, m, r] = (queries[b, m] - references[r, nearest]).norm(dim=-1)
    return distances.transpose(1, 2)
