"""Stores in one file, and reads, what a run leaves: what its report is drawn from, and what places new images."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.result import References
from anomaly_clustering.report.content import Curve
from anomaly_clustering.runs.file_names import STORE
from anomaly_clustering.runs.find_store import find_store
from anomaly_clustering.runs.mark import check_unchanged
from anomaly_clustering.runs.patch_scores import kept_scores, patch_scores, shows_defects
from anomaly_clustering.runs.untrusted import RUN_ARRAYS, check_fits, check_run, check_told, checked_recipe, read_arrays
from anomaly_clustering.system.files import whole_file


@dataclass(frozen=True)
class StoredRun:
    """What a run leaves behind; entry i of each array and sequence of N is image i.

    Held in half precision: weights and scores, since they are only looked at, but for scores out of maps of another
    detector (see `kept_scores`); and reference patches, of which a score is a mean over many distances. Embeddings and
    the tree are kept as they were.

    Attributes:
        title: of the report.
        recipe: how the run made its embeddings.
        paths: files of the images.
        digests: SHA-256 of the files.
        class_names: names of the known classes.
        facts: what the report tells about the run, by name.
        notices: what a reader should know before reading on.
        curves: by which to choose the number of clusters.
        map_name: the method that made the places.
        target: known class of each image [N], -1 where unknown.
        labels: cluster of each image [N], 0 the largest.
        distances: from each image to the centre of its cluster [N].
        weights: of the patches of each image [N, H, W].
        tree: merges of the images, as scipy's linkage matrix [N - 1, 4].
        places: of each image on the map [N, 2].
        mean_scores: how unusual the patches of each image are on average [N]; NaN where that is not known.
        top_scores: how unusual the most unusual patches of each image are [N, 4], see `top_means`; NaN where that is
            not known, as in runs of earlier versions.
        normal_top_scores: the same of up to 100 normal images, each among the others [R, 4]; none where there were
            none, or where an earlier version kept none.
        embeddings: one vector an image [N, D]; None where images were compared patch by patch.
        references: what patches of new images are compared with, see `Grouping`; None where patches were not compared.
        center: by which averages of new images are centred [D]; None where the run took no signed roots.
        scores: how unusual each patch is [N, H, W]; None where weights do not come from that. Out of the weights where
            an earlier version kept none.
    """

    title: str
    recipe: Recipe
    paths: Sequence[Path]
    digests: Sequence[str]
    class_names: Sequence[str]
    facts: dict[str, str]
    notices: Sequence[str]
    curves: Sequence[Curve]
    map_name: str
    target: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, " n"]
    weights: Float16[np.ndarray, "n h w"]
    tree: Float[np.ndarray, "n_minus_1 4"]
    places: Float[np.ndarray, "n 2"]
    mean_scores: Float[np.ndarray, " n"]
    top_scores: Float[np.ndarray, "n 4"]
    normal_top_scores: Float[np.ndarray, "normals 4"]
    embeddings: Float[np.ndarray, "n d"] | None
    references: References | None
    center: Float[np.ndarray, " all_channels"] | None = None
    scores: Float[np.ndarray, "n h w"] | None = None

    @property
    def contents(self) -> dict[Path, str]:
        """SHA-256 of the files by their paths."""
        return dict(zip(self.paths, self.digests, strict=True))

    def save(self, folder: Path | str) -> None:
        """Write the file into a run's folder.

        Args:
            folder: of the run.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: np.ascontiguousarray(v) for name, v in values.items() if isinstance(v, np.ndarray)}
        rest = {name: value for name, value in values.items() if name not in arrays}
        # Names of files that are not Unicode survive as JSON's escapes.
        with whole_file(Path(folder) / STORE) as part:
            save_file(arrays, part, metadata={"run": json.dumps(rest, default=_field_as_json)})


def load_run(folder: Path | str, *, checkpoint: Path | str | None = None) -> StoredRun:
    """Read the file of a run's folder.

    Args:
        folder: of the run, as `anomaly-clustering cluster` wrote it.
        checkpoint: where the weights of its network are now; None where they are where they were.

    Returns:
        What the run left behind.

    Raises:
        FileNotFoundError: the folder holds no run, or one of an older version.
        ValueError: the file is damaged.
    """
    path = find_store(Path(folder))
    check_unchanged(path, way_out="take it from a copy, or cluster the images anew")
    try:
        with safe_open(path, "numpy") as file:
            rest: dict[str, Any] = json.loads(file.metadata()["run"])
            images = check_told(rest)
            # Of earlier versions.
            missing = {"top_scores": np.full((images, 4), np.nan), "normal_top_scores": np.empty((0, 4))}
            arrays = missing | read_arrays(file, RUN_ARRAYS, images)
        check_run(arrays, len(rest["class_names"]))
        rest["recipe"] = checked_recipe(rest["recipe"] | ({"checkpoint": str(checkpoint)} if checkpoint else {}))
        check_fits(arrays, rest["recipe"])
        rest["paths"] = [Path(path) for path in rest["paths"]]
        rest["curves"] = [
            Curve(title, {int(k): value for k, value in points.items()}, best) for title, points, best in rest["curves"]
        ]
        if "scores" not in arrays and shows_defects(rest["recipe"]):
            found = patch_scores(arrays["weights"], arrays["mean_scores"], rest["recipe"].tau)
            arrays["scores"] = kept_scores(found, rest["recipe"])
        return StoredRun(**(rest | arrays))
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged or of another version: {error}") from None


def _field_as_json(value: object) -> object:
    return asdict(value) if isinstance(value, Recipe) else str(value)
