"""Products of patches in; from each patch the exact distance to the nearest one, by these products, out.

Compiled: the processor's part of the hot loop that is not a matrix product.

PyTorch would read the products several times, and its argmin takes longer than the matrix product itself. The compiler
makes vectors of these loops over integers, as long as it sees that no index is negative.
"""

from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np

# Compared integers hold the index of a patch in so many bits, so at most 2^10 patches of a bag meet at once.
INDEX_BITS = 10
MOST_PATCHES = 2**INDEX_BITS
INDEX = np.int32(MOST_PATCHES - 1)
LEAST_OF_NONE = np.int32(2**31 - 1)
# Float32 reaches no further.
MOST_SHIFT = 512


def compiled(*, fastmath: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function by numba, once for all processes; anew in each where numba has no folder for what it compiles.

    Args:
        fastmath: allow sums in another order.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(nogil=True, cache=True, fastmath=fastmath)(function)
        except RuntimeError:
            return numba.njit(nogil=True, fastmath=fastmath)(function)

    return decorate


@compiled(fastmath=True)
@no_type_check
def nearest_by_numbers(product, left, right, to_right, to_left):
    """Lower distances to those from each patch to the patch of each image that has the least product with it.

    Args:
        product: integers [L, M, R, P], smallest where patches are nearest.
        left: [L, M, D].
        right: [R, P, D].
        to_right: [R, L, M], is lowered to the distances.
        to_left: [R, L, P], is lowered too, or is [R, 0, P] where only one direction is wanted.
    """
    both_ways = to_left.shape[1] > 0
    column_of_row, row_of_column = np.empty(left.shape[1], np.int32), np.empty(right.shape[1], np.int32)
    for i in range(len(left)):
        for j in range(len(right)):
            least_of_column = product[i, 0, j].copy()
            row_of_column[:] = 0
            for m in range(left.shape[1]):
                row = product[i, m, j]
                column_of_row[m] = _argmin(row)
                if both_ways:
                    _update(least_of_column, row_of_column, row, m)
            _distances(left[i], right[j], column_of_row, to_right[j, i])
            if both_ways:
                _distances(right[j], left[i], row_of_column, to_left[j, i])


@compiled()
@no_type_check
def nearest_by_integers(product, left_halves, right_halves, left_steps, right_steps, left, right, to_right, to_left):
    """What `nearest_by_numbers` does, by |a - b|^2 / 2 = h_a + h_b - a b: h_a is the same in a row, h_b in a column.

    The numbers that are compared, h_b - a b or h_a - a b, hold the index of the patch in their lowest bits, so that the
    least number also tells its index. 32 bits have room for both: the bits that the index displaces are below the
    rounding of the integers.

    Args:
        product: a b, int32 [L, M, R, P], is used up; M and P are at most MOST_PATCHES.
        left_halves: h_a, [L, M].
        right_halves: h_b, [R, P].
        left_steps: [L], what 1 stands for in each image.
        right_steps: [R].
        left: [L, M, D], and so on as in `nearest_by_numbers`.
    """
    both_ways = to_left.shape[1] > 0
    column_of_row, row_of_column = np.empty(left.shape[1], np.int32), np.empty(right.shape[1], np.int32)
    row_offsets, column_offsets = np.empty_like(column_of_row), np.empty_like(row_of_column)
    for i in range(len(left)):
        for j in range(len(right)):
            unit = np.float64(left_steps[i]) * right_steps[j]
            # No number that is compared is below -2 times or above 3 times the largest half. Images on very different
            # scales need greater units.
            largest, shift = 3 * max(left_halves[i].max(), right_halves[j].max()), 0
            while largest >= unit * 2 ** (31 - INDEX_BITS) and shift < MOST_SHIFT:
                unit, shift = 2 * unit, shift + 1
            _offsets(left_halves[i], unit, row_offsets)
            _offsets(right_halves[j], unit, column_offsets)
            row_of_column[:] = LEAST_OF_NONE
            for m in range(left.shape[1]):
                row = product[i, m, j]
                if shift:
                    row >>= min(shift, 31)
                if both_ways:
                    column_of_row[m] = _least_both_ways(row, column_offsets, row_offsets[m], row_of_column)
                else:
                    column_of_row[m] = _least(row, column_offsets)
            column_of_row &= INDEX
            _distances(left[i], right[j], column_of_row, to_right[j, i])
            if both_ways:
                row_of_column &= INDEX
                _distances(right[j], left[i], row_of_column, to_left[j, i])


@compiled()
@no_type_check
def _offsets(halves, unit, offsets):
    for m in range(len(halves)):
        offsets[m] = np.int32(np.int32(halves[m] / unit) << INDEX_BITS) + np.int32(m)


@compiled()
@no_type_check
def _least(row, offsets):
    least = LEAST_OF_NONE
    for j in range(len(row)):
        least = min(least, np.int32(offsets[j] - np.int32(row[j] << INDEX_BITS)))
    return least


@compiled()
@no_type_check
def _least_both_ways(row, offsets, offset, least_of_columns):
    least = LEAST_OF_NONE
    for j in range(len(row)):
        product = np.int32(row[j] << INDEX_BITS)
        least = min(least, np.int32(offsets[j] - product))
        least_of_columns[j] = min(least_of_columns[j], np.int32(offset - product))
    return least


@compiled()
@no_type_check
def _argmin(row):
    least = row[0]
    for j in range(len(row)):
        least = min(least, row[j])
    where = np.int32(0)
    for j in range(len(row)):
        where = max(where, np.int32(j) if row[j] == least else np.int32(0))
    return where


@compiled()
@no_type_check
def _update(least, where, row, m):
    """The least number of each column so far, and its row, with row `m`: the last of several, as `_argmin` has it."""
    for j in range(len(row)):
        value = row[j]
        closer = value <= least[j]
        where[j] = m if closer else where[j]
        least[j] = value if closer else least[j]


@compiled(fastmath=True)
@no_type_check
def _distances(patches, others, chosen, result):
    for m in range(len(patches)):
        a, b = patches[m], others[chosen[m]]
        total = np.float32(0)
        for k in range(len(a)):
            total += (a[k] - b[k]) ** 2
        result[m] = min(result[m], np.sqrt(total))
