"""A data module and options in; the few images that all others are compared with, and a stream that compares, out."""

from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.features.canvas import together
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.progress import Advance, Progress
from anomaly_clustering.mic.references import NORMAL_IMAGES, draw, draw_normals, number_asked
from anomaly_clustering.mic.streaming import IMAGES, Stream
from anomaly_clustering.system.loaders import of_images


def draw_stream_positions(options: Options, data: Any) -> Int[Tensor, " drawn"]:
    """Positions of the images that a stream compares with, drawn by the seed of the options.

    Args:
        options: of the run.
        data: the data module.

    Returns:
        Positions among the normal images for 'novelty', else among the images to cluster: all where there are fewer
        than asked for.

    Raises:
        ValueError: there is no data module, or it has no normal images.
    """
    records = getattr(data, "records", None)
    if records is None:
        raise ValueError(
            "residual_share, views and several layers draw images to compare with from a data module; the trainer was "
            "given loaders alone, or a module that does not list its images as DefectDataModule does"
        )
    if options.weights != "novelty":
        return draw(len(records), _number(options, len(records), IMAGES), options.seed)
    total = len(data.normal_records)
    return draw_normals(options, total, _number(options, total, NORMAL_IMAGES))


def _number(options: Options, total: int, few: int) -> int:
    """As many as are asked for, by default few, whatever the number of images."""
    return few if options.num_references is None else number_asked(options, few) or total


def read_references(
    drawn: Int[Tensor, " drawn"], options: Options, data: Any, progress: Progress
) -> UInt8[Tensor, "drawn channels height width"]:
    """The pixels of the images at these positions, in 8 bits, as they are kept for images that come later.

    Args:
        drawn: see `draw_stream_positions`.
        options: of the run.
        data: the data module.
        progress: shows how many are read.
    """
    loader = data.normal_dataloader() if options.weights == "novelty" else data.test_dataloader()
    with progress("Reading references", len(drawn)) as advance:
        return (_pixels(loader, drawn, advance) * 255).round().to(torch.uint8)


def open_stream(
    drawn: Int[Tensor, " drawn"],
    references: UInt8[Tensor, "drawn channels height width"],
    options: Options,
    embedder: Embedder,
    data: Any,
    progress: Progress,
) -> Stream:
    """A stream that compares with these images.

    Where tau is to be chosen, it is by some of the images to cluster: the references, or as many drawn by the seed.

    Args:
        drawn: positions of the references, see `draw_stream_positions`.
        references: their pixels.
        options: of the run.
        embedder: makes their bags, and those of all images.
        data: the data module.
        progress: shows how many images are read.
    """
    novel = options.weights == "novelty"
    stream = Stream(
        embedder,
        references,
        options,
        positions=None if novel else drawn,
        tau=options.tau,
        precision=options.precision,
        scores_normals=novel,
    )
    if options.effective_patches is not None:
        device, some, pixels = embedder.backbone.mean.device, drawn, references.float() / 255
        if novel:
            some = draw(len(data.records), IMAGES, options.seed)
            with progress("Reading images", len(some)) as advance:
                pixels = _pixels(data.test_dataloader(), some, advance)
        stream.choose_tau({"image": pixels.to(device), "index": some.to(device)}, options.effective_patches)
    return stream


def _pixels(
    loader: DataLoader[Any], chosen: Int[Tensor, " count"], advance: Advance
) -> Float[Tensor, "count channels height width"]:
    parts = []
    for batch in of_images(loader, chosen):
        parts.append(batch["image"])
        advance(len(batch["image"]))
    return together(parts)
