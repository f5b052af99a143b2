"""Bags on a GPU in; by tiles of products that are never stored, nearest patches and the distances to them out (Triton).

Three kernels. `prepare` rounds bags to the factors of a product. `choose` multiplies the factors of two bags tile by
tile and keeps, of a tile, the least squared distance of each row and of each column. `measure` computes the distances
to the patches that were chosen from their differences.

What is compared is |a - b|^2 / 2 = h_a + h_b - a b, whose bits, read as an integer, are in the order of the numbers.
The place of a patch within its tile stands in their lowest bits, so that the least integer also tells its place.
"""

from typing import no_type_check

import triton
import triton.language as tl

# Above all bits of numbers.
NONE = tl.constexpr(0x7FFFFFFF)


@triton.jit(do_not_specialize=["patches"])
@no_type_check
def prepare(
    bags,
    centre,
    units,
    values,
    halves,
    patches,
    padded,
    stride,
    CHANNELS: tl.constexpr,
    WIDTH: tl.constexpr,
    STORED: tl.constexpr,
    SPLIT: tl.constexpr,
    BFLOAT16: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Round the patches of a bag, centred and in units of the bag, and halve their squared lengths.

    Patches that fill the last tile are zeros of infinite length, which are nearest to none.

    Args:
        bags: [n, patches, CHANNELS], `stride` numbers from bag to bag.
        centre: [CHANNELS], is subtracted: distances stay the same, and numbers near zero lose less when rounded.
        units: [n], what 1 stands for.
        values: [n, padded, STORED], are written: WIDTH rounded numbers, then, with SPLIT, what rounding left of them.
        halves: [n, padded], are written, of what the values stand for.
        BFLOAT16: round to bfloat16, whatever the type of the values.
    """
    bag = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    unit = tl.load(units + bag)
    # Powers of two, so that this loses nothing.
    scale = 1 / unit
    squares = tl.zeros((ROWS,), tl.float32)
    for start in tl.range(0, WIDTH, COLUMNS):
        channel = start + tl.arange(0, COLUMNS)
        inside = (row < patches)[:, None] & (channel < CHANNELS)[None, :]
        number = tl.load(bags + bag * stride + row[:, None] * CHANNELS + channel[None, :], mask=inside, other=0.0)
        shift = tl.load(centre + channel, mask=channel < CHANNELS, other=0.0)
        number = tl.where(inside, (number.to(tl.float32) - shift[None, :]) * scale, 0.0)
        kind = values.dtype.element_ty
        rounded = number.to(tl.bfloat16).to(kind) if BFLOAT16 else number.to(kind)
        to = values + (bag * padded + row[:, None]) * STORED + channel[None, :]
        tl.store(to, rounded)
        stands_for = rounded.to(tl.float32)
        if SPLIT:
            rest = (number - stands_for).to(kind)
            tl.store(to + WIDTH, rest)
            stands_for += rest.to(tl.float32)
        squares += tl.sum(stands_for * stands_for, 1)
    half = squares * (unit * unit / 2)
    tl.store(halves + bag * padded + row, tl.where(row < patches, half, float("inf")))


@triton.jit
@no_type_check
def _keep_least(
    product,
    unit,
    halves,
    of_columns,
    tile,
    place,
    least,
    least_in,
    to_rows,
    row_mask,
    column_mask,
    BOTH_WAYS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    WARPS: tl.constexpr,
):
    """The least numbers of each column so far, and the tiles that they are in, with one more tile.

    A thread holds some rows and many columns of a product. What it can compare alone is compared at once; what needs
    other threads is put off: for columns until all tiles are done, for rows until each thread has one number a row.
    That is what the axes are split for, with 16 rows a warp and 8 columns for each four threads, as tensor cores lay
    them out; of a place only the part that differs within a thread is written into each number. Where they lay them
    out differently, the result is the same, and slower.
    """
    bits = (halves[:, None] + of_columns[None, :] - product * unit).to(tl.int32, bitcast=True)
    groups: tl.constexpr = ROWS // (16 * WARPS)
    within = tl.reshape(tl.arange(0, ROWS) & (ROWS - 16 * WARPS + 8), [groups, WARPS, 2, 8])
    split = (tl.reshape(bits, [groups, WARPS, 2, 8, COLUMNS]) & row_mask) | within[:, :, :, :, None]
    found = tl.min(tl.min(split, 2), 0)
    least_in = tl.where(found < least, tile, least_in)
    least = tl.minimum(found, least)
    if BOTH_WAYS:
        within = tl.reshape(tl.arange(0, COLUMNS) & (COLUMNS - 7), [COLUMNS // 8, 4, 2])
        split = (tl.reshape(bits, [ROWS, COLUMNS // 8, 4, 2]) & column_mask) | within[None, :, :, :]
        found = tl.min(tl.min(split, 3), 1)
        found = tl.min(found | (tl.arange(0, 4) * 2)[None, :], 1)
        tl.atomic_min(to_rows, (found.to(tl.int64) << 32) | place.to(tl.int64), sem="relaxed")
    return least, least_in


@triton.jit(do_not_specialize=["span", "row_mask", "column_mask"])
@no_type_check
def choose(
    queries,
    query_halves,
    query_units,
    references,
    reference_halves,
    reference_units,
    of_query,
    of_reference,
    to_references,
    to_queries,
    columns,
    rows,
    span,
    row_mask,
    column_mask,
    WIDTH: tl.constexpr,
    SPLIT: tl.constexpr,
    BOTH_WAYS: tl.constexpr,
    SHARED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHANNELS: tl.constexpr,
    WARPS: tl.constexpr,
):
    """Choose for each patch of a query the nearest of a reference, and with BOTH_WAYS the way back.

    A program keeps COLUMNS patches of a query and goes through `span` tiles of ROWS patches of a reference.

    Args:
        queries: a descriptor of their factors [patches, stored], and so on as `prepare` writes them.
        of_query: [pairs], the query of each pair, and so on.
        to_references: [pairs, columns], are lowered to keys of the nearest patches: bits of the number that is compared
            and place within a tile, then 32 bits for the tile.
        to_queries: [pairs, rows], likewise for the way back.
        columns: patches of a query, with those that fill its last tile.
        rows: likewise of a reference.
        row_mask: ones where bits of a number are kept beside the place of a row; an argument, since the compiler would
            otherwise take two instructions in place of one.
        column_mask: likewise, and another number, for the same reason.
        SPLIT: sum three products: of rounded numbers, and of either's with what rounding has left of the other's.
        SHARED: several programs have the same columns.
    """
    pair = tl.program_id(1).to(tl.int64)
    widths = columns // COLUMNS
    at = tl.program_id(0) % widths
    first = tl.program_id(0) // widths * span
    last = min(first + span, rows // ROWS)
    query = tl.load(of_query + pair)
    reference = tl.load(of_reference + pair)
    unit = tl.load(query_units + query) * tl.load(reference_units + reference)
    column = at * COLUMNS + tl.arange(0, COLUMNS)
    row = tl.arange(0, ROWS)
    of_columns = tl.load(query_halves + query.to(tl.int64) * columns + column)
    reference_halves += reference.to(tl.int64) * rows
    to_queries += pair * rows
    to_references += pair * columns
    from_query = query * columns + at * COLUMNS
    from_reference = reference * rows
    # For each column of each group of rows that a thread compares by itself.
    least = tl.full((WARPS, 8, COLUMNS), NONE, tl.int32)
    least_in = tl.zeros((WARPS, 8, COLUMNS), tl.int32)
    steps: tl.constexpr = (3 if SPLIT else 1) * WIDTH
    if steps == CHANNELS:
        right = queries.load([from_query, 0])
    for tile in tl.range(first, last):
        # Before the products, so that this is there when they are.
        halves = tl.load(reference_halves + tile * ROWS + row)
        if steps == CHANNELS:
            left = references.load([from_reference + tile * ROWS, 0])
            product = tl.dot(left, right.T, input_precision="tf32")
        else:
            product = tl.zeros((ROWS, COLUMNS), tl.float32)
            for step in tl.range(0, steps, CHANNELS):
                # With SPLIT: rounded by rounded, rounded by rest, rest by rounded.
                left_step = step - WIDTH if SPLIT and step >= WIDTH else step
                right_step = step - 2 * WIDTH if SPLIT and step >= 2 * WIDTH else step
                left = references.load([from_reference + tile * ROWS, left_step])
                right = queries.load([from_query, right_step])
                product = tl.dot(left, right.T, product, input_precision="tf32")
        least, least_in = _keep_least(
            product,
            unit,
            halves,
            of_columns,
            tile,
            at,
            least,
            least_in,
            to_queries + tile * ROWS + row,
            row_mask,
            column_mask,
            BOTH_WAYS,
            ROWS,
            COLUMNS,
            WARPS,
        )
    lanes = tl.arange(0, WARPS)[:, None] * 16 + tl.arange(0, 8)[None, :]
    least = tl.reshape(least | lanes[:, :, None], [WARPS * 8, COLUMNS])
    lowest = tl.min(least, 0)
    # Of tiles with the same least number, the first.
    tiles = tl.where(least == lowest[None, :], tl.reshape(least_in, [WARPS * 8, COLUMNS]), NONE)
    key = (lowest.to(tl.int64) << 32) | tl.min(tiles, 0).to(tl.int64)
    if SHARED:
        tl.atomic_min(to_references + column, key, sem="relaxed")
    else:
        tl.store(to_references + column, key)


@triton.jit(do_not_specialize=["pairs", "patches", "others"])
@no_type_check
def measure(
    queries,
    references,
    of_query,
    of_reference,
    order,
    keys,
    distances,
    pairs,
    patches,
    padded,
    others,
    query_stride,
    reference_stride,
    bag_stride,
    pair_stride,
    CHANNELS: tl.constexpr,
    TILE: tl.constexpr,
    LOWER: tl.constexpr,
    GROUP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Distances to the patches that were chosen, from the differences of all channels.

    A program measures ROWS patches of GROUP pairs, which mostly have the same query.

    Args:
        queries: [n, patches, CHANNELS], `query_stride` numbers from bag to bag.
        references: [r, others, CHANNELS], likewise.
        order: pairs, such that those of a query follow each other.
        keys: [pairs, padded], see `choose`, whose tiles had TILE patches.
        distances: [n, r, patches], are written, or with LOWER lowered; `bag_stride` from bag to bag, `pair_stride` from
            reference to reference.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < patches
    channel = tl.arange(0, COLUMNS)
    # Double precision is measured in double precision, all else in single.
    exact: tl.constexpr = tl.float64 if queries.dtype.element_ty == tl.float64 else tl.float32
    held = -1
    own = tl.zeros((ROWS, COLUMNS), exact)
    for at in tl.range(tl.program_id(1) * GROUP, min(tl.program_id(1) * GROUP + GROUP, pairs)):
        pair = tl.load(order + at).to(tl.int64)
        query = tl.load(of_query + pair)
        reference = tl.load(of_reference + pair)
        key = tl.load(keys + pair * padded + row, mask=inside, other=0)
        chosen = (key & 0xFFFFFFFF).to(tl.int32) * TILE + ((key >> 32).to(tl.int32) & (TILE - 1))
        # Among NaN any may have been chosen, also those that fill the last tile.
        chosen = tl.minimum(chosen, others - 1)
        from_query = queries + query.to(tl.int64) * query_stride + row[:, None] * CHANNELS + channel[None, :]
        from_reference = references + reference.to(tl.int64) * reference_stride
        from_reference += chosen[:, None] * CHANNELS + channel[None, :]
        if COLUMNS >= CHANNELS:
            if query != held:
                fits = inside[:, None] & (channel < CHANNELS)[None, :]
                own = tl.load(from_query, mask=fits, other=0.0).to(exact)
                held = query
            fits = (channel < CHANNELS)[None, :]
            difference = own - tl.load(from_reference, mask=fits, other=0.0).to(exact)
            squares = tl.sum(difference * difference, 1)
        else:
            squares = tl.zeros((ROWS,), exact)
            for start in tl.range(0, CHANNELS, COLUMNS):
                fits = inside[:, None] & (channel + start < CHANNELS)[None, :]
                difference = tl.load(from_query + start, mask=fits, other=0.0).to(exact)
                difference -= tl.load(from_reference + start, mask=fits, other=0.0).to(exact)
                squares += tl.sum(difference * difference, 1)
        to = distances + query.to(tl.int64) * bag_stride + reference.to(tl.int64) * pair_stride + row
        distance = tl.sqrt(squares)
        if LOWER:
            distance = tl.minimum(distance, tl.load(to, mask=inside, other=0.0))
        tl.store(to, distance, mask=inside)
