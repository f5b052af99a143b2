"""Work in somebody's notebook or script in; the caller's random numbers, warnings, and Ctrl-C, as they were, out."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.mic.own_numbers import own_numbers
from anomaly_clustering.mic.quiet import quiet
from anomaly_clustering.mic.recipe import NewImages, Recipe, embed_new
from anomaly_clustering.mic.result import References
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.system.autocast import no_autocast


@contextmanager
def as_guest() -> Iterator[None]:
    """Leave the caller's process as it was, and say nothing of what Lightning does in it.

    Several threads may be guests at a time, and neither an autocast nor a default device of the caller counts.
    Lightning ends the process at Ctrl-C, where a notebook or a script waits for its own end.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.

    Example:
        >>> before = torch.get_rng_state()
        >>> with as_guest():
        ...     _ = torch.rand(3)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    try:
        with quiet(), own_numbers(), no_autocast(), torch.device("cpu"):
            yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def embed_as_guest(
    batches: Iterator[Float[Tensor, "_ channels height width"]],
    recipe: Recipe,
    references: References,
    *,
    center: Float[np.ndarray, " all_channels"],
    width: int,
) -> NewImages:
    """Embed images that come in batches, see `embed_new`, and leave the caller's process as it was.

    Args:
        batches: images in [0, 1]; where there are none, no network is loaded.
        recipe: of the run.
        references: what the run has kept.
        center: by which it has centred its averages [D]; of another embedding not used.
        width: channels of the averages.

    Raises:
        FileNotFoundError: the file of the network's weights is not there.
        ValueError: the network has other weights.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None)
        >>> references = np.zeros((2, 64, 40), np.float16)
        >>> embed_as_guest(iter([]), recipe, references, center=np.empty(0), width=40).embeddings.shape
        (0, 40)
    """
    with own_numbers(), no_autocast(), torch.device("cpu"):
        first = next(batches, None)
        if first is None:
            return NewImages.none(width)
        return embed_new(chain([first], batches), recipe, references, center=center, device=ACCELERATOR)
