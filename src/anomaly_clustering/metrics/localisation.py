"""Anomaly maps [N, h, w] and ground-truth masks [N, 1, H, W] in; how well the maps find the defective pixels out.

First the function, then the torchmetrics class. Section 4.3.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from anomaly_clustering.metrics.agreement import Score
from anomaly_clustering.metrics.batches import MetricOfBatches
from anomaly_clustering.metrics.samples import Labels, NothingToScore, each_once, positions_or_unknown

Maps = Float[Tensor, "n h w"]
Masks = Float[Tensor, "n 1 height width"]
Marked = Bool[Tensor, "n 1 height width"]
Values = Float[np.ndarray, " _"]

# Pixels that are upsampled and sorted at a time, in some 150 MB.
BLOCK = 2**22
# Of the 52 bits behind the point of a value in float64 those that are too fine for upsampling to keep.
FINE_BITS = 12


def localisation_auroc(maps: Maps, masks: Masks) -> Score:
    """Pixel-level anomaly localisation AUROC: how often a defective pixel has a higher value than a sound one.

    All pixels of all images are pooled; a tie counts half. Maps are upsampled bilinearly to the size of the masks. A
    pixel is defective where its mask is above 0.5, so that an image without a defect adds sound pixels only.

    Any map will do. Weights add up to one in each image, scores do not, so the two differ in how they rank pixels of
    different images, and in the AUROC.

    Exact: no value is cut off or put into bins. Maps in float64 are compared to 40 bits behind the point of each value,
    others to the 24 of float32. Beyond the arguments it needs memory for one block of pixels and for the values of the
    defective ones.

    Args:
        maps: one value for each place of each image [N, h, w], on any scale; higher means more likely defective.
        masks: ground truth of each image [N, 1, H, W], from 0 (sound) to 1 (defective), at least as large as the maps.

    Returns:
        From 0 to 1; 0.5 for maps that tell nothing.

    Raises:
        ValueError: no pixel is defective, or all are; a map that is not finite, without pixels, or larger than its
            mask; a mask that is not between 0 and 1; what is no tensor.

    Example:
        >>> maps = torch.tensor([[[0.0, 1.0]]])  # upsampled to 0, 0.25, 0.75, 1
        >>> localisation_auroc(maps, torch.tensor([[[[0.0, 1.0, 0.0, 1.0]]]])).item()
        0.75
    """
    _check(maps, masks)
    maps, masks = maps.detach(), masks.detach()
    size, maps = _images_per_block(masks.shape[-2:].numel()), _told_apart(maps)
    return _pooled_auroc(lambda: zip(maps.split(size), (part > 0.5 for part in masks.split(size)), strict=True))


def _check(maps: Maps, masks: Masks) -> None:
    if not (isinstance(maps, Tensor) and isinstance(masks, Tensor)):
        raise ValueError(f"maps and masks must be tensors, got a {type(maps).__name__} and a {type(masks).__name__}")
    if maps.ndim != 3 or masks.ndim != 4 or masks.shape[1] != 1:
        raise ValueError(
            f"maps must be [N, h, w] and masks [N, 1, H, W], got {tuple(maps.shape)} and {tuple(masks.shape)}"
        )
    if len(maps) != len(masks) or maps.shape[1] > masks.shape[2] or maps.shape[2] > masks.shape[3]:
        raise ValueError(
            f"each map needs a mask that is at least as large, got maps {tuple(maps.shape)} and masks "
            f"{tuple(masks.shape)}"
        )
    if 0 in (*maps.shape[1:], *masks.shape[2:]):
        raise ValueError(
            f"maps and masks must have pixels, got maps {tuple(maps.shape)} and masks {tuple(masks.shape)}"
        )
    if not maps.isfinite().all():
        raise ValueError("maps must be finite, got NaN or infinity")
    # NaN is between no two numbers.
    if masks.numel() and not (masks.min() >= 0 and masks.max() <= 1):
        raise ValueError(f"masks must be between 0 (sound) and 1 (defective), got {masks.min()} to {masks.max()}")


def _images_per_block(num_pixels: int) -> int:
    return max(1, BLOCK // num_pixels)


def _told_apart(maps: Maps) -> Maps:
    """All maps that are compared, in float64 such that upsampling tells equal values from others; else as they are.

    What they have in common is taken off where no value is twice another, so that the difference is exact.
    """
    if maps.dtype != torch.float64 or not maps.numel():
        return maps
    lowest, highest = maps.min(), maps.max()
    for common, farthest in ((lowest, highest), (highest, lowest)):
        if common != 0 and 1 <= farthest / common <= 2:
            return _without_fine_bits(maps - common)
    return _without_fine_bits(maps)


def _without_fine_bits(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Of float64 each number rounded to 40 bits behind its point, whatever its scale."""
    return ((values.view(torch.int64) + 2 ** (FINE_BITS - 1)) & -(2**FINE_BITS)).view(torch.float64)


def _pooled_auroc(blocks: Callable[[], Iterable[tuple[Maps, Marked]]]) -> Score:
    """AUROC from two passes over the images: the few defective values first, then where the sound ones fall in them."""
    found = [values[marked] for values, marked in _pixels(blocks())]
    defective = np.sort(torch.cat(found).cpu().numpy()) if found else np.empty(0)
    num_sound, won = 0, 0
    for values, marked in _pixels(blocks()):
        # numpy sorts many times faster than torch on a CPU, and finds sorted numbers faster than unsorted ones.
        sound = np.sort(values[~marked].cpu().numpy())
        num_sound += len(sound)
        won += _pairs_won(defective, sound)
    if not len(defective) or not num_sound:
        raise NothingToScore(
            f"localisation needs defective and sound pixels, got {len(defective)} defective and {num_sound} sound ones"
        )
    return torch.tensor(won / (2 * len(defective) * num_sound), dtype=torch.float64, device=found[0].device)


def _pairs_won(values: Values, others: Values) -> int:
    """Count the pairs of a value and a lower other one twice, and equal pairs once; both arrays are sorted."""
    if len(values) > len(others):
        return 2 * len(values) * len(others) - _pairs_won(others, values)
    return int(np.searchsorted(others, values).sum() + np.searchsorted(others, values, side="right").sum())


def _pixels(blocks: Iterable[tuple[Maps, Marked]]) -> Iterator[tuple[Tensor, Marked]]:
    for maps, marked in blocks:
        # More precisely than they are compared, or rounding would tell equal values apart.
        upsampled = F.interpolate(maps[:, None].double(), size=marked.shape[-2:], mode="bilinear", align_corners=False)
        yield _without_fine_bits(upsampled) if maps.dtype == torch.float64 else upsampled.float(), marked


class LocalisationAUROC(MetricOfBatches):
    """`localisation_auroc` of all images as a torchmetrics class, exact on any number of processes.

    It holds maps in the size in which they come and masks as bits: 4hw + HW/8 bytes an image, that is 12 kB for
    weights on 32x32 patches and masks of 256x256 pixels; maps in float64 take twice as much. Masks must be of one size.
    An image that a distributed sampler repeats is counted once, by its `index`; give none where there are no
    repetitions. `forward` of a batch without a defective pixel, or without a sound one, gives NaN.

    Example:
        >>> metric = LocalisationAUROC()
        >>> metric(torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[[0.0, 1.0, 0.0, 1.0]]]])).item()
        0.75
    """

    full_state_update = False
    higher_is_better = True
    maps: list[Tensor]
    masks: list[Tensor]
    index: list[Tensor]
    sizes: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        # Sizes are height and width of the masks of each call; a row of bits is filled up to full bytes.
        for name in ("maps", "masks", "index", "sizes"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, maps: Maps, masks: Masks, index: Labels | None = None) -> None:
        """Add images.

        Args:
            maps: one value for each place of each image [B, h, w].
            masks: ground truth of each image [B, 1, H, W], from 0 to 1, of the same size at every call.
            index: position of each image in the data set [B].

        Raises:
            ValueError: a map is not finite, without pixels or larger than its mask; a mask is not between 0 and 1, or
                of another size than before; positions are not integers, one an image.
        """
        _check(maps, masks)
        maps, masks = maps.detach(), masks.detach()
        index = positions_or_unknown(index, maps)
        if len(index) != len(maps):
            raise ValueError(f"index must have one position an image, got {len(index)} for {len(maps)} maps")
        size = torch.tensor([masks.shape[2:]], device=maps.device)
        _one_size([*self.sizes[-1:], size])
        self.sizes.append(size)
        self.maps.append(maps)
        self.masks.append(_pack(masks > 0.5))
        self.index.append(index)

    def compute(self) -> Score:
        """The AUROC of all images.

        Raises:
            ValueError: no image was added, no pixel is defective, or all are; or masks of several calls or processes
                differ in size.
        """
        return self.scored(self._auroc)

    def _auroc(self) -> Score:
        maps, masks = each_once(self.index, self.maps, self.masks)
        height, width = _one_size(self.sizes)
        size, maps = _images_per_block(height * width), _told_apart(maps)
        return _pooled_auroc(
            lambda: zip(maps.split(size), (_unpack(part, width) for part in masks.split(size)), strict=True)
        )


def _one_size(sizes: Sequence[Tensor] | Tensor) -> tuple[int, int]:
    """Of masks [., 2], in a list of calls, or together once processes have exchanged them."""
    found = torch.cat(list(sizes)) if isinstance(sizes, Sequence) else sizes
    first, *others = found.unique(dim=0).tolist()
    if others:
        raise ValueError(f"masks must be of one size, got {found[-1].tolist()} after {found[0].tolist()}")
    return first[0], first[1]


def _pack(marked: Marked) -> UInt8[Tensor, "n 1 height bytes"]:
    """Eight pixels of a row in a byte."""
    return torch.from_numpy(np.packbits(marked.cpu().numpy(), axis=-1)).to(marked.device)


def _unpack(packed: UInt8[Tensor, "n 1 height bytes"], width: int) -> Marked:
    return torch.from_numpy(np.unpackbits(packed.cpu().numpy(), axis=-1, count=width)).to(packed.device).bool()
