"""Images, or maps of them, in; the same turned by quarters and mirrored, and turned back, out.

A scratch is a scratch whichever way it runs, but a network that has seen photographs knows up from down.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

# As it is; and turned by a quarter; and all four quarters; and these of the mirror image.
Views = Literal[1, 2, 4, 8]
VIEWS = get_args(Views)


def turn(images: Float[Tensor, "*batch height width"], view: int) -> Float[Tensor, "*batch rows columns"]:
    """Turn images, or maps of them.

    Args:
        images: rows and columns last.
        view: 0 leaves them as they are; 1 to 3 turn them by as many quarters; 4 to 7 mirror them first.

    Returns:
        Turned images; after an odd number of quarters rows are as many as columns were.

    Example:
        >>> [turn(torch.tensor([[1.0, 2.0]]), view).tolist() for view in (0, 1, 2, 4)]
        [[[1.0, 2.0]], [[2.0], [1.0]], [[2.0, 1.0]], [[2.0, 1.0]]]
    """
    return torch.rot90(images.flip(-1) if view >= 4 else images, view % 4, (-2, -1))


def turn_back(maps: Float[Tensor, "*batch rows columns"], view: int) -> Float[Tensor, "*batch height width"]:
    """Turn maps of turned images back, so that they lie on the images as these were.

    Args:
        maps: rows and columns last.
        view: as the images were turned, see `turn`.

    Returns:
        Maps in the frame of the images before they were turned.

    Example:
        >>> turn_back(turn(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), view=5), view=5).tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    back = torch.rot90(maps, -(view % 4), (-2, -1))
    return back.flip(-1) if view >= 4 else back
