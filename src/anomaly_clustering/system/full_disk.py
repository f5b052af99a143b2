"""What is done in a folder in; where its disk, or a quota, is full, an error that names the folder, out."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The system's numbers for a disk without space, and for a user who has had what is allowed.
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Where a disk that is full, or a quota, ends the work: say which folder it was written to.

    Args:
        folder: that is written to.

    Raises:
        OSError: the disk is full.

    Example:
        >>> with naming_a_full_disk(Path("runs")):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        OSError: the disk of 'runs' is full, so that nothing was written; free some space, or choose another folder
    """
    try:
        yield
    except Exception as error:
        # Libraries that are not written in Python have errors of their own, with the system's number in their words.
        number = getattr(error, "errno", None) or next((n for n in FULL if f"(os error {n})" in str(error)), None)
        if number not in FULL:
            raise
        full = OSError(
            f"the disk of {str(folder)!r} is full, so that nothing was written; free some space, or choose another "
            "folder"
        )
        # So that a folder which holds this one can be named in its place.
        full.errno = number
        raise full from error
