"""Embeddings [N, D] or distances [N, N] in; a place [N, 2] for each image on a map out."""

from importlib.util import find_spec

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsRegressor

# Fewer images have no neighbourhoods that UMAP could keep.
FEWEST_FOR_UMAP = 10
NEIGHBOURS = 3
# Images of which the covariance of embeddings is well known.
MANY = 4096


def place_all(
    embeddings: Float[np.ndarray, "n d"] | None, distance: Float[np.ndarray, "n n"] | None, *, seed: int = 0
) -> tuple[Float[np.ndarray, "n 2"], str]:
    """Place images on a map, those that are alike near one another.

    UMAP (McInnes et al. 2018) places them where umap-learn is installed and there are at least 10 images. Otherwise
    places are the two principal components of the embeddings, or classical scaling (Torgerson 1952) of the distances.

    Args:
        embeddings: one vector an image [N, D]; None where only distances are known.
        distance: between the images [N, N]; used where there are no embeddings.
        seed: starts UMAP.

    Returns:
        The places, and the name of the method.

    Raises:
        ValueError: there are neither embeddings nor distances.

    Example:
        >>> places, method = place_all(np.array([[0.0, 0, 1], [4, 0, 1], [2, 0, 1]]), None)
        >>> method, abs(places[:, 0]).round(2).tolist()
        ('PCA', [2.0, 2.0, 0.0])
    """
    known = embeddings if embeddings is not None else distance
    if known is None:
        raise ValueError("a map needs embeddings or distances, got neither")
    if find_spec("umap") and len(known) >= FEWEST_FOR_UMAP:
        from umap import UMAP

        metric = "euclidean" if embeddings is not None else "precomputed"
        reducer = UMAP(n_neighbors=min(15, len(known) - 1), metric=metric, random_state=seed, n_jobs=1)
        return reducer.fit_transform(known.astype(np.float32)).astype(np.float64), "UMAP"
    if embeddings is not None:
        points = _principal(embeddings.astype(np.float64))
        return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), "PCA"
    return _classical_scaling(known.astype(np.float64)), "classical scaling"


def _principal(embeddings: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n _"]:
    """By the covariance where images are many, which takes no copy of all embeddings."""
    solver = "full" if len(embeddings) <= MANY else "covariance_eigh"
    found: Float[np.ndarray, "n _"] = PCA(min(2, embeddings.shape[1]), svd_solver=solver).fit_transform(embeddings)
    return found


def _classical_scaling(distance: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n 2"]:
    squared = distance**2
    centred = -(squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()) / 2
    values, vectors = np.linalg.eigh(centred)
    return vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0))


def place_among(
    new: Float[np.ndarray, "k d"], embeddings: Float[np.ndarray, "n d"], places: Float[np.ndarray, "n 2"]
) -> Float[np.ndarray, "k 2"]:
    """Place later images on a map that is there: each at the mean of its 3 nearest, weighed by inverse distance.

    Args:
        new: embeddings of the later images [K, D].
        embeddings: of the images that are on the map [N, D].
        places: of these [N, 2].

    Returns:
        Places of the later images [K, 2].

    Example:
        >>> place_among(np.array([[1.0]]), np.array([[0.0], [2.0]]), np.array([[0.0, 0], [4, 2]])).tolist()
        [[2.0, 1.0]]
    """
    if not len(new):
        return places[:0]
    regressor = KNeighborsRegressor(min(NEIGHBOURS, len(embeddings)), weights="distance")
    return regressor.fit(embeddings, places).predict(new)
