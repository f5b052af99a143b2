"""A vector for each image [N, D] in; the images that are most like each one, for 'more like this one', out."""

from base64 import b64encode
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.neighbors import NearestNeighbors

# What a person looks through at once; 2,000 images take 130 kB in the page.
MOST = 24


class PackedNeighbours(NamedTuple):
    """Numbers of images [N, K] as bytes that a page can hold.

    Attributes:
        width: how many a row has, K.
        bytes: of a number, the lowest first.
        base64: the numbers, row by row.

    Example:
        >>> packed(np.array([[1], [0]]))
        PackedNeighbours(width=1, bytes=2, base64='AQAAAA==')
    """

    width: int
    bytes: int
    base64: str


def most_alike(vectors: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n k"]:
    """The nearest other images of each, the nearest first.

    Args:
        vectors: one an image [N, D]: embeddings, or places on the map where there are none.

    Returns:
        Images [N, K], K at most 24 and N - 1.

    Example:
        >>> most_alike(np.array([[0.0], [1.0], [5.0]])).tolist()
        [[1, 2], [0, 2], [1, 0]]
    """
    count = min(MOST, len(vectors) - 1)
    if not count:
        return np.empty((len(vectors), 0), dtype=np.int64)
    # Without arguments an image is not among its own neighbours.
    found: Int[np.ndarray, "n k"] = (
        NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors).kneighbors(return_distance=False)
    )
    return found


def packed(alike: Int[np.ndarray, "n k"]) -> PackedNeighbours:
    """Put neighbours into as few bytes as they need.

    Args:
        alike: of each image [N, K].
    """
    size = 2 if len(alike) <= 1 << 16 else 4
    return PackedNeighbours(alike.shape[1], size, b64encode(alike.astype(f"<u{size}").tobytes()).decode())
