"""Labels to export in; which images can be, which of them have no region, and which classes there are, out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.data.layouts import DEFECT_FREE
from anomaly_clustering.runs.annotations import Region
from anomaly_clustering.runs.export_layouts import OF_PLACES, ExportLayout
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.system.files import digest


class Parted(NamedTuple):
    """Images by what became of their files, each in the order of the labels.

    Attributes:
        here: those whose files hold them, and those that are not exported anyway.
        gone: those whose files are gone.
        changed: those whose files hold another image by now.

    Example:
        >>> len(Parted(here=[Labelled(Path("a.png"), 0, "dent", unsure=False)], gone=[], changed=[]).here)
        1
    """

    here: list[Labelled]
    gone: list[Labelled]
    changed: list[Labelled]


def without_missing(labels: Sequence[Labelled]) -> Parted:
    """Part images that can be exported from those of which nothing is left where they were.

    Args:
        labels: as given to `export`.

    Returns:
        The images by what became of their files.

    Example:
        >>> parted = without_missing([Labelled(Path("gone.png"), 0, "dent", unsure=False)])
        >>> len(parted.here), str(parted.gone[0].path)
        (0, 'gone.png')
    """
    parted = Parted([], [], [])
    for image in labels:
        if image.is_sure and not image.path.is_file():
            parted.gone.append(image)
        elif image.is_sure and not is_what_was_seen(image, {}):
            parted.changed.append(image)
        else:
            parted.here.append(image)
    return parted


class Bare(NamedTuple):
    """How many images are exported without a region, by the reason.

    Attributes:
        sound: those that are good by their label.
        usual: those that have a defect by their label, and none by their heat map.
    """

    sound: int
    usual: int


def without_region(labels: Sequence[Labelled], regions: Mapping[Path, Sequence[Region]]) -> Bare:
    """How many images that are exported have no region.

    Args:
        labels: as given to `export`.
        regions: as given to `export`.

    Returns:
        The numbers of images.

    Example:
        >>> without_region([Labelled(Path(name), 0, label, False) for name, label in [("a", "dent"), ("b", "ok")]], {})
        Bare(sound=1, usual=1)
    """
    sound = [is_sound(image.label) for image in labels if image.is_sure]
    bare = [is_sound(image.label) or not regions.get(image.path) for image in labels if image.is_sure]
    return Bare(sum(sound), sum(bare) - sum(sound))


def classes_of(labels: Sequence[Labelled], layout: ExportLayout, *, with_regions: bool) -> list[str]:
    """Names of the classes that the files of a layout list: good is none where a class is that of a place.

    Args:
        labels: as given to `export`.
        layout: as given to `export`.
        with_regions: whether `export` was given regions.

    Returns:
        The names, sorted.

    Example:
        >>> labels = [Labelled(Path(name), 0, label, False) for name, label in [("a", "dent"), ("b", "ok")]]
        >>> classes_of(labels, "coco", with_regions=True), classes_of(labels, "cvat", with_regions=True)
        (['dent'], ['dent', 'ok'])
    """
    names = {image.label for image in labels if image.is_sure}
    return sorted(name for name in names if not (with_regions and layout in OF_PLACES and is_sound(name)))


def is_what_was_seen(image: Labelled, contents: Mapping[Path, str]) -> bool:
    """Whether a file still holds the image that was labelled; what nobody has seen counts as the same.

    Args:
        image: whose file is there, with the first digits of its SHA-256 if the labels tell them.
        contents: SHA-256 of other images by path.

    Raises:
        OSError: the file cannot be read.

    Example:
        >>> is_what_was_seen(Labelled(Path("a.png"), 0, "dent", unsure=False), {})
        True
    """
    content = image.content or contents.get(image.path)
    return not content or digest(image.path).startswith(content)


def is_sound(label: str) -> bool:
    """Whether a label says that there is no defect.

    Args:
        label: of an image.

    Example:
        >>> is_sound("Good"), is_sound("dent")
        (True, False)
    """
    return label.casefold() in DEFECT_FREE
