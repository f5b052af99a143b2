"""Images of several sizes on canvases of one in; those of each size, and what became of all in their order, out."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def by_size(
    canvases: Float[Tensor, "b 4 height width"],
) -> list[tuple[Int[Tensor, " _"], Float[Tensor, "_ 3 _ _"]]]:
    """The images that stand in the upper left of canvases, those of one size together.

    Args:
        canvases: red, green and blue, and a fourth channel which is 1 where the image is and 0 around it [B, 4, H, W].

    Returns:
        For each size the positions of its images among the canvases, and the images [b, 3, height, width].

    Example:
        >>> canvases = torch.ones(3, 4, 2, 2)
        >>> canvases[1, :, 1] = 0
        >>> [(places.tolist(), images.shape) for places, images in by_size(canvases)]
        [([1], torch.Size([1, 3, 1, 2])), ([0, 2], torch.Size([2, 3, 2, 2]))]
    """
    there = canvases[:, 3] > 0.5
    sizes = torch.stack([there[:, :, 0].sum(1), there[:, 0].sum(1)], dim=1)
    found = []
    for height, width in sizes.unique(dim=0).tolist():
        places = (sizes == sizes.new_tensor([height, width])).all(1).nonzero().flatten()
        found.append((places, canvases[places, :3, :height, :width]))
    return found


def together(parts: Sequence[Float[Tensor, "_ channels _ _"]]) -> Float[Tensor, "b channels height width"]:
    """Batches of canvases as one, on canvases that hold the largest.

    Args:
        parts: of as many channels [b, C, h, w]; height and width may differ.

    Example:
        >>> together([torch.ones(1, 4, 2, 3), torch.ones(2, 4, 3, 2)]).shape
        torch.Size([3, 4, 3, 3])
    """
    height, width = (max(part.shape[axis] for part in parts) for axis in (2, 3))
    return torch.cat([F.pad(part, (0, width - part.shape[3], 0, height - part.shape[2])) for part in parts])


def reunited(places: Sequence[Int[Tensor, " _"]], parts: Sequence[Tensor]) -> Tensor:
    """What became of the images of each size, one tensor in the order of the canvases.

    Args:
        places: positions, see `by_size`.
        parts: tensors with an entry for each of them, of one shape but for their number.

    Example:
        >>> reunited([torch.tensor([1]), torch.tensor([0, 2])], [torch.tensor([5]), torch.tensor([3, 7])]).tolist()
        [3, 5, 7]
    """
    return torch.cat([*parts])[torch.cat([*places]).argsort()]
