"""Boxes around defects in photographs in; a square cut-out of each as an image of its own, in a folder, out.

For data sets whose images show many defects at once, of which each has one type.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.data.images import decode
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.progress import tracked


class Cut(NamedTuple):
    """What is cut out of an image.

    Attributes:
        image: to cut from.
        centre: (x, y) in pixels, of the square.
        name: of the cut-out below its folder, such as `open/00041000-0.png`.
    """

    image: Path
    centre: tuple[int, int]
    name: str


def write_once(folder: Path, cuts: Sequence[Cut], *, side: int) -> None:
    """Write all cut-outs, unless their folder is there; it appears only when it is whole.

    Args:
        folder: where to write; the caller names it by what is cut, see `cache_place`.
        cuts: cut-outs of an image one after the other, since each image is read once.
        side: of the squares in pixels; at the rim they move into the image.

    Raises:
        UnreadableImageError: an image is damaged; nothing is written.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as place:
        ...     Image.linear_gradient("L").save(f"{place}/board.png")
        ...     cut = Cut(Path(place) / "board.png", (3, 200), "open/0.png")
        ...     write_once(Path(place) / "cuts", [cut], side=64)
        ...     with Image.open(f"{place}/cuts/open/0.png") as image:
        ...         image.size, image.getpixel((0, 0))
        ((64, 64), 168)
    """
    if folder.exists():
        return
    with whole_folder(folder, keep=True) as new:
        last, image = None, None
        for cut in tracked(cuts, "Cutting out the defects"):
            if image is None or cut.image != last:
                last, image = cut.image, decode(cut.image)
            left, top = (
                max(0, min(at - side // 2, size - side)) for at, size in zip(cut.centre, image.size, strict=True)
            )
            (new / cut.name).parent.mkdir(parents=True, exist_ok=True)
            image.crop((left, top, left + side, top + side)).save(new / cut.name)
