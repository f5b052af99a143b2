"""Images that show no, one or several types of defects in; a listing in which each has one class out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from anomaly_clustering.data.layouts import DEFECT_FREE, good_first
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.messages import counted

GOOD = "good"
# What becomes of an image that shows several types of defects.
Several = Literal["leave_out", "keep"]


class TypedImage(NamedTuple):
    """What is known of an image.

    Attributes:
        image: its file.
        types: of the defects that it shows, in any order, also more than once; none where it is good, and None where
            that is unknown.
        mask: as for `Record`; where any image has one, each that shows a defect needs one.
        is_normal_train: as for `Record`; of such an image types do not matter.

    Example:
        >>> TypedImage(Path("0.png"), ["scratch"]).mask is None
        True
    """

    image: Path
    types: Sequence[str] | None = ()
    mask: Path | None = None
    is_normal_train: bool = False


def listing_of(seen: Iterable[TypedImage], *, several: Several = "leave_out", notices: Sequence[str] = ()) -> Listing:
    """List images of one class each.

    Args:
        seen: the images; entries of one file count as one image, of the types of all.
        several: images of several types are left out, with a notice, as MVTec AD's 'combined' are in the paper; or
            kept, where each set of types is a class of its own.
        notices: for the user, on what was left out before.

    Returns:
        The records in the order of the images, first those to cluster. Classes of good images come first, the others by
        name; an image of unknown types has no class.

    Raises:
        ValueError: there are no images to cluster, or none is left; a type has no name; an image has two masks, or
            shows a defect and has none though others have; `several` has another value.

    Example:
        >>> types = [[], ["dent"], ["scratch", "dent"]]
        >>> images = [TypedImage(Path(f"{i}.png"), shown) for i, shown in enumerate(types)]
        >>> listing = listing_of(images)
        >>> listing.class_names, len(listing.records), len(listing.notices)
        (['good', 'dent'], 2, 1)
        >>> listing_of(images, several="keep").class_names
        ['good', 'dent', 'dent + scratch']
    """
    check_choice("several", several, Several)
    entries = list(seen)
    everything = _each_once(entries)
    to_cluster = [(one, sorted(set(one.types or ()))) for one in everything if not one.is_normal_train]
    notices = list(notices)
    if again := len(entries) - len(everything):
        name = "entry names" if again == 1 else "entries name"
        notices.append(f"{again} {name} an image that was named before; it counts once, with all its types")
    if not to_cluster:
        raise ValueError("there are no images to cluster")
    _check_names(to_cluster)
    if several == "leave_out" and (mixed := [one for one, types in to_cluster if len(types) > 1]):
        to_cluster = [(one, types) for one, types in to_cluster if len(types) <= 1]
        notices.append(
            f"left out: {counted(len(mixed), 'image')} with several types of defects at once, {str(mixed[0].image)!r} "
            "for one (--data.several keep)"
        )
    if not to_cluster:
        raise ValueError("no image shows one type of defect; with --data.several keep those of several types stay")
    _check_masks(to_cluster)
    names = [None if one.types is None else " + ".join(types) or GOOD for one, types in to_cluster]
    class_names = good_first(name for name in names if name is not None)
    position = {name: i for i, name in enumerate(class_names)}
    records = [
        Record(one.image, None if name is None else position[name], one.mask)
        for (one, _), name in zip(to_cluster, names, strict=True)
    ]
    normals = [Record(one.image, is_normal_train=True) for one in everything if one.is_normal_train]
    return Listing(records + normals, class_names, notices)


def _check_names(to_cluster: Sequence[tuple[TypedImage, Sequence[str]]]) -> None:
    """Without its name an image would count as good."""
    nameless = [one.image for one, types in to_cluster if any(not name.strip() for name in types)]
    if nameless:
        raise ValueError(
            f"the type of defect of {counted(len(nameless), 'image')}, {str(nameless[0])!r} for one, has no name; "
            "give it one where types are told"
        )


def _check_masks(to_cluster: Sequence[tuple[TypedImage, Sequence[str]]]) -> None:
    """Where masks are compared, an image without one counts as free of defects."""
    without = [
        one.image
        for one, types in to_cluster
        if not one.mask and any(name.lower() not in DEFECT_FREE for name in types)
    ]
    if without and any(one.mask for one, _ in to_cluster):
        raise ValueError(
            f"masks are missing: those of {counted(len(without), 'image')} with a type of defect, {str(without[0])!r} "
            "for one, though others have masks; give all of them or none. Images free of defects need none: call their "
            f"type {', '.join(sorted(DEFECT_FREE))}"
        )


def _each_once(entries: Sequence[TypedImage]) -> list[TypedImage]:
    """Entries of one file put together, in the order of the first of each."""
    together: dict[tuple[Path, bool], TypedImage] = {}
    for one in entries:
        before = together.setdefault((one.image, one.is_normal_train), one)
        if before.mask and one.mask and before.mask != one.mask:
            raise ValueError(
                f"{str(one.image)!r} has two masks, {str(before.mask)!r} and {str(one.mask)!r}; put them into one file"
            )
        if before is not one:
            known = [types for types in (before.types, one.types) if types is not None]
            types = [name for types in known for name in types] if known else None
            united = before._replace(types=types, mask=before.mask or one.mask)
            together[one.image, one.is_normal_train] = united
    return list(together.values())
