"""Lists InfraredSolarModules, 20,000 thermal images of 24 x 40 pixels in 12 classes, by its index in JSON.

module_metadata.json   images/0.jpg
"""

from pathlib import Path

from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets.index_files import below, check_there, not_named, read_json
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of
from anomaly_clustering.data.walk import sorted_paths

INDEX = "module_metadata.json"
WHAT = "the index of InfraredSolarModules"
GOOD = "No-Anomaly"
HOW_MANY = 20_000


def list_solar_modules(root: Path) -> Listing:
    """List the images; those of class 'No-Anomaly', half of them, are 'good' ones to cluster.

    Args:
        root: the folder of the index and of `images`, itself or one level below.

    Returns:
        The records. There are no normal images beside them, and no masks.

    Raises:
        FileNotFoundError: the index or an image is missing.
        ValueError: the index is damaged, or names paths elsewhere.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "images").mkdir()
        ...     (Path(root) / "images" / "0.jpg").touch()
        ...     text = '{"0": {"image_filepath": "images/0.jpg", "anomaly_class": "Cell"}}'
        ...     _ = (Path(root) / "module_metadata.json").write_text(text)
        ...     list_solar_modules(Path(root)).class_names
        ['Cell']
    """
    index = next(
        (path for path in (root / INDEX, *sorted_paths(root.glob(f"*/{INDEX}"))) if path.is_file()), root / INDEX
    )
    told = read_json(index, WHAT)
    try:
        seen = [
            TypedImage(
                below(index.parent, module["image_filepath"], index),
                [] if module["anomaly_class"] == GOOD else [str(module["anomaly_class"])],
            )
            for module in told.values()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{WHAT}, {str(index)!r}, is not as it should be: each image has 'image_filepath' and 'anomaly_class' "
            f"({error!r}); unpack it again"
        ) from None
    images = [one.image for one in seen]
    check_there(images, index)
    return listing_of(seen, notices=not_named(index.parent, images, index))


def check_complete(root: Path) -> None:
    """Check that a download is whole, since its publisher names no checksum.

    Args:
        root: as for `list_solar_modules`.

    Raises:
        ValueError: there are not 20,000 images; or as `list_solar_modules` says.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "0.jpg").touch()
        ...     text = '{"0": {"image_filepath": "0.jpg", "anomaly_class": "Cell"}}'
        ...     _ = (Path(root) / "module_metadata.json").write_text(text)
        ...     check_complete(Path(root))
        Traceback (most recent call last):
        ValueError: the download has 1 images in place of 20000; nothing was kept, try again
    """
    found = len(list_solar_modules(root).records)
    if found != HOW_MANY:
        raise ValueError(f"the download has {found} images in place of {HOW_MANY}; nothing was kept, try again")
