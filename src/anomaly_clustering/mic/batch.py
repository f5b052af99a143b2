"""Reduces the bags of a batch to all that can be said of an image before the others are seen: weights, embeddings.

An image that must be compared with all others keeps its bag; of any other its embedding, or its distances, remain.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.mic.contract import checked_batch
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


def known_of(batch: Any, options: Options) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The batch, checked, and what is known of its images: position, class, and mask where weights are scored by it.

    Args:
        batch: of any loader, see `checked_batch`.
        options: of the run, which say whether masks and maps are used.

    Raises:
        ValueError: the batch is not laid out as the data contract says, or its images have other values.
    """
    tidy = checked_batch(batch, options.pictures)
    known = {"index": tidy["index"], "target": tidy["target"]}
    if options.localises and "mask" in tidy:
        known["mask"] = tidy["mask"] > 0.5
    return tidy, known


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
