"""Keeps tensors in files named by all that they were computed from: bags of images, results of comparisons."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from anomaly_clustering.system.files import remove_leftovers_below
from anomaly_clustering.system.tensors import DamagedError, read_tensors, write_tensors

# Is raised when the same settings come to mean other numbers.
VERSION = 2
# Hexadecimal digits of a name.
DIGITS = 32


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
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


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
    return found.hexdigest()[:DIGITS]


class Cache:
    """Tensors in safetensors files of one folder, which may be deleted at any time.

    Args:
        folder: is made when something is saved.
        notify: is told of damaged files, which are then computed and written anew.

    Example:
        >>> import tempfile
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
        self._cleared = False

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
            return read_tensors(path)
        except DamagedError as error:
            self.notify(f"cache file {str(path)!r} is damaged ({error}) and is computed anew")
            return None

    def save(self, kind: str, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors to a file, whole or not at all, whenever the process ends.

        Args:
            kind: folder within the cache.
            key: name of the file.
            tensors: by name.
        """
        write_tensors(self._path(kind, key), tensors)

    def _path(self, kind: str, key: str) -> Path:
        if not self._cleared:
            remove_leftovers_below(self.folder)
            self._cleared = True
        return self.folder / kind / key[:2] / f"{key}.safetensors"
