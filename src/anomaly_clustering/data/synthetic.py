"""Numbers in (seed, difficulty, how many); the embedded synthetic data set out: a textured product with defects."""

import os
import tempfile
from functools import partial
from pathlib import Path

from anomaly_clustering.data.datamodule import NUM_WORKERS, DefectDataModule
from anomaly_clustering.data.mvtec import list_mvtec
from anomaly_clustering.data.synthetic_images import write_dataset


class Synthetic(DefectDataModule):
    """Photographs of a textured product that does not exist, with good ones and defects of several types, and masks.

    The images are drawn once and written to a folder named by the arguments.

    Args:
        root: the folder that holds such data sets; by default in the user's cache.
        per_class: images to cluster of each class.
        normals: further images without defect, for semi-supervised weights.
        difficulty: from 0 (large, clear defects) to 1 (small, faint ones under changing light).
        seed: draws the images.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `data.maps`.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        per_class: int = 12,
        normals: int = 24,
        difficulty: float = 0.5,
        seed: int = 0,
        maps: Path | str | None = None,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int = NUM_WORKERS,
    ):
        name = f"{per_class}x{image_size}px-{normals}normals-difficulty{difficulty}-seed{seed}"
        folder = Path(root or cache_folder()) / name
        super().__init__(
            partial(list_mvtec, folder),
            prepare=partial(
                write_once,
                folder,
                per_class=per_class,
                normals=normals,
                size=image_size,
                difficulty=difficulty,
                seed=seed,
            ),
            maps=maps,
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )


def write_once(folder: Path, *, per_class: int, normals: int, size: int, difficulty: float, seed: int) -> None:
    """Draw the data set, unless it is there; the folder appears only when whole."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        partial_folder = Path(temporary) / folder.name
        write_dataset(partial_folder, per_class=per_class, normals=normals, size=size, seed=seed, difficulty=difficulty)
        partial_folder.rename(folder)


def cache_folder() -> Path:
    """Where the user's programs keep what they can make again (the XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anomaly-clustering" / "synthetic"
