"""Records of images in; samples of a batch, as `datamodule` describes it, out: images, masks and maps of one size."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, default_collate
from torchvision.transforms import v2

from anomaly_clustering.data.aspect import as_batch, resized_keeping_aspect
from anomaly_clustering.data.decoding import Decoding, needed_for
from anomaly_clustering.data.images import FULL_BITS, read_image, read_mask
from anomaly_clustering.data.kept_size import Aspect
from anomaly_clustering.data.maps import read_map
from anomaly_clustering.data.opening import image_size as size_of
from anomaly_clustering.data.records import Record
from anomaly_clustering.system.choices import check_choice


class DefectImages(Dataset):
    """Reads records as samples of a batch, see `datamodule`: every image resized straight to a square, unless asked.

    Args:
        records: the images, in the order of `index`.
        image_size: height and width S in pixels of images, masks and maps.
        transform: turns an image of Pillow into a tensor [3, S, S]; `evaluation_transform` by default.
        aspect: 'keep' for images [4, H, W] of their own aspect with about S * S pixels, see `kept_size`; masks and maps
            are squares even so, as bags are.
        decoding: 'reduced' for large JPEG files at a size that is enough, see `data.decoding`.

    Raises:
        UnreadableImageError: when a sample is asked for whose file cannot be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (20, 10), "red").save(f"{folder}/0.png")
        ...     sample = DefectImages([Record(Path(folder) / "0.png", label=3)], image_size=32)[0]
        >>> sample["image"][:, 0, 0].tolist(), sample["target"], sample["index"]
        ([1.0, 0.0, 0.0], 3, 0)
    """

    def __init__(
        self,
        records: Sequence[Record],
        image_size: int,
        transform: Callable[[Image.Image], torch.Tensor] | None = None,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
    ):
        self.records = records
        self.image_size = image_size
        self.transform = transform or evaluation_transform(image_size, aspect)
        self.transformed = transform is not None
        self.decoding: Decoding = decoding
        self.needed = needed_for(decoding, image_size, aspect)
        self.has_masks = any(record.mask for record in records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        # Whatever device a program makes its tensors on: a process that reads images may use no GPU.
        with torch.device("cpu"):
            return self._sample(index)

    def _sample(self, index: int) -> dict[str, Any]:
        record = self.records[index]
        image = read_image(record.image, record.bits or FULL_BITS, self.needed)
        sample = {
            "image": self.transform(image),
            "target": self.target(index),
            "index": index,
            "bits": record.bits or 0,
            "path": str(record.image),
        }
        if self.has_masks:
            sample["mask"] = self._mask(record)
        if record.map:
            sample["map"] = self._resized(read_map(record.map))
        return sample

    def told_by_files(self, collate: Callable[..., Any]) -> bool:
        """Tell whether the files, and how they are read, say all of the pixels in a batch.

        Args:
            collate: makes a batch of samples.

        Returns:
            Whether neither a transform, nor a subclass, nor the loader may change pixels.

        Example:
            >>> from pathlib import Path
            >>> images = DefectImages([Record(Path("0.png"))], image_size=32)
            >>> images.told_by_files(as_batch), images.told_by_files(lambda samples: samples)
            (True, False)
        """
        return type(self) is DefectImages and not self.transformed and collate in (as_batch, default_collate)

    def target(self, index: int) -> int:
        """Tell the class of an image without reading the image.

        Args:
            index: the image's position in the records.

        Returns:
            Its label, -1 where that is unknown.

        Example:
            >>> from pathlib import Path
            >>> DefectImages([Record(Path("0.png"))], image_size=32).target(0)
            -1
        """
        label = self.records[index].label
        return -1 if label is None else label

    def _mask(self, record: Record) -> torch.Tensor:
        if record.mask is None:
            return torch.zeros(1, self.image_size, self.image_size)
        # Interpolation rounds: a share a little above 1 is none.
        return self._resized(read_mask(record.mask, size_of(record.image))).clamp(0, 1)

    def _resized(self, pixels: np.ndarray) -> torch.Tensor:
        channel = torch.from_numpy(pixels)[None]
        resized: torch.Tensor = v2.functional.resize(channel, [self.image_size] * 2, antialias=True)
        return resized


def evaluation_transform(image_size: int, aspect: Aspect = "square") -> Callable[[Image.Image], torch.Tensor]:
    """Make the transform that resizes an image without cropping, by default to a square: a defect may sit at the edge.

    Args:
        image_size: height and width S in pixels; the paper has 256.
        aspect: 'square', or 'keep', see `resized_keeping_aspect`; anything else is a ValueError.

    Returns:
        A function from an image of Pillow to a float tensor [3, S, S] in [0, 1]; [4, H, W] where it keeps its aspect.

    Example:
        >>> evaluation_transform(32)(Image.new("RGB", (20, 10), "white")).mean().item()
        1.0
    """
    if check_choice("aspect", aspect, Aspect) == "keep":
        return partial(resized_keeping_aspect, side=image_size)
    return v2.Compose(
        [
            v2.Resize((image_size, image_size), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
