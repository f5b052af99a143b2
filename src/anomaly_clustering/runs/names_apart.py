"""An image whose file was overwritten in; the name that it goes by from then on, and the path that it had, out."""

from pathlib import Path

from anomaly_clustering.report.content import CONTENT_DIGITS


def apart(path: Path, content: str) -> Path:
    """The name of an image whose file was overwritten: no file has it, and no other image.

    Args:
        path: that now holds something else.
        content: SHA-256 of what it held.

    Example:
        >>> apart(Path("camera/latest.png"), "9f86d081884c7d65")
        PosixPath('camera/latest.png#9f86d081884c7d65')
    """
    return Path(f"{path}#{content[:CONTENT_DIGITS]}")


def held_by(path: Path, content: str) -> Path | None:
    """The path that an image had before it was overwritten; None for one that goes by its file.

    Args:
        path: of the image, maybe as `apart` names it.
        content: SHA-256 of the image.

    Example:
        >>> held_by(Path("camera/latest.png#9f86d081884c7d65"), "9f86d081884c7d65")
        PosixPath('camera/latest.png')
    """
    name, ending = str(path), str(apart(Path(), content))[1:]
    return Path(name.removesuffix(ending)) if name.endswith(ending) else None
