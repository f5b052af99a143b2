"""Tensors in; a file of them with their checksums, written whole, out; and the tensors again, or what is wrong."""

import zlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from anomaly_clustering.system.files import whole_file


class DamagedError(ValueError):
    """A file of tensors that is not as it was written."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a file with their checksums, whole or not at all, whenever the process ends.

    Args:
        path: of a safetensors file.
        tensors: by name.

    Example:
        >>> import tempfile
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_tensors(Path(folder) / "a.safetensors", {"bag": torch.tensor([0.5])})
        ...     read_tensors(Path(folder) / "a.safetensors")["bag"].tolist()
        [0.5]
    """
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    checksums = {name: _checksum(tensor) for name, tensor in kept.items()}
    # A file that a power cut damages is noticed when it is read.
    with whole_file(path, durable=False) as part:
        save_file(kept, part, metadata=checksums)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, memory-mapped, as `write_tensors` wrote them.

    Args:
        path: of a safetensors file that is there.

    Raises:
        DamagedError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a file is no dict
            checksums = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise DamagedError(str(error)) from error
    if any(checksums.get(name) != _checksum(tensor) for name, tensor in tensors.items()):
        raise DamagedError("its checksum is wrong")
    return tensors


def _checksum(tensor: Tensor) -> str:
    return str(zlib.crc32(tensor.contiguous().numpy().data))
