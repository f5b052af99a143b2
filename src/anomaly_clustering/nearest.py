"""Bags of patches in; for each patch the distance to the nearest patch of each other bag out. The hot loop.

Patches are extended by their halved squared length h and by ones, a' = [a, h_a, 1] and b' = [-b, 1, h_b], so that one
matrix product holds |a - b|^2 / 2 for all pairs of patches. Its minima over columns and over rows tell the nearest
patches in both directions, and it is dropped while it is still in the cache. The distance to a patch that was found is
computed anew from the difference, in float32 whatever the precision of the product: no cancellation shows, and it is
never below the truth.
"""

from collections.abc import Iterator, Mapping
from itertools import product as grid
from math import isqrt
from threading import Lock
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.argmin import exact_distances
from anomaly_clustering.threads import in_order

Precision = Literal["auto", "fp32", "bf16"]
# Bytes of a matrix product: about a core's share of the cache; and what keeps all of an accelerator busy for a while.
BLOCK = 2**21
LARGE_BLOCK = 2**28
# Rows of a matrix product at most; the rest of its size is for columns.
HEIGHT = 2**10
# Channels come in multiples of so many.
ALIGNED = 8
# Products in a row that share their left factor.
ROW = 16


class Block(NamedTuple):
    """Nearest distances from the bags `rows` of the queries to the bags `columns` of the references."""

    rows: slice
    columns: slice
    distances: Float[Tensor, "rows columns m"]


def nearest_distances(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision = "fp32"
) -> Float[Tensor, "b r m"]:
    """min over p of |queries[b, m] - references[r, p]|, the inner minimum of Eq. 3, 5 and 6."""
    distances = queries.new_empty(len(queries), len(references), queries.shape[1])
    for rows, columns, block in nearest_blocks(queries, references, precision):
        distances[rows, columns] = block
    return distances


def nearest_blocks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision = "fp32"
) -> Iterator[Block]:
    """`nearest_distances` block by block, for who reduces them at once and never holds [B, R, M].

    Args:
        precision: of the matrix products. 'fp32' finds the nearest patches; 'bf16' patches that are as near, but for
            bfloat16's rounding, in a fraction of the time; 'auto' is 'bf16' where that is faster.
    """

    def work(task: _Task) -> Block:
        rows, columns, factors = task
        to_right, _ = _nearest(queries[rows], references[columns], factors)
        return Block(rows, columns, to_right)

    yield from in_order(work, _tasks(queries, references, precision), device=queries.device)


def pairwise_nearest(bags: Float[Tensor, "n m d"], precision: Precision = "fp32") -> Iterator[Block]:
    """`nearest_blocks(bags, bags)`, both directions from one product; distances of a bag to itself are zero."""

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

    for blocks in in_order(work, _tasks(bags, bags, precision, upper=True), device=bags.device):
        yield from blocks


def resolve(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of number that matrix products are computed with.

    Raises:
        ValueError: `precision` has another name.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {get_args(Precision)}, got {precision!r}")
    if precision == "auto":
        precision = "bf16" if _gains_by_bfloat16(device) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def _gains_by_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = _capabilities() if device.type == "cpu" else {}
    # Of two vector units that multiply float32, processors of Intel have only one that does bfloat16: measured, 1.6
    # times float32's time, against half of it on those of AMD.
    vectors = capabilities.get("avx512_bf16", False) and _is_of_amd()
    return capabilities.get("amx_bf16", False) or vectors


def _is_of_amd() -> bool:
    """By name, or by instructions that Intel never had, since virtual machines hide names."""
    capabilities = _capabilities()
    return "AMD" in capabilities.get("cpu_name", "") or capabilities.get("sse4a", False)


def _capabilities() -> Mapping[str, Any]:
    """Of the processor, where PyTorch knows them."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


class _Factors:
    """The right factors of some references, computed by the first thread that needs them."""

    def __init__(self, references: Float[Tensor, "r p d"], dtype: torch.dtype):
        self.references = references
        self.dtype = dtype
        self.lock = Lock()
        self.found: Float[Tensor, "r p e"] | None = None

    def get(self) -> Float[Tensor, "r p e"]:
        with self.lock:
            if self.found is None:
                self.found = _extend(self.references, self.dtype, swap=True)
            return self.found


class _Task(NamedTuple):
    """Some queries that meet some references, `side` at a time."""

    rows: slice
    columns: slice
    factors: list[_Factors]


def _numbers(dtype: torch.dtype, device: torch.device) -> int:
    """In one matrix product, at most."""
    return (BLOCK if device.type == "cpu" else LARGE_BLOCK) // dtype.itemsize


def _tasks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision, *, upper: bool = False
) -> Iterator[_Task]:
    """All pairs; with `upper` those above the diagonal, and those on it as tasks of their own."""
    dtype = resolve(precision, queries.device)
    # So many bags of each kind meet in one matrix product.
    side = max(1, isqrt(_numbers(dtype, queries.device) // (queries.shape[1] * references.shape[1])))
    # A few references meet all queries before others come, and are in the cache meanwhile.
    for columns in _slices(0, len(references), ROW * side):
        factors = [_Factors(references[piece], dtype) for piece in _slices(columns.start, columns.stop, side)]
        for rows in _slices(0, columns.stop if upper else len(queries), side):
            if not upper or rows.start < columns.start:
                yield _Task(rows, columns, factors)
                continue
            done = (rows.start - columns.start) // side
            yield _Task(rows, rows, factors[done : done + 1])
            if rows.stop < columns.stop:
                yield _Task(rows, slice(rows.stop, columns.stop), factors[done + 1 :])


def _slices(start: int, stop: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def _extend(bags: Float[Tensor, "n m d"], dtype: torch.dtype, *, swap: bool = False) -> Float[Tensor, "n m e"]:
    """The left factors, or with `swap` the right ones; filled up with zeros, since products like whole vectors."""
    channels, parts = bags.shape[-1], 1 if dtype == torch.float32 else 2
    padding = -(channels + 2 * parts) % ALIGNED
    factors = bags.new_zeros(*bags.shape[:-1], channels + 2 * parts + padding, dtype=dtype)
    patches, one, other, _ = factors.split([channels, parts, parts, padding], dim=-1)
    patches.copy_(bags)
    ones, halves = (one, other) if swap else (other, one)
    ones.fill_(1)
    # What bfloat16 leaves of a number goes into a second one.
    rest = torch.linalg.vector_norm(patches, dim=-1, dtype=torch.float32).square() / 2
    for half in halves.unbind(-1):
        half.copy_(rest)
        rest = rest - half
    if swap:
        patches.neg_()
    return factors


def _nearest(
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    factors: list[_Factors],
    *,
    both_ways: bool = False,
) -> tuple[Float[Tensor, "l r m"], Float[Tensor, "r x p"]]:
    """From queries to references and back; back is empty (x = 0) unless `both_ways`.

    Args:
        factors: of the references, in their order.
    """
    (bags, m, _), (others, p, _) = queries.shape, references.shape
    left = _extend(queries, factors[0].dtype)
    to_right = queries.new_full((others, bags, m), torch.inf)
    to_left = queries.new_full((others, bags if both_ways else 0, p), torch.inf)
    # Bags of more patches than a block holds meet in parts.
    numbers = _numbers(left.dtype, left.device)
    height = m if m * p <= numbers else min(m, HEIGHT)
    width = min(p, max(1, numbers // height))
    # Memory that was just written is in the cache, and memory that is new has to be found first.
    room = left.new_empty(bags * height * len(factors[0].references) * width)
    search = _on_processor if queries.device.type == "cpu" else _on_accelerator
    for factor, piece in zip(factors, _slices(0, others, len(factors[0].references)), strict=True):
        for row, column in grid(_slices(0, m, height), _slices(0, p, width)):
            product = _product(left[:, row], factor.get()[:, column], room)
            patches = queries[:, row], references[piece, column]
            search(product, *patches, to_right[piece, :, row], to_left[piece, :, column])
            # Before the next is computed, which then has its memory.
            del product
    return to_right.transpose(0, 1), to_left


def _product(
    left: Float[Tensor, "l m e"], right: Float[Tensor, "r p e"], room: Float[Tensor, " numbers"]
) -> Float[Tensor, "l m r p"]:
    """Written into `room` where that is faster."""
    rows, columns = left.flatten(0, 1), right.flatten(0, 1)
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if linear and left.device.type == "cpu" and left.dtype == torch.float32 and _is_of_amd():
        # There oneDNN's product takes half the time of MKL's, which is that of `mm`.
        product = linear(rows, columns, None, "none", [], "")
    else:
        product = room[: len(rows) * len(columns)].view(len(rows), len(columns))
        torch.mm(rows, columns.T, out=product)
    return product.view(*left.shape[:2], *right.shape[:2])


def _on_processor(
    product: Float[Tensor, "l m r p"],
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    to_right: Float[Tensor, "r l m"],
    to_left: Float[Tensor, "r x p"],
) -> None:
    """Lowers `to_right` and, unless it is empty, `to_left` to the distances."""
    # The order of their bits is that of the numbers. The few that rounding makes negative belong to patches that are
    # nearly the same, and still come first.
    bits = product.view({torch.float32: torch.int32, torch.bfloat16: torch.int16}[product.dtype])
    arrays = (bits, queries.contiguous(), references.contiguous(), to_right, to_left)
    exact_distances(*(array.numpy() for array in arrays))


def _on_accelerator(
    product: Float[Tensor, "l m r p"],
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    to_right: Float[Tensor, "r l m"],
    to_left: Float[Tensor, "r x p"],
) -> None:
    """The same, for any device."""
    to_right.clamp_max_(_distances(product.argmin(-1).permute(2, 0, 1), queries, references))
    if to_left.numel():
        to_left.clamp_max_(_distances(product.argmin(1), references, queries).transpose(0, 1))


def _distances(
    nearest: Int[Tensor, "r l m"], queries: Float[Tensor, "l m d"], references: Float[Tensor, "r p d"]
) -> Float[Tensor, "r l m"]:
    """From each patch of the queries to one patch of each reference."""
    found = references[torch.arange(len(references), device=nearest.device)[:, None, None], nearest]
    return torch.linalg.vector_norm(found - queries, dim=-1)
