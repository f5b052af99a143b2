"""Images that are not of a run in; their weights and embeddings, made against what the run left behind, out."""

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.assign import weights_against
from anomaly_clustering.backbone import Backbone
from anomaly_clustering.bags import bag
from anomaly_clustering.stored_run import Recipe
from anomaly_clustering.weights import Reduce, weighted_average


@torch.inference_mode()
def embed_new(
    batches: Iterable[Float[Tensor, "_ 3 height width"]],
    recipe: Recipe,
    references: Float[np.ndarray, "r p d"] | None,
    *,
    device: torch.device | str = "cpu",
) -> tuple[Float[np.ndarray, "k h w"], Float[np.ndarray, "k d"]]:
    """Weights and embeddings of images, made as those of the run were, but for comparing with its references only.

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
    all_weights, embeddings = [], []
    for images in batches:
        feature_map = backbone(images.to(device))
        bags = bag(feature_map, recipe.kernel_size)
        weights = weights_against(
            bags,
            patches,
            weights=recipe.weights,
            reduce=cast(Reduce, recipe.reduce),
            tau=recipe.tau,
            top_k=recipe.top_k,
        )
        all_weights.append(weights.unflatten(1, feature_map.shape[2:]).cpu())
        embeddings.append(weighted_average(bags, weights).cpu())
    return torch.cat(all_weights).numpy(), torch.cat(embeddings).numpy()
