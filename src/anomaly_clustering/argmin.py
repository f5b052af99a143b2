"""Products of patches in; from each patch the exact distance to the one where its product is smallest out. Compiled:
the processor's part of the hot loop that is not a matrix product.

PyTorch would read the products several times, and its argmin takes longer than the matrix product itself. The compiler
makes vectors of these loops over integers, as long as it sees that no index is negative.
"""

from typing import no_type_check

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, fastmath=True)
@no_type_check
def exact_distances(product, left, right, to_right, to_left):
    """From each patch to the patch of each image on the other side that has the least product with it.

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


@numba.njit(nogil=True, cache=True)
@no_type_check
def _argmin(row):
    least = row[0]
    for j in range(len(row)):
        least = min(least, row[j])
    where = np.int32(0)
    for j in range(len(row)):
        where = max(where, np.int32(j) if row[j] == least else np.int32(0))
    return where


@numba.njit(nogil=True, cache=True)
@no_type_check
def _update(least, where, row, m):
    """The least number of each column so far, and its row, with row `m`."""
    for j in range(len(row)):
        value = row[j]
        closer = value < least[j]
        where[j] = m if closer else where[j]
        least[j] = value if closer else least[j]


@numba.njit(nogil=True, cache=True, fastmath=True)
@no_type_check
def _distances(patches, others, chosen, result):
    for m in range(len(patches)):
        a, b = patches[m], others[chosen[m]]
        total = np.float32(0)
        for k in range(len(a)):
            total += (a[k] - b[k]) ** 2
        result[m] = min(result[m], np.sqrt(total))
