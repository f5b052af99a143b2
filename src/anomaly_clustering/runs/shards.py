"""Shards of images in, to workers of Dask; rows of the images, shard by shard as they are finished, out.

Workers come and go: of one that is lost, another one computes the shard. All read the images by their paths.
"""

import copy
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.data.records import Record
from anomaly_clustering.mic.batch import known_of
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.progress import progress_bar
from anomaly_clustering.mic.streaming import Stream
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.runs.going_on import SHARD
from anomaly_clustering.system.loaders import of_batches

# Workers that may die of one shard before the run is given up: more than that, and it is the shard.
FAILURES = 5


class WorkerSetup(NamedTuple):
    """What a worker must know before its first shard.

    Attributes:
        name: of this run, unlike any other.
        options: arguments of MIC.
        side: of `Embedder`.
        references: images to compare with, in 8 bits [R, channels, height, width].
        positions: of the references in the data set [R]; None where they are not of it.
        tau: smoothness of the weights.
        network_digest: of the weights of the network, see `Backbone`.
        accelerator: 'cpu', 'cuda', or 'auto' for a GPU where the worker has one.
        are_ours: whether the command has started the workers, whose names are then their numbers.
    """

    name: str
    options: dict[str, Any]
    side: int | None
    references: np.ndarray
    positions: np.ndarray | None
    tau: float
    network_digest: str
    accelerator: str = "auto"
    are_ours: bool = False


class ImageShard(NamedTuple):
    """Some images of a data set.

    Attributes:
        images: them alone.
        positions: of each in the data set.
        batches: positions among them, batch by batch.
        collate: makes a batch of samples.
    """

    images: DefectImages
    positions: list[int]
    batches: list[list[int]]
    collate: Callable[..., dict[str, Any]]


def worker_setup(mic: MIC, accelerator: str = "auto") -> WorkerSetup:
    """What the workers of a run must know.

    Args:
        mic: whose run has begun: it knows what all images are compared with.
        accelerator: see `WorkerSetup`.

    Raises:
        ValueError: it compares all images with all.
    """
    run = mic.run
    if run is None or run.stream is None or run.reference_images is None:
        raise ValueError("workers of Dask are for methods that compare each image with few others: signed residuals")
    options = asdict(mic.options) | {"checkpoint": mic.options.absolute_checkpoint}
    drawn = run.stream.positions
    positions = None if drawn is None else drawn.cpu().numpy()
    references, digest = run.reference_images.cpu().numpy(), mic.backbone.digest
    return WorkerSetup(uuid4().hex, options, mic.embedder.side, references, positions, run.tau, digest, accelerator)


def shards_of(data: DefectDataModule, batches: Sequence[Sequence[int]]) -> Iterator[ImageShard]:
    """Some hundred images each, in whole batches.

    Args:
        data: whose images are listed.
        batches: positions of the images that are to be read.
    """
    loader = data.test_dataloader()
    whole = loader.dataset
    assert isinstance(whole, DefectImages)
    step = max(1, SHARD // data.batch_size)
    for start in range(0, len(batches), step):
        positions = [i for batch in batches[start : start + step] for i in batch]
        part = copy.copy(whole)
        part.records = [_absolute(whole.records[i]) for i in positions]
        places = iter(range(len(positions)))
        own = [[next(places) for _ in batch] for batch in batches[start : start + step]]
        yield ImageShard(part, positions, own, loader.collate_fn)


def _absolute(record: Record) -> Record:
    """Workers have working directories of their own."""
    mask, anomaly_map = (path and path.absolute() for path in (record.mask, record.map))
    return record._replace(image=record.image.absolute(), mask=mask, map=anomaly_map)


def rows_of_shard(told: WorkerSetup, shard: ImageShard) -> dict[str, np.ndarray]:
    """Rows of the images of a shard; what a worker does.

    Args:
        told: what it must know.
        shard: its images.

    Raises:
        FileNotFoundError: this machine does not find an image by its path.
    """
    if told.options["checkpoint"]:
        _check(Path(told.options["checkpoint"]))
    for record in shard.images.records:
        _check(record.image)
    stream, options = _opened(told)
    loader = of_batches(DataLoader(shard.images, num_workers=0, collate_fn=shard.collate), shard.batches)
    positions, found = torch.tensor(shard.positions), []
    device = stream.embedder.backbone.mean.device
    with torch.inference_mode():
        for batch in loader:
            batch |= {"index": positions[batch["index"]]}
            batch = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
            tidy, known = known_of(batch, options)
            found.append(known | stream(tidy))
    return {name: torch.cat([rows[name] for rows in found]).cpu().numpy() for name in found[0]}


def by_dask(client: Any, accelerator: str = "auto") -> Callable[..., Iterator[Mapping[str, Tensor]]]:
    """Rows by the workers of a client of Dask, see `GoingOn`.

    Args:
        client: a `distributed.Client`.
        accelerator: of the workers, see `WorkerSetup`.
    """

    def rows(mic: MIC, data: DefectDataModule, batches: Sequence[Sequence[int]]) -> Iterator[Mapping[str, Tensor]]:
        from distributed import KilledWorker, as_completed

        what = worker_setup(mic, accelerator)._replace(are_ours=client.cluster is not None)
        # A task of its own, so that it is there again when the worker that holds it is lost.
        told = client.submit(_same, what, pure=False)
        futures = [client.submit(rows_of_shard, told, shard, pure=False) for shard in shards_of(data, batches)]
        shown = bool(mic.trainer.progress_bar_callback)
        with progress_bar("Workers embed photographs", sum(map(len, batches)), shown=shown) as advance:
            try:
                for future, found in as_completed(futures, with_results=True):
                    future.release()
                    yield {name: torch.from_numpy(np.array(values)) for name, values in found.items()}
                    advance(len(found["index"]))
            except KilledWorker as error:
                raise ChildProcessError(
                    f"{FAILURES + 1} workers died of the same shard of images, most often because memory ran out"
                ) from error

    return rows


# A worker keeps what it has opened for one run: the network, and the references as it sees them.
_open: dict[str, tuple[Stream, Options]] = {}
_opening = threading.Lock()


def _opened(told: WorkerSetup) -> tuple[Stream, Options]:
    with _opening, torch.inference_mode():
        if told.name not in _open:
            _open.clear()
            if told.accelerator == "cuda" and not torch.cuda.is_available():
                raise ValueError(f"worker {_worker()} has no GPU that PyTorch can use: leave --accelerator cuda out")
            # Names in a cache tell of the data, which is not here.
            mic = MIC(**{**told.options, "cache": None}).to(_device(told)).eval()
            if mic.backbone.digest != told.network_digest:
                raise ValueError(
                    f"worker {_worker()} has other weights of {mic.backbone.name!r} than the command: give all "
                    "machines the same ones, with --checkpoint or in the cache of networks"
                )
            mic.embedder.side = told.side
            references = torch.from_numpy(np.array(told.references))
            positions = None if told.positions is None else torch.from_numpy(np.array(told.positions))
            stream = Stream(
                mic.embedder,
                references,
                mic.options,
                positions=positions,
                tau=told.tau,
                precision=mic.options.precision,
            )
            _open[told.name] = stream, mic.options
        return _open[told.name]


def _device(told: WorkerSetup) -> str:
    """Workers that the command has started share out the GPUs; others take the first that they were given to see."""
    device = ACCELERATOR if told.accelerator == "auto" else told.accelerator
    if device != "cuda" or not told.are_ours:
        return device
    from distributed import get_worker

    return f"cuda:{get_worker().name % torch.cuda.device_count()}"


def _check(path: Path) -> None:
    """See that a file is there."""
    if not path.is_file():
        raise FileNotFoundError(
            f"worker {_worker()} does not find {str(path)!r}: workers read the images by their paths, so give it the "
            "file system that holds them, under the same name"
        )


def _worker() -> str:
    from distributed import get_worker

    try:
        return f"{get_worker().address} on {socket.gethostname()}"
    except ValueError:
        return socket.gethostname()


def _same(told: WorkerSetup) -> WorkerSetup:
    return told
