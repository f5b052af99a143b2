"""The folder of a data set and the name of a category in; the category's folder out, or which categories there are."""

from pathlib import Path

from anomaly_clustering.data.archives import check_folder
from anomaly_clustering.data.download import find_all
from anomaly_clustering.system.files import real_path


def folder_of(root: Path, category: str, sign: str) -> Path:
    """Find a category.

    Args:
        root: the data set's folder, or one that holds it.
        category: the name of a folder in it.
        sign: a file or folder that each category has, by which the others are found.

    Returns:
        The category's folder.

    Raises:
        FileNotFoundError: there is none; the message names those that are there, or that `root` is one, or missing.
        NotADirectoryError: `root` is a file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "pcb1" / "test").mkdir(parents=True)
        ...     print(folder_of(Path(root), "pcb1", "test").name)
        pcb1
    """
    check_folder(root)
    found = find_all(root, category) if category else []
    folder = next((folder for folder in found if (folder / sign).exists()), None)
    if folder is None:
        if (root / sign).exists():
            real = real_path(root)
            raise FileNotFoundError(
                f"{str(root)!r} is itself a category, with {sign!r} in it: give {str(real.parent)!r} as data.root, and "
                f"{real.name!r} as data.category"
            )
        there = sorted({path.parent.name for depth in ("*", "*/*") for path in root.glob(f"{depth}/{sign}")})
        raise FileNotFoundError(
            f"{str(root)!r} has no category {category!r} with {sign!r} in it; it has {there or 'none'}"
        )
    return folder
