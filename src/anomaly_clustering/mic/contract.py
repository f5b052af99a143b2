"""Batches of any loader in; the same, checked and in the types that the method computes in, out."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

from torch import Tensor

Picture = Literal["mask", "map"]
# Of numbers from 0 to 1: what interpolation may go beyond them.
BEYOND = 0.5
# What each entry of images of H x W pixels must be; masks and maps may be of another size.
WHOLE = {"index": "the position of each image in the data set", "target": "the class of each image, or -1"}
PICTURES: dict[Picture, str] = {
    "mask": "from 0 (sound) to 1 (defective)",
    "map": "another detector's value at each place",
}
# Of grey images the network sees the channel three times; canvases have a fourth, see `Embedder`.
CHANNELS = (1, 3, 4)


def checked_batch(batch: Any, pictures: Collection[Picture] = ()) -> dict[str, Any]:
    """Check a batch, and bring its tensors to float32 and int64; all else in it stays as it is.

    Values are looked at of `image` alone: what is not from 0 to 1 the network would take for other images.

    Args:
        batch: `image` [B, 3, H, W], `index` [B] and `target` [B]; `mask` and `map` [B, 1, H, W] where there are any.
        pictures: which of `mask` and `map` are used, if they are there. The other may be anything, as loaders for other
            work have it.

    Raises:
        ValueError: it is not laid out so, or its images have other values.

    Example:
        >>> import torch
        >>> images, index = torch.zeros(2, 3, 8, 8), torch.arange(2)
        >>> checked_batch({"image": images, "index": index, "target": torch.zeros(2)})
        Traceback (most recent call last):
        ValueError: 'target' must be whole numbers [B], the class of each image, or -1; got float32 [2] for 2 images
    """
    names = list(batch) if isinstance(batch, Mapping) else None
    if names is None or not {"image", "index", "target"} <= set(names):
        raise ValueError(
            "batches must be dictionaries with 'image' [B, 3, H, W] (0 to 1), 'index' [B] (the position of each image "
            f"in the data set) and 'target' [B] (its class, or -1), got {names or type(batch).__name__}"
        )
    image = batch["image"]
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[1] not in CHANNELS:
        raise ValueError(f"'image' must be numbers [B, 3, H, W] from 0 to 1, got {_described(image)}")
    _check_range(image)
    count, tidy = len(image), {**batch, "image": image.float()}
    for name, what in WHOLE.items():
        given = batch[name]
        if not isinstance(given, Tensor) or given.shape != (count,) or given.is_floating_point():
            raise _other(name, f"whole numbers [B], {what}", given, count)
        tidy[name] = given.long()
    for name, what in PICTURES.items():
        if name not in pictures or name not in batch:
            continue
        given = batch[name]
        if not isinstance(given, Tensor) or given.ndim != 4 or given.shape[:2] != (count, 1):
            raise _other(name, f"numbers [B, 1, H, W], {what}", given, count)
        tidy[name] = given.float()
    return tidy


def _other(name: str, what: str, given: object, count: int) -> ValueError:
    return ValueError(f"'{name}' must be {what}; got {_described(given)} for {count} images")


def _described(given: object) -> str:
    if not isinstance(given, Tensor):
        return f"a {type(given).__name__}"
    return f"{str(given.dtype).removeprefix('torch.')} {list(given.shape)}"


def _check_range(images: Tensor) -> None:
    """Refuse what the network would take for other images; resizing may go a little beyond black and white."""
    if not images.is_floating_point():
        raise ValueError(f"'image' must hold numbers from 0 to 1, got {images.dtype}: divide those of 8 bits by 255")
    least, most = (float(value) for value in images.aminmax()) if images.numel() else (0.0, 1.0)
    if not -BEYOND <= least <= most <= 1 + BEYOND:
        advice = "divide those of 8 bits by 255, and leave it to the network to normalise them"
        if not (math.isfinite(least) and math.isfinite(most)):
            advice = "what reads or transforms the images makes NaN or infinity"
        raise ValueError(f"'image' must hold numbers from 0 to 1, got {least:.3g} to {most:.3g}: {advice}")
