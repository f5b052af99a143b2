"""The result of a run, `Grouping`, and how it is made from what each process knows of its images."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Int, UInt8
from torch import Tensor

from anomaly_clustering.clustering.centres import CENTRES
from anomaly_clustering.clustering.grouping import Groups, NumClusters, group_distance, group_embeddings
from anomaly_clustering.clustering.methods import LARGEST
from anomaly_clustering.mic.distance_names import join
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.processes import gather, on_first
from anomaly_clustering.mic.residuals import AT_ONCE, mean_of, signed_root
from anomaly_clustering.mic.run import Run

# Bags in half precision, or images in 8 bits.
References = Float16[np.ndarray, "r p d"] | UInt8[np.ndarray, "r channels height width"]


@dataclass(frozen=True)
class Grouping:
    """The result of a run, one row an image, in the order of the data set.

    Attributes:
        index: position of each image in the data set [N].
        target: true class of each image [N], -1 where unknown.
        weights: of each patch on the patch grid [N, H, W], those of an image summing to one; uniform where images were
            not weighted.
        embeddings: one vector an image [N, D]; None where images were compared patch by patch.
        center: mean of what signed roots were taken of [D], for images that come later; None where none were.
        distance: between images that were compared patch by patch [N, N]; None where they have embeddings.
        groups: clusters, and how they came about.
        mean_scores: how unusual the patches of each image are on average [N], as later images can be scored too; NaN
            where they cannot.
        top_scores: how unusual the most unusual patches of each image are [N, 4], see `top_means`, as later images are
            scored; NaN where they cannot be.
        normal_top_scores: the same of up to 100 normal images, each among the others [R, 4]; none if there are none.
        references: bags that patches of later images are compared with [R, P, D], in half precision; or images, in 8
            bits [R, 3, height, width], or canvases [R, 4, height, width] of images that keep their aspect, where these
            are embedded anew; None where patches were not compared.
        tau: smoothness of the weights, as given or chosen; it means nothing where weights do not depend on it.

    Example:
        >>> embeddings = np.array([[0.0], [4.0], [9.0]])
        >>> groups = group_embeddings(embeddings, 2, "ward", seed=0)
        >>> unknown, uniform = np.full(3, -1), np.full((3, 2, 2), 0.25)
        >>> scores = np.zeros(3), np.zeros((3, 4)), np.zeros((0, 4))
        >>> Grouping(np.arange(3), unknown, uniform, embeddings, None, groups, *scores).num_clusters
        2
    """

    index: Int[np.ndarray, " n"]
    target: Int[np.ndarray, " n"]
    weights: Float[np.ndarray, "n h w"]
    embeddings: Float[np.ndarray, "n d"] | None
    distance: Float[np.ndarray, "n n"] | None
    groups: Groups
    mean_scores: Float[np.ndarray, " n"]
    top_scores: Float[np.ndarray, "n 4"]
    normal_top_scores: Float[np.ndarray, "normals 4"]
    references: References | None = None
    tau: float = math.nan
    center: Float[np.ndarray, " all_channels"] | None = None

    def __post_init__(self) -> None:
        assert len(self.index) == len(self.target) == len(self.weights) == len(self.groups.labels)

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Cluster of each image, 0 the largest."""
        return self.groups.labels

    @property
    def num_clusters(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max()) + 1


def gathered(own: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The rows of all processes, in the order of the data set."""
    order = torch.cat(gather(own["index"])).argsort()
    sorted_already = bool((order.diff() == 1).all())

    def rows(tensor: Tensor) -> np.ndarray:
        parts = gather(tensor)
        everything = parts[0] if len(parts) == 1 else torch.cat(parts)
        return (everything if sorted_already else everything[order]).cpu().numpy()

    # In one order on all processes, whichever way each came by its first rows.
    return {name: rows(own[name]) for name in sorted(own)}


def group(rows: Mapping[str, np.ndarray], run: Run, options: Options, num_clusters: NumClusters) -> Grouping:
    """Cluster on the first process, and let all know.

    Args:
        rows: of all images: `index`, `target`, and `embeddings` with `weights` where patches have any, or `distance`.
    """
    embeddings, distance, center = rows.get("embeddings"), None, None
    if options.signed_root and embeddings is not None:
        channels = run.channels if options.streams else (embeddings.shape[1],)
        averages = torch.from_numpy(embeddings)
        center = mean_of(averages)
        embeddings = torch.cat([signed_root(some, center, channels) for some in averages.split(AT_ONCE)]).numpy()
    if "distance" in rows:
        distance = join(options.distance, torch.from_numpy(rows["distance"])).numpy()
    total, (height, width) = len(rows["index"]), run.grid
    uniform = np.full((total, height * width), 1 / (height * width), dtype=np.float32)
    return Grouping(
        index=rows["index"],
        target=rows["target"],
        weights=rows.get("weights", uniform).reshape(-1, height, width),
        embeddings=embeddings,
        distance=distance,
        groups=on_first(lambda: _cluster(embeddings, distance, options, num_clusters)),
        mean_scores=rows.get("mean_scores", np.full(total, np.nan, dtype=np.float32)),
        top_scores=rows.get("top_scores", np.full((total, 4), np.nan, dtype=np.float32)),
        normal_top_scores=run.normal_top_scores.cpu().numpy(),
        references=None if run.references is None else run.references.cpu().numpy(),
        tau=run.tau,
        center=None if center is None else center.numpy(),
    )


def _cluster(
    embeddings: Float[np.ndarray, "n d"] | None,
    distance: Float[np.ndarray, "n n"] | None,
    options: Options,
    num_clusters: NumClusters,
) -> Groups:
    if distance is not None:
        return group_distance(distance, num_clusters, options.method, seed=options.seed)
    assert embeddings is not None
    return group_embeddings(embeddings, num_clusters, options.method, seed=options.seed)


def note_what_to_know(rows: Mapping[str, np.ndarray], data: Any, note: Callable[[str], object]) -> None:
    """Say how many images were left out, which ones have an empty mask, but for good ones, and what takes long.

    Raises:
        ValueError: all masks are empty, so that there is nothing to weigh by.
    """
    index = rows["index"]
    if (total := len(getattr(data, "records", index))) > len(index):
        note(f"{len(index)} of {total} images were seen, as the trainer's limits ask: the others are in no group")
    if "embeddings" in rows and len(index) > LARGEST:
        note(
            f"{len(index)} images: those that are nearly alike were first joined to {CENTRES} centres, or fewer, by "
            "k-means, and Ward's method then joined the centres, each counting as many images as it stands for"
        )
    empty = index[~rows["marked"]] if "marked" in rows else []
    if not hasattr(data, "records"):
        names = [f"image {i}" for i in empty]
    else:
        records = data.records
        names = [str(records[i].image) for i in empty if records[i].mask]
    if "marked" in rows and not rows["marked"].any():
        raise ValueError(
            f"all masks are empty, that of {(names or ['each image'])[0]!r} for one: a pixel is marked where it is "
            "brighter than half, or, of two levels in a format that loses nothing, the brighter one"
        )
    if names:
        more = f" and {len(names) - 5} more" * (len(names) > 5)
        note(f"empty mask, so weights are uniform: {', '.join(names[:5])}{more}")
