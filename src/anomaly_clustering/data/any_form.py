"""Images in any form (files, images of Pillow, arrays, tensors) in; the batches that MIC takes out."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.decoding import Decoding, Needed, needed_for
from anomaly_clustering.data.defect_images import evaluation_transform
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.images import FULL_BITS, as_rgb, bits_for, read_image, reading
from anomaly_clustering.data.kept_size import Aspect
from anomaly_clustering.data.opening import EXTENSIONS
from anomaly_clustering.data.pixels import image_of_pixels
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.survey import Bits, check_bits, surveyed
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.whole_numbers import image_side

# A file, an image, or its pixels: array [H, W, 3] or [H, W], tensor [3, H, W]; float in [0, 1], or of 8 bits.
ImageLike = Path | str | Image.Image | np.ndarray | Tensor
# A folder, or images one by one.
Images = Path | str | Iterable[ImageLike] | np.ndarray | Tensor


class ImagesOfAnyForm(Dataset):
    """Images in any form as samples of the batches that MIC takes, each with a digest of its pixels.

    Args:
        images: a folder; or paths, images of Pillow, arrays [H, W, 3] or [H, W], or tensors [3, H, W] or [1, H, W], the
            numbers float in [0, 1] or of 8 bits: a sequence, one that is generated, or one array or tensor of all.
        size: height and width in pixels to which they are resized.
        bits: of a value that the camera filled, where images have 16; see `find_bits`.
        aspect: 'square', or 'keep' for about as many pixels of each image's own aspect.
        decoding: of files, 'exact', or 'reduced' for large JPEG files at a size that is enough.
        normal: whether they are known to be free of defects, which messages say.

    Attributes:
        notices: on how they were read, such as what was left out of a folder.
        digests: SHA-256 of each image's pixels as the network sees them, once the image was read; empty before.

    Raises:
        FileNotFoundError: the folder is missing.
        NotADirectoryError: it is a file.
        ValueError: there are no images.
        TypeError: `images` are nothing of that kind.

    Example:
        >>> import torch
        >>> images = ImagesOfAnyForm([Image.new("L", (50, 40)), torch.zeros(3, 50, 40)], size=32)
        >>> images[0]["image"].shape, images[0]["digest"] == images[1]["digest"]
        (torch.Size([3, 32, 32]), True)
    """

    def __init__(
        self,
        images: Images,
        size: int,
        bits: int = FULL_BITS,
        aspect: Aspect = "square",
        decoding: Decoding = "exact",
        normal: bool = False,
    ):
        self.images: Sequence[ImageLike] | np.ndarray | Tensor
        self.notices: list[str] = []
        if isinstance(images, Path | str):
            _check_is_folder(Path(images))
            listing = list_folder(Path(images))
            self.images, self.notices = [record.image for record in listing.records], [*listing.notices]
        else:
            self.images = _listed(images)
            if isinstance(self.images, np.ndarray) and self.images.ndim == 3 and len(self.images) == 3:
                height, width = self.images.shape[1:]
                self.notices.append(
                    f"an array [3, {height}, {width}] is taken for 3 grey images; if it is one in colours, turn it "
                    "with channels last, and give it in a list"
                )
        if not len(self.images):
            none = "normal images in normals: give some, or leave it out" if normal else "images to group"
            raise ValueError(f"there are no {none}")
        self.kind = "normal image" if normal else "image"
        self.bits = bits
        self.size = image_side(size)
        self.aspect: Aspect = check_choice("aspect", aspect, Aspect)
        self.decoding: Decoding = check_choice("decoding", decoding, Decoding)
        self.needed = needed_for(decoding, self.size, aspect)
        self.transform = evaluation_transform(self.size, aspect)
        self.digests = [""] * len(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        # Whatever device a program makes its tensors on, as `DefectImages` does it.
        with torch.device("cpu"):
            pixels = self.transform(_rgb(self.images[index], self.name(index), self.bits, self.needed))
        self.digests[index] = _digest(pixels)
        return {"image": pixels, "target": -1, "index": index, "path": str(index), "digest": self.digests[index]}

    def name(self, index: int) -> str:
        """What messages call an image; of a file they tell the path."""
        return f"{self.kind} {index}"

    def others(self, known: Iterable[str], batch_size: int) -> Iterator[Float[Tensor, "b channels height width"]]:
        """The images whose digests are not known yet, each once, in batches.

        Args:
            known: digests.
            batch_size: how many images are read at a time, all of which may be known.

        Returns:
            Pixels, a batch at a time.
        """
        seen = set(known)
        for batch in DataLoader(self, batch_size=batch_size, collate_fn=as_batch):
            places = []
            for place, digest in enumerate(batch["digest"]):
                if digest not in seen:
                    seen.add(digest)
                    places.append(place)
            if places:
                yield batch["image"][places]


def _digest(pixels: Float[Tensor, "channels height width"]) -> str:
    """SHA-256 of the pixels, and of height and width where nothing else tells them: of an image of one colour."""
    found = hashlib.sha256(pixels.contiguous().numpy().tobytes())
    _, height, width = pixels.shape
    # Not of all images, whose digests are in files of fitted estimators.
    if height != width and bool((pixels == pixels[:, :1, :1]).all()):
        found.update(f"{width}x{height}".encode())
    return found.hexdigest()


def find_bits(images: ImagesOfAnyForm, normals: ImagesOfAnyForm | None, bits: Bits) -> int:
    """How many bits of a value the camera filled in images of 16 bits, one number for all; looks at all files once.

    Args:
        images: to group.
        normals: to compare with; None where there are none.
        bits: 8 to 16, or 'auto': the fewest of 8, 10, 12, 14 and 16 that hold the highest value.

    Returns:
        The number, 8 where no image has 16 bits; what there is to know of files is among the notices of `images`.

    Raises:
        ValueError: `bits` is neither 'auto' nor a number from 8 to 16.
        UnreadableImageError: an image of Pillow is damaged or closed.

    Example:
        >>> find_bits(ImagesOfAnyForm([Image.new("I;16", (50, 40), 4000)], size=32), None, "auto")
        12
    """
    bits = check_bits(bits)
    parts = [images, *([normals] if normals else [])]
    given = [(image, part, index) for part in parts for index, image in enumerate(part.images)]
    files = [
        Record(Path(file), is_normal_train=part is normals) for file, part, _ in given if isinstance(file, Path | str)
    ]
    listing = surveyed(Listing(files, []), bits=bits)
    images.notices += listing.notices
    deep = [
        (image, part.name(index))
        for image, part, index in given
        if isinstance(image, Image.Image) and image.mode.startswith("I")
    ]
    if deep and bits != "auto":
        return bits
    highest = [_highest(image, name) for image, name in deep]
    return max([8, *map(bits_for, highest), *(record.bits for record in listing.records if record.bits)])


def _highest(image: Image.Image, name: str) -> int:
    with reading(name):
        return int(np.asarray(image).max())


def _check_is_folder(given: Path) -> None:
    if given.suffix.lower() in EXTENSIONS and given.is_file():
        raise NotADirectoryError(
            f"{str(given)!r} is a file; give the folder that holds the images, or a list of files, [{str(given)!r}]"
        )


def _listed(images: Iterable[ImageLike]) -> Sequence[ImageLike] | np.ndarray | Tensor:
    """The images, to be looked at more than once and in any order.

    Raises:
        ValueError: they are one array of numbers whose shape is not that of several images.
        TypeError: they are one image, or nothing of that kind.
    """
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OUS":
        of_colours = images.ndim == 4 and images.shape[3] in (1, 3)
        if not of_colours and (images.ndim != 3 or images.shape[2] in (1, 3)):
            raise ValueError(
                f"images must have the shape [N, height, width, 3] or [N, height, width], got {[*images.shape]}; give "
                "one image in a list"
            )
    if isinstance(images, Image.Image | Mapping) or not isinstance(images, Iterable):
        of_pairs = isinstance(images, Dataset)
        way_on = "its images, as in [image for image, _ in data]" if of_pairs else "one image in a list"
        raise TypeError(
            f"images must be a folder, or a sequence of paths, images of Pillow, arrays or tensors, got "
            f"{type(images).__name__}; give {way_on}"
        )
    return images if isinstance(images, Sequence | np.ndarray | Tensor) else list(images)


def _rgb(image: ImageLike, name: str, bits: int, needed: Needed | None) -> Image.Image:
    """Pixels of 8 bits, whatever the form, so that an image is the same in all forms."""
    if isinstance(image, Path | str):
        return read_image(Path(image), bits, needed)
    if isinstance(image, Image.Image):
        return as_rgb(image, name, bits)
    if isinstance(image, np.ndarray | Tensor):
        return as_rgb(image_of_pixels(image, name), name)
    raise TypeError(f"{name} must be a path, an image of Pillow, an array or a tensor, got {type(image).__name__}")


class DataOfAnyForm(LightningDataModule):
    """Images to group, and normal ones if there are any, as MIC asks for them.

    Example:
        >>> import torch
        >>> data = DataOfAnyForm(ImagesOfAnyForm([torch.zeros(3, 32, 32)] * 3, size=32), None, batch_size=2)
        >>> [batch["index"].tolist() for batch in data.predict_dataloader()]
        [[0, 1], [2]]
    """

    def __init__(self, images: ImagesOfAnyForm, normals: ImagesOfAnyForm | None, batch_size: int):
        super().__init__()
        self.records = images.images
        self.normal_records = normals.images if normals else []
        self.image_size = images.size
        self.aspect = images.aspect
        self.decoding = images.decoding
        self.images = images
        self.normals = normals
        self.batch_size = batch_size

    def predict_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        return DataLoader(self.images, batch_size=self.batch_size, collate_fn=as_batch)

    def test_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        return self.predict_dataloader()

    def normal_dataloader(self) -> DataLoader[Mapping[str, Any]]:
        assert self.normals is not None
        return DataLoader(self.normals, batch_size=self.batch_size, collate_fn=as_batch)
