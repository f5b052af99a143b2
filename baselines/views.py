"""A data set of images in; augmented views of each image, and pairs of nearest neighbours, out.

No sample holds a class: training sees none.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

Image = Float[Tensor, "*batch 3 h w"]
Transform = Callable[[Image], Image]
Augmentation = Literal["simclr", "strong", "none"]


class Views(Dataset):
    """`views` [V, 3, h, w]: one of each transform of the image, and its `index`."""

    def __init__(self, images: Any, transforms: Sequence[Transform]):
        self.images = images
        self.transforms = transforms

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.images[index]["image"]
        return {"index": index, "views": torch.stack([transform(image) for transform in self.transforms])}


class NeighbourPairs(Dataset):
    """`views` [2, 3, h, w]: the image and one of its neighbours, drawn anew each time, each augmented on its own."""

    def __init__(self, images: Any, transform: Transform, neighbours: Int[Tensor, "n k"]):
        self.images = images
        self.transform = transform
        self.neighbours = neighbours

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = (index, int(draw(self.neighbours[index][None])))
        return {"index": index, "views": torch.stack([self.transform(self.images[i]["image"]) for i in pair])}


class Positions(Dataset):
    """`index` alone, for methods that keep the features of all images in memory."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"index": index}


def nearest_neighbours(features: Float[Tensor, "n d"], k: int) -> Int[Tensor, "n k_plus_1"]:
    """Each image itself and its k nearest by cosine similarity (exact), nearest first.

    Raises:
        ValueError: there are not k other images.
    """
    if not 1 <= k < len(features):
        raise ValueError(f"neighbours must be between 1 and {len(features) - 1} (the other images), got {k}")
    unit = torch.nn.functional.normalize(features.float())
    similarity = unit @ unit.T
    # First also where two images are the same.
    similarity.fill_diagonal_(torch.inf)
    return similarity.topk(k + 1).indices


def num_neighbours(given: int | Literal["auto"], num_images: int, num_clusters: int) -> int:
    """At most the other images; 'auto' is half of a class of mean size, at most 50."""
    k = min(50, max(1, num_images // (2 * num_clusters))) if given == "auto" else given
    return min(k, num_images - 1)


def draw(choices: Int[Tensor, "b k"]) -> Int[Tensor, " b"]:
    """One of each row, uniformly."""
    which = torch.randint(choices.shape[1], (len(choices), 1), device=choices.device)
    return choices.gather(1, which)[:, 0]


def neighbour_purity(neighbours: Int[Tensor, "n k_plus_1"], target: Int[Tensor, " n"]) -> float:
    """Share of neighbours, without the image itself, that are of its class. For the record: it needs labels."""
    return float((target[neighbours[:, 1:]] == target[:, None]).float().mean())


def centre_crop(size: int) -> Transform:
    """The middle of an image, resized to `size` where it is smaller."""
    return cast(Transform, v2.Compose([_at_least(size), v2.CenterCrop(size)]))


def augmentation(name: Augmentation, size: int) -> Transform:
    """An augmentation of SCAN by its name, of images to size x size pixels.

    simclr: RandomResizedCrop(.2, 1), flip .5, ColorJitter(.4, .4, .4, .1) p .8, grey p .2 (Chen et al. 2020, no blur).
    strong: flip .5, random crop, four random operations, and a hole (Van Gansbeke et al. 2020, after RandAugment).
    """
    steps = {
        "none": [centre_crop(size)],
        "simclr": [
            v2.RandomResizedCrop(size, scale=(0.2, 1), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(p=0.2),
        ],
        "strong": [
            v2.RandomHorizontalFlip(),
            _at_least(size),
            v2.RandomCrop(size),
            *(v2.RandomChoice(_OPERATIONS) for _ in range(4)),
            Hole(round(size * 75 / 224)),
        ],
    }
    return cast(Transform, v2.Compose(steps[name]))


class Hole:
    """Cutout (DeVries and Taylor 2017): one square of side up to `largest`, cut at the borders, filled with grey.

    The authors fill with zero after normalisation, which is the mean colour, here about 0.45.
    """

    def __init__(self, largest: int):
        self.largest = largest

    def __call__(self, image: Image) -> Image:
        side = _int(1, self.largest)
        y, x = _int(0, image.shape[1] - 1), _int(0, image.shape[2] - 1)
        image = image.clone()
        top, left = max(0, y - side // 2), max(0, x - side // 2)
        image[:, top : y - side // 2 + side, left : x - side // 2 + side] = 0.45
        return image


class _Drawn:
    """A function of torchvision with a strength that is drawn uniformly for each image."""

    def __init__(self, function: Callable[..., Image], low: float, high: float, whole: bool = False):
        self.function, self.low, self.high, self.whole = function, low, high, whole

    def __call__(self, image: Image) -> Image:
        drawn = float(torch.empty(()).uniform_(self.low, self.high))
        return self.function(image, round(drawn) if self.whole else drawn)


# The 14 operations of the authors' 'strong' augmentation, with their ranges.
_OPERATIONS: list[Callable[[Image], Image]] = [
    v2.Identity(),
    v2.RandomAutocontrast(p=1.0),
    v2.RandomEqualize(p=1.0),
    v2.RandomRotation(30),
    _Drawn(v2.functional.solarize, 0.0, 1.0),
    _Drawn(v2.functional.adjust_saturation, 0.05, 0.95),
    _Drawn(v2.functional.adjust_contrast, 0.05, 0.95),
    _Drawn(v2.functional.adjust_brightness, 0.05, 0.95),
    _Drawn(v2.functional.adjust_sharpness, 0.05, 0.95),
    v2.RandomAffine(0, shear=(-5.7, 5.7, 0, 0)),
    v2.RandomAffine(0, shear=(0, 0, -5.7, 5.7)),
    v2.RandomAffine(0, translate=(0.1, 0)),
    v2.RandomAffine(0, translate=(0, 0.1)),
    _Drawn(v2.functional.posterize, 4.0, 8.0, whole=True),
]


def _at_least(size: int) -> Transform:
    return partial(_enlarged, size=size)


def _enlarged(image: Image, size: int) -> Image:
    return image if min(image.shape[-2:]) >= size else v2.functional.resize(image, [size], antialias=True)


def _int(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))
