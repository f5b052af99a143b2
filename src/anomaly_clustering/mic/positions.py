"""Positions of images in the data set in; an error where two share one, and which are copies of a sampler, out."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from anomaly_clustering.mic.processes import gather, rank


def note_positions(index: Int[Tensor, " b"], seen: set[int]) -> None:
    """Put the positions of a batch among those that this process had before. No sampler gives it an image twice.

    Args:
        index: position of each image of the batch in the data set [B].
        seen: positions of earlier batches; those of this one are added.

    Raises:
        ValueError: an image has the position of an earlier one, and would be taken for it.

    Example:
        >>> seen = {4}
        >>> note_positions(torch.tensor([5, 7]), seen)
        >>> sorted(seen)
        [4, 5, 7]
    """
    for position in index.tolist():
        if position in seen:
            raise _two_images_have(position)
        seen.add(position)


def first_copies(index: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which of this process's images are the first of their position: those without one of their own repeat another.

    A distributed sampler repeats fewer images than there are processes, to fill up; a run that goes on repeats one for
    each process that has nothing left to do.

    Args:
        index: position of each image of this process in the data set [N].

    Returns:
        False for each image that this process has before, or a process of lower rank has [N].

    Raises:
        ValueError: more are repeated, on each process: they are not copies.

    Example:
        >>> first_copies(torch.tensor([4, 7])).tolist()
        [True, True]
    """
    held = gather(index)
    positions, counts = torch.cat(held).unique(return_counts=True)
    if int(counts.sum()) - len(counts) > len(held):
        raise _two_images_have(int(positions[counts > 1][0]))
    earlier = torch.cat([*held[: rank()], index.new_empty(0)])
    order = index.argsort(stable=True)
    repeated_here = torch.zeros_like(index, dtype=torch.bool)
    repeated_here[order[1:]] = index[order].diff() == 0
    return ~torch.isin(index, earlier) & ~repeated_here


def without_copies(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rows of this process without those of images that it, or one of lower rank, has too, see `first_copies`.

    Args:
        own: tensors [N, ...] of which `index` holds the position of each image in the data set.

    Raises:
        ValueError: more are repeated than copies can be.

    Example:
        >>> without_copies({"index": torch.tensor([4, 7]), "target": torch.tensor([0, 1])})["target"].tolist()
        [0, 1]
    """
    kept = first_copies(own["index"])
    return dict(own) if kept.all() else {name: tensor[kept] for name, tensor in own.items()}


def _two_images_have(position: int) -> ValueError:
    return ValueError(
        f"two images have index {position}, and one would be taken for the other: where data sets are put together, "
        "let the positions of each begin where those of the one before it end"
    )
