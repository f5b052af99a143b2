"""The images of a data module in; all of them, decoded once into one tensor of bytes that the processes share, out.

Where they take at most a quarter of what is free on a GPU they move there; else each batch does.
"""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import torch
from jaxtyping import Float, Int, UInt8
from lightning import LightningModule
from torch import Tensor

from anomaly_clustering.system.attached import attached_data
from baselines.draws import Draws
from baselines.evaluation import clean_images
from baselines.global_batch import training_seed
from baselines.pixels import AugmentationPlan, augmented, moved

# How many views are computed at a time. As floats of 256 pixels 256 take 200 MB of a GPU; 16 suit a processor's caches.
ON_ACCELERATORS, ON_PROCESSORS = 256, 16
SHARED_MEMORY = Path("/dev/shm")
# Windows removes no file that is in use; one opened with this goes by itself when the last process lets go of it.
REMOVED_WITH_THE_LAST = getattr(os, "O_TEMPORARY", 0)


class Decoded(NamedTuple):
    """All images of a data set."""

    pixels: UInt8[Tensor, "n 3 h w"]
    seed: int
    """Of the training, on all processes the same."""
    device: torch.device
    """Where images are asked for; the pixels lie there, or on the processor."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[2], self.pixels.shape[3]

    def draws(self, index: Int[Tensor, " b"], *, epoch: int, view: Int[Tensor, " b"] | int = 0) -> Draws:
        """Random numbers of images."""
        return Draws(self.seed, epoch, index, view)

    def clean(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b 3 h w"]:
        """Images as they are, in [0, 1].

        Args:
            index: positions in the data set, on the processor.
        """
        return self._of(index).float() * (1 / 255)

    def views(
        self, index: Int[Tensor, " b"], plan: AugmentationPlan, size: tuple[int, int]
    ) -> Float[Tensor, "b 3 height width"]:
        """Augmented images, of the height and width asked for, in [0, 1].

        Args:
            index: positions in the data set, on the processor, as the plan is.
        """
        at_once = ON_PROCESSORS if self.device.type == "cpu" else ON_ACCELERATORS
        chunks = zip(index.split(at_once), *(part.split(at_once) for part in plan), strict=True)
        return torch.cat([augmented(self._of(images), AugmentationPlan(*parts), size) for images, *parts in chunks])

    def _of(self, index: Int[Tensor, " b"]) -> UInt8[Tensor, "b 3 h w"]:
        if self.pixels.is_cuda:
            return self.pixels[moved(index, self.device)]
        return moved(self.pixels[index], self.device)


def decode(module: LightningModule) -> Decoded:
    """Read all images that the module is to cluster; each process of a machine decodes a share of them.

    Raises:
        ValueError: images differ in size.
        OSError: neither memory nor the folder for temporary files holds them.
    """
    images, trainer = clean_images(module), module.trainer
    shape = (len(images), *images[0]["image"].shape)
    size = torch.Size(shape).numel()
    # Shared memory while it is plenty, else a file that the system maps into memory. Decided by the first process.
    roomy = SHARED_MEMORY.is_dir() and size <= shutil.disk_usage(SHARED_MEMORY).free / 2
    place = SHARED_MEMORY if roomy else _temporary(size)
    name = str(place / f"anomaly-clustering-{uuid4().hex}")
    path = f"{trainer.strategy.broadcast(name)}-{trainer.node_rank}"
    is_first = trainer.local_rank == 0
    try:
        with ExitStack() as opened:
            if is_first:
                file = _opened(path, opened, os.O_CREAT | os.O_EXCL)
                os.ftruncate(file, size)
            trainer.strategy.barrier()
            if not is_first:
                file = _opened(path, opened)
            pixels = torch.frombuffer(mmap(file, size), dtype=torch.uint8).view(shape)
        _read(images, pixels, range(trainer.local_rank, len(images), trainer.num_devices), _threads(module))
        trainer.strategy.barrier()
    finally:
        # The memory is there until the last process lets go of it.
        if is_first and not REMOVED_WITH_THE_LAST:
            Path(path).unlink(missing_ok=True)
    return Decoded(_placed(pixels, module.device), training_seed(module), module.device)


def _opened(path: str, opened: ExitStack, how: int = 0) -> int:
    file = os.open(path, os.O_RDWR | REMOVED_WITH_THE_LAST | how, 0o600)
    opened.callback(os.close, file)
    return file


def _temporary(size: int) -> Path:
    place = Path(tempfile.gettempdir())
    if size > (free := shutil.disk_usage(place).free):
        raise OSError(
            f"the images of the training take {size / 2**30:.1f} GiB, but {str(place)!r} has {free / 2**30:.1f} GiB "
            "free: name a larger folder in the environment variable TMPDIR, or set a smaller --data.image_size"
        )
    return place


def _read(images: Any, pixels: UInt8[Tensor, "n 3 h w"], own: range, threads: int) -> None:
    def read(index: int) -> None:
        image = images[index]["image"]
        if image.shape != pixels.shape[1:]:
            raise ValueError(
                f"images are trained on in one size, but image {index} has {list(image.shape)} where the first has "
                f"{list(pixels.shape[1:])}: resize them in the data module"
            )
        # What was 8 bits before it became float comes back without loss.
        pixels[index] = (image * 255).round().clamp(0, 255).to(torch.uint8)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, own))


def _threads(module: LightningModule) -> int:
    """As many as the data module has workers."""
    workers = getattr(attached_data(module.trainer), "num_workers", 0)
    return max(1, int(workers))


def _placed(pixels: UInt8[Tensor, "n 3 h w"], device: torch.device) -> UInt8[Tensor, "n 3 h w"]:
    if device.type == "cuda" and pixels.nbytes <= torch.cuda.mem_get_info(device)[0] / 4:
        return pixels.to(device)
    return pixels
