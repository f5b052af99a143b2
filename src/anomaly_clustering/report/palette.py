"""The heat of a patch -> its colour and opacity, the same on the page, in its pictures and in contact sheets."""

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps

LEVELS = 64
STRONGEST = 0.9


def coloured(heat: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any 4"]:
    """Colours of heat: what is usual is transparent.

    Args:
        heat: from 0 (usual) to 1, any shape.

    Returns:
        Red, green, blue and opacity, each from 0 to 1.

    Example:
        >>> coloured(np.array([0.0, 1.0]))[:, 3].tolist()
        [0.0, 0.9]
    """
    rgba: Float[np.ndarray, "*any 4"] = colormaps["inferno"](0.3 + 0.65 * heat)  # Darker reads as a shadow.
    rgba[..., 3] = STRONGEST * np.sqrt(heat)
    return rgba


# More levels than the eye tells apart here.
COLOURS = coloured(np.linspace(0, 1, LEVELS))
# The same for the page's own drawings, as CSS.
PALETTE = [f"rgb({' '.join(str(round(255 * c)) for c in rgb)} / {alpha:.2f})" for *rgb, alpha in COLOURS.tolist()]
