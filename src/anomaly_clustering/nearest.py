"""Bags of patches in; for each patch the distance to the nearest patch of each other bag out. The hot loop.

Patches are extended by their halved squared length h and by ones, a' = [a, h_a, 1] and b' = [-b, 1, h_b], so that one
matrix product holds |a - b|^2 / 2 for all pairs of patches. Its minima over columns and over rows tell the nearest
patches in both directions, and it is dropped while it is still in the cache. The distance to a patch that was found is
computed anew from the difference, in float32 whatever the precision of the product: no cancellation shows, and it is
never below the truth.
"""

from collections.abc import Iterator
from itertools import product as grid
from math import isqrt
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.argmin import exact_distances
from anomaly_clustering.threads import in_order

Precision = Literal["auto", "fp32", "bf16"]
# Numbers in a matrix product: 2^20 of bfloat16 are 2 MiB, about a core's share of the cache.
BLOCK = 2**20
# Products in a row that share their left factor.
ROW = 12
# Bytes of right factors that are kept at a time.
FACTORS = 2**28


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
            bfloat16's rounding, in a fraction of the time; 'auto' is 'bf16' where the device computes with it.
    """
    side = _side(queries, references)

    def work(task: _Task) -> Block:
        to_right, _ = _nearest(queries[task.rows], references[task.columns], task.factors, side)
        return Block(task.rows, task.columns, to_right)

    yield from in_order(work, _tasks(queries, references, precision), device=queries.device)


def pairwise_nearest(bags: Float[Tensor, "n m d"], precision: Precision = "fp32") -> Iterator[Block]:
    """`nearest_blocks(bags, bags)`, both directions from one product; distances of a bag to itself are zero."""
    side = _side(bags, bags)

    def work(task: _Task) -> list[Block]:
        rows, columns, factors = task
        if rows == columns:
            to_right = bags.new_zeros(len(factors), len(factors), bags.shape[1])
            if len(factors) > 1:
                to_right, _ = _nearest(bags[rows], bags[columns], factors, side)
                to_right.diagonal().zero_()
            return [Block(rows, columns, to_right)]
        to_right, to_left = _nearest(bags[rows], bags[columns], factors, side, both_ways=True)
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
        precision = "bf16" if _computes_bfloat16(device) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return False


class _Task(NamedTuple):
    """Some queries and some references, whose factors of the products are at hand."""

    rows: slice
    columns: slice
    factors: Float[Tensor, "r p e"]


def _side(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> int:
    """How many bags of each kind meet in one matrix product."""
    return max(1, int((BLOCK / (queries.shape[1] * references.shape[1])) ** 0.5))


def _tasks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision, *, upper: bool = False
) -> Iterator[_Task]:
    """All pairs; with `upper` those above the diagonal, and those on it as tasks of their own."""
    dtype, side = resolve(precision, queries.device), _side(queries, references)
    kept = FACTORS // (references[0].numel() * dtype.itemsize) // side * side
    for part in _slices(0, len(references), max(kept, side)):
        extended = [_extend(references[piece], dtype, swap=True) for piece in _slices(part.start, part.stop, side)]
        factors = torch.cat(extended)
        # A few queries meet a few references before others come, which then are in the cache.
        few = ROW * side
        for band, columns in grid(_slices(0, len(queries), few), _slices(part.start, part.stop, few)):
            for rows in _slices(band.start, band.stop, side):
                start = columns.start
                if upper and columns.start <= rows.start < columns.stop:
                    yield _Task(rows, rows, factors[rows.start - part.start : rows.stop - part.start])
                    start = rows.stop
                if start < columns.stop and not (upper and rows.start >= columns.stop):
                    others = slice(start, columns.stop)
                    yield _Task(rows, others, factors[others.start - part.start : others.stop - part.start])


def _slices(start: int, stop: int, step: int) -> list[slice]:
    return [slice(i, min(i + step, stop)) for i in range(start, stop, step)]


def _extend(bags: Float[Tensor, "n m d"], dtype: torch.dtype, *, swap: bool = False) -> Float[Tensor, "n m e"]:
    rounded = bags.to(dtype)
    rest = rounded.float().square().sum(-1, keepdim=True) / 2
    halves = []
    # What bfloat16 leaves of a number goes into a second one.
    for _ in range(1 if dtype == torch.float32 else 2):
        halves.append(rest.to(dtype))
        rest = rest - halves[-1]
    ones = [torch.ones_like(half) for half in halves]
    return torch.cat([-rounded, *ones, *halves] if swap else [rounded, *halves, *ones], dim=-1)


def _nearest(
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    factors: Float[Tensor, "r p e"],
    side: int,
    *,
    both_ways: bool = False,
) -> tuple[Float[Tensor, "l r m"], Float[Tensor, "r x p"]]:
    """From queries to references and back; back is empty (x = 0) unless `both_ways`."""
    (bags, m, _), (others, p, _) = queries.shape, references.shape
    left = _extend(queries, factors.dtype)
    to_right = queries.new_full((others, bags, m), torch.inf)
    to_left = queries.new_full((others, bags if both_ways else 0, p), torch.inf)
    # Bags of more patches than a block holds meet in parts.
    height, width = (m, p) if m * p <= BLOCK else (min(m, isqrt(BLOCK)), BLOCK // min(m, isqrt(BLOCK)))
    # Memory that was just written is in the cache, and memory that is new has to be found first.
    room = left.new_empty(bags * height * min(side, others) * width)
    search = _on_processor if queries.device.type == "cpu" else _on_accelerator
    for piece, row, column in grid(_slices(0, others, side), _slices(0, m, height), _slices(0, p, width)):
        product = _product(left[:, row], factors[piece, column], room)
        patches = queries[:, row], references[piece, column]
        search(product, *patches, to_right[piece, :, row], to_left[piece, :, column])
    return to_right.transpose(0, 1), to_left


def _product(
    left: Float[Tensor, "l m e"], right: Float[Tensor, "r p e"], room: Float[Tensor, " numbers"]
) -> Float[Tensor, "l m r p"]:
    """Written into `room` where that is faster."""
    rows, columns = left.flatten(0, 1), right.flatten(0, 1)
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if linear and left.device.type == "cpu" and left.dtype == torch.float32:
        # On processors of AMD oneDNN's product takes half the time of MKL's, which is that of `mm`.
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
