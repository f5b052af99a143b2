"""Lists a user's own folder of images as records; its subfolders, if there are any, are defect types."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from anomaly_clustering.data.decoding import needed_within
from anomaly_clustering.data.images import FULL_BITS, read_image
from anomaly_clustering.data.layouts import DEFECT_FREE, recognise
from anomaly_clustering.data.opening import EXTENSIONS, UnreadableImageError, looks_like
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.survey import Bits
from anomaly_clustering.data.walk import check_may_be_read, look, loose_images, real_paths
from anomaly_clustering.system.files import real_path
from anomaly_clustering.system.messages import counted
from anomaly_clustering.system.one_place import lies_in
from anomaly_clustering.system.progress import tracked


def list_folder(
    root: Path,
    *,
    normals: Path | None = None,
    masks: Path | None = None,
    leave_out: Sequence[Path] = (),
    skip_unreadable: bool = False,
    bits: Bits = "auto",
) -> Listing:
    """List the images below a folder; the first subfolder on the way to an image names its defect type.

    `normals`, `masks` and the folders to `leave_out` may lie inside `root`; their images are not clustered.

    Args:
        root: the images to cluster, those that lie directly in it without a label; or a folder of a known layout that
            holds them, see `layouts`.
        normals: images known to be free of defects; none by default.
        masks: masks, each at the path that its image has below `root`, with any ending of an image file, and with
            `_mask` after the stem or without. Images in a folder named good, normal or ok need none. By default no
            image has one.
        leave_out: folders to pass over, such as that of anomaly maps.
        skip_unreadable: open every image now, and leave out those that cannot be read with a notice for each. By
            default no image is opened, and a damaged one stops the run later.
        bits: of a value in files of 16 bits; an image with a higher one cannot be read. With 'auto' any can.

    Returns:
        The records, sorted by path, the defect types in alphabetical order, and notices on what was recognised and left
        out, such as files of other kinds, among which there may be photographs.

    Raises:
        FileNotFoundError: a folder is missing, or a mask.
        NotADirectoryError: a file is given where a folder is needed.
        ValueError: a folder holds no images, or several sets of them.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("good/0.png", "crack/0.png", "crack/notes.txt"):
        ...         (Path(root) / name).parent.mkdir(exist_ok=True)
        ...         (Path(root) / name).touch()
        ...     listing = list_folder(Path(root))
        >>> listing.class_names, [record.label for record in listing.records], len(listing.notices)
        (['crack', 'good'], [0, 1], 1)
    """
    layout = recognise(root, [*leave_out, *(folder for folder in (normals, masks) if folder)])
    root, notices = layout.images, layout.notices
    if layout.normals and normals is None:
        notices.append(
            f"images free of defects are in {str(layout.normals)!r}: clusters are better if they are given as normal "
            f"ones (--normal {layout.normals})"
        )
    leave_out = [*leave_out, *layout.masks, *(folder for folder in (normals, masks) if folder)]
    images = list_images(root, leave_out)
    normal_images = list_images(normals) if normals else []
    notices += left_out(root, leave_out)
    notices += left_out(normals) if normals else []
    if skip_unreadable:
        images, bad = _readable(images, bits)
        normal_images, bad_normals = _readable(normal_images, bits)
        notices += [f"left out: {message}" for message in bad + bad_normals]
    types = {image: image.relative_to(root).parts[0] for image in images if image.parent != root}
    class_names = sorted(set(types.values()))
    marked = [image for image in images if types.get(image, "").lower() not in DEFECT_FREE]
    mask_of = masks_of(marked, root, masks) if masks else {}
    records = [
        Record(image, class_names.index(types[image]) if image in types else None, mask_of.get(image))
        for image in images
    ]
    check_one_to_one(records)
    return Listing(records + [Record(image, is_normal_train=True) for image in normal_images], class_names, notices)


def list_images(folder: Path, leave_out: Sequence[Path] = ()) -> list[Path]:
    """List all images below a folder, and fail where there are none.

    Args:
        folder: where to look; see `walk.look`.
        leave_out: folders whose images are passed over; none by default.

    Returns:
        Paths that begin with `folder`, sorted.

    Raises:
        FileNotFoundError: the folder is missing.
        NotADirectoryError: it is a file.
        PermissionError: it may not be read.
        ValueError: it holds no images.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "0.png").touch()
        ...     print([path.name for path in list_images(Path(folder))])
        ['0.png']
    """
    check_may_be_read(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{str(folder)!r} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the folder that holds the images")
    images = [path for path in _outside(look(folder).files, leave_out) if path.suffix.lower() in EXTENSIONS]
    if not images:
        beside = " beside the normal images, masks and maps" if leave_out else ""
        raise ValueError(f"{str(folder)!r} holds no images{beside} ({', '.join(sorted(EXTENSIONS))})")
    return images


def _outside(files: Sequence[Path], folders: Sequence[Path]) -> list[Path]:
    if not folders:
        return [*files]
    is_inside = lies_in(folders)
    return [path for path, real in zip(files, real_paths(files), strict=True) if not is_inside(real.parent)]


def left_out(folder: Path, leave_out: Sequence[Path] = (), *, beside: Collection[str] = ()) -> list[str]:
    """Say what below a folder is not looked at: files that are not of a kind that is read, and whole folders.

    Args:
        folder: that holds images.
        leave_out: folders that are passed over by intent.
        beside: endings, in small letters, of files that are there by intent.

    Returns:
        A notice for each reason.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("0.png", "1.heic"):
        ...         (Path(folder) / name).touch()
        ...     print(*left_out(Path(folder)))
        left out: 1 file in '...' of kinds that are not read (1 .heic)
    """
    found = look(folder)
    is_meant = lies_in(leave_out)
    passed_over = {path: why for path, why in found.left_out.items() if not is_meant(real_path(path))}
    files = [path for path in _outside(found.files, leave_out) if path.suffix.lower() not in beside]
    return [*_other_kinds(folder, files), *_passed_over(folder, passed_over)]


def _other_kinds(folder: Path, files: Sequence[Path]) -> list[str]:
    others = [path for path in files if path.suffix.lower() not in EXTENSIONS]
    if not others:
        return []
    kinds = Counter(path.suffix.lower() for path in others)
    listed = ", ".join(f"{count} {kind or 'without ending'}" for kind, count in sorted(kinds.items()))
    images = {path: kind for path in others if (kind := looks_like(path))}
    are = "is an image by its" if len(images) == 1 else "are images by their"
    hint = f"; {len(images)} {are} content" if images else ""
    hint += "".join(f", {str(path)!r} {kind} for one" for path, kind in list(images.items())[:1])
    left = counted(len(others), "file")
    return [f"left out: {left} in {str(folder)!r} of kinds that are not read ({listed}){hint}"]


def _passed_over(folder: Path, found: Mapping[Path, str]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for path, reason in found.items():
        reasons.setdefault(reason, []).append(str(path.relative_to(folder)))
    return [f"left out: {', '.join(names)}, {reason}" for reason, names in reasons.items()]


def _readable(images: Sequence[Path], bits: Bits) -> tuple[list[Path], list[str]]:
    """The images that can be read, and what is wrong with each of the others."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checked = threads.map(partial(_what_is_wrong, bits=FULL_BITS if bits == "auto" else bits), images)
        wrong = [*tracked(checked, "Checking the images", total=len(images))]
    return [image for image, message in zip(images, wrong, strict=True) if not message], [*filter(None, wrong)]


def _what_is_wrong(image: Path, *, bits: int) -> str:
    """Nothing where it can be read, which an eighth of its pixels tell as well as all."""
    try:
        read_image(image, bits, needed=partial(needed_within, side=1))
    except UnreadableImageError as error:
        return str(error)
    return ""


def masks_of(images: Sequence[Path], root: Path, masks: Path) -> dict[Path, Path]:
    """Find the masks that lie below `masks` as their images lie below `root`.

    Args:
        images: image files below `root`.
        root: the folder of the images.
        masks: the folder of the masks. A mask has its image's stem, or that and `_mask`; its ending may differ, also
            in capitals.

    Returns:
        The mask's file of each image.

    Raises:
        FileNotFoundError: `masks` is no folder, or an image has no mask in it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     masks = Path(place) / "masks"
        ...     (masks / "crack").mkdir(parents=True)
        ...     (masks / "crack" / "0_mask.PNG").touch()
        ...     found = masks_of([Path("photos/crack/0.jpg")], Path("photos"), masks)
        >>> [mask.name for mask in found.values()]
        ['0_mask.PNG']
    """
    if images and not masks.is_dir():
        raise FileNotFoundError(f"{str(masks)!r} is not a folder of masks")
    inside: dict[Path, dict[str, list[Path]]] = {}
    found = {}
    for image in images:
        place = masks / image.relative_to(root).parent
        if place not in inside:
            inside[place] = _by_stem(place)
        fitting = inside[place].get(image.stem) or inside[place].get(f"{image.stem}_mask")
        if not fitting:
            raise FileNotFoundError(
                f"the mask of {str(image)!r} is missing: there is no {str(place / image.stem)!r}.png"
            )
        found[image] = next((mask for mask in fitting if mask.suffix == image.suffix), fitting[0])
    return found


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    stems: dict[str, list[Path]] = {}
    for path in sorted(loose_images(folder), key=lambda path: path.suffix.lower()) if folder.is_dir() else []:
        stems.setdefault(path.stem, []).append(path)
    return stems


def check_one_to_one(records: Sequence[Record]) -> None:
    """See that no two images have the same mask.

    Args:
        records: of the images, with their masks.

    Raises:
        ValueError: two have, as where several folders of defects share one flat folder of masks.

    Example:
        >>> mask = Path("masks/0.png")
        >>> check_one_to_one([Record(Path("crack/0.png"), 0, mask), Record(Path("hole/0.png"), 1, mask)])
        Traceback (most recent call last):
        ValueError: 'masks/0.png' is the mask of 'crack/0.png' and of 'hole/0.png'; give each folder masks of its own
    """
    owner: dict[Path, Path] = {}
    for record in records:
        if record.mask and (other := owner.setdefault(record.mask, record.image)) != record.image:
            names = [path.as_posix() for path in (record.mask, other, record.image)]
            raise ValueError("{!r} is the mask of {!r} and of {!r}; give each folder masks of its own".format(*names))
