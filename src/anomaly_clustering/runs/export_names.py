"""Names of images and classes in; names that every system and layout can hold, or which it cannot, out."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from anomaly_clustering.system.files import LONGEST_NAME

# Bytes of the number that a name may get before it.
LONGEST_NUMBER = 12
NOT_IN_NAMES = set('/\\:*?"<>|')
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}
# Controls, and halves of characters, as in names that are not Unicode.
NOT_TEXT = ("Cc", "Cs")
# What XML 1.0 has no way to write, and the carriage return, which its readers turn into a line feed.
NOT_IN_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def names_of_copies(originals: Sequence[str], *, by_stem: bool) -> list[str]:
    """A name for each copy, no two alike on any file system.

    An image keeps its name if every system can hold it; what some cannot becomes an underscore, and where Windows has a
    device of that name, an underscore comes before it. Where images of several folders have the same name, each gets
    the first number before it that gives a name which nobody has.

    Args:
        originals: names of the images, without folders.
        by_stem: whether names are to differ in more than their ending: YOLO's labels of a.png and a.jpg would be one
            file.

    Returns:
        A name for each.

    Example:
        >>> names_of_copies(["a.png", "b.png", "A.png", "con.png", "3:00.png"], by_stem=False)
        ['0-a.png', 'b.png', '2-A.png', '_con.png', '3_00.png']
    """

    def key(name: str) -> str:
        return _folded(Path(name).stem if by_stem else name)

    allowed = [_mended(name) for name in originals]
    often = Counter(map(key, allowed))
    taken = {name for name, times in often.items() if times == 1}
    names = []
    for i, name in enumerate(allowed):
        new = name
        if often[key(name)] > 1:
            new = next(f"{k}-{name}" for k in count(i) if key(f"{k}-{name}") not in taken)
            taken.add(key(new))
        names.append(new)
    return names


def check_folders(labels: Iterable[str]) -> None:
    """Fail if a label cannot be the name of a folder on some system, or two of them would be one.

    Args:
        labels: of the images.

    Raises:
        ValueError: such a label.

    Example:
        >>> check_folders(["dent", "aux.2"])
        Traceback (most recent call last):
        ValueError: 'aux.2' cannot be the name of a folder; rename the cluster in the report, or use the layout coco
    """
    ordered = sorted(set(labels))
    if bad := [name for name in ordered if not _can_be_a_folder(name)]:
        raise ValueError(
            f"{', '.join(map(repr, bad[:3]))} cannot be the name of a folder; rename the cluster in the report, or "
            "use the layout coco"
        )
    first: dict[str, str] = {}
    for name in ordered:
        other = first.setdefault(_folded(name), name)
        if other != name:
            raise ValueError(
                f"{other!r} and {name!r} are one folder on Windows and macOS; give both clusters the same name in the "
                "report, or names that differ in more than capitals"
            )


def check_xml(texts: Iterable[str]) -> None:
    """Fail if a text has characters that no file of XML can hold.

    Args:
        texts: labels, and names of images.

    Raises:
        ValueError: such a text.

    Example:
        >>> check_xml(["d\\u00e9faut\\u202f!", "\\x01"])
        Traceback (most recent call last):
        ValueError: '\\x01' has characters that XML cannot hold; rename the image or the cluster, or use the layout coco
    """
    if bad := next(filter(NOT_IN_XML.search, texts), None):
        raise ValueError(
            f"{bad!r} has characters that XML cannot hold; rename the image or the cluster, or use the layout coco"
        )


def _mended(name: str) -> str:
    """The name of an image as every system can hold it; halves of characters, of names that are not Unicode, stay."""
    stem, ending = os.path.splitext("".join("_" if c in NOT_IN_NAMES or ord(c) < ord(" ") else c for c in name))
    while len(os.fsencode(f"{stem}{ending}")) > LONGEST_NAME - LONGEST_NUMBER:
        # What is longer than a name is no ending.
        stem, ending = (stem[:-1], ending) if stem else (ending[:-1], "")
    return f"{'_' if _is_device(name) else ''}{stem}{ending}"


def _is_device(name: str) -> bool:
    return name.partition(".")[0].rstrip().upper() in DEVICES


def _can_be_a_folder(name: str) -> bool:
    """On any system: Windows has names for devices, and drops what is at the end."""
    if any(unicodedata.category(character) in NOT_TEXT for character in name) or len(name.encode()) > LONGEST_NAME:
        return False
    return not (_is_device(name) or name[0] == "." or name[-1] in ". " or set(name) & NOT_IN_NAMES)


def _folded(name: str) -> str:
    """What two names have in common that are one on some system: Windows and macOS know no capitals, macOS no accents
    that stand apart."""
    return unicodedata.normalize("NFC", name).casefold()
