"""How the pictures look, and the small files that they become: a figure or a screenshot -> docs/pictures/NAME.webp."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
MOST_BYTES = 150_000
# By Okabe and Ito: told apart by colour-blind readers too.
COLOURS = ["#999999", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7"]
INK, MUTED, ACCENT, WARN = "#1b201e", "#59625e", "#0c665b", "#b45309"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def save(image: Image.Image, name: str) -> None:
    """Write a picture as WebP, in the best quality that keeps it small."""
    for quality in (90, 80, 70, 60, 50):
        buffer = BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() < MOST_BYTES:
            break
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.webp").write_bytes(buffer.getvalue())
    print(f"{name}.webp: {image.width} x {image.height}, {buffer.tell() / 1000:.0f} kB", flush=True)


def drawn(figure: Figure, *, dpi: int = 150, **layout: Any) -> Image.Image:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", **layout)
    return Image.open(buffer)


def show(axes: Any, image: torch.Tensor, title: str = "") -> None:
    axes.imshow(image.permute(1, 2, 0).numpy())
    axes.set_title(title)
    axes.set_axis_off()


def overlay(axes: Any, image: torch.Tensor, weights: torch.Tensor, side: int) -> None:
    """Weights over their image, as the report shows them: what weighs no more than the mean is transparent."""
    show(axes, image)
    grid = weights.view(side, side).numpy()
    above = np.clip(grid - grid.mean(), 0, None)
    above = above / above.max() if above.max() > 1e-3 * grid.mean() else above * 0
    colours = matplotlib.colormaps["inferno"](0.3 + 0.65 * above)
    colours[..., 3] = 0.9 * np.sqrt(above)
    axes.imshow(colours, extent=(0, image.shape[2], image.shape[1], 0), interpolation="bilinear")


def figure(width: float, height: float, **grid: Any) -> tuple[Figure, Any]:
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**grid)


def trimmed(made: Figure, *, dpi: int = 150) -> Image.Image:
    """Drawn, with a narrow margin."""
    return drawn(made, dpi=dpi, bbox_inches="tight", pad_inches=0.08)
