"""What a fitted estimator has learned in; one file of numbers and text, nothing that could run, and back, out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.runs.output_folder import check_file
from anomaly_clustering.runs.untrusted import (
    ESTIMATOR_ARRAYS,
    check_estimator,
    check_fits,
    checked_recipe,
    checked_texts,
    read_arrays,
)
from anomaly_clustering.system.files import whole_file

# What was done before it could be chosen.
EARLIER_PARAMS = {"embedding": "paper", "decoding": "exact"}


class Learned(NamedTuple):
    """What there is to keep of an estimator.

    Attributes:
        params: arguments that it was made with.
        arrays: attributes by name.
        digests: SHA-256 of each image's pixels.
        recipe: how new images are embedded.
    """

    params: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    digests: Sequence[str]
    recipe: Recipe


def write_estimator(file: Path, learned: Learned) -> None:
    """Write the file, whole or not at all.

    Args:
        file: where it goes; what was there before is replaced.
        learned: what it holds.

    Raises:
        IsADirectoryError: the file is a folder.
        FileExistsError: it is a file of a run, or that of the network's weights.
        PermissionError: nothing can be written there.
    """
    check_file(file, read=[learned.recipe.checkpoint])
    arrays = {name: np.ascontiguousarray(array) for name, array in learned.arrays.items()}
    rest = {"params": learned.params, "digests": learned.digests, "recipe": vars(learned.recipe)}
    with whole_file(file) as part:
        save_file(arrays, part, metadata={"estimator": json.dumps(rest, default=_parameter_as_json)})


def read_estimator(file: Path | str) -> Learned:
    """Read what `write_estimator` has written, which may come from a stranger.

    Args:
        file: of an estimator.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not of one.
        IsADirectoryError: it is a folder.
    """
    if Path(file).is_dir():
        raise IsADirectoryError(f"{str(file)!r} is a folder; give the file that `save` has written")
    try:
        with safe_open(file, "numpy") as content:
            rest = json.loads((content.metadata() or {})["estimator"])
            digests = checked_texts(rest, "digests")
            arrays = _of_earlier_versions(len(digests)) | read_arrays(content, ESTIMATOR_ARRAYS, len(digests))
        check_estimator(arrays)
        recipe = checked_recipe(rest["recipe"])
        check_fits({name.removesuffix("_"): array for name, array in arrays.items()}, recipe)
        return Learned(EARLIER_PARAMS | rest["params"], arrays, digests, recipe)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{str(file)!r} holds no AnomalyClusterer: {error}") from None


def _parameter_as_json(value: object) -> object:
    """Parameters that JSON does not know: NumPy's numbers, and paths."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _of_earlier_versions(images: int) -> dict[str, np.ndarray]:
    """What they did not keep."""
    no_scores = {"top_scores_": np.full((images, 4), np.nan), "normal_top_scores_": np.empty((0, 4))}
    return {"center_": np.empty(0, dtype=np.float32), **no_scores}
