"""Bags on a GPU in; distances to the nearest patches of other bags, both ways from products that are never stored, out.

The kernels are in `fused_kernels.py`. Here stands what they are given at a time and in which order, such that the
memory taken does not grow with the number of images.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from anomaly_clustering.search.centre import centre_of
from anomaly_clustering.search.fused_plan import FusedPlan, Pairs, evenly, make_pairs, make_plan, round_up, slices

# The numbers of a bag are scaled to at most 2^LARGEST: float16 then holds them and what rounding has left of them.
LARGEST = 12
# Tiles of references that a program goes through: with more, few queries would leave most of the device idle.
SPAN = 16
# Pairs that a program measures, numbers that it holds of their query, channels of these at most, and its warps.
GROUP, NUMBERS, MOST_COLUMNS, WARPS = 8, 2**11, 2**11, 2
# Above all keys.
NONE = 2**63 - 1


def blocks(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], dtype: torch.dtype, *, upper: bool = False
) -> Iterator[tuple[slice, slice, Float[Tensor, "rows columns m"], Float[Tensor, "columns rows p"] | None]]:
    """Distances from each patch to the nearest patch of each reference, and the way back, block by block.

    Args:
        queries: bags whose patches are looked at [B, M, D].
        references: bags that they are compared with [R, P, D].
        dtype: of the products. float16 and bfloat16 multiply centred patches. float32 multiplies float16 and what it
            has left over, three products in one, which is as good, and centres patches that are far from zero; or
            TF32, where PyTorch may (`torch.set_float32_matmul_precision`, or
            `torch.backends.cuda.matmul.fp32_precision`).
        upper: queries and references are the same bags, and each pair of them is wanted once, both ways.

    Returns:
        Positions of some queries and of some references, distances from these queries to these references, and with
        `upper` those from the references to the queries; None where both are the same bags, whose distances are among
        the others.
    """
    queries, references = queries.contiguous(), references.contiguous()
    plan = make_plan(queries, references, dtype, both_ways=upper)
    centre = _centre(references) if plan.centred else centre_of(references)
    centre = references.new_zeros(references.shape[2], dtype=torch.float32) if centre is None else centre.float()
    units = _units(queries, centre)
    own = _Bags(queries, units, centre, plan, plan.tiles.columns)
    others = own._replace(tile=plan.tiles.rows)
    if not upper:
        others = others._replace(bags=references, units=_units(references, centre))
    for columns in slices(len(references), plan.references):
        for rows in slices(columns.stop if upper else len(queries), plan.queries):
            same = upper and rows == columns
            yield rows, columns, *_distances(own.some(rows), others.some(columns), both_ways=upper, same=same)


class _Factors(NamedTuple):
    """What is multiplied: see `fused_kernels.prepare`."""

    values: Shaped[Tensor, "patches stored"]
    halves: Float[Tensor, "n padded"]
    units: Float[Tensor, " n"]


class _Bags(NamedTuple):
    """Bags, and what their factors are made with.

    Attributes:
        bags: patches of each image [N, M, D].
        units: what 1 stands for in the factors of each [N].
        centre: is subtracted from all patches [D].
        plan: see there.
        tile: patches of a bag are filled up to a multiple of this number.
    """

    bags: Float[Tensor, "n m d"]
    units: Float[Tensor, " n"]
    centre: Float[Tensor, " d"]
    plan: FusedPlan
    tile: int

    def some(self, images: slice) -> "_Bags":
        return self._replace(bags=self.bags[images], units=self.units[images])

    def factors(self, patches: slice) -> _Factors:
        """The factors of these patches of each bag."""
        from anomaly_clustering.search.fused_kernels import prepare

        bags, plan = self.bags[:, patches], self.plan
        count, length, channels = bags.shape
        padded, rows = round_up(length, self.tile), 16
        stored = plan.width * (2 if plan.split else 1)
        values = torch.empty(count * padded, stored, dtype=plan.stored, device=bags.device)
        halves = torch.empty(count, padded, dtype=torch.float32, device=bags.device)
        prepare[(padded // rows, count)](
            bags,
            self.centre,
            self.units,
            values,
            halves,
            length,
            padded,
            bags.stride(0),
            channels,
            plan.width,
            stored,
            plan.split,
            plan.rounded == torch.bfloat16,
            rows,
            plan.tiles.channels,
        )
        return _Factors(values, halves, self.units)


def _centre(bags: Float[Tensor, "n p d"]) -> Float[Tensor, " d"]:
    """The mean patch, without the bags whose sums are too large for their type."""
    means = bags.mean(1).float()
    finite = means.isfinite().all(1, keepdim=True)
    return torch.where(finite, means, 0).sum(0) / finite.sum().clamp_min(1)


def _units(bags: Float[Tensor, "n m d"], centre: Float[Tensor, " d"]) -> Float[Tensor, " n"]:
    """What 1 stands for in the factors of each bag: a power of two, so that scaling alone changes no digit."""
    # Of the centred numbers, which far from zero are much smaller, without a copy of them.
    above, below = bags.amax(1).float() - centre, centre - bags.amin(1).float()  # [N, D] each
    largest = torch.maximum(above, below).amax(1)
    _, exponents = torch.frexp(torch.where(largest > 0, largest, 1))
    return torch.ldexp(torch.ones_like(largest), exponents - LARGEST)


def _distances(
    queries: _Bags, references: _Bags, *, both_ways: bool, same: bool
) -> tuple[Float[Tensor, "b r m"], Float[Tensor, "r b p"] | None]:
    """Between these bags; with `same` those above the diagonal, both ways in one tensor, zero on the diagonal."""
    left, right, plan = queries.bags, references.bags, queries.plan
    (b, m, _), (r, p, _) = left.shape, right.shape
    forth = left.new_zeros(b, r, m) if same else left.new_empty(b, r, m)
    back = forth if same else left.new_empty(r, b, p) if both_ways else None
    pairs = make_pairs(b, r, left.device, same=same)
    if not len(pairs.query):
        return forth, None
    with torch.cuda.device_of(left):
        for part, other in product(slices(m, plan.height), slices(p, plan.length)):
            keys, keys_back = _choose(queries, references, part, other, pairs, both_ways=both_ways)
            some, others, tiles = left[:, part], right[:, other], plan.tiles
            _measure(some, others, pairs, keys, forth[:, :, part], tiles.rows, lower=other.start > 0)
            if back is not None:
                _measure(
                    others, some, pairs.turned(), keys_back, back[:, :, other], tiles.columns, lower=part.start > 0
                )
    return forth, None if same else back


def _choose(
    queries: _Bags, references: _Bags, part: slice, other: slice, pairs: Pairs, *, both_ways: bool
) -> tuple[Int[Tensor, "pairs columns"], Int[Tensor, "pairs rows"]]:
    """Keys of the nearest patches; those of the way back mean nothing unless `both_ways`."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    from anomaly_clustering.search.fused_kernels import choose

    plan, tiles = queries.plan, queries.plan.tiles
    left, right = queries.factors(part), references.factors(other)
    columns, rows, count = left.halves.shape[1], right.halves.shape[1], len(pairs.query)
    steps = rows // tiles.rows
    span = evenly(steps, SPAN)
    shares = -(-steps // span)
    keys = torch.full((count, columns), NONE, device=left.halves.device)
    keys_back = torch.full((count, rows if both_ways else 0), NONE, device=left.halves.device)
    choose[(columns // tiles.columns * shares, count)](
        TensorDescriptor.from_tensor(left.values, [tiles.columns, tiles.channels]),
        left.halves,
        left.units,
        TensorDescriptor.from_tensor(right.values, [tiles.rows, tiles.channels]),
        right.halves,
        right.units,
        pairs.query,
        pairs.reference,
        keys,
        keys_back,
        columns,
        rows,
        span,
        -tiles.rows,
        -2 * tiles.columns,
        plan.width,
        plan.split,
        both_ways,
        shares > 1,
        tiles.rows,
        tiles.columns,
        tiles.channels,
        tiles.warps,
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )
    return keys, keys_back


def _measure(
    queries: Float[Tensor, "b m d"],
    references: Float[Tensor, "r p d"],
    pairs: Pairs,
    keys: Int[Tensor, "pairs columns"],
    distances: Float[Tensor, "b r m"],
    tile: int,
    *,
    lower: bool,
) -> None:
    """Write into `distances` those to the patches that the keys name, or lower them."""
    from triton import next_power_of_2

    from anomaly_clustering.search.fused_kernels import measure

    (_, patches, channels), count = queries.shape, len(pairs.query)
    columns = min(next_power_of_2(channels), MOST_COLUMNS)
    rows = max(1, NUMBERS // columns)
    measure[(-(-patches // rows), -(-count // GROUP))](
        queries,
        references,
        pairs.query,
        pairs.reference,
        pairs.by_query,
        keys,
        distances,
        count,
        patches,
        keys.shape[1],
        references.shape[1],
        queries.stride(0),
        references.stride(0),
        distances.stride(0),
        distances.stride(1),
        channels,
        tile,
        lower,
        GROUP,
        rows,
        columns,
        num_warps=WARPS,
    )
