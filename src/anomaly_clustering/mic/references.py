"""What images are compared with as they come: normal images (Eq. 6), drawn images (Eq. 7), or an earlier run's results.

Where this is at hand before the images come, no bag has to be kept.

Each of the three takes the bags of a batch and their positions in the data set, and returns a row for each image:
`scores` [B, M], and, as later images can be scored too, `mean_scores` [B], how unusual the patches of an image are on
average, and `top_scores` [B, 4], how unusual the most unusual ones are; or `distance` [B, N] to all images. Each has
`reference_bags` [R, P, D] in half precision: a sample of what was compared with, for images that come later; and
`normal_top_scores` [R, 4]: how unusual the most unusual patches of normal images are among the others, none where there
are no normal ones.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.processes import gather
from anomaly_clustering.mic.progress import Progress
from anomaly_clustering.mic.scores import TOP, Reduce, novelty, rarity, top_means
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.search.precision import Precision

# What later images are compared with: so many images, and so many patches of normal images. On MTD (ResNet-18) 16 and
# 32 images give embeddings at a median distance of .087 and .082 from those that all 582 others give, where images are
# at .36 from the mean of their cluster.
KEPT_IMAGES = 32
KEPT_PATCHES = 2**15
# Normal images that are looked at as if they came later.
NORMAL_IMAGES = 100
# Beyond so many images 'auto' compares the paper's method with so many references in place of all: 2000 images take 11
# minutes on two cores then, and of 16 to 512 references NMI is that of all, see the page on speed.
ALL_PAIRS, REFERENCES = 2000, 64
# Always the same ones, since runs with different seeds share what the cache remembers.
SEED = 0


class NormalPatches:
    """Patches of normal images, with which novelty compares (Eq. 6).

    Args:
        bags: of the normal images [R, P, D].
        precision: of the search, see `nearest_blocks`.

    Attributes:
        reference_bags: up to 32768 of their patches, in one bag [1, P, D].

    Example:
        >>> normal = NormalPatches(torch.tensor([[[0.0]], [[4.0]]]), "fp32")
        >>> normal(torch.tensor([[[1.0], [6.0]]]), torch.tensor([0]))["scores"].tolist()
        [[1.0, 2.0]]
        >>> normal.normal_top_scores[:, 0].tolist()
        [4.0, 4.0]
    """

    def __init__(self, bags: Float[Tensor, "r p d"], precision: Precision):
        self.bags = bags
        self.precision: Precision = precision
        self.kept = draw(bags.shape[0] * bags.shape[1], KEPT_PATCHES, SEED).to(bags.device)
        patches = bags.flatten(0, 1)[self.kept]
        self.reference_bags: Float16[Tensor, "1 r d"] | None = patches[None].half()

    @cached_property
    def normal_top_scores(self) -> Float[Tensor, "r 4"]:
        """Of up to 100 normal images, each against what is kept of the others."""
        assert self.reference_bags is not None
        kept, image = self.reference_bags[0].to(self.bags), self.kept // self.bags.shape[1]
        found = [self.bags.new_empty(0, len(TOP))]
        for i in draw(len(self.bags), NORMAL_IMAGES, SEED).tolist() if len(self.bags) > 1 else []:
            found.append(top_means(novelty(self.bags[i : i + 1], kept[image != i], self.precision)))
        return torch.cat(found)

    def __call__(self, bags: Float[Tensor, "b m d"], positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        assert self.reference_bags is not None
        scores = novelty(bags, self.bags.flatten(0, 1), self.precision)
        later = scores
        if len(self.kept) < self.bags.shape[0] * self.bags.shape[1]:
            # Against fewer patches all distances are larger, so those of later images would not compare with these.
            later = novelty(bags, self.reference_bags[0].to(bags), self.precision)
        return {
            "scores": scores,
            "mean_scores": later.mean(1),
            "top_scores": top_means(later),
        }


class ReferenceBags:
    """Bags of some images of the data set, with which all are compared (Eq. 7).

    Args:
        shard: bags of these images, and their positions in the data set, by which none is compared with itself.
        reduce: how the distances to them become one score.
        precision: of the search, see `nearest_blocks`.

    Attributes:
        reference_bags: up to 32 of the bags [R, M, D].
        normal_top_scores: none, since nothing says that the images are normal.

    Example:
        >>> shard = Shard(torch.tensor([[[0.0]], [[4.0]]]), torch.tensor([0, 1]))
        >>> ReferenceBags(shard, "mean", "fp32")(torch.tensor([[[1.0]]]), torch.tensor([2]))["scores"].tolist()
        [[2.0]]
    """

    def __init__(self, shard: Shard, reduce: Reduce, precision: Precision):
        self.shard = shard
        self.reduce: Reduce = reduce
        self.precision: Precision = precision
        drawn = draw(len(shard.bags), KEPT_IMAGES, SEED)
        self.kept = Shard(shard.bags[drawn].half(), shard.positions[drawn.to(shard.positions.device)])
        self.reference_bags: Float16[Tensor, "r m d"] | None = self.kept.bags
        self.normal_top_scores = shard.bags.new_empty(0, len(TOP))

    def __call__(self, bags: Float[Tensor, "b m d"], positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        scores = rarity(bags, self.reduce, positions=positions, references=[self.shard], precision=self.precision)
        later = scores
        if len(self.kept.bags) < len(self.shard.bags):
            # Of a mean over fewer images the extremes are larger, so only like scores compare.
            kept = Shard(self.kept.bags.to(bags), self.kept.positions)
            later = rarity(bags, self.reduce, positions=positions, references=[kept], precision=self.precision)
        return {
            "scores": scores,
            "mean_scores": mean_scores(scores, self.reduce),
            "top_scores": top_means(later),
        }


class CachedResults:
    """What an earlier run found, by position in the data set.

    Args:
        found: by name a row for each image of the data set, and `reference_bags`, if the run kept some.

    Attributes:
        reference_bags: what the earlier run compared with [R, P, D]; None where it kept none.
        normal_top_scores: of the earlier run [R, 4].
        tau: that the earlier run has chosen; None where it chose none before its images came.

    Example:
        >>> earlier = CachedResults({"mean_scores": torch.tensor([0.5, 0.7])})
        >>> earlier(torch.zeros(1, 9, 4), torch.tensor([1]))["mean_scores"].tolist()
        [0.7]
    """

    def __init__(self, found: Mapping[str, Tensor]):
        self.reference_bags: Float16[Tensor, "r p d"] | None = found.get("reference_bags")
        none = torch.empty(0, len(TOP), dtype=torch.float32)
        self.normal_top_scores: Float[Tensor, "r 4"] = found.get("normal_top_scores", none)
        self.tau = float(found["tau"]) if "tau" in found else None
        of_run = ("reference_bags", "tau", "normal_top_scores")
        self.rows = {name: rows for name, rows in found.items() if name not in of_run}

    def __call__(self, bags: Float[Tensor, "b m d"], positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        return self.at(positions)

    def at(self, positions: Int[Tensor, " b"]) -> dict[str, Tensor]:
        """The rows of images at some positions in the data set."""
        return {name: rows[positions.cpu()].to(positions.device) for name, rows in self.rows.items()}


ComparedWith = NormalPatches | ReferenceBags | CachedResults


def draw(total: int, count: int, seed: int) -> Int[Tensor, " drawn"]:
    """Draw some of a number of positions.

    Args:
        total: how many positions there are, from 0 on.
        count: how many to draw; all if there are fewer.
        seed: of the draw.

    Returns:
        The drawn positions, sorted, none twice.

    Example:
        >>> draw(3, 32, seed=0).tolist()
        [0, 1, 2]
    """
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed), device="cpu")[:count].sort().values


def draw_positions(options: Options, data: Any) -> Int[Tensor, " drawn"] | None:
    """Positions of the images to compare with, drawn by the seed of the options.

    Args:
        options: of the run.
        data: the data module.

    Returns:
        Positions of a share of the normal images (Eq. 6, Figure 8), and of no more than `num_references`, or of some of
        the images to cluster (Eq. 7); None where each is compared with all, or with none.

    Raises:
        ValueError: there is no data module, or it has no normal images, or fewer images than references.
    """
    if not options.scores_by_comparing:
        return None
    if options.weights == "novelty":
        return draw_normals(options, len(getattr(data, "normal_records", ())), number_asked(options, None))
    total = len(getattr(data, "records", ()))
    asked = number_asked(options, REFERENCES if total > ALL_PAIRS else None)
    if asked is None:
        return None
    if data is None:
        raise ValueError(f"num_references draws {asked} images from a data module; the trainer was given loaders alone")
    if asked > total:
        raise ValueError(f"num_references must be at most {total} (the number of images), got {asked}")
    return draw(total, asked, options.seed)


def draw_normals(options: Options, total: int, most: int | None) -> Int[Tensor, " drawn"]:
    """Positions of the normal images to compare with (Eq. 6), drawn by the seed of the options.

    Args:
        options: of the run, whose `normal_fraction` says how large a share of them may be drawn (Figure 8).
        total: how many normal images there are.
        most: how many of these to draw at most; None for all.

    Raises:
        ValueError: there are no normal images.
    """
    if total == 0:
        raise ValueError("weights 'novelty' compare with normal images, but the data has none")
    allowed = max(1, round(options.normal_fraction * total))
    return draw(total, allowed if most is None else min(allowed, most), options.seed)


def number_asked(options: Options, by_size: int | None) -> int | None:
    """How many references are asked for; None for all.

    Args:
        options: of the run.
        by_size: how many there are for 'auto', by the number of images; None for all.
    """
    asked = options.num_references
    if isinstance(asked, str):
        return by_size if asked == "auto" else None
    return asked


def embed_drawn(
    drawn: Int[Tensor, " drawn"] | None, options: Options, embedder: Embedder, data: Any, progress: Progress
) -> NormalPatches | ReferenceBags | None:
    """The images at these positions as something to compare with.

    Args:
        drawn: see `draw_positions`.
        options: of the run.
        embedder: makes their bags.
        data: the data module.
        progress: shows how many are embedded.

    Returns:
        The patches of normal images for 'novelty', else the images; None where none were drawn.
    """
    if drawn is None or data is None:
        return None
    if options.weights == "novelty":
        with progress("Embedding normal images", len(drawn)) as advance:
            bags = embedder.of(data.normal_dataloader(), drawn, advance, options.normal_stride)
        return NormalPatches(bags, options.precision)
    with progress("Embedding references", len(drawn)) as advance:
        bags = embedder.of(data.test_dataloader(), drawn, advance)
    return ReferenceBags(Shard(bags, drawn.to(bags.device)), options.reduce, options.precision)


def mean_scores(scores: Float[Tensor, "n m"], reduce: Reduce) -> Float[Tensor, " n"]:
    """How unusual the patches of each image are on average, comparable with means against a sample of the references.

    Args:
        scores: of the patches of each image [N, M].
        reduce: how they were made from the distances to other images.

    Returns:
        Means [N]; NaN where scores are a maximum or minimum over images, for which a sample says something else.

    Example:
        >>> mean_scores(torch.tensor([[1.0, 3.0], [0.0, 1.0]]), "mean").tolist()
        [2.0, 0.5]
    """
    return scores.mean(1) if reduce == "mean" else scores.new_full((len(scores),), torch.nan)


def sample(shard: Shard) -> Shard:
    """Bags of some of the images of all processes, for images that come later.

    Args:
        shard: the images of this process.

    Returns:
        Up to 32 bags [R, M, D] in half precision, the same on all processes, in the order of the data set.

    Example:
        >>> sample(Shard(torch.tensor([[[1.0]], [[2.0]]]), torch.tensor([5, 3]))).bags.flatten().tolist()
        [2.0, 1.0]
    """
    positions = torch.cat(gather(shard.positions)).sort().values
    own = torch.isin(shard.positions, positions[draw(len(positions), KEPT_IMAGES, SEED).to(positions.device)])
    bags, theirs = torch.cat(gather(shard.bags[own])), torch.cat(gather(shard.positions[own]))
    order = theirs.argsort()
    return Shard(bags[order].half(), theirs[order])
