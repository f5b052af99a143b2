"""What a file of a run, or of an estimator, says that it holds in; its arrays, or what is wrong with them, out.

Such files may come from somebody else. What they say is checked before memory is taken for it, and before anything is
computed or drawn: types and shapes of arrays, finite numbers, clusters and classes that are there, and
trees that are trees.
"""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple, get_args

import numpy as np

from anomaly_clustering.clustering.trees import is_tree
from anomaly_clustering.mic.recipe import Recipe, are_images
from anomaly_clustering.mic.scores import Reduce
from anomaly_clustering.system.whole_numbers import LARGEST_SIDE, SMALLEST_SIDE

# Of numbers that are shown.
MOST = 1e300
WHOLE = ("I16", "I32", "I64")
FRACTIONS = ("F16", "F32", "F64")


class ArraySpec(NamedTuple):
    """What an array of a file must be like.

    Attributes:
        shapes: names of its axes, one alternative or more; `n` is the number of images, `merges` one less.
        kinds: of its numbers, as safetensors calls them.
        optional: whether the file may lack it.
        gaps: whether numbers may be NaN, for what is not known.

    Example:
        >>> ArraySpec(("n h w",), ("F16",)).optional
        False
    """

    shapes: tuple[str, ...]
    kinds: tuple[str, ...]
    optional: bool = False
    gaps: bool = False


RUN_ARRAYS = {
    "target": ArraySpec(("n",), WHOLE),
    "labels": ArraySpec(("n",), WHOLE),
    "distances": ArraySpec(("n",), FRACTIONS),
    "weights": ArraySpec(("n h w",), FRACTIONS),
    "tree": ArraySpec(("merges 4",), FRACTIONS),
    "places": ArraySpec(("n 2",), FRACTIONS),
    "mean_scores": ArraySpec(("n",), FRACTIONS, gaps=True),
    # Earlier versions kept none.
    "top_scores": ArraySpec(("n 4",), FRACTIONS, optional=True, gaps=True),
    "normal_top_scores": ArraySpec(("normals 4",), FRACTIONS, optional=True),
    "embeddings": ArraySpec(("n d",), FRACTIONS, optional=True),
    "references": ArraySpec(("r p d", "r channels height width"), ("F16", "U8"), optional=True),
    "center": ArraySpec(("channels",), FRACTIONS, optional=True),
    # Earlier versions kept none.
    "scores": ArraySpec(("n h w",), FRACTIONS, optional=True),
}
LATER_ARRAYS = {
    "weights": ArraySpec(("n h w",), FRACTIONS),
    "embeddings": ArraySpec(("n d",), FRACTIONS),
    "mean_scores": ArraySpec(("n",), FRACTIONS, gaps=True),
    "top_scores": RUN_ARRAYS["top_scores"],
    "scores": RUN_ARRAYS["scores"],
    "finding": ArraySpec(("n",), ("BOOL",), optional=True),
}
ESTIMATOR_ARRAYS = {
    "labels_": RUN_ARRAYS["labels"],
    "weights_": RUN_ARRAYS["weights"],
    "embeddings_": ArraySpec(("n d",), FRACTIONS),
    "children_": ArraySpec(("merges 2",), WHOLE),
    "distances_": ArraySpec(("merges",), FRACTIONS),
    "mean_scores_": RUN_ARRAYS["mean_scores"],
    "top_scores_": RUN_ARRAYS["top_scores"],
    "normal_top_scores_": RUN_ARRAYS["normal_top_scores"],
    "references_": ArraySpec(RUN_ARRAYS["references"].shapes, RUN_ARRAYS["references"].kinds),
    # Earlier versions, which knew the paper's embedding alone, kept none.
    "center_": ArraySpec(("channels",), FRACTIONS, optional=True),
}
TEXTS = ("title", "map_name")


def read_arrays(file: Any, layouts: Mapping[str, ArraySpec], num_images: int) -> dict[str, np.ndarray]:
    """Read the arrays of a file, once their headers say that they are what they should be.

    Args:
        file: opened by `safetensors.safe_open`, for NumPy.
        layouts: of all arrays that are to be read; others are left where they are.
        num_images: that the file is of.

    Returns:
        The arrays by name, without the optional ones that the file lacks.

    Raises:
        ValueError: an array is missing, of another type or shape, or holds what is no number.
    """
    names = set(file.keys())
    here = {name: layout for name, layout in layouts.items() if name in names or not layout.optional}
    for name, layout in here.items():
        if name not in names:
            raise ValueError(f"it holds no {name}")
        header = file.get_slice(name)
        shape, kind = tuple(header.get_shape()), header.get_dtype()
        if kind not in layout.kinds or not any(_fits(shape, wanted, num_images) for wanted in layout.shapes):
            raise ValueError(
                f"{name} of {num_images} images should be {' or '.join(layout.kinds)} [{'] or ['.join(layout.shapes)}],"
                f" and is {kind} {list(shape)}"
            )
    arrays = {name: file.get_tensor(name) for name in here}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and (np.isinf(array).any() if here[name].gaps else not np.isfinite(array).all()):
            raise ValueError(f"{name} holds what is no number")
    return arrays


def _fits(shape: tuple[int, ...], wanted: str, num_images: int) -> bool:
    axes = wanted.split()
    known = {"n": num_images, "merges": num_images - 1, "2": 2, "4": 4}
    most = dict.fromkeys(("h", "w", "height", "width"), LARGEST_SIDE)
    return len(axes) == len(shape) and all(
        length == known[axis] if axis in known else (axis in most) <= length <= most.get(axis, length)
        for axis, length in zip(axes, shape, strict=True)
    )


def check_told(told: Mapping[str, Any]) -> int:
    """Check what a run says of itself in words.

    Args:
        told: as the file of the run holds it, in JSON.

    Returns:
        The number of images.

    Raises:
        KeyError: something is not said.
        ValueError: something is not of its type.
    """
    for name in TEXTS:
        _expect(isinstance(told[name], str), name, told[name])
    for name in ("class_names", "notices"):
        checked_texts(told, name)
    n, facts = len(checked_texts(told, "paths")), told["facts"]
    checked_texts(told, "digests", like="paths")
    _expect(isinstance(facts, dict) and all(isinstance(text, str) for text in facts.values()), "facts", facts)
    _expect(n > 0, "paths", "no images")
    for title, points, best in told["curves"]:
        right = isinstance(title, str) and all(1 <= int(k) <= n and _is_finite(value) for k, value in points.items())
        _expect(right and (best is None or _is_whole(best, 1, n)), "curves", title)
    return n


def checked_texts(told: Mapping[str, Any], name: str, *, like: str | None = None) -> list[str]:
    """A list of texts out of a file.

    Args:
        told: what the file says, as it holds it in JSON.
        name: of the list.
        like: of another list, with as many texts.

    Raises:
        KeyError: there is no such list.
        ValueError: it is no list of texts, or of more or fewer than the other.
    """
    texts = told[name]
    _expect(isinstance(texts, list) and all(isinstance(text, str) for text in texts), name, texts)
    _expect(like is None or len(texts) == len(told[like]), name, f"of {len(texts)} images")
    return list(texts)


def check_run(arrays: Mapping[str, np.ndarray], num_classes: int) -> None:
    """Check the arrays of a run, beyond what `read_arrays` does.

    Args:
        arrays: as read.
        num_classes: that the run knows by name.

    Raises:
        ValueError: a cluster, a class or a merge is none, or weights are.
    """
    target = arrays["target"]
    _check_labels(arrays["labels"], "labels")
    _expect(target.min() >= -1 and target.max() < num_classes, "target", f"{target.min()} to {target.max()}")
    _check_weights(arrays["weights"])
    _check_scores(arrays)
    _check_tree(arrays["tree"])


def check_fits(arrays: Mapping[str, np.ndarray], recipe: Recipe) -> None:
    """Check that what a run, or an estimator, keeps for later images is what its recipe compares with.

    Args:
        arrays: references, embeddings and center, as read; a run may lack them.
        recipe: of the run.

    Raises:
        ValueError: it is not.
    """
    references, embeddings, center = (arrays.get(name) for name in ("references", "embeddings", "center"))
    if references is not None and (are_images(references) or recipe.needs_images):
        # Images that keep their aspect lie on canvases, which say which part is the image.
        wanted = (4,) if recipe.aspect == "keep" else (3, recipe.image_size, recipe.image_size)
        right = references.ndim == 4 and references.shape[1 : 1 + len(wanted)] == wanted
        _expect(right, "references", f"{list(references.shape)} with images of {recipe.image_size} pixels")
    elif references is not None and embeddings is not None:
        right = references.ndim == 3 and references.shape[2] == embeddings.shape[1]
        _expect(right, "references", f"{list(references.shape)} with embeddings of {embeddings.shape[1]} numbers")
    if embeddings is not None:
        centred = 0 if center is None else len(center)
        _expect(centred == (embeddings.shape[1] if recipe.signed_root else 0), "center", f"of {centred} numbers")


def check_later(arrays: Mapping[str, np.ndarray], run: Mapping[str, np.ndarray]) -> None:
    """Check the arrays of images that came after a run against those of the run.

    Args:
        arrays: as read.
        run: arrays of the run.

    Raises:
        ValueError: they do not go together.
    """
    for name in ("weights", "embeddings"):
        own, theirs = arrays[name].shape[1:], run[name].shape[1:]
        _expect(own == theirs, name, f"{list(own)} for each image, and {list(theirs)} in the run")
    _check_weights(arrays["weights"])
    _check_scores(arrays)


def check_estimator(arrays: Mapping[str, np.ndarray]) -> None:
    """Check the arrays of an estimator, beyond what `read_arrays` does.

    Args:
        arrays: as read.

    Raises:
        ValueError: a cluster or a merge is none, or weights are.
    """
    _check_labels(arrays["labels_"], "labels_")
    _check_weights(arrays["weights_"])
    _check_tree(arrays["children_"].astype(np.float64))


def _check_labels(labels: np.ndarray, name: str) -> None:
    _expect(labels.min() >= 0 and labels.max() < len(labels), name, f"{labels.min()} to {labels.max()}")


def _check_scores(arrays: Mapping[str, np.ndarray]) -> None:
    if "scores" in arrays:
        own, weights = arrays["scores"].shape, arrays["weights"].shape
        _expect(own == weights, "scores", f"{list(own)}, and weights {list(weights)}")


def _check_weights(weights: np.ndarray) -> None:
    if weights.size and not (weights.min() >= 0 and (weights.max((1, 2)) > 0).all()):
        raise ValueError("weights of an image are all 0, or below 0")


def _check_tree(merges: np.ndarray) -> None:
    if not is_tree(merges):
        raise ValueError("its tree of merges is none: each merge joins two that were there and not yet joined")


def checked_recipe(told: Mapping[str, Any]) -> Recipe:
    """A recipe out of a file.

    Args:
        told: its fields, as the file holds them in JSON.

    Returns:
        The recipe.

    Raises:
        TypeError: there are other fields.
        ValueError: a field is not what a run may have.

    Example:
        >>> words = ["embedded", "blocks.2", None, 3, 60000, "weighted_average", "rarity", "mean", 0.02, None]
        >>> checked_recipe(dict(zip(Recipe.__dataclass_fields__, words)))
        Traceback (most recent call last):
        ValueError: image_size cannot be 60000
    """
    recipe = Recipe(**told)
    share = recipe.residual_share
    right = {
        **{name: isinstance(getattr(recipe, name), str) for name in ("backbone", "layer", "distance", "weights")},
        "checkpoint": recipe.checkpoint is None or isinstance(recipe.checkpoint, str),
        "image_size": _is_whole(recipe.image_size, SMALLEST_SIDE, LARGEST_SIDE),
        "kernel_size": _is_whole(recipe.kernel_size, 1, LARGEST_SIDE),
        "reduce": recipe.reduce in get_args(Reduce),
        # It is not known where weights do not depend on it; whole numbers may be too large for floats.
        "tau": isinstance(recipe.tau, Real) and not (recipe.tau <= 0 or MOST < recipe.tau < math.inf),
        "top_k": recipe.top_k is None or _is_whole(recipe.top_k, 1, LARGEST_SIDE**2),
        "residual_share": share is None or (isinstance(share, Real) and 0 < share <= 1),
        "signed_root": isinstance(recipe.signed_root, bool),
        "views": _is_whole(recipe.views, 1, 8) and recipe.views in get_args(Recipe.__annotations__["views"]),
        "bits": _is_whole(recipe.bits, 8, 16),
        "aspect": recipe.aspect in get_args(Recipe.__annotations__["aspect"]),
        "network_digest": isinstance(recipe.network_digest, str),
        "decoding": recipe.decoding in get_args(Recipe.__annotations__["decoding"]),
    }
    for name, is_right in right.items():
        _expect(is_right, name, getattr(recipe, name))
    return recipe


def _expect(right: bool | np.bool_, name: str, found: object) -> None:
    if not right:
        shown = found if isinstance(found, str) and " " in found else repr(found)[:60]
        raise ValueError(f"{name} cannot be {shown}")


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and -MOST <= value <= MOST
