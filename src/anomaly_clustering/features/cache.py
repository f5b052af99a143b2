"""What tensors are computed from in; those tensors, if they were computed before, out of files."""

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

# Is raised when the same settings come to mean other numbers.
VERSION = 2


def settings_digest(**parts: object) -> str:
    """A short name for settings, the same for the same settings.

    Args:
        parts: by name, in any order; what JSON does not know is taken as it prints.

    Returns:
        32 hexadecimal digits.

    Example:
        >>> settings_digest(size=[256, 256], layer="layer2")[:8]
        'c5d9afb0'
    """
    text = json.dumps({"version": VERSION, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path | str) -> str:
    """A short name for the content of a file.

    Args:
        path: of the file, whose name does not count.

    Returns:
        32 hexadecimal digits.

    Example:
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     file_digest(file.name)[:8]  # of nothing
        'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """A short name for tensors, such as the weights of a network.

    Args:
        tensors: by name, in any order.

    Returns:
        32 hexadecimal digits.

    Example:
        >>> import torch
        >>> tensors_digest({"weight": torch.tensor([0.5])})[:8]
        'd5f309ff'
    """
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]


class Cache:
    """Tensors in safetensors files of one folder, which may be deleted at any time.

    Args:
        folder: is made when something is saved.
        notify: is told of damaged files, which are then computed and written anew.

    Example:
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = Cache(folder, notify=print)
        ...     cache.save("bags", "0123", {"bag": torch.tensor([0.5])})
        ...     cache.load("bags", "0123")["bag"].tolist()
        [0.5]
    """

    def __init__(self, folder: Path | str, notify: Callable[[str], object]):
        self.folder = Path(folder)
        self.notify = notify

    def load(self, kind: str, key: str) -> dict[str, Tensor] | None:
        """Tensors by name, memory-mapped; None where the file is missing or damaged.

        Args:
            kind: folder within the cache.
            key: name of the file.
        """
        path = self._path(kind, key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a file is no dict
                checksums = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            self.notify(f"cache file {str(path)!r} is damaged ({error}) and is computed anew")
            return None
        if any(checksums.get(name) != _checksum(tensor) for name, tensor in tensors.items()):
            self.notify(f"cache file {str(path)!r} is damaged (its checksum is wrong) and is computed anew")
            return None
        return tensors

    def save(self, kind: str, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors to a file, whole or not at all, whenever the process ends.

        Args:
            kind: folder within the cache.
            key: name of the file.
            tensors: by name.
        """
        path = self._path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        checksums = {name: _checksum(tensor) for name, tensor in kept.items()}
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
        os.close(descriptor)
        try:
            save_file(kept, unfinished, metadata=checksums)
            os.replace(unfinished, path)
        except BaseException:
            os.unlink(unfinished)
            raise

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.safetensors"


def _checksum(tensor: Tensor) -> str:
    return str(zlib.crc32(tensor.contiguous().numpy().data))
