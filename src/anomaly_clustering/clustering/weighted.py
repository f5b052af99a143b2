"""Distances between centres, and how many images each stands for, in; the tree that these images would have, out.

scipy, scikit-learn and fastcluster start linkages from single images alone; here a leaf may stand for many. It is the
nearest-neighbour chain (Murtagh 1983), as scipy has it, with other sizes to begin with.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import squareform


def weighted_linkage(
    distances: Float[np.ndarray, " pairs"], counts: Int[np.ndarray, " m"], method: Literal["ward", "average"]
) -> Float[np.ndarray, "m_minus_1 4"]:
    """Merges of centres, each of which counts as so many images at the same place.

    'ward' joins the two whose joining adds least to the variance within clusters, height sqrt(2 a b / (a + b)) |x - y|
    for a images around x and b around y; 'average' those with the least mean distance between their images.

    Args:
        distances: between all pairs of M centres, each pair once, in scipy's condensed form; Euclidean for 'ward'.
        counts: images that each centre stands for [M], one at least.
        method: of the linkage.

    Returns:
        Linkage matrix of scipy [M - 1, 4], lowest merge first; the last column counts images.

    Example:
        >>> weighted_linkage(np.array([1.0, 8.0, 7.0]), np.array([1, 1, 50]), "average").tolist()
        [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 7.5, 52.0]]
    """
    apart, sizes = squareform(distances.astype(np.float64)), counts.astype(np.float64)
    if method == "ward":
        apart = apart**2 * (2 * sizes[:, None] * sizes / (sizes[:, None] + sizes))
    merges, heights = _chain(apart, sizes, method)
    if method == "ward":
        heights = np.sqrt(np.maximum(heights, 0))
    return _as_tree(merges, heights, counts)


def _chain(
    apart: Float[np.ndarray, "m m"], sizes: Float[np.ndarray, " m"], method: Literal["ward", "average"]
) -> tuple[Int[np.ndarray, "m_minus_1 2"], Float[np.ndarray, " m_minus_1"]]:
    """Pairs that are each other's nearest, as a chain of nearest ones meets them, with heights; `apart` is used up.

    The second of a pair stands for both from then on. For linkages by which a merge never brings two closer to a third
    than they were, the pairs are those of the greedy order (Murtagh 1983).
    """
    count = len(sizes)
    np.fill_diagonal(apart, np.inf)
    gone = np.zeros(count)
    chain: list[int] = []
    merges, heights = np.empty((count - 1, 2), dtype=np.int64), np.empty(count - 1)
    for merge in range(count - 1):
        if not chain:
            chain.append(int(gone.argmin()))
        while True:
            row = apart[chain[-1]] + gone
            nearest = int(row.argmin())
            if len(chain) > 1 and row[chain[-2]] <= row[nearest]:
                break
            chain.append(nearest)
        first, second = chain.pop(), chain.pop()
        height, a, b = apart[first, second], sizes[first], sizes[second]
        if method == "ward":
            joined = ((a + sizes) * apart[first] + (b + sizes) * apart[second] - sizes * height) / (a + b + sizes)
        else:
            joined = (a * apart[first] + b * apart[second]) / (a + b)
        joined[[first, second]] = np.inf
        apart[second], apart[:, second] = joined, joined
        gone[first], sizes[second] = np.inf, a + b
        merges[merge], heights[merge] = (first, second), height
    return merges, heights


def _as_tree(
    merges: Int[np.ndarray, "m_minus_1 2"], heights: Float[np.ndarray, " m_minus_1"], counts: Int[np.ndarray, " m"]
) -> Float[np.ndarray, "m_minus_1 4"]:
    """The lowest merge first, and nodes numbered as scipy does."""
    node, size = np.arange(len(counts)), counts.astype(np.float64)
    tree = np.empty((len(merges), 4))
    # Whoever joined another is found through it.
    leads = np.arange(len(counts))
    for i, merge in enumerate(heights.argsort(kind="stable")):
        first, second = (_last(leads, int(side)) for side in merges[merge])
        size[second] += size[first]
        tree[i] = *sorted((node[first], node[second])), heights[merge], size[second]
        leads[first], node[second] = second, len(counts) + i
    return tree


def _last(leads: Int[np.ndarray, " m"], side: int) -> int:
    while leads[side] != side:
        leads[side] = leads[leads[side]]
        side = int(leads[side])
    return side
