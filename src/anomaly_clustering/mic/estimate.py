"""A run and the speed of its first batches in; how long all its images will take on this machine, out."""

import time

import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.mic.distance_names import PATCHWISE
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.references import ReferenceBags
from anomaly_clustering.mic.run import Run
from anomaly_clustering.mic.scores import rarity
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.search.precision import Precision

# A work that takes less than so many seconds is over before one has read how long it takes.
SHORT = 30.0
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


def how_long(run: Run, options: Options, images: int, left: int, rate: float, processes: int = 1) -> str:
    """Say how long embedding the images takes, and comparing them, where that begins when all are embedded.

    Args:
        run: that has embedded some images.
        options: of the run.
        images: how many there are.
        left: how many this run embeds; others are finished.
        rate: images that are embedded in a second, and compared with a sample, where they are.
        processes: that share comparing.

    Returns:
        A sentence for the user; empty where all of it is short.
    """
    seconds, compared = left / rate, run.compared_with
    how = ""
    if isinstance(compared, ReferenceBags):
        sample, kept = compared.shard.bags, len(compared.kept.bags)
        one = seconds_a_pair(sample, options.precision)
        # What is kept for later images is compared with too; of all pairs each is looked at once, for both images.
        every = seconds - left * one * (len(sample) + kept) + images**2 * one / 2 / processes
        how = f", each compared with {len(sample)} of them (with all of them {in_words(every)})"
    elif compared is None and (options.scores_by_comparing or options.distance in PATCHWISE) and not options.streams:
        one = seconds_a_pair(run.rows.since(0)["bags"], options.precision)
        seconds += images**2 * one / 2 / processes
        how = ", and comparing all with all,"
    return "" if seconds < SHORT else f"Embedding {left} photographs{how} takes about {in_words(seconds)} here"


def seconds_a_pair(bags: Float[Tensor, "n m d"], precision: Precision) -> float:
    """How long comparing the patches of an image with those of another one takes, as measured.

    Args:
        bags: of some images [N, M, D].
        precision: of the search, see `nearest_blocks`.
    """
    some, nobody = bags[:SOME], torch.full((len(bags),), -1, device=bags.device)
    others = [Shard(bags, torch.arange(len(bags), device=bags.device))]
    took = 0.0
    # What is compiled when it is first used is not measured.
    for _ in range(2):
        start = time.perf_counter()
        rarity(some, positions=nobody[:SOME], references=others, precision=precision).sum().item()
        took = time.perf_counter() - start
    return took / (len(some) * len(bags))
