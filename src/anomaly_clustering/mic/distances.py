"""Bags [N, M, D] or embeddings [N, D] in; distances [N, N] between images out (Eq. 1 to 3, Appendix C)."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.search.nearest import Block, nearest_blocks, pairwise_nearest
from anomaly_clustering.search.precision import Precision
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.threads import in_order

OverPatches = Literal["max", "mean", "min"]
Symmetrise = Literal["max", "mean"]
# Bags [R, P, D] and their positions [R] in the data set, such as a `Shard`; R may differ from part to part.
Part = tuple[Float[Tensor, "_ _ d"], Int[Tensor, " _"]]
# Distances between patches that are held at a time.
BLOCK = 2**21
# Squared distances below this share of the patches' squared length are dominated by rounding.
CLOSE = 1e-3


class DirectedDistances(NamedTuple):
    """From image i (row) to image j (column): the distances from each patch of i to the nearest of j, as one number.

    Attributes:
        max: the largest of them (Eq. 3).
        mean: their mean (Appendix C, 5 and 6).
        min: the smallest of them (Appendix C, 4).
    """

    max: Float[Tensor, "n total"]
    mean: Float[Tensor, "n total"]
    min: Float[Tensor, "n total"]


def euclidean(embeddings: Float[Tensor, "n d"] | Float[np.ndarray, "n d"]) -> Float[Tensor, "n n"]:
    """Distances between weighted averages (Eq. 1), in float64 and from differences, so that none cancels.

    distance[i, j] = |embeddings[i] - embeddings[j]|

    Args:
        embeddings: one vector an image [N, D], a tensor or an array.

    Returns:
        Symmetric distances [N, N], zero from an image to itself.

    Example:
        >>> euclidean(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 5.0], [5.0, 0.0]]
    """
    exact = torch.as_tensor(embeddings).double()
    return torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist")


def hausdorff(
    bags: Float[Tensor, "n m d"],
    over_patches: OverPatches,
    symmetrise: Symmetrise = "max",
    *,
    precision: Precision = "fp32",
    advance: Callable[[int], object] = lambda pairs: None,
) -> Float[Tensor, "n n"]:
    """Hausdorff distance between bags and its variants (Eq. 2 and 3; Appendix C, 2 to 6).

    d(Z_i, Z_j) = max over m of min over n of |z_m^i - z_n^j|, and the distance = max {d(Z_i, Z_j), d(Z_j, Z_i)}

    Variants replace the maximum over m or that over the two directions. Several variants of the same bags cost one pass
    over the pairs with `directed_distances` and `symmetric`.

    Args:
        bags: patches of each image [N, M, D].
        over_patches: the operator of Eq. 3 over m: 'max' for the maximum Hausdorff distance, 'mean' or 'min'.
        symmetrise: the operator of Eq. 2 over directions: 'max' or 'mean'. With `over_patches` 'min' both directions
            are the same, and so are both operators.
        precision: of the search, see `nearest_blocks`.
        advance: is told how many pairs of images were compared, for a progress bar.

    Returns:
        Symmetric distances [N, N], zero from an image to itself.

    Raises:
        ValueError: an operator has another name.

    Example:
        >>> bags = torch.tensor([[[0.0], [1.0]], [[1.0], [6.0]]])
        >>> hausdorff(bags, "max").tolist()
        [[0.0, 5.0], [5.0, 0.0]]
        >>> hausdorff(bags, "mean", "mean").tolist()
        [[0.0, 1.5], [1.5, 0.0]]
    """
    check_choice("over_patches", over_patches, OverPatches)
    check_choice("symmetrise", symmetrise, Symmetrise)
    directed = directed_distances(bags, precision=precision, advance=advance)
    return symmetric(getattr(directed, over_patches), symmetrise)


def directed_distances(
    bags: Float[Tensor, "n m d"],
    *,
    positions: Int[Tensor, " n"] | None = None,
    others: Iterable[Part] = (),
    precision: Precision = "fp32",
    advance: Callable[[int], object] = lambda pairs: None,
) -> DirectedDistances:
    """Maximum, mean and minimum over m of min over n of |z_m^i - z_n^j| (Eq. 3, Appendix C), in one pass over pairs.

    Args:
        bags: patches of each image [N, M, D]; each is one row of the result.
        positions: of `bags` in the data set [N]; needed with `others`. By default 0 to N - 1.
        others: further images, in parts that need not be in memory together; none by default.
        precision: of the search, see `nearest_blocks`.
        advance: is told how many pairs of images were compared, for a progress bar.

    Returns:
        Rows in the order of `bags`; a column for each of all images, in the order of their positions.

    Raises:
        ValueError: there are `others` without `positions`, positions are not one an image, or two images have the same.

    Example:
        >>> directed = directed_distances(torch.tensor([[[0.0], [1.0]], [[1.0], [6.0]]]))
        >>> directed.max.tolist()
        [[0.0, 1.0], [5.0, 0.0]]
        >>> directed.mean.tolist()
        [[0.0, 0.5], [2.5, 0.0]]
    """
    own = _reduced(pairwise_nearest(bags, precision), bags, len(bags), advance)
    # Zero by definition; rounding may have found another patch that is nearly the same.
    own.diagonal(dim1=1, dim2=2).zero_()
    parts = [(own, _positions(bags, positions))]
    for references, where in _located(others, positions):
        found = nearest_blocks(bags, references, precision)
        parts.append((_reduced(found, bags, len(references), advance), where))
    return DirectedDistances(*_by_position(parts))


def symmetric(directed: Float[Tensor, "n n"], symmetrise: Symmetrise) -> Float[Tensor, "n n"]:
    """Maximum or mean of d(Z_i, Z_j) and d(Z_j, Z_i) (Eq. 2, Appendix C).

    Args:
        directed: from each image (row) to each (column) [N, N].
        symmetrise: 'max' as in Eq. 2, or 'mean'.

    Raises:
        ValueError: `symmetrise` is neither 'max' nor 'mean', or the distances are not square.

    Example:
        >>> symmetric(torch.tensor([[0.0, 1.0], [5.0, 0.0]]), "mean").tolist()
        [[0.0, 3.0], [3.0, 0.0]]
    """
    check_choice("symmetrise", symmetrise, Symmetrise)
    if directed.shape != directed.T.shape:
        raise ValueError(f"directed must have one row and one column an image, got {list(directed.shape)}")
    return torch.maximum(directed, directed.T) if symmetrise == "max" else (directed + directed.T) / 2


def mean_mean(
    bags: Float[Tensor, "n m d"],
    *,
    positions: Int[Tensor, " n"] | None = None,
    others: Iterable[Part] = (),
    advance: Callable[[int], object] = lambda pairs: None,
) -> Float[Tensor, "n total"]:
    """Mean over m and n of |z_m^i - z_n^j| (Appendix C, 1), which from an image to itself is not zero.

    Args:
        bags: patches of each image [N, M, D]; each is one row of the result.
        positions: of `bags` in the data set [N]; needed with `others`. By default 0 to N - 1.
        others: further images, in parts that need not be in memory together; none by default.
        advance: is told how many pairs of images were compared, for a progress bar.

    Returns:
        Rows in the order of `bags`; a column for each of all images, in the order of their positions.

    Raises:
        ValueError: there are `others` without `positions`, positions are not one an image, or two images have the same.

    Example:
        >>> mean_mean(torch.tensor([[[0.0], [1.0]], [[1.0], [6.0]]])).tolist()
        [[0.5, 3.0], [3.0, 2.5]]
    """
    own = bags.new_empty(len(bags), len(bags))
    for rows, columns, means in _means(bags, bags, advance, upper=True):
        own[rows, columns] = means
        own[columns, rows] = means.T
    own = symmetric(own, "mean")
    parts = [(own, _positions(bags, positions))]
    for references, where in _located(others, positions):
        found = bags.new_empty(len(bags), len(references))
        for rows, columns, means in _means(bags, references, advance):
            found[rows, columns] = means
        parts.append((found, where))
    return _by_position(parts)


def _positions(bags: Float[Tensor, "n m d"], positions: Int[Tensor, " n"] | None) -> Int[Tensor, " n"]:
    return torch.arange(len(bags), device=bags.device) if positions is None else positions


def _located(others: Iterable[Part], positions: Int[Tensor, " n"] | None) -> Iterator[Part]:
    for part in others:
        if positions is None:
            raise ValueError("positions of the bags in the data set are needed with others, got None")
        yield part


def _reduced(
    found: Generator[Block, None, None], bags: Float[Tensor, "n m d"], total: int, advance: Callable[[int], object]
) -> Float[Tensor, "3 n columns"]:
    """Maximum, mean and minimum over the patches of each image of `bags`."""
    result = bags.new_empty(3, len(bags), total)
    with closing(found) as blocks:
        for rows, columns, distances in blocks:
            result[:, rows, columns] = torch.stack([distances.amax(-1), distances.mean(-1), distances.amin(-1)])
            advance(distances[..., 0].numel())
    return result


def _by_position(parts: list[tuple[Float[Tensor, "*k n _"], Int[Tensor, " _"]]]) -> Float[Tensor, "*k n total"]:
    """Columns of all parts in the order of the data set."""
    for distances, where in parts:
        if where.shape != distances.shape[-1:]:
            raise ValueError(
                f"positions must be one an image, got {list(where.shape)} for {distances.shape[-1]} images"
            )
    order = torch.cat([where for _, where in parts]).sort()
    if (order.values.diff() == 0).any():
        raise ValueError(f"positions must differ from image to image, got {order.values.tolist()}")
    return torch.cat([distances for distances, _ in parts], dim=-1)[..., order.indices]


def _means(
    queries: Float[Tensor, "b m d"],
    references: Float[Tensor, "r p d"],
    advance: Callable[[int], object],
    *,
    upper: bool = False,
) -> Iterator[tuple[slice, slice, Float[Tensor, "rows columns"]]]:
    """Mean over m and p of |queries[b, m] - references[r, p]|, tile by tile; with `upper` none below the diagonal."""
    side = max(1, int((BLOCK / (queries.shape[1] * references.shape[1])) ** 0.5))
    tiles = [
        (slice(i, min(i + side, len(queries))), slice(j, min(j + side, len(references))))
        for i in range(0, len(queries), side)
        for j in range(i if upper else 0, len(references), side)
    ]

    def work(tile: tuple[slice, slice]) -> tuple[slice, slice, Float[Tensor, "rows columns"]]:
        rows, columns = tile
        return rows, columns, _distances(queries[rows], references[columns]).mean((1, 3))

    for rows, columns, means in in_order(work, tiles, device=queries.device):
        yield rows, columns, means
        advance(means.numel() * (2 if upper and rows != columns else 1))


def _distances(queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Float[Tensor, "b m r p"]:
    """Between all patches, from one matrix product; those near zero, where rounding would show, computed anew."""
    left, right = queries.flatten(0, 1), references.flatten(0, 1)
    distances = torch.cdist(left, right, compute_mode="use_mm_for_euclid_dist")
    close = torch.nonzero(distances < CLOSE**0.5 * left.norm(dim=-1, keepdim=True))
    # Of images with flat areas these are many.
    for part in close.split(max(1, BLOCK // left.shape[1])):
        i, j = part.T
        distances[i, j] = (left[i] - right[j]).norm(dim=-1)
    return distances.unflatten(1, references.shape[:2]).unflatten(0, queries.shape[:2])
