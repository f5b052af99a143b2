"""An error in; whether the processes that read images gave none for too long, and if so what is to be said, out."""

import re

from anomaly_clustering.system.results import what_is_kept

# As PyTorch says it of a loader with a `timeout`.
SAID = re.compile(r"DataLoader timed out after ([\d.]+) seconds")


def no_images_came(error: BaseException) -> str:
    """What happened, and how to go on; empty where the error comes from something else.

    Args:
        error: that ended the command.

    Example:
        >>> no_images_came(RuntimeError("DataLoader timed out after 120 seconds")).partition(",")[0]
        'no image came for 2 minutes from the processes that read them'
        >>> no_images_came(RuntimeError("weights differ"))
        ''
    """
    found = SAID.search(str(error))
    if not found:
        return ""
    return (
        f"no image came for {float(found[1]) / 60:g} minutes from the processes that read them, as where a disk or a "
        f"network drive does not answer; {what_is_kept()}"
    )
