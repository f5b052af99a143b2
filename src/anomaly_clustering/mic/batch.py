"""Reduces the bags of a batch to all that can be said of an image before the others are seen: weights, embeddings.

An image that must be compared with all others keeps its bag; of any other its embedding, or its distances, remain.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.mic.distance_names import POOLING
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.references import ComparedWith
from anomaly_clustering.mic.weights import (
    band_of,
    mask_weights,
    patch_means,
    soften,
    weighted_average,
    weighted_averages,
)

# Of numbers from 0 to 1: what interpolation may go beyond them.
BEYOND = 0.5


def known_of(batch: Any, *, masks: bool) -> dict[str, Tensor]:
    """Position and class of each image, and its mask where there is one and it is wanted.

    Raises:
        ValueError: the batch is not laid out as the data contract says, or its images have other values.
    """
    names = list(batch) if isinstance(batch, Mapping) else None
    if names is None or not {"image", "index", "target"} <= set(names):
        raise ValueError(
            "batches must be dictionaries with 'image' [B, 3, H, W] (0 to 1), 'index' [B] (the position of each image "
            f"in the data set) and 'target' [B] (its class, or -1), got {names or type(batch).__name__}"
        )
    _check_range(batch["image"])
    known = {"index": batch["index"], "target": batch["target"]}
    return known | {"mask": batch["mask"] > 0.5} if masks and "mask" in batch else known


def _check_range(images: Tensor) -> None:
    """Refuse what the network would take for other images; resizing may go a little beyond black and white."""
    if not images.is_floating_point():
        raise ValueError(f"'image' must hold numbers from 0 to 1, got {images.dtype}: divide those of 8 bits by 255")
    least, most = (float(value) for value in images.aminmax()) if images.numel() else (0.0, 1.0)
    if not -BEYOND <= least <= most <= 1 + BEYOND:
        raise ValueError(
            f"'image' must hold numbers from 0 to 1, got {least:.3g} to {most:.3g}: divide those of 8 bits by 255, and "
            "leave it to the network to normalise them"
        )


def reduce_bags(
    bags: Float[Tensor, "b h w d"], batch: Mapping[str, Any], options: Options, compared_with: ComparedWith | None
) -> dict[str, Tensor]:
    """What is kept of the bags of a batch: `embeddings`, with `weights` where patches have any; `distance` to all
    images; or `bags`, with `scores` where they are known and tau is still to be chosen.

    Raises:
        ValueError: weights need masks or maps that the data does not have.
    """
    grid, patches = (bags.shape[1], bags.shape[2]), bags.flatten(1, 2)
    if options.distance in POOLING:
        return {"embeddings": POOLING[options.distance](patches, grid)}
    if options.weighs and options.weights == "uniform":
        return weigh(patches, patches.new_full(patches.shape[:2], 1 / patches.shape[1]))
    if options.weighs and options.weights == "mask":
        if "mask" not in batch:
            raise ValueError("weights 'mask' need ground-truth masks, but the data has none")
        weights, marked = mask_weights(batch["mask"], grid)
        return weigh(patches, weights) | {"marked": marked}
    known: dict[str, Tensor] = {}
    if options.weighs and options.weights == "maps":
        if "map" not in batch:
            raise ValueError("weights 'maps' need anomaly maps, but the data has none: give their folder as data.maps")
        scores = patch_means(batch["map"], grid)
        known = {"scores": scores, "mean_scores": scores.mean(1)}
    elif compared_with is not None:
        known = compared_with(patches, batch["index"])
    if "scores" in known and options.effective_patches is None:
        return known | weigh_by_scores(patches, known["scores"], options.tau, options)
    return known if "distance" in known else known | {"bags": patches}


def weigh(bags: Float[Tensor, "b m d"], weights: Float[Tensor, "b m"]) -> dict[str, Tensor]:
    """The weights and the embeddings that follow from them (Eq. 1)."""
    return {"weights": weights, "embeddings": weighted_average(bags, weights)}


def weigh_by_scores(
    bags: Float[Tensor, "b m d"], scores: Float[Tensor, "b m"], tau: float, options: Options
) -> dict[str, Tensor]:
    """The same from scores; and embeddings at each tau of a `band` [B, T, D], where `spreads` will ask for them."""
    rows = weigh(bags, soften(scores, tau, options.top_k))
    if options.resamples and not options.weighs_subsets:
        weights = torch.stack([soften(scores, near, options.top_k) for near in band_of(tau)], dim=1)
        rows["band"] = weighted_averages(bags, weights)
    return rows
