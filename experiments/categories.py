"""A folder of data sets in; the categories that are measured on, how to load each, and which are missing, out."""

import hashlib
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

from anomaly_clustering.data import DefectDataModule
from anomaly_clustering.data.download import find
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.layouts import DEFECT_FREE
from anomaly_clustering.data.mtd import TYPES
from anomaly_clustering.data.mvtec import OBJECTS, TEXTURES
from anomaly_clustering.data.sets.categories import folder_of
from anomaly_clustering.data.walk import SYSTEM_FILES, look
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.messages import sentence_of

# Names of classes without a defect, in small letters; that of MTD among them.
GOOD = DEFECT_FREE | {TYPES[0].lower()}


class Category(NamedTuple):
    """Images that are clustered together: one category of MVTec AD, or all of a data set that has none."""

    dataset: str
    name: str = ""
    folder: Path | None = None
    """Of a data set of the user's own, whose subfolders are the classes."""
    normals: Path | None = None
    """Folder of its normal images, where it has any."""
    left_out: str = ""
    """A class that comes later, if one does."""

    def __str__(self) -> str:
        name = self.name or self.dataset
        return f"{name}, {self.left_out}" if self.left_out else name

    @property
    def whole(self) -> "Category":
        """The category with all its classes."""
        return self._replace(left_out="")

    @property
    def has_normals(self) -> bool:
        """Whether there are images that are known to be free of defects."""
        return self.folder is None or self.normals is not None


class Group(NamedTuple):
    """Categories of which a table gives the mean."""

    name: str
    dataset: str
    category: str
    members: tuple[Category, ...]


def single(category: Category) -> Group:
    """A category as a group of its own."""
    return Group(str(category), category.dataset, category.name, (category,))


def _mvtec(names: tuple[str, ...]) -> tuple[Category, ...]:
    return tuple(Category("MVTec AD", name) for name in names)


MVTEC, MTD, SYNTHETIC = _mvtec(OBJECTS + TEXTURES), Category("MTD"), Category("synthetic")
# As some later methods are measured.
DEFECTIVE_MTD = Category("MTD", "MTD without good")
OBJECT = Group("object", "MVTec AD", "object", _mvtec(OBJECTS))
TEXTURE = Group("texture", "MVTec AD", "texture", _mvtec(TEXTURES))
# The paper's 'overall' follows from no weighting of its rows; plain means stand in its place.
MEANS = (Group("mean of 15", "MVTec AD", "all", MVTEC), Group("mean of 15 and MTD", "all", "all", (*MVTEC, MTD)))
GROUPS = (OBJECT, TEXTURE, single(MTD), *MEANS)


def data_config(category: Category, root: Path | None, *, image_size: int, num_workers: int) -> dict[str, Any]:
    """The `data` part of a configuration: class path and arguments of a DataModule."""
    sizes = {"image_size": image_size, "num_workers": num_workers}
    if category.folder is not None:
        normals = {"normals": str(category.normals)} if category.normals else {}
        arguments = {"root": str(category.folder), **normals, **sizes}
        return {"class_path": "anomaly_clustering.data.Folder", "init_args": arguments}
    if category.whole == SYNTHETIC:
        return {"class_path": "anomaly_clustering.data.Synthetic", "init_args": sizes}
    if category.dataset == MTD.dataset:
        good = {"include_good": False} if category == DEFECTIVE_MTD else {}
        return {"class_path": "anomaly_clustering.data.MTD", "init_args": {"root": str(root), **good, **sizes}}
    arguments = {"root": str(root), "category": category.name, **sizes}
    return {"class_path": "anomaly_clustering.data.MVTecAD", "init_args": arguments}


def opened(config: Mapping[str, Any]) -> DefectDataModule:
    """The DataModule of the `data` part of a configuration, with its images at hand."""
    data: DefectDataModule = locate(config["class_path"])(**config["init_args"])  # type: ignore[operator]
    data.prepare_data()
    data.setup()
    return data


def why_missing(category: Category, root: Path | None) -> str | None:
    """What to tell a reader of a table about a category that is not there, or that cannot be read; None of others."""
    if category.whole == SYNTHETIC:
        return None
    try:
        if category.folder is None and (why := _why_not_found(category, root)):
            return why
    except OSError as error:
        return sentence_of(error)
    return _why_unreadable(category.whole, root)


@lru_cache(maxsize=64)
def _why_unreadable(category: Category, root: Path | None) -> str | None:
    """Kept, as a fingerprint is, which keeps no error: each table would read the files up to the bad one anew."""
    try:
        fingerprint(category, root)
    except OSError as error:
        return sentence_of(error)
    return None


def _why_not_found(category: Category, root: Path | None) -> str | None:
    if root is None:
        return "no --data-root was given"
    if not root.is_dir():
        return f"there is no folder {str(root)!r}"
    return None if _folders(category, root) else f"not found in {str(root)!r}"


def _folders(category: Category, root: Path | None) -> list[Path]:
    """The folders of a category, empty if one is not there."""
    if category.folder is not None:
        return [folder for folder in (category.folder, category.normals) if folder]
    if root is None:
        return []
    if category.dataset == MTD.dataset:
        found = [folder for kind in TYPES if (folder := find(root, f"MT_{kind}"))]
        return found if len(found) == len(TYPES) else []
    try:
        # As the DataModule finds it: of several folders of a name the first with images in it.
        return [folder_of(root, category.name, "test")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def has_masks(category: Category, root: Path | None) -> bool:
    """Whether somebody has marked the defects of a category that is there."""
    if category.dataset != MVTEC[0].dataset:
        return category.folder is None
    return any((folder / "ground_truth").is_dir() for folder in _folders(category, root))


@lru_cache(maxsize=64)
def num_images(category: Category) -> int | None:
    """How many images to cluster a folder of the user's own holds; None of others, of parts, and of unreadable ones."""
    if category.folder is None or category.left_out:
        return None
    try:
        records = list_folder(category.folder, normals=category.normals).records
        return sum(not record.is_normal_train for record in records)
    except (ValueError, OSError):
        return None


@lru_cache(maxsize=64)
def fingerprint(category: Category, root: Path | None) -> str:
    """A digest of the names and contents of the files of a category: what was measured, wherever it lies.

    Of the files that are listed for it, also through links, those whose names have an ending, as all images' have, but
    not those that come with a look into a folder.
    """
    if category == SYNTHETIC or (category.folder is None and root is None):
        return str(category)
    found = hashlib.sha256()
    for folder in _folders(category, root):
        files = [path for path in look(folder).files if "." in path.name and path.name.lower() not in SYSTEM_FILES]
        found.update(
            repr(sorted((path.relative_to(folder.parent).as_posix(), digest(path)) for path in files)).encode()
        )
    return found.hexdigest()[:16]


@lru_cache(maxsize=64)
def weights_digest(path: Path) -> str:
    """A digest of the content of a file of weights, or of vectors that stand in place of a network.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r} does not exist")
    return digest(path)[:16]


def own_categories(folders: Mapping[str, str], normals: Mapping[str, str], known: Container[str]) -> list[Category]:
    """Data sets of the user's own, whose subfolders are the classes.

    Args:
        folders: of each by its name.
        normals: folders of the normal images of those that have any, by the same names.
        known: names that others have.

    Raises:
        ValueError: a name is that of another data set, or of normal images alone.
        NotADirectoryError: there is no such folder.
    """
    for name in folders:
        if name in known:
            raise ValueError(f"--folders {name!r}: another data set is called so; choose another name")
    for name in normals:
        if name not in folders:
            raise ValueError(f"--normals {name!r}: --folders names no such data set, but {list(folders)}")
    for folder in (*folders.values(), *normals.values()):
        if not Path(folder).is_dir():
            raise NotADirectoryError(f"there is no folder {folder!r}")
    return [
        Category(name, folder=Path(folder), normals=Path(normals[name]) if name in normals else None)
        for name, folder in folders.items()
    ]


def by_name(option: str, names: Sequence[str], known: Mapping[str, Category]) -> list[Category]:
    """Categories by their names, as an option has them.

    Raises:
        ValueError: a name is not known.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{option}: {unknown[0]!r} is not one of {list(known)}")
    return [known[name] for name in names]
