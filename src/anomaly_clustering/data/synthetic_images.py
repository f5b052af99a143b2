"""Draws photographs of a brushed steel plate with six types of defects, and their masks, from a seed.

The plate is a height field and a reflectance, which a lamp lights and a camera records. A defect changes the plate,
never the picture, so light, blur and noise treat it as they treat the steel around it. Lengths are in pixels of a
256 px image, whatever the size that is drawn.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from anomaly_clustering.system.whole_numbers import seed_number, whole_number

MIN_SIZE = 64
_SIDE = 256
# How far from a curve a defect is seen.
_REACH = 8.0

_Map = Float[np.ndarray, "size size"]
_Curve = Float[np.ndarray, "points 2"]


@dataclass
class _Plate:
    """What the camera sees; a defect changes `height` and `reflectance` in place."""

    x: _Map
    y: _Map
    height: _Map
    reflectance: Float[np.ndarray, "size size 3"]
    grain_angle: float
    extent: float  # of defects: how large, 1 at difficulty 0.5
    contrast: float  # of defects: how strong, 1 at difficulty 0.5
    vary: float  # how much harmless things differ from image to image, 1 at difficulty 1

    def paint(self, amount: _Map, colour: tuple[float, float, float]) -> None:
        """Multiply the reflectance by a colour where the amount is 1, leave it where the amount is 0."""
        self.reflectance *= 1 - self.contrast * amount[..., None] * (1 - np.array(colour))

    def distance_to(self, curve: _Curve) -> tuple[_Map, _Map]:
        """Distance of each pixel to a curve (inf beyond 8 pixels), and where on the curve, 0 to 1, it is nearest."""
        distance, index = cKDTree(curve).query(np.stack([self.x, self.y], -1), distance_upper_bound=_REACH)
        return distance, np.minimum(index / (len(curve) - 1), 1.0)


def _dial(difficulty: float, easy: float, default: float, hard: float) -> float:
    return float(np.interp(difficulty, [0, 0.5, 1], [easy, default, hard]))


def _somewhere(rng: np.random.Generator) -> Float[np.ndarray, "2"]:
    return rng.uniform(45, _SIDE - 45, 2)


def _below(edge: float | _Map, softness: float, distance: _Map) -> _Map:
    """1 where the distance is under edge - softness, 0 where it is over edge + softness, smooth between."""
    t = np.clip((edge + softness - distance) / (2 * softness), 0, 1)
    return t * t * (3 - 2 * t)


def _path(headings: Float[np.ndarray, " knots"], stride: float) -> _Curve:
    """The polyline of one step per heading from (0, 0), sampled four times a pixel."""
    corners = np.cumsum(stride * np.stack([np.cos(headings), np.sin(headings)], -1), 0)
    t = np.linspace(0, len(corners) - 1, int(4 * stride * len(corners)))
    return np.stack([np.interp(t, np.arange(len(corners)), column) for column in corners.T], -1)


def _noise(rng: np.random.Generator, size: int, angle: float, layers: list[tuple[float, float, float]]) -> _Map:
    """Zero-mean noise as a sum of layers (amplitude, smoothness along the angle, smoothness across it)."""
    u, v = np.fft.rfftfreq(size, _SIDE / size), np.fft.fftfreq(size, _SIDE / size)[:, None]
    along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    spectrum = np.zeros((size, len(u)))
    for amplitude, a, b in layers:
        layer = np.exp(-2 * np.pi**2 * ((a * along) ** 2 + (b * across) ** 2))
        layer[0, 0] = 0
        spectrum += amplitude * layer / np.sqrt(np.mean(layer**2))
    return np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * spectrum, s=(size, size))


def _patch(rng: np.random.Generator, plate: _Plate, radius: float) -> _Map:
    """Distance from the outline of a patch of uneven shape, negative inside."""
    (cx, cy), angle, stretch = _somewhere(rng), rng.uniform(0, np.pi), rng.uniform(1.0, 1.35)
    dx, dy = plate.x - cx, plate.y - cy
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    wobble = np.clip(_noise(rng, len(dx), 0.0, [(0.15, 9.0, 9.0), (0.05, 3.0, 3.0)]), -0.4, 0.4)
    return np.hypot(along / stretch, across * stretch) * (1 + wobble) - radius


# Each of these draws one defect on the plate, and returns how much, from 0 to 1, it altered each pixel.


def _crack(rng: np.random.Generator, plate: _Plate) -> _Map:
    """A dark jagged line that forks and thins out."""
    angle, knots = rng.uniform(0, 2 * np.pi), int(rng.uniform(18, 26) * plate.extent)

    def jagged(direction: float, count: int) -> _Curve:
        return _path(direction + rng.normal(0, 0.55, count), stride=3.0)

    trunk = jagged(angle, knots)
    trunk += _somewhere(rng) - trunk.mean(0)
    branches = [(trunk, 1.3)]
    for side in (-1, 1):
        fork = trunk[int(len(trunk) * rng.uniform(0.2, 0.7))]
        branches.append((fork + jagged(angle + side * rng.uniform(0.5, 1.0), knots // 2), 0.9))
    amount = np.zeros_like(plate.x)
    for curve, width in branches:
        distance, along = plate.distance_to(curve)
        amount = np.maximum(amount, _below(width * (1 - 0.8 * along), 0.7, distance))
    plate.height -= plate.contrast * amount
    plate.paint(amount, (0.25, 0.25, 0.25))
    return amount


def _fibre(rng: np.random.Generator, plate: _Plate) -> _Map:
    """A pale curled thread that lies on the plate and throws a shadow."""
    knots = int(rng.uniform(45, 65) * plate.extent)
    bends = gaussian_filter(rng.normal(0, 0.35, knots), 4) + rng.choice([-0.08, 0.08])
    thread = _path(rng.uniform(0, 2 * np.pi) + np.cumsum(bends), stride=2.0)
    thread += _somewhere(rng) - thread.mean(0)
    lit, shade = _below(1.6, 0.8, plate.distance_to(thread)[0]), _below(1.2, 1.5, plate.distance_to(thread + 2.2)[0])
    plate.paint(shade, (0.6, 0.6, 0.6))
    plate.reflectance += plate.contrast * lit[..., None] * (np.array([1.5, 1.5, 1.6]) - plate.reflectance)
    return np.maximum(lit, shade)


def _hole(rng: np.random.Generator, plate: _Plate) -> _Map:
    """A small dark pit with a raised, shiny rim."""
    (cx, cy), radius, phase = _somewhere(rng), rng.uniform(4.5, 7) * plate.extent, rng.uniform(0, 2 * np.pi)
    dx, dy = plate.x - cx, plate.y - cy
    theta = np.arctan2(dy, dx) + phase
    distance = np.hypot(dx, dy) / (1 + 0.12 * np.sin(2 * theta) + 0.06 * np.sin(3 * theta + phase))
    pit, rim = _below(radius, 1.5, distance), _below(1.0, 2.0, abs(distance - radius - 1.5))
    plate.height += plate.contrast * (1.2 * rim - 2 * pit)
    plate.paint(pit, (0.25, 0.25, 0.25))
    plate.paint(rim, (1.15, 1.15, 1.15))
    return np.maximum(pit, rim)


def _scratch(rng: np.random.Generator, plate: _Plate) -> _Map:
    """Two or three straight bright lines side by side, across the grain."""
    # Plates slide off the fixture to one side.
    angle = plate.grain_angle + 1.0 + plate.vary * rng.uniform(-0.6, 0.6)
    centre, knots = _somewhere(rng), int(rng.uniform(14, 22) * plate.extent)
    amount = np.zeros_like(plate.x)
    for _ in range(rng.integers(2, 4)):
        line = _path(angle + rng.normal(0, 0.03) + rng.normal(0, 0.01, knots), stride=4.0)
        distance, along = plate.distance_to(line + centre - line.mean(0) + rng.normal(0, 4, 2))
        amount = np.maximum(amount, _below(0.3 + 0.8 * np.sin(np.pi * along), 0.6, distance))
    plate.height -= 0.5 * plate.contrast * amount
    plate.paint(amount, (1.7, 1.7, 1.7))
    return amount


def _scuff(rng: np.random.Generator, plate: _Plate) -> _Map:
    """A rubbed patch: fine short strokes in all directions hide the grain."""
    amount = _below(0.0, 4.0, _patch(rng, plate, rng.uniform(14, 19) * plate.extent))
    first = rng.uniform(0, np.pi)
    strokes = [_noise(rng, len(plate.x), first + turn, [(1.0, 5.0, 0.5)]) for turn in (0.0, 0.9, 2.0)]
    rubbed = 1.1 + 0.25 * np.clip(np.max(strokes, 0), 0, None)
    plate.reflectance += plate.contrast * amount[..., None] * (rubbed[..., None] - plate.reflectance)
    return amount


def _stain(rng: np.random.Generator, plate: _Plate) -> _Map:
    """A soft-edged translucent blotch, darkest where it dried along its outline."""
    distance = _patch(rng, plate, rng.uniform(14, 19) * plate.extent)
    film, dried = _below(0.0, 4.0, distance), _below(1.0, 3.0, abs(distance + 2))
    warmth = rng.uniform(0, 0.2)
    cloud = 0.8 + 0.2 * np.clip(_noise(rng, len(plate.x), 0.0, [(1.0, 4.0, 4.0)]), -1, 1)
    plate.paint(film * cloud, (0.7, 0.7 - warmth / 2, 0.7 - warmth))
    plate.paint(dried * cloud, (0.75, 0.75 - warmth / 2, 0.75 - warmth))
    return np.maximum(film, dried)


_DRAW: dict[str, Callable[[np.random.Generator, _Plate], _Map]] = {
    "crack": _crack,
    "fibre": _fibre,
    "hole": _hole,
    "scratch": _scratch,
    "scuff": _scuff,
    "stain": _stain,
}
DEFECTS: tuple[str, ...] = tuple(_DRAW)


def _clean_plate(rng: np.random.Generator, size: int, difficulty: float) -> _Plate:
    """Brushed steel with a milled groove and two pressed dimples beside it, which no image lacks."""
    vary = _dial(difficulty, 0.2, 0.65, 1.0)
    y, x = (np.mgrid[:size, :size] + 0.5) * _SIDE / size
    angle, shift = vary * rng.normal(0, 0.06), rng.normal(0, 8, 2)
    scale, depth = np.exp(vary * rng.normal(0, 0.4)), 0.07 * np.exp(vary * rng.normal(0, 0.4))
    grain = _noise(rng, size, angle, [(1.0, 30 * scale, 0.6 * scale), (0.6, 90.0, 2.5 * scale), (0.4, 1.2, 0.5)])
    along = (x - 128) * np.cos(angle) + (y - 128) * np.sin(angle) - shift[0]
    across = (y - 128) * np.cos(angle) - (x - 128) * np.sin(angle) - shift[1]
    height = -2.5 * _below(3.5, 2.5, abs(along - 60))
    for position in (-64, 64):
        height -= 2.5 * _below(4.0, 4.0, np.hypot(along - 86, across - position))
    reflectance = np.exp(depth * grain)[..., None] * np.ones(3)
    extent, contrast = _dial(difficulty, 1.5, 1.0, 0.7), _dial(difficulty, 1.25, 1.0, 0.5)
    return _Plate(x, y, height, reflectance, angle, extent, contrast, vary)


def _photograph(rng: np.random.Generator, plate: _Plate) -> UInt8[np.ndarray, "size size 3"]:
    vary, pixels = plate.vary, len(plate.x) / _SIDE
    lamp, tilt, shine, shine_at, corners = rng.uniform([0, 0.1, 0, -0.5, 0], [2 * np.pi, 0.6, 0.4, 0.5, 0.6])
    x, y = plate.x / _SIDE - 0.5, plate.y / _SIDE - 0.5
    along = x * np.cos(plate.grain_angle) + y * np.sin(plate.grain_angle)
    light = 0.45 * np.exp(vary * rng.normal(0, 0.25)) * (1 + vary * tilt * (x * np.cos(lamp) + y * np.sin(lamp)))
    light *= (1 + vary * shine * np.exp(-(((along - shine_at) / 0.3) ** 2))) * (1 - vary * corners * (x * x + y * y))
    tint = np.exp(vary * (rng.normal(0, 0.05) * np.array([1, 0, -1]) + rng.normal(0, 0.025, 3)))
    dy, dx = np.gradient(plate.height, 1 / pixels)
    relief = np.clip(1 - 0.6 * (dx * np.cos(lamp) + dy * np.sin(lamp)), 0.2, 2.0)
    blur = pixels * (0.3 + vary * rng.uniform(0, 0.8))
    picture = gaussian_filter(plate.reflectance * (relief * light)[..., None] * tint, (blur, blur, 0))
    # A film curve: highlights fade into white rather than being cut off.
    picture = 1.1 * np.tanh(picture / 1.1)
    picture += (0.005 + vary * rng.uniform(0, 0.02)) * rng.standard_normal(picture.shape)
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def product_image(
    rng: np.random.Generator, defect: str | None, *, size: int = 256, difficulty: float = 0.5
) -> tuple[UInt8[np.ndarray, "size size 3"], Bool[np.ndarray, "size size"]]:
    """Draw one photograph and the mask of its defect.

    Args:
        rng: draws the plate, the defect, the light and the noise. Fresh generators of the same seed give the same
            plate, light and noise with any defect and with none.
        defect: one of `DEFECTS`, or None for a good plate.
        size: height and width in pixels, at least 64; 256 is the paper's size of images.
        difficulty: 0 gives large strong defects on plates that look alike, 1 small faint ones on plates that differ in
            grain, light, tint and sharpness; 0.5 lies between.

    Returns:
        The photograph, uint8 [size, size, 3], and the mask, bool [size, size], which is empty for a good plate.

    Raises:
        ValueError: unknown defect, size below 64, difficulty outside of [0, 1].

    Example:
        >>> image, mask = product_image(np.random.default_rng(0), "hole", size=64)
        >>> image.shape, image.dtype.name, bool(0 < mask.mean() < 0.05)
        ((64, 64, 3), 'uint8', True)
    """
    if defect is not None and defect not in _DRAW:
        raise ValueError(f"defect must be None or one of {', '.join(DEFECTS)}, got {defect!r}")
    size = whole_number("size", size, least=MIN_SIZE)
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must be between 0 (easy) and 1 (hard), got {difficulty}")
    for_plate, for_defect, for_camera = rng.spawn(3)
    plate = _clean_plate(for_plate, size, difficulty)
    amount = np.zeros_like(plate.x) if defect is None else _DRAW[defect](for_defect, plate)
    return _photograph(for_camera, plate), amount > 0.25


def write_dataset(
    root: Path, *, per_class: int = 12, normals: int = 24, size: int = 256, seed: int = 0, difficulty: float = 0.5
) -> None:
    """Write a data set in the layout of MVTec AD: photographs of plates with each type of defect, and of good ones.

    The files are test/good/000.png, test/<defect>/000.png, ground_truth/<defect>/000_mask.png and train/good/000.png. A
    file depends on seed, size, difficulty and its own name alone, not on how many others there are. Files of the same
    name are replaced, others stay.

    Args:
        root: the folder to write to.
        per_class: number of test images of each defect, and of good ones; 12 of each are clustered in seconds.
        normals: number of good images in train/good.
        size: height and width in pixels, at least 64; 256 is the paper's size of images.
        seed: draws the images.
        difficulty: from 0 to 1, see `product_image`.

    Raises:
        ValueError: per_class below 1, normals or seed below 0, size below 64, difficulty outside of [0, 1].

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     write_dataset(Path(root), per_class=1, normals=2, size=64)
        ...     print(sorted(path.name for path in (Path(root) / "test").iterdir()))
        ['crack', 'fibre', 'good', 'hole', 'scratch', 'scuff', 'stain']
    """
    per_class = whole_number("per_class", per_class, least=1)
    normals = whole_number("normals", normals, least=0)
    seed = seed_number("seed", seed)
    for folder, number in _images(per_class, normals):
        # The name seeds, not its place in the list: one more type of defect leaves the images of the others alone.
        rng, name = np.random.default_rng([seed, number, *folder.encode()]), Path(folder).name
        image, mask = product_image(rng, name if name in DEFECTS else None, size=size, difficulty=difficulty)
        drawn = (image, np.where(mask, 255, 0).astype(np.uint8))
        for file, pixels in zip(_files(folder, number), drawn, strict=False):
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def dataset_files(*, per_class: int = 12, normals: int = 24) -> list[str]:
    """The files that `write_dataset` writes.

    Args:
        per_class: see there.
        normals: see there.

    Returns:
        Paths below the folder of the data set.

    Example:
        >>> dataset_files(per_class=1, normals=1)[:4]
        ['train/good/000.png', 'test/good/000.png', 'test/crack/000.png', 'ground_truth/crack/000_mask.png']
    """
    return [file for folder, number in _images(per_class, normals) for file in _files(folder, number)]


def _images(per_class: int, normals: int) -> Iterator[tuple[str, int]]:
    """Folder and number of each image."""
    folders = {"train/good": normals, "test/good": per_class} | {f"test/{name}": per_class for name in DEFECTS}
    return ((folder, number) for folder, count in folders.items() for number in range(count))


def _files(folder: str, number: int) -> list[str]:
    """Of an image, and of its mask where it has a defect."""
    name = Path(folder).name
    masks = [f"ground_truth/{name}/{number:03d}_mask.png"] if name in DEFECTS else []
    return [f"{folder}/{number:03d}.png", *masks]
