"""Images that labels or a run name in; an error about those that lie elsewhere, or are others than the run saw, out.

Labels and runs may come from somebody else, and what they list is copied or drawn into what the user then passes on.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from anomaly_clustering.system.files import digest, real_path
from anomaly_clustering.system.one_place import lies_in

# Named in a message; the others are counted.
MOST_NAMED = 3


def check_given(
    images: Sequence[Path], folders: Sequence[Path] | None = None, *, contents: Mapping[Path, str] | None = None
) -> None:
    """Refuse images that the user has not given: those outside of the given folders, after links are followed.

    Args:
        images: files that are there.
        folders: that the user gave; None for the working directory.
        contents: SHA-256 of images by path, as a run has seen them. What has the content that the run has seen is of
            that run, wherever it lies: nobody can name a file so without having it.

    Raises:
        PermissionError: an image lies elsewhere, and is not what the run has seen.

    Example:
        >>> check_given([Path("a.png"), Path("photos/../../b.png")], [Path("photos"), Path("a.png").parent])
        Traceback (most recent call last):
        PermissionError: 1 of 2 images are not below the given folders 'photos', '.', where links lead: ...
    """
    given = [Path()] if folders is None else folders
    is_below = lies_in(given)
    seen = contents or {}
    outside = [
        image
        for image in images
        if not is_below(real_path(image)) and not (image in seen and digest(image) == seen[image])
    ]
    if outside:
        named = ", ".join(repr(str(image)) for image in outside[:MOST_NAMED])
        more = f" and {len(outside) - MOST_NAMED} more" if len(outside) > MOST_NAMED else ""
        places = f"the given folders {', '.join(repr(str(f)) for f in folders)}" if folders else "the working directory"
        raise PermissionError(
            f"{len(outside)} of {len(images)} images are not below {places}, where links lead: {named}{more}; labels "
            "and runs of somebody else may name any file of yours, so give the folder with --images only if these are "
            "meant"
        )


def check_same(
    images: Sequence[Path], contents: Mapping[Path, str], content_of: Callable[[Path], str] = digest
) -> None:
    """Refuse images that have changed since a run saw them: its clusters and heat maps are of others.

    Args:
        images: files that are there.
        contents: SHA-256 by path, as the run has seen them; other images are not looked at.
        content_of: SHA-256 of a file.

    Raises:
        ValueError: an image has another content.

    Example:
        >>> check_same([Path("a.png")], {})
    """
    if changed := [image for image in images if image in contents and content_of(image) != contents[image]]:
        raise ValueError(
            f"{len(changed)} of {len(images)} images are not what they were when the run saw them, {str(changed[0])!r} "
            "for one; put them back, or cluster them anew"
        )
