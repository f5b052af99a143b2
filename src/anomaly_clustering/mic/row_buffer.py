"""Collects the rows of all batches, by name, in memory that is taken once."""

from collections.abc import Mapping

import torch
from torch import Tensor


class RowBuffer:
    """Collects batches in memory that is taken once, so that nothing is held twice.

    Small tensors kept from each batch one by one would also keep the memory between them from being used again.

    Args:
        expected: how many rows will come; more may come, at the price of a copy.
    """

    def __init__(self, expected: int):
        self.expected = max(1, expected)
        self.count = 0
        self.tensors: dict[str, Tensor] = {}

    def append(self, batch: Mapping[str, Tensor]) -> None:
        """Add a row for each image of a batch.

        Args:
            batch: tensors by name, all of the same length; each batch has the same names.

        Raises:
            ValueError: it has other names than those before, so that there are images of which something is missing.
        """
        if self.tensors and batch.keys() != self.tensors.keys():
            names = ", ".join(repr(name) for name in sorted(batch.keys() ^ self.tensors.keys()))
            raise ValueError(f"all batches must hold the same, but some have {names} and others have not")
        start, self.count = self.count, self.count + len(next(iter(batch.values())))
        for name, rows in batch.items():
            held = self.tensors.get(name)
            if held is None:
                held = rows.new_empty(max(self.expected, self.count), *rows.shape[1:])
            elif len(held) < self.count:
                held = torch.cat([held, held.new_empty(max(len(held), len(rows)), *rows.shape[1:])])
            held[start : self.count] = rows
            self.tensors[name] = held

    def since(self, start: int) -> dict[str, Tensor]:
        """The rows from one on, which stay in the collection."""
        return {name: tensor[start : self.count] for name, tensor in self.tensors.items()}

    def taken(self) -> dict[str, Tensor]:
        """All rows so far; the collection is empty afterwards."""
        found = {name: tensor[: self.count] for name, tensor in self.tensors.items()}
        self.tensors, self.count = {}, 0
        return found
