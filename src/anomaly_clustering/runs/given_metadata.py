"""What a table tells of files in; what is known from then on of the images that these hold, copies or not, out."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.runs.kept_metadata import with_more
from anomaly_clustering.system.messages import counted


def of_images(
    given: Mapping[Path, Metadata], held: Mapping[Path, Metadata], files: Mapping[Path, str], images: Mapping[Path, str]
) -> tuple[dict[Path, Metadata], list[str]]:
    """Bring what is told of files to the images in them: a copy is no image of its own.

    What is told of the file of an image counts, before what was known. So does what is told of the first copy of an
    image whose own file is gone: it was moved. Of any other copy counts what nothing else tells.

    Args:
        given: metadata of files.
        held: of images, as it was known before.
        files: SHA-256 of the files that metadata are given of.
        images: SHA-256 of all images by path, the first ones first.

    Returns:
        What is known of images, and a notice where copies are told otherwise.

    Example:
        >>> copy, images = Path("copy.png"), {Path("a.png"): "9f86"}
        >>> told, notices = of_images({copy: Metadata(None, {"batch": "17"})}, {}, {copy: "9f86"}, images)
        >>> told[Path("a.png")].values
        {'batch': '17'}
    """
    first = {content: path for path, content in reversed(list(images.items()))}
    own = {path: told for path, told in given.items() if images.get(path) == files[path]}
    copies: dict[Path, list[Metadata]] = defaultdict(list)
    for path, told in given.items():
        image = first[files[path]]
        if path in own:
            continue
        if image not in own and not image.is_file():
            own[image] = told
        else:
            copies[image].append(told)
    known: dict[Path, Metadata] = {}
    for image, rows in copies.items():
        for told in reversed(rows):
            known = with_more(known, {image: told})
    dated = {image for image, told in known.items() if told.time is not None}
    # The time of a file is not told by anybody.
    before = {
        image: told._replace(time=None) if image in dated and told.source != "metadata" else told
        for image, told in held.items()
    }
    known = with_more(with_more(known, before), own)
    left = [path for path, told in given.items() if _differs(told, known[path if path in own else first[files[path]]])]
    return known, _told_of(left)


def _differs(told: Metadata, known: Metadata) -> bool:
    values = any(value and known.values.get(name) != value for name, value in told.values.items())
    return values or (told.time is not None and told.time != known.time)


def _told_of(left: list[Path]) -> list[str]:
    if not left:
        return []
    what = "is of a copy and tells" if len(left) == 1 else "are of copies and tell"
    return [
        f"{counted(len(left), 'row')} of the metadata {what} otherwise than is known of the image, {str(left[0])!r} "
        "for one, and does not count: what is told of the image's own file does, else what was told first"
    ]
