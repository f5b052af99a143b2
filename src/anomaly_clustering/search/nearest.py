"""Bags of patches in; for each patch the distance to the nearest patch of each other bag out. The hot loop.

One matrix product for each pair of bags tells the nearest patches in both directions, and is dropped while it is still
in the cache. It is computed of float32 numbers, or faster of bfloat16 or 8-bit integers. The distance to a patch that
was found is computed anew from the difference, as exactly as the bags hold their numbers, whatever the product: no
cancellation shows, and it is never below the truth but for rounding. On a GPU a fused kernel does all of this.
"""

from collections.abc import Generator, Iterable, Iterator
from itertools import product
from math import isqrt
from threading import Lock
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from anomaly_clustering.search import fused
from anomaly_clustering.search.centre import centre_of
from anomaly_clustering.search.float_factors import FloatFactors
from anomaly_clustering.search.fused_plan import slices
from anomaly_clustering.search.given import checked
from anomaly_clustering.search.integer_factors import IntegerFactors, at_once
from anomaly_clustering.search.precision import Precision, fused_runs_on
from anomaly_clustering.system.threads import in_order

# Bytes of a matrix product: about a core's share of the cache; and what keeps all of an accelerator busy for a while.
BLOCK = 2**21
LARGE_BLOCK = 2**28
# Rows of a matrix product at most; the rest of its size is for columns.
HEIGHT = 2**10
# Products in a row that share their left factor, and bytes of their right factors, at most.
ROW = 128
ROW_BYTES = 2**25


class Block(NamedTuple):
    """Nearest distances from the bags `rows` of the queries to the bags `columns` of the references.

    Attributes:
        rows: positions among the queries.
        columns: positions among the references.
        distances: from each patch of each of these queries to the nearest of each of these references [rows, columns,
            M].
    """

    rows: slice
    columns: slice
    distances: Float[Tensor, "rows columns m"]


def nearest_distances(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision = "fp32"
) -> Float[Tensor, "b r m"]:
    """Distance from each patch to the nearest patch of each reference, the inner minimum of Eq. 3, 5 and 6.

    distances[b, r, m] = min over p of |queries[b, m] - references[r, p]|

    Args:
        queries: bags whose patches are looked at [B, M, D].
        references: bags that they are compared with [R, P, D].
        precision: of the matrix products, see `nearest_blocks`.

    Returns:
        Distances [B, R, M], of the type of the queries whatever the precision.

    Raises:
        ValueError: see `nearest_blocks`.

    Example:
        >>> queries, references = torch.tensor([[[0.0], [5.0]]]), torch.tensor([[[1.0], [2.0]], [[4.0], [9.0]]])
        >>> nearest_distances(queries, references).tolist()
        [[[1.0, 3.0], [4.0, 1.0]]]
    """
    distances = queries.new_empty(len(queries), len(references), queries.shape[1])
    for rows, columns, block in nearest_blocks(queries, references, precision):
        distances[rows, columns] = block
    return distances


def nearest_blocks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision = "fp32"
) -> Generator[Block, None, None]:
    """`nearest_distances` block by block, for callers that reduce them at once and never hold [B, R, M].

    Who stops before the last block, or has the generator by a name while an error may come, closes it
    (`contextlib.closing`): until then PyTorch computes by one thread on a processor.

    Args:
        queries: bags whose patches are looked at [B, M, D], on a processor float32 or float64.
        references: bags that they are compared with [R, P, D], of the same kind.
        precision: of the matrix products. 'fp32' finds the nearest patches, but for the rounding of float32, also of
            bags in float64; 'fp16' (on GPUs), 'bf16' and 'int8' (on processors) find patches that are as near but for
            rounding, in a fraction of the time; 'auto' takes the fastest. Patches may lie anywhere: those far from zero
            are shifted first.

    Returns:
        Blocks that together hold each pair of a query and a reference once.

    Raises:
        ValueError: `precision` has another name, or this device has no such products; bags do not have three axes;
            patches of queries and references differ in their channels, or there are bags without a patch or a channel;
            bags on a processor are neither float32 nor float64; a number is NaN or infinite.

    Example:
        >>> queries, references = torch.tensor([[[0.0], [5.0]]]), torch.tensor([[[1.0], [2.0]], [[4.0], [9.0]]])
        >>> sum(block.distances.sum() for block in nearest_blocks(queries, references)).item()
        9.0
    """
    return _blocks(*checked(queries, references, precision))


def _blocks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], dtype: torch.dtype
) -> Generator[Block, None, None]:
    if fused_runs_on(queries.device, dtype):
        return (Block(*found[:3]) for found in fused.blocks(queries, references, dtype))

    def work(task: _Task) -> Block:
        rows, columns, factors = task
        to_right, _ = _nearest(queries[rows], references[columns], factors)
        return Block(rows, columns, to_right)

    return in_order(work, _tasks(queries, references, dtype), device=queries.device)


def pairwise_nearest(bags: Float[Tensor, "n m d"], precision: Precision = "fp32") -> Generator[Block, None, None]:
    """`nearest_blocks(bags, bags)`, both directions from one product; distances of a bag to itself are zero.

    Args:
        bags: patches of each image [N, M, D].
        precision: of the matrix products, see `nearest_blocks`.

    Returns:
        Blocks that together hold each pair of bags once in each direction.

    Raises:
        ValueError: see `nearest_blocks`.

    Example:
        >>> bags = torch.tensor([[[0.0], [5.0]], [[1.0], [9.0]]])
        >>> sum(block.distances.sum() for block in pairwise_nearest(bags)).item()  # 1 + 4 and 1 + 4
        10.0
    """
    bags, _, dtype = checked(bags, bags, precision)
    if fused_runs_on(bags.device, dtype):
        return _one_by_one(
            [Block(rows, columns, forth)] + ([] if back is None else [Block(columns, rows, back)])
            for rows, columns, forth, back in fused.blocks(bags, bags, dtype, upper=True)
        )

    def work(task: _Task) -> list[Block]:
        rows, columns, factors = task
        if rows == columns:
            count = rows.stop - rows.start
            to_right = bags.new_zeros(count, count, bags.shape[1])
            if count > 1:
                to_right, _ = _nearest(bags[rows], bags[columns], factors)
                to_right.diagonal().zero_()
            return [Block(rows, columns, to_right)]
        to_right, to_left = _nearest(bags[rows], bags[columns], factors, both_ways=True)
        return [Block(rows, columns, to_right), Block(columns, rows, to_left)]

    return _one_by_one(in_order(work, _tasks(bags, bags, dtype, upper=True), device=bags.device))


def _one_by_one(found: Iterable[list[Block]]) -> Generator[Block, None, None]:
    for blocks in found:
        yield from blocks


def nearest_of_all(
    queries: Float[Tensor, "b m d"], patches: Float[Tensor, "p d"], precision: Precision = "fp32"
) -> Float[Tensor, "b m"]:
    """Distance from each patch to the nearest of many patches, the minimum of Eq. 6.

    distances[b, m] = min over p of |queries[b, m] - patches[p]|

    Args:
        queries: bags whose patches are looked at [B, M, D].
        patches: of all images that they are compared with [P, D].
        precision: of the matrix products, see `nearest_blocks`.

    Returns:
        Distances [B, M], of the type of the queries whatever the precision.

    Raises:
        ValueError: see `nearest_blocks`, also where there are no patches to compare with.

    Example:
        >>> nearest_of_all(torch.tensor([[[0.0], [9.0]]]), torch.tensor([[1.0], [2.0]])).tolist()
        [[1.0, 7.0]]
    """
    queries, bag, dtype = checked(queries, patches[None], precision)
    # A GPU takes all patches as one bag; a processor takes bags of the queries' size, and one of what remains.
    patches, fused_here = bag[0], fused_runs_on(queries.device, dtype)
    size = len(patches) if fused_here else queries.shape[1]
    whole = len(patches) // size * size
    nearest = queries.new_full(queries.shape[:2], torch.inf)
    for references in (patches[:whole].unflatten(0, (-1, size)), patches[None, whole:]):
        if references.numel():
            for rows, _, distances in _blocks(queries, references, dtype):
                torch.minimum(nearest[rows], distances.amin(1), out=nearest[rows])
    return nearest


@runtime_checkable
class Factors(Protocol):
    """The left, or the right, factors of matrix products of the patches of some bags."""

    def lower(
        self,
        others: Any,
        to_right: Float[Tensor, "r l m"],
        to_left: Float[Tensor, "r x p"],
        room: Shaped[Tensor, " numbers"],
    ) -> None:
        """Lower distances to those between the patches of these bags, which are left factors, and of other bags.

        Args:
            others: right factors of the same kind.
            to_right: from each patch to the nearest of each other bag.
            to_left: the way back, or empty (x = 0) where only one direction is wanted.
            room: memory for the product.
        """


class _Plan(NamedTuple):
    """What is multiplied, and how large the matrix products are."""

    dtype: torch.dtype
    # Is subtracted from all patches first, where they are far from zero.
    centre: Tensor | None
    # Bags on either side of a product.
    bags: int
    # Patches of each bag on the left, and on the right.
    height: int
    width: int
    # Products in a row that share their left factor.
    row: int


def _plan(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], dtype: torch.dtype) -> _Plan:
    m, (_, p, channels) = queries.shape[1], references.shape
    # Products of integers take whole images of 1024 patches: fewer calls make up for a cache that is too small.
    block = (BLOCK if queries.device.type == "cpu" else LARGE_BLOCK) * (2 if dtype == torch.int8 else 1)
    numbers = block // _of_products(dtype).itemsize
    bags = max(1, isqrt(numbers // (m * p)))
    row = min(ROW, max(1, ROW_BYTES // (bags * p * channels * dtype.itemsize)))
    if dtype == torch.int8:
        m, p = at_once(m), at_once(p)
    height = m if m * p <= numbers else min(m, HEIGHT)
    return _Plan(dtype, centre_of(references), bags, height, min(p, max(1, numbers // height)), row)


class _OnDemand:
    """The right factors of some references, part by part, computed by the first thread that needs them."""

    def __init__(self, references: Float[Tensor, "r p d"], plan: _Plan):
        self.references = references
        self.plan = plan
        self.lock = Lock()
        self.found: list[tuple[slice, Factors]] = []

    def get(self) -> list[tuple[slice, Factors]]:
        with self.lock:
            if not self.found:
                self.found = _factors(self.references, self.plan, self.plan.width, right=True)
            return self.found


class _Task(NamedTuple):
    """Some queries that meet some references."""

    rows: slice
    columns: slice
    factors: list[_OnDemand]


def _tasks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], dtype: torch.dtype, *, upper: bool = False
) -> Iterator[_Task]:
    """All pairs; with `upper` those above the diagonal, and those on it as tasks of their own."""
    plan = _plan(queries, references, dtype)
    # A few references meet all queries before others come, and are in the cache meanwhile.
    for columns in slices(len(references), plan.row * plan.bags):
        factors = [_OnDemand(references[piece], plan) for piece in slices(columns.stop, plan.bags, start=columns.start)]
        for rows in slices(columns.stop if upper else len(queries), plan.bags):
            if not upper or rows.start < columns.start:
                yield _Task(rows, columns, factors)
                continue
            done = (rows.start - columns.start) // plan.bags
            yield _Task(rows, rows, factors[done : done + 1])
            if rows.stop < columns.stop:
                yield _Task(rows, slice(rows.stop, columns.stop), factors[done + 1 :])


def _factors(bags: Float[Tensor, "n m d"], plan: _Plan, patches: int, *, right: bool) -> list[tuple[slice, Factors]]:
    """The factors of bags, cut into parts of at most so many patches of each bag."""
    parts = [(part, bags[:, part]) for part in slices(bags.shape[1], patches)]
    if plan.dtype == torch.int8:
        return [(part, IntegerFactors(some, plan.centre, right=right)) for part, some in parts]
    return [(part, FloatFactors(some, plan.dtype, plan.centre, right=right)) for part, some in parts]


def _of_products(dtype: torch.dtype) -> torch.dtype:
    """The type of the products of numbers of some type."""
    return torch.int32 if dtype == torch.int8 else dtype


def _nearest(
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    factors: list[_OnDemand],
    *,
    both_ways: bool = False,
) -> tuple[Float[Tensor, "l r m"], Float[Tensor, "r x p"]]:
    """Nearest distances from queries to references and back; the way back is empty (x = 0) unless `both_ways`.

    Args:
        factors: those of the references, in their order.
    """
    plan, bags, others = factors[0].plan, len(queries), len(references)
    to_right = queries.new_full((others, bags, queries.shape[1]), torch.inf)
    to_left = queries.new_full((others, bags if both_ways else 0, references.shape[1]), torch.inf)
    # Memory that was just written is in the cache, and memory that is new has to be found first.
    numbers = bags * plan.height * min(others, plan.bags) * plan.width
    room = torch.empty(numbers, dtype=_of_products(plan.dtype), device=queries.device)
    lefts = _factors(queries, plan, plan.height, right=False)
    for piece, factor in zip(slices(others, plan.bags), factors, strict=True):
        for (row, left), (column, right) in product(lefts, factor.get()):
            left.lower(right, to_right[piece, :, row], to_left[piece, :, column], room)
    return to_right.transpose(0, 1), to_left
