"""Positions of images in; for each two views, of itself or of itself and a neighbour, as pixels or as features, out."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.decoded import Decoded
from baselines.draws import Draws
from baselines.views import Augmentation, augmentation

Index = Int[Tensor, " b"]


def with_neighbour(seed: int, epoch: int, index: Index, neighbours: Int[Tensor, "n k"]) -> tuple[Index, Index]:
    """Images, and of each a neighbour, drawn anew in each epoch.

    Args:
        index: positions in the data set, where the neighbours lie.
        neighbours: of all images.
    """
    return index, Draws(seed, epoch, index, view=2).one_of(neighbours[index])


def seen(
    images: Decoded, pair: tuple[Index, Index], names: tuple[Augmentation, Augmentation], *, epoch: int, crop: int
) -> Float[Tensor, "b 2 3 h w"]:
    """Both images of each pair, each augmented in its own way, drawn anew in each epoch.

    Args:
        pair: positions in the data set, on the processor.
    """
    views = []
    for number, (index, name) in enumerate(zip(pair, names, strict=True)):
        # Numbers of the first image, since two may share a neighbour.
        draws = images.draws(pair[0], epoch=epoch, view=number)
        views.append(images.views(index, augmentation(name, crop)(draws, images.size), (crop, crop)))
    return torch.stack(views, 1)


def known(bank: Float[Tensor, "n v d"], seed: int, pair: tuple[Index, Index], *, epoch: int) -> Float[Tensor, "b 2 d"]:
    """Features of both images of each pair, of a view that is drawn anew in each epoch.

    Args:
        bank: features of several views of all images.
        pair: positions in the data set, on the bank's device.
    """
    which = (Draws(seed, epoch, pair[0], number).between(0, bank.shape[1] - 1) for number in range(2))
    return torch.stack([bank[index, view] for index, view in zip(pair, which, strict=True)], 1)
