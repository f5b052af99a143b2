"""Random numbers of images in; plans of how each is augmented, distributed as the methods' papers state, out.

A plan is drawn on the processor, a few numbers an image, and carried out on the device (pixels.py).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from baselines.draws import Draws, box
from baselines.pixels import OPERATIONS, AugmentationPlan

Augmentation = Literal["simclr", "strong", "none"]
# Random numbers of images, and their height and width, to how each is augmented.
Recipe = Callable[[Draws, tuple[int, int]], AugmentationPlan]
PLACE = {name: place for place, name in enumerate(OPERATIONS)}


class Steps(NamedTuple):
    """What is done with each image, one operation after the other: the last two parts of a plan."""

    operations: Int[Tensor, "b steps"]
    numbers: Float[Tensor, "b steps 6"]


class Drawn(NamedTuple):
    """An operation, one of whose numbers is drawn uniformly."""

    operation: str
    low: float = 0.0
    high: float = 0.0
    column: int = 0
    """Which number it is."""
    whole: bool = False


def plan(box: Int[Tensor, "b 4"], flip: Bool[Tensor, " b"], *steps: Steps) -> AugmentationPlan:
    """Parts of images, mirrored or not, with steps one after the other."""
    none = Steps(torch.empty(len(box), 0, dtype=torch.long), torch.empty(len(box), 0, 6))
    operations, numbers = (torch.cat(parts, 1) for parts in zip(none, *steps, strict=True))
    return AugmentationPlan(box, flip, operations, numbers)


def augmentation(name: Augmentation, crop: int) -> Recipe:
    """An augmentation of SCAN by its name, for views of crop x crop pixels.

    simclr: RandomResizedCrop(.2, 1), flip .5, ColorJitter(.4, .4, .4, .1) p .8, grey p .2 (Chen et al. 2020, no blur).
    strong: flip .5, random crop, four random operations, and a hole (Van Gansbeke et al. 2020, after RandAugment).
    """
    recipes: dict[Augmentation, Recipe] = {
        "none": partial(middle, side=crop),
        "simclr": simclr,
        "strong": partial(strong, crop=crop),
    }
    return recipes[name]


def middle(draws: Draws, size: tuple[int, int], *, side: int) -> AugmentationPlan:
    """The middle of images, `side` pixels wide where they are as large."""
    side = min(side, *size)
    place = torch.tensor([round((size[0] - side) / 2), round((size[1] - side) / 2), side, side])
    count = len(draws.state)
    return plan(place.expand(count, 4), torch.zeros(count, dtype=torch.bool))


def whole(draws: Draws, size: tuple[int, int]) -> AugmentationPlan:
    """Images as they are, to be resized."""
    count = len(draws.state)
    return plan(torch.tensor([0, 0, *size]).expand(count, 4), torch.zeros(count, dtype=torch.bool))


def simclr(draws: Draws, size: tuple[int, int]) -> AugmentationPlan:
    """See `augmentation`."""
    return plan(
        box(draws, size, scale=(0.2, 1.0)),
        draws.happens(0.5),
        jitter(draws, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, probability=0.8),
        sometimes(draws, 0.2, Drawn("saturation")),
    )


def strong(draws: Draws, size: tuple[int, int], *, crop: int) -> AugmentationPlan:
    """See `augmentation`."""
    return plan(
        corner(draws, size, min(crop, *size)),
        draws.happens(0.5),
        *(one_of(draws, operations(crop)) for _ in range(4)),
        cut_out(draws, crop, largest=round(crop * 75 / 224)),
    )


def operations(crop: int) -> list[Drawn]:
    """The 14 of the authors' 'strong' augmentation, with their ranges: magnitudes of images of crop x crop pixels."""
    return [
        *(Drawn("identity"), Drawn("autocontrast"), Drawn("equalize")),
        Drawn("solarize", 0.0, 1.0),
        *(Drawn(name, 0.05, 0.95) for name in ("saturation", "contrast", "brightness", "sharpness")),
        Drawn("posterize", 4.0, 8.0, whole=True),
        Drawn("affine", -30.0, 30.0, column=0),
        *(Drawn("affine", -0.1 * crop, 0.1 * crop, column, whole=True) for column in (1, 2)),
        # Sheared by up to a tenth.
        *(Drawn("affine", -5.7, 5.7, column) for column in (4, 5)),
    ]


# The parts of a plan.


def corner(draws: Draws, size: tuple[int, int], side: int) -> Int[Tensor, "b 4"]:
    """A random square of `side` pixels."""
    top, left = (draws.between(0, length - side) for length in size)
    return torch.stack([top, left, *(torch.full_like(top, side) for _ in range(2))], 1)


def jitter(
    draws: Draws,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    probability: float = 1.0,
) -> Steps:
    """Colours change by random factors in a random order, as by `ColorJitter` of torchvision.

    Args:
        brightness, contrast, saturation: factors lie in 1 +- this; 0 leaves them out.
        hue: it turns by at most this, a whole turn being 1.
        probability: of any change.
    """
    factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    ranges = [Drawn(name, max(0.0, 1 - most), 1 + most) for name, most in factors.items() if most]
    if hue:
        ranges.append(Drawn("hue", -hue, hue))
    steps = _steps(ranges, draws.permutation(len(ranges)), draws.uniform(len(ranges)))
    kept = draws.happens(probability)[:, None]
    return Steps(torch.where(kept, steps.operations, PLACE["identity"]), steps.numbers)


def sometimes(draws: Draws, probability: float, drawn: Drawn) -> Steps:
    """An operation with a probability."""
    which = draws.happens(probability).long()[:, None]
    return _steps([Drawn("identity"), drawn], which, draws.uniform(1))


def one_of(draws: Draws, choices: Sequence[Drawn]) -> Steps:
    """One of several operations, each as probable."""
    return _steps(choices, draws.between(0, len(choices) - 1)[:, None], draws.uniform(1))


def affine(draws: Draws, crop: int, *, angle: float, shift: float, scale: Sequence[float], shear: float) -> Steps:
    """A random affine map, as `RandomAffine` of torchvision draws it.

    Args:
        crop: side in pixels of the images.
        angle, shear: in degrees, at most; sheared is x alone.
        shift: a share of the side, at most, in whole pixels.
        scale: from where to where.
    """
    most = torch.tensor([angle, shift * crop, shift * crop, 0.0, shear, 0.0])
    numbers = draws.uniform(6, -1.0, 1.0) * most
    numbers[:, 1:3].round_()
    numbers[:, 3] = draws.uniform(1, *scale)[:, 0].log()
    return Steps(torch.full((len(numbers), 1), PLACE["affine"]), numbers[:, None])


def cut_out(draws: Draws, crop: int, *, largest: int) -> Steps:
    """A square hole of a side up to `largest` with its middle anywhere."""
    numbers = torch.zeros(len(draws.state), 1, 6)
    for column, (low, high) in enumerate([(1, largest), (0, crop - 1), (0, crop - 1)]):
        numbers[:, 0, column] = draws.between(low, high).float()
    return Steps(torch.full((len(numbers), 1), PLACE["hole"]), numbers)


def _steps(choices: Sequence[Drawn], which: Int[Tensor, "b steps"], uniform: Float[Tensor, "b steps"]) -> Steps:
    """Which of the choices is taken in each step, with its number."""
    low, high = (torch.tensor([getattr(drawn, name) for drawn in choices])[which] for name in ("low", "high"))
    value = low + uniform * (high - low)
    whole, column = (torch.tensor([getattr(drawn, name) for drawn in choices])[which] for name in ("whole", "column"))
    value = torch.where(whole, value.round(), value)
    numbers = torch.zeros(*which.shape, 6).scatter_(2, column[:, :, None], value[:, :, None])
    return Steps(torch.tensor([PLACE[drawn.operation] for drawn in choices])[which], numbers)
