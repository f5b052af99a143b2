"""Lists data sets whose images lie in a folder for each type: X-SDD, and WM-811K once its pickle was converted."""

from collections.abc import Sequence
from pathlib import Path

from anomaly_clustering.data.download import find
from anomaly_clustering.data.folder import left_out
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of
from anomaly_clustering.data.walk import image_files, sorted_paths

STEEL_STRIP = (
    *("finishing roll printing", "iron sheet ash", "oxide scale of plate system"),
    *("oxide scale of temperature system", "red iron", "slag inclusion", "surface scratch"),
)
WAFER_MAPS = ("Center", "Donut", "Edge-Loc", "Edge-Ring", "Loc", "Near-full", "Random", "Scratch", "none")
# What WM-811K calls wafers without a pattern.
PLAIN = "none"


def list_steel_strip(root: Path) -> Listing:
    """List X-SDD: 1,360 images of hot-rolled steel strip with seven types of defects; there are no good ones.

    Args:
        root: the folder of the seven folders, itself or `datas` up to three levels below.

    Returns:
        The records.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there are no images.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in STEEL_STRIP:
        ...         (Path(root) / "datas" / name).mkdir(parents=True)
        ...         (Path(root) / "datas" / name / "6001.png").touch()
        ...     len(list_steel_strip(Path(root)).records)
        7
    """
    # GitHub puts the authors' `X-SDD/datas` into a folder of its own.
    inner = find(root, "datas", levels=2)
    return _listing(inner if inner and not (root / STEEL_STRIP[0]).is_dir() else root, STEEL_STRIP, "X-SDD")


def list_wafer_maps(root: Path) -> Listing:
    """List WM-811K's labelled maps, each as an image in the folder of its pattern; those of 'none' are good.

    The data are published as a pickle, a program that runs as it is read, so they are not read here. The page on data
    sets tells how to convert them.

    Args:
        root: the folder of the nine folders.

    Returns:
        The records.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: there is the pickle alone, or there are no images.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in WAFER_MAPS:
        ...         (Path(root) / name).mkdir()
        ...         (Path(root) / name / "0.png").touch()
        ...     list_wafer_maps(Path(root)).class_names[:3]
        ['good', 'Center', 'Donut']
    """
    pickles = [root] if root.suffix == ".pkl" else sorted_paths(root.glob("[!.]*.pkl"))
    if pickles and not (root / WAFER_MAPS[0]).is_dir():
        raise ValueError(
            f"{str(pickles[0])!r} is a pickle, which can run any program as it is read, so it is not read here; "
            "convert it to images as docs/data_sets.md shows, and give their folder"
        )
    return _listing(root, WAFER_MAPS, "WM-811K")


def _listing(root: Path, types: Sequence[str], title: str) -> Listing:
    absent = [name for name in types if not (root / name).is_dir()]
    if absent:
        raise FileNotFoundError(
            f"{str(root)!r} is not {title}: it has no folder {', '.join(map(repr, absent))}; unpack or copy it again"
        )
    seen = [TypedImage(image, [] if name == PLAIN else [name]) for name in types for image in image_files(root / name)]
    return listing_of(seen, notices=[notice for name in types for notice in left_out(root / name)])
