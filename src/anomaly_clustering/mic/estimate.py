"""A few images that were embedded and compared in; how long all of them will take on this machine, out."""

import time

import torch

from anomaly_clustering.mic.references import ReferenceImages

# Images that are compared to measure it.
SOME = 4


def in_words(seconds: float) -> str:
    """A time as a person says it.

    Args:
        seconds: the time.

    Example:
        >>> in_words(48.2), in_words(200.0), in_words(9000.0)
        ('48 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def why_references(references: ReferenceImages, total: int, seconds_an_image: float) -> str:
    """Say that a sample of images is compared with, and how long that and comparing with all would take.

    Args:
        references: the sample.
        total: how many images there are.
        seconds_an_image: that reading and embedding one takes.

    Returns:
        A sentence for the user.
    """
    bags = references.shard.bags[:SOME]
    nobody = torch.full((len(bags),), -1, device=bags.device)
    # What is compiled when it is first used is not measured.
    references(bags, nobody)
    start = time.perf_counter()
    references(bags, nobody)
    took = (time.perf_counter() - start) / len(bags)
    drawn = len(references.shard.bags)
    # What is kept for later images is compared with too; of all pairs each is looked at once, for both images.
    a_pair = took / (drawn + len(references.kept.bags)) / 2
    few, every = (total * (seconds_an_image + more) for more in (took, total * a_pair))
    return (
        f"{total} images are compared with {drawn} of them, in place of all (Eq. 7), which takes some {in_words(few)} "
        f"here, in place of {in_words(every)}; --references all compares all"
    )
