"""Images that are not of a run, and how the run made its embeddings, in; theirs, made the same way, out."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.features.views import Views
from anomaly_clustering.mic.residuals import signed_root
from anomaly_clustering.mic.result import References
from anomaly_clustering.mic.scores import TOP, Reduce, novelty, rarity, top_means
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.mic.streaming import Stream
from anomaly_clustering.mic.weights import soften, weighted_average
from anomaly_clustering.system.autocast import no_autocast

# Weights of patches that can be found for an image that comes alone.
WEIGHTS = ("rarity", "novelty", "uniform")
# Images of 512 pixels a side, or smaller ones.
LARGEST_BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """How a run made embeddings of images: arguments of MIC, with what it has chosen itself, and the size of images.

    Attributes:
        backbone: name of the network.
        layer: at which it was cut.
        checkpoint: local file of its weights; None for those that come with its name.
        kernel_size: side of the average pooling over patches.
        image_size: height and width in pixels of the square to which images were resized.
        distance: by which images were compared.
        weights: how patches were weighed.
        reduce: how distances to the other images became one score, for 'rarity'.
        tau: smoothness of the weights, as given or chosen.
        top_k: how many patches of an image count; None where all do.
        residual_share: of the references that are taken from each patch; None where patches themselves are averaged.
        signed_root: whether averages were centred and rooted.
        views: ways in which each image was looked at.
        bits: of a value in images of 16 bits; runs of earlier versions took the full range.
        aspect: 'square', or 'keep' where images have their own aspect and about as many pixels as the square.
        decoding: 'reduced' where large JPEG files were decoded at a size that is enough; earlier versions decoded all
            pixels.
        network_digest: of the weights of the network, see `Backbone`; empty where an earlier version kept none.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None)
        >>> recipe.image_size, recipe.tau
        (64, 0.02)
    """

    backbone: str
    layer: str
    checkpoint: str | None
    kernel_size: int
    image_size: int
    distance: str
    weights: str
    reduce: str
    tau: float
    top_k: int | None
    residual_share: float | None = None
    signed_root: bool = False
    views: Views = 1
    bits: int = 16
    aspect: Literal["square", "keep"] = "square"
    decoding: Literal["exact", "reduced"] = "exact"
    network_digest: str = ""

    @property
    def needs_images(self) -> bool:
        """Whether later images are compared with images of the run, since bags are of one level and one view."""
        return self.residual_share is not None or self.views > 1 or "," in self.layer

    @property
    def batch(self) -> int:
        """How many images are embedded at a time, fewer where they are large: a run says how large, memory is ours."""
        return max(1, min(LARGEST_BATCH, LARGEST_BATCH * 512**2 // self.image_size**2))


def backbone_of(recipe: Recipe) -> Backbone:
    """The network of a run, frozen and folded.

    Args:
        recipe: of the run.

    Raises:
        FileNotFoundError: the file of its weights is not there.
        ValueError: its weights are not those of the run.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None)
        >>> backbone_of(recipe).channels
        40
    """
    checkpoint = Path(recipe.checkpoint) if recipe.checkpoint else None
    if checkpoint and not checkpoint.exists():
        raise FileNotFoundError(
            f"the weights of {recipe.backbone!r}, {recipe.checkpoint!r}, are not there any more: say where they are "
            "now (--checkpoint FILE, in Python checkpoint=)"
        )
    backbone = Backbone(recipe.backbone, layer=recipe.layer, checkpoint=checkpoint)
    if recipe.network_digest not in ("", backbone.digest):
        raise ValueError(
            f"the weights of {recipe.backbone!r} in {recipe.checkpoint or 'the cache of networks'!r} are not those "
            "that the run was made with, and no images of both could be compared: give those (--checkpoint FILE, in "
            "Python checkpoint=), or cluster the images anew"
        )
    return backbone.folded()


def check_width(what: str, kept: int, made: int) -> None:
    """Fail where numbers that a run has kept cannot be of its network, as in a file that somebody changed.

    Args:
        what: the run has kept.
        kept: how many numbers it has for an image, or a patch.
        made: how many the network makes.

    Raises:
        ValueError: these differ.

    Example:
        >>> check_width("center", 3, 40)
        Traceback (most recent call last):
        ValueError: center has 3 numbers an image, and the network makes 40: the run is damaged; take it from ...
    """
    if kept != made:
        raise ValueError(
            f"{what} has {kept} numbers an image, and the network makes {made}: the run is damaged; take it from a "
            "copy, or cluster the images anew"
        )


def are_images(references: np.ndarray | None) -> bool:
    """Whether a run has kept images, with which a `Stream` compares later ones, and not bags of patches.

    Args:
        references: what the run has kept; None where weights are uniform.

    Example:
        >>> are_images(np.zeros((32, 3, 64, 64), dtype=np.uint8)), are_images(np.zeros((32, 64, 40), dtype=np.float16))
        (True, False)
    """
    return references is not None and references.ndim == 4


class NewImages(NamedTuple):
    """Images that are not of the run; one entry an image.

    Attributes:
        weights: of the patches of each image [K, H, W], those of an image summing to one.
        embeddings: weighted averages of the patches [K, D].
        mean_scores: how unusual the patches are on average [K]; NaN where weights are uniform.
        top_scores: how unusual the most unusual patches are [K, 4], see `top_means`; NaN where weights are uniform.
    """

    weights: Float[np.ndarray, "k h w"]
    embeddings: Float[np.ndarray, "k d"]
    mean_scores: Float[np.ndarray, " k"]
    top_scores: Float[np.ndarray, "k 4"]

    @classmethod
    def none(cls, width: int) -> "NewImages":
        """What no images give, where averages have so many channels."""
        return cls(np.empty((0, 0, 0)), np.empty((0, width)), np.empty(0), np.empty((0, len(TOP))))


class NewEmbedder:
    """Embeds images as those of the run were embedded, but for comparing them with what the run has kept only.

    The network is loaded once; images may then come one by one.

    Args:
        recipe: of the run.
        references: what the run has kept, see `Grouping`; None where weights are uniform.
        center: by which the run has centred its averages [D]; None where it has not.
        device: to compute on.

    Raises:
        FileNotFoundError: the file of the network's weights is not there.
        ValueError: the run compared images in a way that one image alone does not allow, or weighed their patches so;
            or the network has other weights, or another width than the center or the references.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "uniform", "mean", 0.02, None)
        >>> embedder = NewEmbedder(recipe, None)
        >>> [embedder(torch.rand(count, 3, 64, 64)).embeddings.shape for count in (1, 2)]
        [(1, 40), (2, 40)]
    """

    @no_autocast()
    @torch.inference_mode()
    def __init__(
        self,
        recipe: Recipe,
        references: References | None,
        *,
        center: Float[np.ndarray, " all_channels"] | None = None,
        device: torch.device | str = "cpu",
    ):
        if recipe.distance != "weighted_average":
            raise ValueError(
                f"this run compared images by {recipe.distance!r}; new ones can be assigned to runs by "
                "'weighted_average'"
            )
        if recipe.signed_root and center is None:
            raise ValueError("this run took signed roots of averages: give the mean by which it centred them")
        self.recipe = recipe
        self.device = device
        self.backbone = backbone_of(recipe).to(device)
        width = sum(self.backbone.channels_of_levels)
        if recipe.signed_root and center is not None:
            check_width("center", len(center), width)
        if references is not None and not are_images(references):
            check_width("references", references.shape[2], width)
        side = recipe.image_size if recipe.aspect == "keep" else None
        self.embedder = Embedder(self.backbone, recipe.kernel_size, side=side)
        self.kept = None if references is None else torch.from_numpy(references).to(device)
        self.center = None if center is None else torch.from_numpy(center).to(device)
        self.stream: Stream | None = None
        if self.kept is not None and are_images(references):
            self.stream = Stream(self.embedder, self.kept, recipe, tau=recipe.tau)

    @no_autocast()
    @torch.inference_mode()
    def __call__(self, images: Float[Tensor, "b channels height width"]) -> NewImages:
        """Embed some images.

        Args:
            images: in [0, 1] [B, 3, height, width], of the size that the recipe names, or canvases.

        Returns:
            One entry for each image, in their order.
        """
        batch = {"image": images.to(self.device)}
        found = self.stream(batch) if self.stream else _compared(self.embedder(batch), self.kept, self.recipe)
        if self.recipe.signed_root and self.center is not None:
            found["embeddings"] = signed_root(found["embeddings"], self.center, self.backbone.channels_of_levels)
        return NewImages(*(found[name].cpu().numpy() for name in NewImages._fields))


def embed_new(
    batches: Iterable[Float[Tensor, "_ channels height width"]],
    recipe: Recipe,
    references: References | None,
    *,
    center: Float[np.ndarray, " all_channels"] | None = None,
    device: torch.device | str = "cpu",
) -> NewImages:
    """Embed images that come in batches, see `NewEmbedder`.

    Args:
        batches: images in [0, 1], each batch [B, 3, height, width], of the size that the recipe names, or canvases.
        recipe: of the run.
        references: what the run has kept, see `Grouping`; None where weights are uniform.
        center: by which the run has centred its averages [D]; None where it has not.
        device: to compute on.

    Returns:
        One entry for each image, in the order of the batches.

    Raises:
        FileNotFoundError: the file of the network's weights is not there.
        ValueError: the run compared images in a way that one image alone does not allow, or weighed their patches so;
            or the network has other weights.

    Example:
        >>> recipe = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "uniform", "mean", 0.02, None)
        >>> new = embed_new([torch.rand(2, 3, 64, 64)], recipe, None)
        >>> new.embeddings.shape, new.weights.shape
        ((2, 40), (2, 8, 8))
    """
    embedder = NewEmbedder(recipe, references, center=center, device=device)
    parts = [embedder(images) for images in batches]
    if not parts:
        return NewImages.none(sum(embedder.backbone.channels_of_levels))
    return NewImages(*map(np.concatenate, zip(*parts, strict=True)))


def _compared(
    bags: Float[Tensor, "k h w d"], references: Float[Tensor, "r p d"] | None, recipe: Recipe
) -> dict[str, Tensor]:
    """The paper's weights and averages; uniform weights where the run had such."""
    patches = bags.flatten(1, 2)
    scores = scores_against(patches, references, weights=recipe.weights, reduce=cast(Reduce, recipe.reduce))
    if scores is None:
        mean_scores = patches.new_full((len(patches),), torch.nan)
        top_scores = patches.new_full((len(patches), len(TOP)), torch.nan)
        weights = patches.new_full(patches.shape[:2], 1 / patches.shape[1])
    else:
        mean_scores, top_scores = scores.mean(1), top_means(scores)
        weights = soften(scores, recipe.tau, recipe.top_k)
    return {
        "weights": weights.unflatten(1, bags.shape[1:3]),
        "embeddings": weighted_average(patches, weights),
        "mean_scores": mean_scores,
        "top_scores": top_scores,
    }


def scores_against(
    bags: Float[Tensor, "k m d"],
    references: Float[Tensor, "r p d"] | None,
    *,
    weights: str,
    reduce: Reduce = "mean",
) -> Float[Tensor, "k m"] | None:
    """Scores of patches of images that are not of the run, compared with what the run has kept (Eq. 7; Eq. 6).

    Args:
        bags: the new images [K, M, D].
        references: bags of the run for 'rarity' [R, P, D], patches of normal images in one bag for 'novelty'
            [1, P, D]; None for 'uniform'.
        weights: as in the run.
        reduce: as in the run, for 'rarity'.

    Returns:
        One score a patch [K, M]; None where weights are uniform.

    Raises:
        ValueError: `weights` is none of 'rarity', 'novelty' and 'uniform'.

    Example:
        >>> references = torch.tensor([[[0.0], [1.0]], [[0.0], [3.0]]])
        >>> scores_against(torch.tensor([[[0.0], [5.0]]]), references, weights="rarity").tolist()
        [[0.0, 3.0]]
    """
    if weights not in WEIGHTS:
        raise ValueError(
            f"new images can be weighed by {WEIGHTS}, not by {weights!r} as these, which needs more than the image: "
            "cluster all of them together"
        )
    if references is None:
        return None
    exact = references.to(bags)
    if weights == "novelty":
        return novelty(bags, exact[0])
    # No new image is one of the references.
    nobody = torch.full((len(bags),), -1, device=bags.device)
    shard = Shard(exact, torch.arange(len(exact), device=bags.device))
    return rarity(bags, reduce, positions=nobody, references=[shard])
