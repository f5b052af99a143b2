"""The file of an image and the folder of the page in; the address by which the page leads to the file out."""

import os
from pathlib import Path
from urllib.parse import quote


def address(image: Path, folder: Path) -> str:
    """A relative address where there is one, so that a folder that is moved with its images still leads to them.

    Args:
        image: its file.
        folder: where the page lies in the end.

    Returns:
        The address, without a character that means something in one.

    Example:
        >>> address(Path("photos/a b#1.png"), Path("photos-clusters"))
        '../photos/a%20b%231.png'
    """
    target = Path(os.path.abspath(image))  # Not resolved: a browser takes '..' by the letters of the address too.
    try:
        relative = os.path.relpath(target, os.path.abspath(folder))
    except ValueError:  # On another drive of Windows.
        return target.as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
