"""A run's recipe and what it has kept in; one network from images to scores and embeddings, for other engines, out.

Its steps are those of `Stream` and `embed_new`, written as operations on tensors of fixed shapes but for the number of
images, so that what leaves PyTorch needs none of our code.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.features.views import turn, turn_back
from anomaly_clustering.mic.recipe import WEIGHTS, Recipe, are_images, backbone_of
from anomaly_clustering.mic.residuals import closest, heaviest, signed_root
from anomaly_clustering.mic.result import References
from anomaly_clustering.mic.scores import interval_mean
from anomaly_clustering.mic.streaming import SeenReferences, Stream, averaged_levels, on_level
from anomaly_clustering.mic.weights import soften, weighted_average
from anomaly_clustering.search.plain import plain_nearest, plain_nearest_of_all

REDUCED: dict[str, Callable[[Float[Tensor, "b r m"]], Float[Tensor, "b m"]]] = {
    "mean": lambda distances: distances.mean(1),
    "max": lambda distances: distances.amax(1),
    "min": lambda distances: distances.amin(1),
    "interval": lambda distances: interval_mean(distances.transpose(0, 1)),
}


class Compared(NamedTuple):
    """What a network finds of images.

    Attributes:
        scores: how unusual each patch is [B, h, w], on the grid of the first level, the mean over the views.
        embeddings: one vector an image, as those of the run [B, D].
    """

    scores: Float[Tensor, "b h w"]
    embeddings: Float[Tensor, "b d"]


class EmbeddingNetwork(nn.Module):
    """Weighs patches against the kept references, and embeds images as those of the run were embedded.

    Args:
        embedder: makes the bags of all levels.
        recipe: of the run.
        seen: the kept references in each view.
        center: by which averages are centred [D]; None where no signed roots are taken.
        half: whether references are held in half precision, which is half as large.
    """

    def __init__(
        self,
        embedder: Embedder,
        recipe: Recipe,
        seen: list[SeenReferences],
        *,
        center: Float[Tensor, " d"] | None = None,
        half: bool = False,
    ):
        super().__init__()
        self.embedder = embedder
        self.recipe = recipe
        self.num_levels = len(seen[0].levels)
        # As `embed_new` does, which without references takes the first level as it is.
        self.compares = seen[0].scored.numel() > 0
        for view, references in enumerate(seen):
            for level, bags in enumerate((references.scored, *references.levels)):
                kept = bags.half() if half else bags
                self.register_buffer(_name(view, level), kept.contiguous(), persistent=False)
        self.register_buffer("center", center, persistent=False)

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> Compared:
        """Compare images with the references, and embed them.

        Args:
            images: red, green and blue in [0, 1], of the size that the recipe names [B, 3, height, width].
        """
        views = range(self.recipe.views if self.compares else 1)
        # All views at once: exported once, the network is an eighth as long.
        levels = self.embedder.bags_of(torch.cat([turn(images, view) for view in views]))
        of_views = zip(*(level.unflatten(0, (len(views), -1)).unbind() for level in levels), strict=True)
        found = [self._seen(list(bags), view) for view, bags in enumerate(of_views)]
        scores, averages = (torch.stack(parts).mean(0) for parts in zip(*found, strict=True))
        if self.recipe.signed_root:
            assert isinstance(self.center, Tensor)
            averages = signed_root(averages, self.center, self.embedder.backbone.channels_of_levels)
        return Compared(scores, averages)

    def _seen(
        self, levels: list[Float[Tensor, "b _ _ _"]], view: int
    ) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b d"]]:
        """Scores, turned back, and the averages of all levels, of one view."""
        if not self.compares:
            levels = levels[:1]
        grid = levels[0].shape[1:3]
        scores = self._scores(levels[0].flatten(1, 2), self._references(view, 0))
        weights = soften(scores, self.recipe.tau, self.recipe.top_k).unflatten(1, grid)
        averages = []
        for number, level in enumerate(averaged_levels(levels), start=1):
            here, bags = on_level(weights, level), level.flatten(1, 2)
            if self.num_levels:
                averages.append(self._residuals(bags, here, self._references(view, number)))
            else:
                averages.append(weighted_average(bags, here))
        return turn_back(scores.unflatten(1, grid), view), torch.cat(averages, dim=1)

    def _scores(self, bags: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"]) -> Float[Tensor, "b m"]:
        if self.recipe.weights == "uniform":
            return bags.new_zeros(bags.shape[:2])
        if self.recipe.weights == "novelty":
            return plain_nearest_of_all(bags, references[0])
        return REDUCED[self.recipe.reduce](plain_nearest(bags, references))

    def _residuals(
        self, bags: Float[Tensor, "b m d"], weights: Float[Tensor, "b m"], references: Float[Tensor, "r p d"]
    ) -> Float[Tensor, "b d"]:
        """`residual_average` of images that are not among the references."""
        assert self.recipe.residual_share is not None
        heavy, places = heaviest(weights)  # [B, Q]
        patches = bags.gather(1, places[:, :, None].expand(-1, -1, bags.shape[2]))  # [B, Q, D]
        count = max(1, round(self.recipe.residual_share * len(references)))
        usual = closest(patches.flatten(0, 1), references, references.square().sum(2).flatten() / 2, count)
        return torch.einsum("bq,bqd->bd", heavy, patches - usual.view_as(patches))

    def _references(self, view: int, level: int) -> Tensor:
        """Those that are scored, as level 0, or averaged, from level 1 on."""
        return self.get_buffer(_name(view, level)).float()


def _name(view: int, level: int) -> str:
    return f"references_{view}_{level}"


@torch.inference_mode()
def network_of(
    recipe: Recipe,
    references: References | None,
    *,
    center: Float[np.ndarray, " all_channels"] | None = None,
    half: bool = False,
) -> EmbeddingNetwork:
    """The network of a run.

    Args:
        recipe: of the run.
        references: what the run has kept; None where weights are uniform.
        center: by which the run has centred its averages [D]; None where it has not.
        half: whether references are held in half precision.

    Returns:
        A network on the processor, in evaluation mode.

    Raises:
        FileNotFoundError: the file of the network's weights is not there.
        ValueError: the run compared images in a way that one image alone does not allow, or kept their aspect, so that
            the shapes of its tensors differ from image to image; or the network has other weights.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "uniform", "mean", 0.02, None)
        >>> found = network_of(recipe, None)(torch.rand(2, 3, 64, 64))
        >>> tuple(found.scores.shape), tuple(found.embeddings.shape)
        ((2, 8, 8), (2, 40))
    """
    if recipe.distance != "weighted_average" or recipe.weights not in WEIGHTS:
        raise ValueError(
            f"this run compared images by {recipe.distance!r} and weighed patches by {recipe.weights!r}: a model can "
            f"be made of runs by 'weighted_average' and one of {WEIGHTS}"
        )
    if recipe.aspect != "square":
        raise ValueError(
            "this run keeps the aspect of its images, and a model in one file takes images of one size; cluster them "
            "with --aspect square"
        )
    backbone = backbone_of(recipe)
    embedder = Embedder(backbone, recipe.kernel_size)
    none = torch.zeros(0, 0, backbone.channels, dtype=torch.float32)
    kept = none if references is None else torch.from_numpy(references)
    if are_images(references):
        seen = Stream(embedder, kept, recipe, tau=recipe.tau).references
    else:
        seen = [SeenReferences(kept.float(), [])]
    middle = None if center is None else torch.from_numpy(center).float()
    return EmbeddingNetwork(embedder, recipe, seen, center=middle, half=half).eval()
