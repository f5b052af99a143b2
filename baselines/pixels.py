"""Images, and for each what is to be done with it, in; augmented images, all computed at once on their device, out.

Every function takes images and numbers for each of them, and does with each what torchvision does with a single one.
No library is used: kornia (0.9, Apache-2.0), which is made for batches, draws from PyTorch's global generator, so that
an image's view would hang on its batch, and it draws one order of the colours for a whole batch. On a GPU nothing here
waits for what the GPU computes, so numbers are made there or moved from pinned memory.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor
from torchvision.transforms import v2

Images = Float[Tensor, "b 3 h w"]
# Which of them an operation looks at is its own affair.
Numbers = Float[Tensor, "b 6"]


class AugmentationPlan(NamedTuple):
    """What is done with each image, in this order: a part of it is taken, resized, mirrored, and operated on."""

    box: Int[Tensor, "b 4"]
    """Top, left, height and width in pixels."""
    flip: Bool[Tensor, " b"]
    operations: Int[Tensor, "b steps"]
    """One of `OPERATIONS` in each step, by its place there."""
    numbers: Float[Tensor, "b steps 6"]


def resized(
    images: UInt8[Tensor, "b 3 height width"], box: Int[Tensor, "b 4"], flip: Bool[Tensor, " b"], size: tuple[int, int]
) -> Images:
    """A part of each image, resized by triangles that widen where it shrinks (antialiased), maybe mirrored; in [0, 1].

    Resizing is a product with a matrix of weights for each image, first of columns, then of rows.
    """
    top, left, height, width = box.unbind(1)
    rows = _weights(top, height, images.shape[2], size[0])
    columns = _weights(left, width, images.shape[3], size[1])
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    narrow = torch.einsum("bchw,bjw->bchj", images.float(), columns * (1 / 255))
    return torch.einsum("bih,bchj->bcij", rows, narrow).contiguous()


def _weights(start: Int[Tensor, " b"], length: Int[Tensor, " b"], before: int, after: int) -> Float[Tensor, "b o i"]:
    """How much each of the pixels before counts for each pixel after, in one dimension; rows sum to one."""
    scale = (length / after)[:, None, None]
    place = torch.arange(before, device=start.device) - start[:, None, None]
    centre = (torch.arange(after, device=start.device)[:, None] + 0.5) * scale
    # In place, since on a GPU this takes as long as memory does.
    weights = (place + 0.5 - centre).abs_().div_(-scale.clamp_min(1)).add_(1).clamp_min_(0)
    weights.mul_((place >= 0) & (place < length[:, None, None]))
    return weights.div_(weights.sum(2, keepdim=True))


def augmented(images: UInt8[Tensor, "b 3 height width"], plan: AugmentationPlan, size: tuple[int, int]) -> Images:
    """What the plan says, on the device of the images.

    Args:
        plan: on the processor, where it is sorted by operations: the device is never waited for.
        size: height and width to which parts of images are resized.
    """
    device = images.device
    done = resized(images, moved(plan.box, device), moved(plan.flip, device), size)
    place = torch.arange(len(images))
    for step in range(plan.operations.shape[1]):
        # Images of the same operation stand together.
        chosen, order = plan.operations[place, step].sort(stable=True)
        if not torch.equal(order, torch.arange(len(order))):
            place, done = place[order], done[moved(order, device)]
        numbers = moved(plan.numbers[place, step], device)
        counts = chosen.bincount(minlength=len(OPERATIONS)).tolist()
        parts = zip(OPERATIONS.values(), done.split(counts), numbers.split(counts), strict=True)
        for operation, part, given in parts:
            if len(part) and operation is not identity:
                part.copy_(operation(part, given))
    return done if torch.equal(place, torch.arange(len(place))) else done[moved(place.argsort(), device)]


def moved(tensor: Shaped[Tensor, "*shape"], device: torch.device) -> Shaped[Tensor, "*shape"]:
    """From the processor to a device, which is not waited for: from memory that the system may not move."""
    return (
        tensor.contiguous().pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
    )


def _each(number: Float[Tensor, " b"]) -> Float[Tensor, "b 1 1 1"]:
    return number[:, None, None, None]


def grey(images: Images) -> Float[Tensor, "b 1 h w"]:
    """As torchvision weighs red, green and blue."""
    red, green, blue = images.split(1, 1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def identity(images: Images, numbers: Numbers) -> Images:
    """As they are."""
    return images


def brightness(images: Images, numbers: Numbers) -> Images:
    """Numbers: a factor; 0 is black."""
    return images.mul_(_each(numbers[:, 0])).clamp_(0, 1)


def contrast(images: Images, numbers: Numbers) -> Images:
    """Numbers: a factor; 0 is the mean grey of the image."""
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _each(numbers[:, 0]), out=images).clamp_(0, 1)


def saturation(images: Images, numbers: Numbers) -> Images:
    """Numbers: a factor; 0 is the grey image."""
    return torch.lerp(grey(images), images, _each(numbers[:, 0]), out=images).clamp_(0, 1)


def hue(images: Images, numbers: Numbers) -> Images:
    """Numbers: a turn of the circle of colours, 1 for a whole one.

    In HSV a channel is v - c max(0, min(k, 4 - k, 1)), k = (n + 6 h) mod 6 with n = 5, 3, 1 for red, green and blue;
    value v and chroma c stay as they are.
    """
    red, green, blue = images.unbind(1)
    low, value = images.aminmax(dim=1)
    chroma = value - low
    by = torch.where(chroma > 0, chroma, 1.0)
    sector = torch.where(
        value == red, (green - blue) / by, torch.where(value == green, 2 + (blue - red) / by, 4 + (red - green) / by)
    )
    sector = sector + 6 * numbers[:, :1, None]
    k = torch.stack([sector + n for n in (5, 3, 1)], 1).remainder_(6)
    share = torch.minimum(k, 4 - k).clamp_(0, 1)
    return torch.addcmul(value[:, None], share, chroma[:, None], value=-1)


def affine(images: Images, numbers: Numbers) -> Images:
    """Turned, moved, scaled and sheared about the middle; the nearest pixel, black from beyond the border.

    Numbers: angle in degrees, pixels to the right, pixels down, logarithm of the scale, shear of x and of y in degrees.
    """
    height, width = images.shape[2:]
    angle, right, down, scale, shear_x, shear_y = numbers.unbind(1)
    angle, scale, shear_x, shear_y = angle.deg2rad(), scale.exp(), shear_x.deg2rad(), shear_y.deg2rad()
    # Turning and shearing is [[a, b], [c, d]], of determinant 1; a pixel's source is found by the inverse.
    a, c = (angle - shear_y).cos() / shear_y.cos(), (angle - shear_y).sin() / shear_y.cos()
    b, d = -(a * shear_x.tan() + angle.sin()), angle.cos() - c * shear_x.tan()
    x = (torch.arange(width, device=images.device) - (width - 1) / 2 - right[:, None])[:, None, :]
    y = (torch.arange(height, device=images.device) - (height - 1) / 2 - down[:, None])[:, :, None]
    a, b, c, d = (part[:, None, None] for part in (a / scale, b / scale, c / scale, d / scale))
    grid = torch.stack([(d * x - b * y) / (width / 2), (a * y - c * x) / (height / 2)], 3)
    return F.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def autocontrast(images: Images, numbers: Numbers) -> Images:
    """Each channel from 0 to 1."""
    return v2.functional.autocontrast(images)


def equalize(images: Images, numbers: Numbers) -> Images:
    """All levels of 256 equally often, as far as can be."""
    return v2.functional.equalize(images)


def solarize(images: Images, numbers: Numbers) -> Images:
    """Numbers: from where on values are inverted."""
    return torch.where(images >= _each(numbers[:, 0]), 1 - images, images)


def sharpness(images: Images, numbers: Numbers) -> Images:
    """Numbers: a factor; 0 is blurred, but for the border."""
    kernel = images.new_full((3, 1, 3, 3), 1 / 13)
    kernel[:, :, 1, 1] = 5 / 13
    done = images.clone()
    inner = done[:, :, 1:-1, 1:-1]
    inner.copy_(torch.lerp(F.conv2d(images, kernel, groups=3), inner, _each(numbers[:, 0])))
    return done.clamp_(0, 1)


def posterize(images: Images, numbers: Numbers) -> Images:
    """Numbers: bits of a value that are left."""
    levels = _each(numbers[:, 0].exp2())
    return torch.minimum((images * levels).floor(), levels - 1) / levels


def hole(images: Images, numbers: Numbers) -> Images:
    """A square is cut out (Cutout, DeVries and Taylor 2017), and filled with 0.45.

    The authors of SCAN fill with zero after normalisation, which is the mean colour, here about 0.45.

    Numbers: side, row and column of the middle, in pixels.
    """
    side, y, x = (number[:, None] for number in numbers[:, :3].unbind(1))
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[2:])
    top, left = y - (side / 2).floor(), x - (side / 2).floor()
    inside = ((rows >= top) & (rows < top + side))[:, :, None] & ((columns >= left) & (columns < left + side))[:, None]
    return images.masked_fill(inside[:, None], 0.45)


# They may write over the images that they are given.
OPERATIONS: dict[str, Callable[[Images, Numbers], Images]] = {
    operation.__name__: operation
    for operation in (
        *(identity, brightness, contrast, saturation, hue, affine, autocontrast),
        *(equalize, solarize, sharpness, posterize, hole),
    )
}
