"""Draws the synthetic data set once and keeps it in the user's cache: a textured product with six types of defects."""

import os
from collections.abc import Iterable
from pathlib import Path

from anomaly_clustering.data.synthetic_images import dataset_files, write_dataset
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.locks import working_on
from anomaly_clustering.system.replacing import remove_folder

# Seconds to wait for another process that draws the same, which takes a minute where images are many and large.
PATIENCE = 600.0


def write_once(folder: Path, *, per_class: int, normals: int, size: int, difficulty: float, seed: int) -> None:
    """Draw the data set of `synthetic_images.write_dataset`, unless its folder is there and has all of its files.

    The folder appears only when it is whole. One that has lost files since, as by a program that tidies up, is drawn
    anew. Where two processes ask for it at once, one draws it, and the other waits and takes that.

    Args:
        folder: where to write; the caller names it by the other arguments, so that other images get another folder.
        per_class: number of images to cluster of each type.
        normals: number of further images without defect.
        size: height and width in pixels, at least 64.
        difficulty: from 0 (large, clear defects) to 1 (small, faint ones under changing light).
        seed: draws the images.

    Raises:
        ValueError: a number is out of range; nothing is written.
        BlockingIOError: another process draws it, and took more than ten minutes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     write_once(Path(place) / "plates", per_class=1, normals=0, size=64, difficulty=0.5, seed=0)
        ...     print(len(list((Path(place) / "plates" / "test").rglob("*.png"))))
        7
    """
    files = dataset_files(per_class=per_class, normals=normals)
    if _is_whole(folder, files):
        return
    with working_on(folder, patience=PATIENCE):
        # Another process may have drawn it meanwhile, and read it now.
        if _is_whole(folder, files):
            return
        discard = (lambda old, new: remove_folder(old)) if folder.is_dir() else None
        with whole_folder(folder, keep=True, discard=discard) as new:
            write_dataset(new, per_class=per_class, normals=normals, size=size, seed=seed, difficulty=difficulty)


def _is_whole(folder: Path, files: Iterable[str]) -> bool:
    return all((folder / file).exists() for file in files)


def cache_folder() -> Path:
    """Name the folder where the user's programs keep what they can make again (XDG base directory specification).

    Returns:
        `$XDG_CACHE_HOME/anomaly-clustering/synthetic`; `~/.cache` stands in where the variable is not set.

    Example:
        >>> cache_folder().parts[-2:]
        ('anomaly-clustering', 'synthetic')
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anomaly-clustering" / "synthetic"
