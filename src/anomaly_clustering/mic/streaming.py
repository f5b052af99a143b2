"""Images in, batch after batch; weights of their patches, and averages of what differs from a few references, out.

References are at hand before the first image comes, so that no bag has to be kept, an image that comes next year is
embedded as those of the run were, and the work grows with the number of images, not with its square.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from anomaly_clustering.features.bags import on_grid
from anomaly_clustering.features.embedder import AT_ONCE, Embedder
from anomaly_clustering.features.views import turn_back
from anomaly_clustering.mic.references import SEED, draw
from anomaly_clustering.mic.residuals import residual_average
from anomaly_clustering.mic.scores import TOP, Reduce, novelty, rarity, top_means
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.mic.weights import choose_tau, effective_number, soften, weighted_average
from anomaly_clustering.search.precision import Precision
from anomaly_clustering.system.threads import in_order

# Images to compare with, where no other number is given: of 100 among others, NMI is the same.
IMAGES = 32
# Patches of normal images that scores compare with, and of each other image.
NORMAL_PATCHES = 2**14
PATCHES = 2**8


@runtime_checkable
class How(Protocol):
    """Arguments of MIC that say how an image is embedded, as `Options` and `Recipe` have them."""

    @property
    def weights(self) -> str: ...
    @property
    def reduce(self) -> str: ...
    @property
    def top_k(self) -> int | None: ...
    @property
    def residual_share(self) -> float | None: ...
    @property
    def views(self) -> int: ...


class SeenReferences(NamedTuple):
    """What images are compared with in one view.

    Attributes:
        scored: some patches of each reference, or of all normal images in one bag [R, P, D].
        levels: all patches of each reference, at each level; none where the patches themselves are averaged.
        normal_scores: how unusual the patches of each normal image are among the others [R, H, W]; None where that is
            not asked.
    """

    scored: Float[Tensor, "r p d"]
    levels: list[Float[Tensor, "r _ _"]]
    normal_scores: Float[Tensor, "r h w"] | None = None


class Stream:
    """Weighs and averages the patches of images that come one after another (Eq. 6 or 7, beyond the paper by options).

    In each view the images and the references are turned alike, and the patches weighed by their scores in it. Averages
    are the means over the views, and the weights that are shown follow from the mean scores.

    Args:
        embedder: makes the bags of the first level, which are scored, and of all levels, which are averaged.
        references: images to compare with, in 8 bits [R, 3, height, width], or canvases, see `Embedder`: normal ones
            for 'novelty'.
        how: arguments of MIC.
        positions: of the references in the data set [R], by which none is compared with itself; None where they are not
            of it.
        tau: smoothness of the weights.
        precision: of the search, see `nearest_blocks`.
        scores_normals: whether normal images are scored too.

    Attributes:
        references: as they are seen in each view.
        channels: of each level.

    Example:
        >>> from anomaly_clustering.features.backbone import Backbone
        >>> from anomaly_clustering.mic.recipe import Recipe
        >>> images = torch.randint(256, (3, 3, 64, 64), dtype=torch.uint8)
        >>> how = Recipe("embedded", "pyramid", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None)
        >>> with torch.no_grad():
        ...     stream = Stream(Embedder(Backbone("embedded", layer="pyramid")), images, how, tau=0.02)
        ...     found = stream({"image": torch.rand(2, 3, 64, 64)})
        >>> tuple(found["weights"].shape), tuple(found["embeddings"].shape), stream.channels
        ((2, 8, 8), (2, 472), [40, 112, 320])
    """

    def __init__(
        self,
        embedder: Embedder,
        references: UInt8[Tensor, "r channels height width"],
        how: How,
        *,
        positions: Int[Tensor, " r"] | None = None,
        tau: float,
        precision: Precision = "auto",
        scores_normals: bool = False,
    ):
        self.embedder = embedder
        self.how = how
        self.positions = positions
        self.tau = tau
        self.precision: Precision = precision
        self.scores_normals = scores_normals and how.weights == "novelty" and len(references) > 1
        images = references.to(embedder.backbone.mean) / 255
        self.references = [self._embed(images, view) for view in range(how.views)]
        self.channels = embedder.backbone.channels_of_levels

    def _embed(self, images: Float[Tensor, "r channels height width"], view: int) -> SeenReferences:
        levels, normal_scores = self.embedder.levels({"image": images}, view), None
        if self.how.weights == "novelty":
            patches = levels[0].flatten(0, 2)
            drawn = draw(len(patches), NORMAL_PATCHES, SEED).to(patches.device)
            scored = patches[drawn][None]
            if self.scores_normals:
                owners = drawn // levels[0][0, ..., 0].numel()
                normal_scores = turn_back(self._scores_among_others(levels[0], patches[drawn], owners), view)
        else:
            scored = _thinned(levels[0]).flatten(1, 2)
        kept = levels if self.how.residual_share is not None else []
        return SeenReferences(scored, [level.flatten(1, 2) for level in averaged_levels(kept)], normal_scores)

    def _scores_among_others(
        self, bags: Float[Tensor, "r h w d"], patches: Float[Tensor, "p d"], owners: Int[Tensor, " p"]
    ) -> Float[Tensor, "r h w"]:
        """Novelty of each normal image against the patches of the others, as if it were new."""
        found = [novelty(b.flatten(0, 1)[None], patches[owners != i], self.precision) for i, b in enumerate(bags)]
        return torch.cat(found).view(bags.shape[:3])

    @property
    def normal_top_scores(self) -> Float[Tensor, "r 4"]:
        """How unusual the most unusual patches of each normal image are among the others; none if that is not asked."""
        found = [view.normal_scores for view in self.references if view.normal_scores is not None]
        if not found:
            return torch.empty(0, len(TOP), dtype=torch.float32)
        return top_means(torch.stack(found).mean(0).flatten(1))

    def choose_tau(self, batch: Mapping[str, Any], patches: float) -> None:
        """Take the tau at which so many patches count on average in some images.

        Args:
            batch: the images, and their positions in the data set as `index`.
            patches: number of patches; below one a share of them.
        """
        bags = self.embedder.levels(batch)[0].flatten(1, 2)
        scores = self._scores(bags, self.references[0], batch["index"])
        self.tau = choose_tau(scores, effective_number(patches, scores.shape[1]))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What is known of each image when it has been compared.

        Args:
            batch: `image` in [0, 1] as `Embedder` takes it, `index`, the positions in the data set, where references
                are of it too, and `path`, where bags are kept.

        Returns:
            `mean_scores` [B], `top_scores` [B, 4], see `top_means`, `weights` [B, h, w] on the grid of the first level,
            rows and columns of an image summing to one, and `embeddings` [B, D], the averages of its levels one after
            another.
        """
        found = self._of_views(lambda view: self._seen(batch, view), batch["image"])
        scores, averages = (torch.stack(parts).mean(0) for parts in zip(*found, strict=True))
        weights = soften(scores.flatten(1), self.tau, self.how.top_k).view_as(scores)
        unusual = {"mean_scores": scores.mean((1, 2)), "top_scores": top_means(scores.flatten(1))}
        return unusual | {"weights": weights, "embeddings": averages}

    def _of_views(
        self, seen: Callable[[int], tuple[Tensor, Tensor]], images: Float[Tensor, "b channels height width"]
    ) -> list[tuple[Tensor, Tensor]]:
        """Of images so few that one thread embeds them the views are shared out; else each view's images are."""
        views = range(self.how.views)
        return list(in_order(seen, views, device=images.device) if len(images) <= AT_ONCE else map(seen, views))

    def _seen(self, batch: Mapping[str, Any], view: int) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b d"]]:
        """Scores, turned back, and the averages of all levels, of one view."""
        references, levels = self.references[view], self.embedder.levels(batch, view)
        scores = self._scores(levels[0].flatten(1, 2), references, batch.get("index"))
        weights = soften(scores, self.tau, self.how.top_k).unflatten(1, levels[0].shape[1:3])
        averages = [
            self._average(level, weights, references.levels[i] if references.levels else None, batch.get("index"))
            for i, level in enumerate(averaged_levels(levels))
        ]
        return turn_back(scores.view_as(weights), view), torch.cat(averages, dim=1)

    def _scores(
        self, bags: Float[Tensor, "b m d"], references: SeenReferences, index: Int[Tensor, " b"] | None
    ) -> Float[Tensor, "b m"]:
        if self.how.weights == "novelty":
            return novelty(bags, references.scored[0], self.precision)
        count = len(references.scored)
        nobody = torch.full((len(bags),), -1, device=bags.device)
        shard = Shard(references.scored, torch.arange(count, device=bags.device))
        if self.positions is not None and index is not None:
            nobody, shard = index, Shard(references.scored, self.positions.to(bags.device))
        reduce = cast(Reduce, self.how.reduce)
        return rarity(bags, reduce, positions=nobody, references=[shard], precision=self.precision)

    def _average(
        self,
        level: Float[Tensor, "b h w d"],
        weights: Float[Tensor, "b rows columns"],
        references: Float[Tensor, "r p d"] | None,
        index: Int[Tensor, " b"] | None,
    ) -> Float[Tensor, "b d"]:
        """Of a level's patches, or of what differs from the references, by weights that are brought to its grid."""
        here, bags = on_level(weights, level), level.flatten(1, 2)
        if references is None:
            return weighted_average(bags, here)
        share = cast(float, self.how.residual_share)
        if self.positions is None or index is None:
            return residual_average(bags, here, references, share)
        own = self.positions.to(bags.device)
        return residual_average(bags, here, references, share, positions=index, reference_positions=own)


def averaged_levels(levels: list[Float[Tensor, "b _ _ _"]]) -> list[Float[Tensor, "b _ _ _"]]:
    """Levels as they are averaged: those finer than the second on its grid, patches again of unit length.

    Args:
        levels: bags in rows and columns, one for each level.

    Example:
        >>> [tuple(level.shape) for level in averaged_levels([torch.ones(1, 8, 8, 2), torch.ones(1, 4, 4, 3)])]
        [(1, 4, 4, 2), (1, 4, 4, 3)]
    """
    if len(levels) < 2:
        return levels
    rows, columns = levels[1].shape[1:3]
    return [on_grid(level, (min(rows, level.shape[1]), min(columns, level.shape[2]))) for level in levels]


def on_level(weights: Float[Tensor, "b rows columns"], level: Float[Tensor, "b h w d"]) -> Float[Tensor, "b m"]:
    """Weights of patches brought to the grid of a level, those of an image summing to one.

    Args:
        weights: on the grid of the first level [B, rows, columns].
        level: bags in rows and columns [B, h, w, D].

    Example:
        >>> on_level(torch.tensor([[[0.25, 0.75]]]), torch.ones(1, 1, 1, 3)).tolist()
        [[1.0]]
    """
    here = F.interpolate(weights[:, None], size=level.shape[1:3], mode="area").flatten(1)
    return here / here.sum(1, keepdim=True)


def _thinned(bags: Float[Tensor, "r h w d"]) -> Float[Tensor, "r rows columns d"]:
    """Every so-many-th row and column, so that about 256 patches stay: neighbours are much alike."""
    step = max(1, round((bags.shape[1] * bags.shape[2] / PATCHES) ** 0.5))
    return bags[:, ::step, ::step]
