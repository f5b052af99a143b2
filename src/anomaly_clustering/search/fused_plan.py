"""Sizes of bags and a device in; how many bags the fused search takes at a time, in which order and tiles, out."""

from functools import lru_cache
from math import isqrt
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.search.precision import interpreted

# Bytes of the factors on either side of a product, and of keys and distances of the pairs of bags that meet at a time.
FACTOR_BYTES = 64 * 2**20
PAIR_BYTES = 96 * 2**20
# The second axis of a grid of programs has 65535 places.
MOST_PAIRS = 2**15
# Pairs of bags are looked at in squares of so many, whose factors stay in the cache meanwhile.
SQUARE = 8
# The generation of GPUs whose tiles were measured.
HOPPER = 9


class Tiles(NamedTuple):
    """What one program of `fused_kernels.choose` multiplies at a time.

    Attributes:
        rows: patches of a reference.
        columns: patches of a query.
        channels: of both.
        warps: groups of 32 threads that share the work.
        stages: how many products have their factors under way.
    """

    rows: int
    columns: int
    channels: int
    warps: int
    stages: int


class FusedPlan(NamedTuple):
    """How factors are stored, and how many meet at a time.

    Attributes:
        stored: the type of the factors.
        rounded: the type that they are rounded to.
        split: whether what rounding leaves is kept too.
        centred: whether a mean is subtracted first.
        width: channels, with those that fill the last tile.
        tiles: see there.
        queries: bags at a time.
        references: likewise.
        height: patches of each query at a time.
        length: patches of each reference at a time.
    """

    stored: torch.dtype
    rounded: torch.dtype
    split: bool
    centred: bool
    width: int
    tiles: Tiles
    queries: int
    references: int
    height: int
    length: int


def make_plan(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], dtype: torch.dtype, *, both_ways: bool
) -> FusedPlan:
    """What fits into memory that does not depend on the number of bags, in parts of nearly the same size.

    Args:
        queries: bags whose patches are looked at [B, M, D].
        references: bags that they are compared with [R, P, D].
        dtype: of the products, see `fused.blocks`.
        both_ways: whether the way back is wanted too, and both are the same bags.
    """
    split = dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision != "tf32"
    rounded = torch.float16 if split else dtype
    # Triton's interpreter cannot multiply bfloat16, but float32 holds the same numbers.
    stored = torch.float32 if rounded == torch.bfloat16 and interpreted() else rounded
    (b, m, channels), (r, p, _) = queries.shape, references.shape
    tiles = _tiles(channels, p, stored, queries.device, split=split)
    width = round_up(channels, tiles.channels)
    patches = max(tiles.rows, tiles.columns, FACTOR_BYTES // (width * stored.itemsize * (2 if split else 1)))
    height, length = min(m, patches // tiles.columns * tiles.columns), min(p, patches // tiles.rows * tiles.rows)
    columns, rows = round_up(height, tiles.columns), round_up(length, tiles.rows)
    bytes_of_pair = 8 * columns + m * queries.dtype.itemsize
    if both_ways:
        bytes_of_pair += 8 * rows + p * queries.dtype.itemsize
    pairs = max(1, min(MOST_PAIRS, PAIR_BYTES // bytes_of_pair))
    some = evenly(b, max(1, min(isqrt(pairs), patches // columns)))
    others = evenly(r, max(1, min(pairs // some, patches // rows)))
    if both_ways:
        # The blocks on the diagonal are squares.
        some = others = min(some, others)
    return FusedPlan(stored, rounded, split, not split, width, tiles, some, others, height, length)


def _tiles(channels: int, patches: int, stored: torch.dtype, device: torch.device, *, split: bool) -> Tiles:
    """What is fastest on an H100 by `benchmarks/gpu.py`; elsewhere what fits into the memory that programs share."""
    if interpreted():
        return Tiles(64, 32, 32, 2, 1)
    # Tensor cores read rows of 128 bytes.
    row = 128 // stored.itemsize
    if torch.cuda.get_device_capability(device)[0] != HOPPER:
        return Tiles(128, 128, row, 8, 2)
    if channels <= 2 * row and not split:
        return Tiles(128, 128, row if channels <= row else 2 * row, 4, 2)
    # Unless large tiles are to be filled up with too many patches that are none.
    if round_up(patches, 256) <= 1.02 * round_up(patches, 128):
        return Tiles(256, 128, row, 8, 3)
    return Tiles(128, 128, row, 4, 3)


def round_up(number: int, step: int) -> int:
    """The next multiple of a step.

    Example:
        >>> round_up(130, 128)
        256
    """
    return -(-number // step) * step


def evenly(count: int, most: int) -> int:
    """The length of parts of nearly the same length, none above `most`.

    Example:
        >>> evenly(200, 64)
        50
    """
    return max(1, -(-count // max(1, -(-count // most))))


def slices(stop: int, step: int, *, start: int = 0) -> list[slice]:
    """What is from `start` to `stop`, in parts of a length.

    Example:
        >>> slices(5, 3)
        [slice(0, 3, None), slice(3, 5, None)]
    """
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


class Pairs(NamedTuple):
    """Pairs of a query and a reference, square by square.

    Attributes:
        query: position of each pair's query.
        reference: position of its reference.
        by_query: all pairs, square by square, and in a square query by query.
        by_reference: likewise, reference by reference.
    """

    query: Int[Tensor, " pairs"]
    reference: Int[Tensor, " pairs"]
    by_query: Int[Tensor, " pairs"]
    by_reference: Int[Tensor, " pairs"]

    def turned(self) -> "Pairs":
        """The same pairs, seen from their references."""
        return Pairs(self.reference, self.query, self.by_reference, self.by_query)


@lru_cache(maxsize=32)
def make_pairs(queries: int, references: int, device: torch.device, *, same: bool) -> Pairs:
    """All pairs; with `same` those above the diagonal.

    Example:
        >>> pairs = make_pairs(3, 3, torch.device("cpu"), same=True)
        >>> pairs.query.tolist(), pairs.reference.tolist()
        ([0, 0, 1], [1, 2, 2])
    """
    query, reference = torch.meshgrid(torch.arange(queries), torch.arange(references), indexing="ij")
    chosen = reference > query if same else torch.ones_like(query, dtype=torch.bool)
    query, reference = query[chosen], reference[chosen]
    square = query // SQUARE * references + reference // SQUARE
    order = square.argsort(stable=True)
    query, reference, square = query[order], reference[order], square[order]
    by_reference = (square * references + reference).argsort(stable=True)
    columns = (query, reference, torch.arange(len(query)), by_reference)
    return Pairs(*(column.to(device, torch.int32) for column in columns))
