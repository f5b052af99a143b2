"""A number of processes that read images in; the number out, or an error where they could never hand images over."""

import multiprocessing.util
import os
import sys

from anomaly_clustering.system.whole_numbers import whole_number

# Beyond these the network is what takes the time.
MOST_BY_DEFAULT = 8
# Bytes of a socket's path that the system takes; and what Python appends to its folder of temporary files.
LONGEST = 107 if sys.platform == "linux" else 103
SOCKET = "/listener-12345678"


def number_of_workers(value: object = None) -> int:
    """A number of processes that read images.

    They hand tensors over through sockets below the folder of temporary files. Where such a path is too long, a process
    fails without a word to the one that waits for its images, which then waits for ever.

    Args:
        value: as a caller gives it; without one there is a process for each processor, and 8 at most.

    Raises:
        ValueError: it is no whole number from 0 on, or the folder of temporary files has too long a path for a socket.

    Example:
        >>> number_of_workers(0)
        0
    """
    default = min(MOST_BY_DEFAULT, os.cpu_count() or 1)
    number = default if value is None else whole_number("num_workers", value, least=0)
    if number and sys.platform != "win32":
        folder = multiprocessing.util.get_temp_dir()
        if (length := len(os.fsencode(folder + SOCKET))) > LONGEST:
            raise ValueError(
                f"the folder of temporary files is {os.path.dirname(folder)!r}: sockets in it have paths of {length} "
                f"bytes, and at most {LONGEST} are allowed, so that processes that read images could not send them; "
                "set TMPDIR to a folder with a shorter path, such as /tmp"
            )
    return number
