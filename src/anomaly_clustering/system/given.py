"""A path that the user named in; where no file is there, an error that says what is there and what to give, out."""

from pathlib import Path


def check_is_file(path: Path, *, called: str = "", give: str) -> None:
    """See that a file is there that the user named.

    Args:
        path: of the file.
        called: what stands before its name in the message.
        give: what to give in its place, as the end of the message.

    Raises:
        FileNotFoundError: nothing is there.
        IsADirectoryError: there is a folder.

    Example:
        >>> check_is_file(Path("/"), called="metadata ", give="give a CSV file")
        Traceback (most recent call last):
        IsADirectoryError: metadata '/' is a folder; give a CSV file
    """
    if path.is_dir():
        raise IsADirectoryError(f"{called}{str(path)!r} is a folder; {give}")
    if not path.is_file():
        raise FileNotFoundError(f"{called}{str(path)!r} does not exist; {give}")
