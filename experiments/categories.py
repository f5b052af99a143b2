"""A folder of data sets in; the categories that the paper measures on, how to load each, and which are missing, out."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from anomaly_clustering.data.download import find
from anomaly_clustering.data.mtd import TYPES
from anomaly_clustering.data.mvtec import OBJECTS, TEXTURES
from anomaly_clustering.files import digest


class Category(NamedTuple):
    """Images that are clustered together: one category of MVTec AD, or all of a data set that has none."""

    dataset: str
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.dataset


class Group(NamedTuple):
    """Categories of which a table gives the mean."""

    name: str
    dataset: str
    category: str
    members: tuple[Category, ...]


def single(category: Category) -> Group:
    """A category as a group of its own."""
    return Group(str(category), *category, (category,))


def _mvtec(names: tuple[str, ...]) -> tuple[Category, ...]:
    return tuple(Category("MVTec AD", name) for name in names)


MVTEC, MTD, SYNTHETIC = _mvtec(OBJECTS + TEXTURES), Category("MTD"), Category("synthetic")
OBJECT = Group("object", "MVTec AD", "object", _mvtec(OBJECTS))
TEXTURE = Group("texture", "MVTec AD", "texture", _mvtec(TEXTURES))
# The paper's 'overall' follows from no weighting of its rows; plain means stand in its place.
MEANS = (Group("mean of 15", "MVTec AD", "all", MVTEC), Group("mean of 15 and MTD", "all", "all", (*MVTEC, MTD)))
GROUPS = (OBJECT, TEXTURE, single(MTD), *MEANS)


def load(category: Category, root: Path | None, *, image_size: int, num_workers: int) -> dict[str, Any]:
    """The `data` part of a configuration: class path and arguments of a DataModule."""
    sizes = {"image_size": image_size, "num_workers": num_workers}
    if category == SYNTHETIC:
        return {"class_path": "anomaly_clustering.data.Synthetic", "init_args": sizes}
    if category == MTD:
        return {"class_path": "anomaly_clustering.data.MTD", "init_args": {"root": str(root), **sizes}}
    arguments = {"root": str(root), "category": category.name, **sizes}
    return {"class_path": "anomaly_clustering.data.MVTecAD", "init_args": arguments}


def why_missing(category: Category, root: Path | None) -> str | None:
    """What to tell a reader of a table about a category that is not there."""
    if category == SYNTHETIC:
        return None
    if root is None:
        return "no --data-root was given"
    if not root.is_dir():
        return f"there is no folder {str(root)!r}"
    return None if _folders(category, root) else f"not found in {str(root)!r}"


def _folders(category: Category, root: Path) -> list[Path]:
    """The folders of a category, empty if one is not there."""
    names = [f"MT_{kind}" for kind in TYPES] if category == MTD else [category.name]
    found = [folder for name in names if (folder := find(root, name))]
    complete = len(found) == len(names) and (category == MTD or (found[0] / "test").is_dir())
    return found if complete else []


@lru_cache(maxsize=64)
def fingerprint(category: Category, root: Path | None) -> str:
    """A digest of the names and sizes of all files of a category: what was measured, wherever it lies."""
    if category == SYNTHETIC or root is None:
        return str(category)
    found = hashlib.sha256()
    for folder in _folders(category, root):
        files = ((path.relative_to(folder.parent).as_posix(), path.stat().st_size) for path in folder.rglob("*.*"))
        found.update(repr(sorted(files)).encode())
    return found.hexdigest()[:16]


@lru_cache(maxsize=64)
def weights_digest(path: Path) -> str:
    """A digest of the content of a file of weights.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {str(path)!r} does not exist")
    return digest(path)[:16]


def by_name(names: list[str], known: Mapping[str, Category]) -> list[Category]:
    """Categories by their names.

    Raises:
        ValueError: a name is not known.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"--categories: {unknown[0]!r} is not one of {list(known)}")
    return [known[name] for name in names]
