"""Vectors, which may move a little from call to call, in; the nearest others of each, measured exactly, out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.neighbors import NearestNeighbors

# So many nearest ones of each vector are kept at hand, of which fewer are asked for.
AT_HAND = 8
# What matrix products round distances by, at most, between vectors of a length of about 1.
ROUNDING = 1e-7


class Nearest(NamedTuple):
    """For each vector those nearest to it, from the nearest on."""

    distances: Float[np.ndarray, "n k"]
    images: Int[np.ndarray, "n k"]


class Neighbours:
    """The nearest others of each of some vectors, found without comparing all with all at each call.

    Of each vector the eight nearest ones are kept, and how far away all others are at least. By the triangle inequality
    these come nearer by no more than both move. Only of vectors of which that does not rule out a nearer one all others
    are looked through again. So vectors that are directions from a mean can be asked about again and again while that
    mean moves.

    Args:
        count: how many nearest ones are asked for, 8 at most.

    Example:
        >>> near = Neighbours(1)
        >>> near.of(np.array([[0.0], [1.0], [5.0]])).images.tolist()
        [[1], [0], [1]]
        >>> near.of(np.array([[0.0], [4.0], [5.0]])).images.tolist()
        [[1], [2], [1]]
    """

    def __init__(self, count: int):
        self.count = count
        self.vectors: Float[np.ndarray, "n d"] = np.empty((0, 0))
        self.at_hand: Int[np.ndarray, "n k"] = np.empty((0, 0), dtype=np.int64)
        self.beyond: Float[np.ndarray, " n"] = np.empty(0)
        """How far away all others than those at hand are at least."""

    def of(self, vectors: Float[np.ndarray, "n d"]) -> Nearest:
        """Those nearest to each vector, itself left out.

        Args:
            vectors: in double precision [N, D]; if they are as many as at the last call, the same ones, moved.

        Returns:
            As many as were asked for, or all others.
        """
        is_new, before = vectors.shape != self.vectors.shape, self.vectors
        self.vectors = vectors
        if is_new:
            everything = np.arange(len(vectors))
            self.at_hand = self._search(everything)
            self.beyond = self._beyond(everything)
            return self._nearest(everything)
        moved = np.linalg.norm(vectors - before, axis=1)
        self.beyond = np.maximum(self.beyond - moved - moved.max(initial=0), 0)
        nearest = self._nearest(np.arange(len(vectors)))
        unsure = np.flatnonzero(nearest.distances.max(1, initial=0) > self.beyond)
        if len(unsure):
            self.at_hand[unsure] = self._search(unsure)
            self.beyond[unsure] = self._beyond(unsure)
            for whole, part in zip(nearest, self._nearest(unsure), strict=True):
                whole[unsure] = part
        return nearest

    def _search(self, rows: Int[np.ndarray, " r"]) -> Int[np.ndarray, "r k"]:
        count = min(AT_HAND, len(self.vectors) - 1)
        if count < 1:
            return np.empty((len(rows), 0), dtype=np.int64)
        search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(self.vectors)
        found: Int[np.ndarray, "r k_and_1"] = search.kneighbors(self.vectors[rows], return_distance=False)
        # A vector is among those nearest to itself, unless there are many copies of it.
        others = found != rows[:, None]
        others[others.all(1), -1] = False
        return found[others].reshape(len(rows), count)

    def _beyond(self, rows: Int[np.ndarray, " r"]) -> Float[np.ndarray, " r"]:
        if self.at_hand.shape[1] == len(self.vectors) - 1:
            return np.full(len(rows), np.inf)
        return np.maximum(self._distances(rows).max(1) - ROUNDING, 0)

    def _distances(self, rows: Int[np.ndarray, " r"]) -> Float[np.ndarray, "r k"]:
        columns = [np.linalg.norm(self.vectors[column] - self.vectors[rows], axis=1) for column in self.at_hand[rows].T]
        return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))

    def _nearest(self, rows: Int[np.ndarray, " r"]) -> Nearest:
        return closest(self._distances(rows), self.at_hand[rows], self.count)


def closest(distances: Float[np.ndarray, "n k"], images: Int[np.ndarray, "n k"], count: int) -> Nearest:
    """The nearest of some that are at hand.

    Args:
        distances: to each [N, K].
        images: which these are [N, K].
        count: how many are asked for; all where there are fewer.

    Example:
        >>> closest(np.array([[3.0, 1.0, 2.0]]), np.array([[7, 8, 9]]), 2).images.tolist()
        [[8, 9]]
    """
    order = distances.argsort(1, kind="stable")[:, :count]
    return Nearest(np.take_along_axis(distances, order, 1), np.take_along_axis(images, order, 1))
