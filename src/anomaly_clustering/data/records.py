"""What a source knows of its images, before any is opened: a record for each file, and a listing of all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.system.messages import counted


class Record(NamedTuple):
    """One image file and what is known of it.

    Args:
        image: the image file.
        label: position of its defect type in the listing's `class_names`; None where it is unknown.
        mask: an image of the same size that is bright where the defect is, or a folder of such that count together;
            None where nobody drew one.
        is_normal_train: the image is known to be free of defects and stands beside those that are clustered.
        map: the anomaly map that another detector wrote for the image; see `anomaly_clustering.data.maps`.
        bits: how many bits of a value the camera filled, where the file has 16; None where it has 8, or nobody looked.

    Example:
        >>> Record(Path("photos/crack/0.png"), label=1).mask is None
        True
    """

    image: Path
    label: int | None = None
    mask: Path | None = None
    is_normal_train: bool = False
    map: Path | None = None
    bits: int | None = None


class Listing(NamedTuple):
    """All that a source holds.

    Args:
        records: the images to cluster, in a fixed order, and the normal images beside them.
        class_names: names of the defect types, in the order of their labels; empty where no labels are known.
        notices: sentences for the user on how the folder was read, such as files that were left out.

    Example:
        >>> listing = Listing([Record(Path("good/0.png"), 0), Record(Path("crack/0.png"), 1)], ["good", "crack"])
        >>> [listing.class_names[record.label] for record in listing.records]
        ['good', 'crack']
    """

    records: Sequence[Record]
    class_names: Sequence[str]
    notices: Sequence[str] = ()


def without_empty_classes(listing: Listing) -> Listing:
    """The same listing, whose classes are those of which there are images to cluster.

    Args:
        listing: of a source.

    Raises:
        ValueError: the label of an image to cluster is no position in the names of the classes.

    Example:
        >>> records = [Record(Path("crack/0.png"), 1), Record(Path("hole/0.png"), 2)]
        >>> shown = without_empty_classes(Listing(records, ["good", "crack", "hole"]))
        >>> shown.class_names, [record.label for record in shown.records]
        (['crack', 'hole'], [0, 1])
    """
    _check_labels(listing)
    present = {record.label for record in listing.records if not record.is_normal_train and record.label is not None}
    if len(present) == len(listing.class_names):
        return listing
    label = {old: new for new, old in enumerate(sorted(present))}
    records = [
        record if record.label is None else record._replace(label=label.get(record.label)) for record in listing.records
    ]
    return Listing(records, [listing.class_names[old] for old in sorted(present)], listing.notices)


def _check_labels(listing: Listing) -> None:
    classes = len(listing.class_names)
    for record in listing.records:
        # Nobody asks for the type of a normal image.
        if not record.is_normal_train and record.label is not None and not 0 <= record.label < classes:
            raise ValueError(
                f"{str(record.image)!r} has the label {record.label!r}, which is no position in the "
                f"{counted(classes, 'class name')} of the listing, counted from 0; give None where it is unknown"
            )


def without_single_class(listing: Listing) -> Listing:
    """The same listing; without classes, which a notice says, where all images to cluster of known class are of one.

    One class, such as the only folder that photos lie in, tells nothing of clusters: any of them are pure.

    Args:
        listing: of a source.

    Example:
        >>> listing = Listing([Record(Path("2026-03/0.png"), 0), Record(Path("1.png"))], ["2026-03"])
        >>> alone = without_single_class(listing)
        >>> alone.class_names, [record.label for record in alone.records], alone.notices[0][:32]
        ([], [None, None], "all images are of one class, '20")
    """
    present = {record.label for record in listing.records if not record.is_normal_train and record.label is not None}
    if len(present) != 1:
        return listing
    (only,) = present
    name = listing.class_names[only]
    said = f"all images are of one class, {name!r}, which tells nothing of clusters: nothing is scored"
    records = [record._replace(label=None) for record in listing.records]
    return Listing(records, [], [*listing.notices, said])
