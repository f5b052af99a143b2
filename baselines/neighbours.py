"""Features of images in; for each image those that are nearest to it out."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor


def nearest_neighbours(features: Float[Tensor, "n d"], k: int) -> Int[Tensor, "n k_plus_1"]:
    """Each image itself and its k nearest by cosine similarity (exact), nearest first.

    Raises:
        ValueError: there are not k other images.
    """
    if not 1 <= k < len(features):
        raise ValueError(f"neighbours must be between 1 and {len(features) - 1} (the other images), got {k}")
    unit = torch.nn.functional.normalize(features.float())
    similarity = unit @ unit.T
    # First also where two images are the same.
    similarity.fill_diagonal_(torch.inf)
    return similarity.topk(k + 1).indices


def num_neighbours(given: int | Literal["auto"], num_images: int, num_clusters: int) -> int:
    """At most the other images; 'auto' is half of a class of mean size, at most 50."""
    k = min(50, max(1, num_images // (2 * num_clusters))) if given == "auto" else given
    return min(k, num_images - 1)


def neighbour_purity(neighbours: Int[Tensor, "n k_plus_1"], target: Int[Tensor, " n"]) -> float:
    """Share of neighbours, without the image itself, that are of its class. For the record: it needs labels."""
    return float((target[neighbours[:, 1:]] == target[:, None]).float().mean())
