"""Images that are not of a run in; their weights and embeddings, made against what the run left behind, out."""

from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.runs.assign import scores_against
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.bags import bag
from anomaly_clustering.runs.store import Recipe
from anomaly_clustering.mic.weights import Reduce, soften, weighted_average


class NewImages(NamedTuple):
    """One entry an image."""

    weights: Float[np.ndarray, "k h w"]
    embeddings: Float[np.ndarray, "k d"]
    mean_scores: Float[np.ndarray, " k"]
    """How unusual its patches are on average; NaN where weights are uniform."""


@torch.inference_mode()
def embed_new(
    batches: Iterable[Float[Tensor, "_ 3 height width"]],
    recipe: Recipe,
    references: Float[np.ndarray, "r p d"] | None,
    *,
    device: torch.device | str = "cpu",
) -> NewImages:
    """Embed images as those of the run were embedded, but for comparing them with its references only.

    Args:
        batches: images in [0, 1].
        recipe: of the run.
        references: of the run.
        device: to compute on.

    Raises:
        ValueError: the run compared images in a way that one image alone does not allow.
    """
    if recipe.distance != "weighted_average":
        raise ValueError(
            f"this run compared images by {recipe.distance!r}; new ones can be assigned to runs by 'weighted_average'"
        )
    backbone = Backbone(recipe.backbone, layer=recipe.layer, checkpoint=recipe.checkpoint_path).to(device)
    patches = None if references is None else torch.from_numpy(references).to(device)
    parts = []
    for images in batches:
        feature_map = backbone(images.to(device))
        bags = bag(feature_map, recipe.kernel_size)
        scores = scores_against(bags, patches, weights=recipe.weights, reduce=cast(Reduce, recipe.reduce))
        if scores is None:
            mean_scores = bags.new_full((len(bags),), torch.nan)
            weights = bags.new_full(bags.shape[:2], 1 / bags.shape[1])
        else:
            mean_scores = scores.mean(1)
            weights = soften(scores, recipe.tau, recipe.top_k)
        parts.append((weights.unflatten(1, feature_map.shape[2:]), weighted_average(bags, weights), mean_scores))
    return NewImages(*(torch.cat(tensors).cpu().numpy() for tensors in zip(*parts, strict=True)))
