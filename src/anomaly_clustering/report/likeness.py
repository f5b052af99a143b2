"""A vector for each image [N, D] in; the images that are most like each one, for 'more like this one', out."""

from base64 import b64encode
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

# What a person looks through at once; 2,000 images take 130 kB in the page. Of many images half as many.
MOST = 24
# More images are compared by their first principal components, which keep who is near whom, and only the nearest ones
# of these by all that is known of them.
MANY, COMPONENTS, CANDIDATES = 20_000, 48, 4
BLOCK = 2_000


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
        Images [N, K], K at most 24 and N - 1; beyond 20,000 images K is 12, and some of the nearest may be missed.

    Example:
        >>> most_alike(np.array([[0.0], [1.0], [5.0]])).tolist()
        [[1, 2], [0, 2], [1, 0]]
    """
    if len(vectors) > MANY:
        return _most_alike_of_many(vectors, MOST // 2)
    count = min(MOST, len(vectors) - 1)
    return _nearest(vectors, count) if count else np.empty((len(vectors), 0), dtype=np.int64)


def _nearest(vectors: Float[np.ndarray, "n d"], count: int) -> Int[np.ndarray, "n k"]:
    # Without arguments an image is not among its own neighbours. No more than a block of distances is held at once.
    found: Int[np.ndarray, "n k"] = (
        NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors).kneighbors(return_distance=False)
    )
    return found


def _most_alike_of_many(vectors: Float[np.ndarray, "n d"], count: int) -> Int[np.ndarray, "n k"]:
    if vectors.shape[1] <= COMPONENTS:
        return _nearest(vectors.astype(np.float32), count)
    sample = vectors[:: -(-len(vectors) // MANY)]
    components = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(sample)
    blocks = range(0, len(vectors), BLOCK)
    projected = np.concatenate([components.transform(vectors[k : k + BLOCK]).astype(np.float32) for k in blocks])
    candidates = _nearest(projected, CANDIDATES * count)
    found = np.empty((len(vectors), count), dtype=np.int64)
    for i, row in enumerate(candidates):
        apart = ((vectors[row] - vectors[i]) ** 2).sum(1)
        found[i] = row[np.argsort(apart, kind="stable")[:count]]
    return found


def packed(alike: Int[np.ndarray, "n k"]) -> PackedNeighbours:
    """Put neighbours into as few bytes as they need.

    Args:
        alike: of each image [N, K].
    """
    size = 2 if len(alike) <= 1 << 16 else 3 if len(alike) <= 1 << 24 else 4
    lowest = np.ascontiguousarray(alike, dtype="<u4").view(np.uint8).reshape(*alike.shape, 4)[..., :size]
    return PackedNeighbours(alike.shape[1], size, b64encode(lowest.tobytes()).decode())
