"""Stores what is known of images that were assigned to a run after it ended, and reads it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anomaly_clustering.runs.file_names import LATER
from anomaly_clustering.runs.mark import check_unchanged
from anomaly_clustering.runs.patch_scores import patch_scores
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.runs.untrusted import LATER as ARRAYS
from anomaly_clustering.runs.untrusted import check_later, checked_texts, read_arrays
from anomaly_clustering.system.files import whole_file


@dataclass(frozen=True)
class LaterImages:
    """Images that were assigned to a run so far and are not of it; one entry an image.

    Attributes:
        paths: their files.
        digests: SHA-256 of the files.
        weights: of the patches of each image [K, H, W].
        embeddings: one vector an image, made as the run made its own [K, D].
        mean_scores: how unusual the patches are on average [K]; NaN where that is not known.
        top_scores: how unusual the most unusual patches are [K, 4]; NaN where that is not known.
        scores: how unusual each patch is [K, H, W]; None where the run knows of none.

    Example:
        >>> import tempfile
        >>> weights, scores = np.full((1, 2, 2), 0.25), (np.zeros(1), np.zeros((1, 4)))
        >>> later = LaterImages([Path("a.png")], ["9f86"], weights, np.zeros((1, 3)), *scores)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     later.save(Path(folder))
        ...     [file.name for file in Path(folder).iterdir()]
        ['assigned.safetensors']
    """

    paths: Sequence[Path]
    digests: Sequence[str]
    weights: Float[np.ndarray, "k h w"]
    embeddings: Float[np.ndarray, "k d"]
    mean_scores: Float[np.ndarray, " k"]
    top_scores: Float[np.ndarray, "k 4"]
    scores: Float[np.ndarray, "k h w"] | None = None

    def save(self, folder: Path) -> None:
        """Write them to the folder of the run, weights and scores in half precision, as those of the run.

        Args:
            folder: of the run.
        """
        names = json.dumps({"paths": [str(path) for path in self.paths], "digests": self.digests})
        arrays = {name: getattr(self, name) for name in ("embeddings", "mean_scores", "top_scores")}
        arrays["weights"] = self.weights.astype(np.float16)
        if self.scores is not None:
            arrays["scores"] = self.scores.astype(np.float16)
        with whole_file(folder / LATER) as part:
            save_file(arrays, part, metadata={"images": names})


def load_later(folder: Path, run: StoredRun) -> LaterImages:
    """Read the images that earlier calls have assigned to a run.

    Args:
        folder: of the run.
        run: as it is stored there, with embeddings.

    Returns:
        The images so far; none where nothing was assigned.

    Raises:
        ValueError: the file that keeps it is damaged.
    """
    assert run.embeddings is not None
    path = folder / LATER
    if not path.is_file():
        none = None if run.scores is None else run.scores[:0].astype(np.float32)
        known = run.mean_scores[:0], run.top_scores[:0], none
        return LaterImages([], [], run.weights[:0].astype(np.float32), run.embeddings[:0], *known)
    check_unchanged(path, way_out="delete it to assign images anew")
    try:
        with safe_open(path, "numpy") as file:
            names = json.loads(file.metadata()["images"])
            paths = [Path(path) for path in checked_texts(names, "paths")]
            digests = checked_texts(names, "digests", like="paths")
            unknown = np.full((len(paths), 4), np.nan)
            arrays = {"top_scores": unknown} | read_arrays(file, ARRAYS, len(paths))
        check_later(arrays, {"weights": run.weights, "embeddings": run.embeddings})
        if run.scores is None:
            arrays.pop("scores", None)
        elif "scores" not in arrays:
            # An earlier version kept none.
            arrays["scores"] = patch_scores(arrays["weights"], arrays["mean_scores"], run.recipe.tau)
        for name in ("weights", "scores"):
            if name in arrays:
                arrays[name] = arrays[name].astype(np.float32)
        return LaterImages(paths, digests, **arrays)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; delete it to assign images anew") from None


def contents_of(run: StoredRun, later: LaterImages) -> dict[Path, str]:
    """What a run has seen under each path.

    Args:
        run: with its images.
        later: images that came after it.

    Returns:
        SHA-256 of the files by their paths.
    """
    return dict(zip([*run.paths, *later.paths], [*run.digests, *later.digests], strict=True))
