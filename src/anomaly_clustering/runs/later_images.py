"""New images and a run in; weights and embeddings of those that are not of the run, kept in its folder, out."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.progress import track
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.features.accelerator import ACCELERATOR
from anomaly_clustering.data.datamodule import DefectImages, Record
from anomaly_clustering.runs.new_images import embed_new
from anomaly_clustering.runs.folder import LATER
from anomaly_clustering.runs.store import StoredRun, digest

BATCH = 32


@dataclass(frozen=True)
class LaterImages:
    """Images that were assigned to a run so far and are not of it; one entry an image."""

    paths: Sequence[Path]
    digests: Sequence[str]
    weights: Float[np.ndarray, "k h w"]
    embeddings: Float[np.ndarray, "k d"]
    mean_scores: Float[np.ndarray, " k"]

    def save(self, folder: Path) -> None:
        """Write them to the folder of the run, weights in half precision, as those of the run."""
        names = json.dumps({"paths": [str(path) for path in self.paths], "digests": self.digests})
        arrays = {"embeddings": self.embeddings, "mean_scores": self.mean_scores}
        arrays["weights"] = self.weights.astype(np.float16)
        (folder / LATER).write_bytes(save(arrays, metadata={"images": names}))


def load_later(folder: Path, run: StoredRun, embeddings: Float[np.ndarray, "n d"]) -> LaterImages:
    """What earlier calls have assigned to a run; nothing where there were none.

    Raises:
        ValueError: the file that keeps it is damaged.
    """
    path = folder / LATER
    if not path.is_file():
        return LaterImages([], [], run.weights[:0].astype(np.float32), embeddings[:0], run.mean_scores[:0])
    try:
        with safe_open(path, "numpy") as file:
            names = json.loads(file.metadata()["images"])
            return LaterImages(
                [Path(path) for path in names["paths"]],
                names["digests"],
                file.get_tensor("weights").astype(np.float32),
                file.get_tensor("embeddings"),
                file.get_tensor("mean_scores"),
            )
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; delete it to assign images anew") from None


def add_images(run: StoredRun, seen: LaterImages, images: Sequence[Path]) -> tuple[LaterImages, dict[Path, int]]:
    """Embed the images that are neither of the run nor seen before; what has the same content is the same image.

    Returns:
        All later images, and for each image that is of the run its index there.

    Raises:
        ValueError: an image has the path of one of the run, or seen before, but another content.
    """
    of_run = {content: i for i, content in reversed(list(enumerate(run.digests)))}
    contents = {image: digest(image) for image in images}
    before = dict(zip([*run.paths, *seen.paths], [*run.digests, *seen.digests], strict=True))
    for image, content in contents.items():
        if before.get(image, content) != content:
            raise ValueError(
                f"image {str(image)!r} is not what it was when the run last saw it; give new images names of their own"
            )
    known = set(of_run) | set(seen.digests)
    new = {content: image for image, content in reversed(contents.items()) if content not in known}
    indices = {image: of_run[content] for image, content in contents.items() if content in of_run}
    if not new:
        return seen, indices
    paths = sorted(new.values())
    found = embed_new(
        _batches(paths, run.recipe.image_size),
        run.recipe,
        run.references,
        device=ACCELERATOR,
    )
    later = LaterImages(
        [*seen.paths, *paths],
        [*seen.digests, *(contents[path] for path in paths)],
        np.concatenate([seen.weights, found.weights]),
        np.concatenate([seen.embeddings, found.embeddings]),
        np.concatenate([seen.mean_scores, found.mean_scores]),
    )
    return later, indices


def _batches(images: Sequence[Path], size: int) -> Iterator[Float[Tensor, "_ 3 h w"]]:
    loader = DataLoader(DefectImages([Record(image) for image in images], size), batch_size=BATCH)
    for batch in track(loader, "Comparing with the run", transient=True):
        yield batch["image"]
