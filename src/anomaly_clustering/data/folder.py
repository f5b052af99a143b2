"""A user's own folder of images in; records out. Subfolders, if there are any, are defect types."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.progress import track

from anomaly_clustering.data.datamodule import NUM_WORKERS, DefectDataModule, Listing, Record
from anomaly_clustering.data.images import EXTENSIONS, UnreadableImageError, files_below, image_files, read_image

DEFECT_FREE = frozenset({"good", "normal", "ok"})


def list_folder(
    root: Path,
    *,
    normals: Path | None = None,
    masks: Path | None = None,
    leave_out: Sequence[Path] = (),
    skip_unreadable: bool = False,
) -> Listing:
    """The images below `root`; the name of the first subfolder on the way to an image is its defect type.

    Images directly in `root` have no label. Masks have the path of their image relative to `root`, any extension,
    and optionally `_mask` after the stem; images of a folder named good, normal or ok need none. `normals`,
    `masks` and the folders to `leave_out` may lie inside `root`.
    """
    leave_out = [*leave_out, *(folder for folder in (normals, masks) if folder)]
    images = list_images(root, leave_out)
    normal_images = list_images(normals) if normals else []
    notices = [notice] if (notice := _of_other_kinds(root, leave_out)) else []
    if skip_unreadable:
        images, bad = _readable(images)
        normal_images, bad_normals = _readable(normal_images)
        notices += [f"left out: {message}" for message in bad + bad_normals]
    types = {image: image.relative_to(root).parts[0] for image in images if image.parent != root}
    class_names = sorted(set(types.values()))
    records = [
        Record(
            image,
            class_names.index(types[image]) if image in types else None,
            mask_of(image, root, masks) if masks and types.get(image, "").lower() not in DEFECT_FREE else None,
        )
        for image in images
    ]
    return Listing(records + [Record(image, is_normal_train=True) for image in normal_images], class_names, notices)


def list_images(folder: Path, leave_out: Sequence[Path] = ()) -> list[Path]:
    """All images below a folder but those below others; an error that says what is wrong where there are none."""
    if not folder.exists():
        raise FileNotFoundError(f"{str(folder)!r} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"{str(folder)!r} is a file; give the folder that holds the images")
    images = _outside(image_files(folder), leave_out)
    if not images:
        beside = " beside the normal images, masks and maps" if leave_out else ""
        raise ValueError(f"{str(folder)!r} holds no images{beside} ({', '.join(sorted(EXTENSIONS))})")
    return images


def _outside(files: Sequence[Path], folders: Sequence[Path]) -> list[Path]:
    places = [folder.resolve() for folder in folders]
    return [path for path in files if not any(path.resolve().is_relative_to(place) for place in places)]


def _of_other_kinds(folder: Path, leave_out: Sequence[Path]) -> str:
    """Says that files are no images of a kind that is read: photographs may be among them."""
    kinds = Counter(path.suffix.lower() for path in _outside(files_below(folder), leave_out))
    others = {kind: count for kind, count in kinds.items() if kind not in EXTENSIONS}
    if not others:
        return ""
    listed = ", ".join(f"{count} {kind or 'without ending'}" for kind, count in sorted(others.items()))
    return f"left out: {sum(others.values())} files in {str(folder)!r} of kinds that are not read ({listed})"


def _readable(images: Sequence[Path]) -> tuple[list[Path], list[str]]:
    good, bad = [], []
    for image in track(images, "Checking the images", transient=True):
        try:
            read_image(image)
            good.append(image)
        except UnreadableImageError as error:
            bad.append(str(error))
    return good, bad


def mask_of(image: Path, root: Path, masks: Path) -> Path:
    """The file below `masks` that has the path of the image below `root`."""
    if not masks.is_dir():
        raise FileNotFoundError(f"{str(masks)!r} is not a folder of masks")
    place = masks / image.relative_to(root).parent
    for stem in (image.stem, f"{image.stem}_mask"):
        for extension in (image.suffix, *sorted(EXTENSIONS)):
            if (mask := place / f"{stem}{extension}").is_file():
                return mask
    raise FileNotFoundError(f"the mask of {str(image)!r} is missing: there is no {str(place / image.stem)!r}.png")


class Folder(DefectDataModule):
    """A folder of your own images, with defect types as subfolders or without any.

    Args:
        root: the images to cluster: PNG, JPEG, BMP, TIFF or WebP.
        normals: images known to be free of defects, for semi-supervised weights.
        masks: where the defects are, for mask weights and localisation.
        maps: folder of the anomaly maps of another detector, for weights 'maps'; see `data.maps`.
        skip_unreadable: list damaged files and go on without them, where the default is to stop.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        normals: Path | str | None = None,
        masks: Path | str | None = None,
        maps: Path | str | None = None,
        skip_unreadable: bool = False,
        image_size: int = 256,
        batch_size: int = 32,
        num_workers: int = NUM_WORKERS,
    ):
        super().__init__(
            partial(
                list_folder,
                Path(root),
                normals=Path(normals) if normals else None,
                masks=Path(masks) if masks else None,
                leave_out=[Path(maps)] if maps else [],
                skip_unreadable=skip_unreadable,
            ),
            maps=maps,
            image_size=image_size,
            batch_size=batch_size,
            num_workers=num_workers,
        )
