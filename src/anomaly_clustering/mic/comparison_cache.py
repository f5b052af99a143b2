"""The cache of results: keeps what comparing all images of a data set gave, named by all that it depends on."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from anomaly_clustering.features.cache import Cache, settings_digest
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.distance_names import HAUSDORFF, PATCHWISE
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.processes import gather, on_first
from anomaly_clustering.search.precision import resolve

KIND = "comparisons"
# Of these a row an image is kept.
ROWS = ("scores", "mean_scores", "top_scores", "distance")
# The same where images are embedded as they come.
STREAMED = ("mean_scores", "top_scores", "weights", "embeddings")
# What embeddings depend on where images are embedded as they come.
STREAM_OPTIONS = ("weights", "reduce", "residual_share", "views", "tau", "effective_patches", "top_k", "seed")


class ComparisonCache:
    """Results of comparing all images of a data set, for runs that differ in nothing that changes them.

    Args:
        cache: where results are kept; None keeps none.
        key: names all that a result depends on, see `comparison_key`; None where there is none to keep.
    """

    def __init__(self, cache: Cache | None, key: str | None):
        self.cache = cache
        self.key = key

    def load(self) -> dict[str, Tensor] | None:
        """By position in the data set. The first process looks for all: they must agree on what is still to be done."""
        cache, key = self.cache, self.key
        return on_first(lambda: cache.load(KIND, key)) if cache and key else None

    def save(self, results: Mapping[str, Tensor]) -> None:
        """Keep tensors that all processes hold alike."""
        cache, key = self.cache, self.key
        if cache and key:
            on_first(lambda: cache.save(KIND, key, results))

    def save_rows(self, own: Mapping[str, Tensor], shared: Mapping[str, Tensor], *, streamed: bool) -> None:
        """Keep what comparing gave the images of each process, in the order of the data set.

        Args:
            own: `index` of the images of this process, and their rows by name.
            shared: kept with them, the same on all processes.
            streamed: whether images were embedded as they came.
        """
        if not (self.cache and self.key):
            return
        order = torch.cat(gather(own["index"])).argsort()
        names = [name for name in (STREAMED if streamed else ROWS) if name in own]
        self.save({name: torch.cat(gather(own[name]))[order] for name in names} | dict(shared))


def comparison_key(options: Options, embedder: Embedder, data: Any, drawn: Int[Tensor, " drawn"] | None) -> str | None:
    """A name for all that the result of comparing the images depends on; None where images are not compared.

    Args:
        options: of the run.
        embedder: makes the bags, and names each.
        data: the data module.
        drawn: positions of the images to compare with, where these are not all.
    """
    if not (options.scores_by_comparing or options.distance in PATCHWISE):
        return None
    how: object
    if options.streams:
        how = [STREAMED, "normal_top_scores", *(getattr(options, name) for name in STREAM_OPTIONS)]
    elif options.weighs_subsets:
        how = "nearest"
    elif options.scores_by_comparing:
        how = [ROWS, options.weights, options.reduce]
    else:
        how = HAUSDORFF.get(options.distance, [options.distance])[0]
    size = [data.image_size] * 2
    novel = options.scores_by_comparing and options.weights == "novelty"
    positions = [] if drawn is None else drawn.tolist()
    of_normals = data.normal_records if novel else ()
    normals = [of_normals[i] for i in positions if novel]
    return settings_digest(
        images=[embedder.key(record.image, size, record.bits) for record in data.records],
        normals=[embedder.key(record.image, size, record.bits) for record in normals],
        references=[i for i in positions if not novel],
        how=how,
        stride=options.normal_stride if novel else 1,
        precision=str(resolve(options.precision, embedder.backbone.mean.device)),
    )
