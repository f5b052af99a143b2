"""Bags, as they arrive, in; how they compare with what is at hand before them out: patches of normal images (Eq. 6),
some images of the data set (Eq. 7), or the results of an earlier run. Then no bag has to be kept.

Each of the three returns rows for the images of a batch: `scores` [B, M] and `mean_scores` [B], how unusual the patches
of an image are on average as later images can be scored too; or `distance` [B, N] to all images. Each has
`reference_bags` [R, P, D], in half precision: a sample of what was compared with, for images that come later.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.mic.drawing import draw
from anomaly_clustering.mic.processes import gather
from anomaly_clustering.mic.weights import Reduce, Shard, novelty, rarity
from anomaly_clustering.search.precision import Precision

# What later images are compared with: so many images, and so many patches of normal images. On MTD (ResNet-18) 16 and
# 32 images give embeddings at a median distance of .087 and .082 from those that all 582 others give, where images are
# at .36 from the mean of their cluster.
KEPT_IMAGES = 32
KEPT_PATCHES = 2**15
# Always the same ones, since runs with different seeds share what the cache remembers.
SEED = 0


class NormalPatches:
    """Patches of normal images, with which novelty compares (Eq. 6)."""

    def __init__(self, patches: Float[Tensor, "p d"], precision: Precision):
        self.patches = patches
        self.precision: Precision = precision
        self.reference_bags = patches[draw(len(patches), KEPT_PATCHES, SEED)][None].half()

    def __call__(self, bags: Float[Tensor, "b m d"], positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        # Against fewer patches all distances are larger, so those of later images would not compare with the scores.
        kept = self.reference_bags[0].to(bags)
        return {
            "scores": novelty(bags, self.patches, self.precision),
            "mean_scores": novelty(bags, kept, self.precision).mean(1),
        }


class ReferenceImages:
    """Some images of the data set, with which all are compared (Eq. 7)."""

    def __init__(self, shard: Shard, reduce: Reduce, precision: Precision):
        self.shard = shard
        self.reduce: Reduce = reduce
        self.precision: Precision = precision
        self.reference_bags = shard.bags[draw(len(shard.bags), KEPT_IMAGES, SEED)].half()

    def __call__(self, bags: Float[Tensor, "b m d"], positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        scores = rarity(bags, self.reduce, positions=positions, references=[self.shard], precision=self.precision)
        return {"scores": scores, "mean_scores": mean_scores(scores, self.reduce)}


class Remembered:
    """What an earlier run found, by position in the data set."""

    def __init__(self, found: Mapping[str, Tensor]):
        self.reference_bags = found.get("reference_bags")
        self.rows = {name: rows for name, rows in found.items() if name != "reference_bags"}

    def __call__(self, bags: Float[Tensor, "b m d"], positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        return {name: rows[positions.cpu()].to(bags.device) for name, rows in self.rows.items()}


def mean_scores(scores: Float[Tensor, "n m"], reduce: Reduce) -> Float[Tensor, " n"]:
    """Comparable with those against a sample of the references, except for their maximum or minimum."""
    return scores.mean(1) if reduce == "mean" else scores.new_full((len(scores),), torch.nan)


def sample(shard: Shard) -> Float[Tensor, "r m d"]:
    """Bags of some of the images of all processes, in the order of the data set."""
    positions = torch.cat(gather(shard.positions)).sort().values
    own = torch.isin(shard.positions, positions[draw(len(positions), KEPT_IMAGES, SEED).to(positions.device)])
    bags, order = torch.cat(gather(shard.bags[own])), torch.cat(gather(shard.positions[own])).argsort()
    return bags[order].half()
