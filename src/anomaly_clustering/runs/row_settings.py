"""A method and its images in; all that the rows of the images depend on, by name, as JSON knows it, out."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.records import Record
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.search.precision import resolve

# Options that come to bear when all rows are known, or change nothing.
AFTERWARDS = {"method", "num_clusters", "resamples", "signed_root", "cache", "checkpoint", "precision"}
# What a data module is told of processes.
INCIDENTAL = {"num_workers", "prepare_data_per_node", "allow_zero_length_dataloader_with_multiple_devices"}


def row_settings(mic: MIC, data: DefectDataModule, device: torch.device) -> dict[str, Any]:
    """All that decides the rows of a run: any option of the method or of the data that is not named above.

    Args:
        mic: the method; its network counts by its weights.
        data: whose images are listed.
        device: of the search, whose precision may follow from it.

    Returns:
        Settings by name; files by path, size and time of their last change.
    """
    options = {name: value for name, value in asdict(mic.options).items() if name not in AFTERWARDS}
    of_data = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(data).items()
        if isinstance(value, bool | int | float | str | Path) and not (name.startswith("_") or name in INCIDENTAL)
    }
    return {
        **{f"data.{name}": value for name, value in of_data.items()},
        **options,
        "network": mic.embedder.network,
        "precision": str(resolve(mic.options.precision, device)),
        "images": digest_of_files(data.records),
        "normal images": digest_of_files(data.normal_records),
    }


def digest_of_files(records: Sequence[Record]) -> str:
    """A name for files as they are now, and what is known of them.

    Args:
        records: images, with their masks and maps.

    Example:
        >>> digest_of_files([])[:8]
        'e3b0c442'
    """
    found = hashlib.sha256()
    for record in records:
        found.update(f"{record}".encode(errors="surrogateescape"))
        for path in (record.image, record.mask, record.map):
            if path is not None:
                state = path.stat()
                found.update(f"{state.st_size} {state.st_mtime_ns}\n".encode())
    return found.hexdigest()
