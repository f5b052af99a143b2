"""Options, data and a trainer in; a run before its first batch, with what its images are compared with, out."""

import math
from collections.abc import Callable
from typing import Any

from jaxtyping import Int
from lightning import Trainer
from torch import Tensor

from anomaly_clustering.features.cache import Cache
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.checks import check_run
from anomaly_clustering.mic.comparison_cache import ComparisonCache, comparison_key
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.progress import Progress
from anomaly_clustering.mic.reference_images import draw_stream_positions, open_stream, read_references
from anomaly_clustering.mic.references import CachedResults, ReferenceBags, draw_positions, embed_drawn
from anomaly_clustering.mic.row_buffer import RowBuffer
from anomaly_clustering.mic.run import Run
from anomaly_clustering.system.attached import attached_loaders, told_by_files

ONE_NORMAL = (
    "one normal image cannot tell what is usual among normal ones, so every image counts as a finding: give 2 or more"
)


def start(
    options: Options,
    data: Any,
    trainer: Trainer,
    embedder: Embedder,
    cache: Cache | None,
    progress: Progress,
    note: Callable[[str], object],
) -> Run:
    """Check what can be checked, and embed what all images will be compared with, or find what an earlier run found.

    Args:
        options: of the run.
        data: the data module; None where the trainer was given loaders alone.
        trainer: that runs MIC.
        embedder: makes the bags.
        cache: of results; None where nothing is kept.
        progress: shows how many images are read.
        note: is told what the user should know.

    Raises:
        ValueError: the trainer, or the data, does not allow what the options ask for.
    """
    check_run(options, data, trainer)
    # A module that does not list its images tells no more than loaders do.
    data = data if hasattr(data, "records") else None
    embedder.side = data.image_size if getattr(data, "aspect", "square") == "keep" else None
    drawn = draw_stream_positions(options, data) if options.streams else draw_positions(options, data)
    if options.weights == "novelty" and drawn is not None and len(drawn) == 1:
        note(ONE_NORMAL)
    embedder.by_file = told_by_files(trainer, _loaders_of_references(options, data, drawn))
    read = data if data is not None else next((loader.dataset for loader in attached_loaders(trainer)), None)
    embedder.reduced = getattr(read, "decoding", "exact") == "reduced"
    limits = (trainer.limit_test_batches, trainer.limit_val_batches, trainer.limit_predict_batches)
    # Results have the names of all files, so that a run on some of them, or on other pixels, neither takes nor leaves
    # any.
    whole = data is not None and embedder.by_file and all(isinstance(limit, float) and limit == 1 for limit in limits)
    key = comparison_key(options, embedder, data, drawn) if cache and whole else None
    results = ComparisonCache(cache, key)
    # Where subsets are weighed anew, all nearest distances are kept, and looked up when bags are compared.
    found = None if options.weighs_subsets else results.load()
    cached = CachedResults(found) if found else None
    run = Run(
        rows=RowBuffer(expected=math.ceil(len(data.records) / trainer.world_size) if data else 0),
        results=results,
        compared_with=cached,
        tau=options.tau if cached is None or cached.tau is None else cached.tau,
        channels=embedder.backbone.channels_of_levels,
    )
    if drawn is not None and options.streams:
        run.reference_images = read_references(drawn, options, data, progress)
        if cached is None:
            run.stream = open_stream(drawn, run.reference_images, options, embedder, data, progress)
            run.tau = run.stream.tau
    elif cached is None:
        run.compared_with = embed_drawn(drawn, options, embedder, data, progress)
        if options.num_references == "auto" and isinstance(run.compared_with, ReferenceBags) and drawn is not None:
            note(
                f"{len(data.records)} images are compared with {len(drawn)} of them, in place of all (Eq. 7); "
                "--references all compares all"
            )
    return run


def _loaders_of_references(options: Options, data: Any, drawn: Int[Tensor, " drawn"] | None) -> list[Any]:
    """What is read of the data beside the loader of the run."""
    if data is None or drawn is None:
        return []
    novel = options.weights == "novelty"
    loaders = [data.normal_dataloader()] if novel else []
    return [*loaders, data.test_dataloader()] if options.streams or not novel else loaders
