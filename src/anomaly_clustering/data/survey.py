"""A listing of images in; the same out, with what one look at the files tells: range of values, pages, masks, copies.

What a reader should know of it is said in notices.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from anomaly_clustering.data.images import FULL_BITS, bits_for, decode, highest_value
from anomaly_clustering.data.opening import MOST_PAGES, Header, UnreadableImageError, read_header
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.messages import counted

Bits = int | Literal["auto"]
Copies = Literal["all", "once"]
Item = TypeVar("Item")
Result = TypeVar("Result")
# In a row before the next are begun, for what can be told early.
AT_ONCE = 64
# Compressed images of two levels take less: bits of a value, or, where they lose, of a pixel, and bytes of all else.
BITS_OF_A_VALUE, BITS_OF_A_LOSSY_PIXEL, BYTES_BESIDE = 2.0, 0.5, 4096
# Two levels are so far apart, and this share of all pixels is so near to one of them. Of the masks of Magnetic Tile
# Defects, whose edges are soft, at least .978 are, of photographs of it .23 at the most, and of MVTec AD .59.
FAR, NEAR, MOST = 128, 8, 0.95
# Pixels of an image that is decoded to see whether it is a mask, by as many threads at once as there are cores.
MOST_PIXELS = 2**25


def check_bits(bits: Bits) -> Bits:
    """See that a number of bits can be one of a camera's.

    Args:
        bits: as the user gave it.

    Returns:
        It; a number of NumPy as one of Python's.

    Raises:
        ValueError: it is neither 'auto' nor a number from 8 to 16.

    Example:
        >>> check_bits(10), check_bits("auto")
        (10, 'auto')
    """
    if isinstance(bits, str) and bits == "auto":
        return "auto"
    if not isinstance(bits, Integral) or isinstance(bits, bool) or not 8 <= int(bits) <= FULL_BITS:
        raise ValueError(f"bits must be 'auto' or a whole number from 8 to 16, got {bits!r}")
    return int(bits)


def surveyed(listing: Listing, *, bits: Bits = "auto", copies: Copies | None = "all") -> Listing:
    """Look at all files of a listing once, and note what would otherwise be read amiss, left out or counted in silence.

    Files that cannot be read are left to those who read them.

    Args:
        listing: of a source.
        bits: of a value that the camera filled in files of 16 bits; 'auto' takes the fewest of 8, 10, 12, 14 and 16
            that hold the highest value of all these files, so that one scale serves them all.
        copies: 'all' keeps images of the same content, 'once' the first of them alone; None keeps them, and does not
            look for any, for whoever tells images by their content.

    Returns:
        The listing, where records of 16 bits have their `bits`, with notices added.

    Raises:
        ValueError: `copies` has another value.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [Path(folder) / name for name in ("0.png", "1.png")]
        ...     for path in paths:
        ...         Image.new("I;16", (16, 12), 4000).save(path)
        ...     found = surveyed(Listing([Record(path) for path in paths], []), copies="once")
        >>> [record.bits for record in found.records], len(found.notices)
        ([12], 2)
    """
    if copies is not None:
        check_choice("copies", copies, Copies)
    records, copied = (listing.records, []) if copies is None else _without_copies(listing.records, copies)
    headers = dict(zip([record.image for record in records], _each(_header, records), strict=True))
    deep = {record.image for record in records if (header := headers[record.image]) and header.sixteen_bits}
    notices = [*listing.notices, *copied, *_pages(headers), *_two_levels(records, headers)]
    if deep:
        found, notice = _range([record.image for record in records if record.image in deep], bits)
        notices.append(notice)
        records = [record._replace(bits=found) if record.image in deep else record for record in records]
    return listing._replace(records=records, notices=notices)


def _each(what: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Of each item, by threads, since reading files is waiting."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(what, items))


def _header(record: Record) -> Header | None:
    try:
        return read_header(record.image)
    except UnreadableImageError:
        return None


def _range(images: Sequence[Path], bits: Bits) -> tuple[int, str]:
    """One scale for all images of 16 bits, and how it was found."""
    many = f"{counted(len(images), 'image')} of 16 bits"
    read = "is read" if len(images) == 1 else "are read"
    if bits != "auto":
        return bits, f"{many} {read} as {bits}-bit, with values from 0 to {2**bits - 1}, as given"
    highest, brightest = 0, images[0]
    for start in range(0, len(images), AT_ONCE):
        part = images[start : start + AT_ONCE]
        values = dict(zip(_each(_highest, part), part, strict=True))
        if max(values) > highest:
            highest, brightest = max(values), values[max(values)]
        if bits_for(highest) == FULL_BITS:
            break
    found = bits_for(highest)
    return found, (
        f"{many} {read} as {found}-bit, with values from 0 to {2**found - 1}, since the highest is {highest}, in "
        f"{str(brightest)!r}; if the camera has more, say so (--bits)"
    )


def _highest(image: Path) -> int:
    try:
        return highest_value(image)
    except UnreadableImageError:
        return 0


def _pages(headers: dict[Path, Header | None]) -> list[str]:
    """Say how many pages are not looked at."""
    unread = {path: header.pages - 1 for path, header in headers.items() if header and header.pages > 1}
    if not unread:
        return []
    or_more = "or more " * (max(unread.values()) >= MOST_PAGES)
    pages = counted(sum(unread.values()), f"{or_more}page")
    return [
        f"left out: {pages} after the first, of {counted(len(unread), 'file')} with several, "
        f"{str(next(iter(unread)))!r} for one; save each page as a file to have it clustered"
    ]


def _two_levels(records: Sequence[Record], headers: dict[Path, Header | None]) -> list[str]:
    """Say which images are black and white alone, if others are not: they are mostly masks, and so are empty ones."""
    clustered = [record.image for record in records if not record.is_normal_train]
    small = [path for path in clustered if (header := headers[path]) and _is_small(path, header)]
    levels = dict(zip(small, _each(levels_of, small), strict=True))
    found = [path for path, number in levels.items() if number == 2]
    empty = [path for path, number in levels.items() if number == 1]
    if not found or len(found) + len(empty) == len(clustered):
        return []
    alike = len(found) + len(empty)
    have, are = ("has", "is taken for a photograph") if alike == 1 else ("have", "are taken for photographs")
    return [
        f"{alike} of {len(clustered)} images {have} one or two levels of brightness, as masks have, "
        f"{str(found[0])!r} for one, and {are}; if they are masks, move them to another folder"
    ]


def _is_small(path: Path, header: Header) -> bool:
    """Whether a file could hold two levels: those that take more bytes are not decoded, which takes time."""
    if header.pixels > MOST_PIXELS:
        return False
    if header.kind in ("BMP", "TIFF"):  # May not be compressed.
        return True
    bits = BITS_OF_A_LOSSY_PIXEL if header.kind in ("JPEG", "MPO") else BITS_OF_A_VALUE * header.bands
    return path.stat().st_size <= bits * header.pixels / 8 + BYTES_BESIDE


def levels_of(path: Path) -> int:
    """How many levels of brightness an image has, whose edges may be soft, as those of masks that were resized.

    Args:
        path: of its file.

    Returns:
        1 or 2, or 3 where there are more; 0 where the file cannot be read. Two are far apart, and all but 5 percent of
        the pixels are near to them, unless there is no third one at all.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.linear_gradient("L").save(Path(folder) / "a.png")
        ...     levels_of(Path(folder) / "a.png")
        3
    """
    try:
        image = decode(path)
    except UnreadableImageError:
        return 0
    values = np.asarray(image if image.mode.startswith("I") else image.convert("L"))
    darkest, brightest = int(values.min()), int(values.max())
    if darkest == brightest:
        return 1
    # One row after the other, since a mask of many megapixels is a small file.
    if all(((row == darkest) | (row == brightest)).all() for row in values):
        return 2
    near = sum(int(((row <= darkest + NEAR) | (row >= brightest - NEAR)).sum()) for row in values)
    return 2 if brightest - darkest >= FAR and near >= MOST * values.size else 3


def _without_copies(records: Sequence[Record], copies: Copies) -> tuple[list[Record], list[str]]:
    """Records, each content once if that is wanted, and a notice where some have the same content."""
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for position, record in enumerate(records):
        if record.image.is_file() and record.image.stat().st_size:
            by_size[record.image.stat().st_size].append(position)
    alike = [position for same in by_size.values() if len(same) > 1 for position in same]
    first: dict[tuple[str, bool], int] = {}
    copy_of: dict[int, int] = {}
    contents = _each(_digest, [records[position] for position in alike])
    for position, content in zip(alike, contents, strict=True):
        original = first.setdefault((content, records[position].is_normal_train), position)
        if content and original != position:
            copy_of[position] = original
    kept = [record for i, record in enumerate(records) if copies == "all" or i not in copy_of]
    to_cluster = {record.image for record in kept if not record.is_normal_train}
    of_normals = sum(
        records[position].image in to_cluster and (content, True) in first
        for position, content in zip(alike, contents, strict=True)
        if content and not records[position].is_normal_train
    )
    notices = []
    if copy_of:
        copy, position = next(iter(copy_of.items()))
        example = f"such as {str(records[copy].image)!r} of {str(records[position].image)!r}"
        notices.append(
            f"left out: {counted(len(copy_of), 'exact copy', 'exact copies')} of other images, {example}"
            if copies == "once"
            else f"exact copies among the images: {len(copy_of)}, {example}; each is clustered and counted as an image "
            "of its own, and with --copies once they are left out"
        )
    if of_normals:
        are = "is an exact copy" if of_normals == 1 else "are exact copies"
        notices.append(f"{counted(of_normals, 'image')} to cluster {are} of images that are known to be normal")
    return kept, notices


def _digest(record: Record) -> str:
    try:
        return digest(record.image)
    except OSError:
        return ""
