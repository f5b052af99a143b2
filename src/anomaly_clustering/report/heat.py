"""How unusual the patches of a run's images are in; one scale for all of them, from usual to unusual, out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import median_abs_deviation

# The share of its patches by which an image is judged: the 16 most unusual ones of 1024.
MOST_UNUSUAL = 1 / 64
# The share of images that is taken for as quiet as good ones are, where none are known to be good.
QUIETEST = 0.1
# The share of patches that are as unusual as can be shown.
HOTTEST = 0.001
# Weights are softmax outputs in float32: an excess over the mean smaller than this share of it is noise.
SMALLEST_EXCESS = 1e-3
# Patches that the scale is found by; of more, evenly spaced ones.
MOST_PATCHES = 2**22
# Images whose heat is computed at a time.
AT_ONCE = 1024
# Where nearly all scores are equal, there is still a scale: of this length, as a share of how far they lie apart.
SHORTEST = 1e-9


class Scale(NamedTuple):
    """Where colours of heat maps, and scores of images, begin and end; the same for all images of a run.

    Attributes:
        usual: up to this score a patch is as patches of good images are: 0 on the scale.
        unusual: 1 on the scale.

    Example:
        >>> Scale(usual=2.0, unusual=4.0).grade(np.array([1.0, 3.0])).tolist()
        [-0.5, 0.5]
    """

    usual: float
    unusual: float

    def grade(self, scores: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
        """Places on the scale: 0 where what is usual ends, 1 at what is most unusual; they may lie outside of these.

        Args:
            scores: of patches or images, any shape.
        """
        graded: Float[np.ndarray, "*any"] = scores - self.usual
        # Where all scores are equal, there is no length to divide by.
        graded /= self.unusual - self.usual or 1
        return graded


def scale_of(scores: Float[np.ndarray, "n h w"], usual: float | None = None) -> Scale:
    """The scale of a run, on which a good image stays dark.

    What is usual ends where it is told, by images known to be good, or where the quietest tenth of the images do with
    their most unusual patches. The scale ends at the most unusual thousandth of all patches, but no sooner than
    a spread of all patches further (by their median absolute deviation): where no image is defective, none is hot. Of
    more than four million patches, evenly spaced ones count.

    Args:
        scores: how unusual each patch of the run is [N, H, W].
        usual: how unusual a good image may be, see `most_unusual`; None if it is not known.

    Returns:
        The scale, in the unit of the scores.

    Example:
        >>> scores = np.zeros((10, 2, 2))
        >>> scores[:, 0, 0] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 5]
        >>> scale_of(scores).usual
        1.0
    """
    if usual is None:
        usual = float(np.quantile(most_unusual(scores), QUIETEST))
    # By an odd number, so that no column of a grid is left out.
    sample = scores.reshape(-1)[:: -(-scores.size // MOST_PATCHES) | 1]
    sample = sample.astype(np.promote_types(sample.dtype, np.float32), copy=False)
    spread = float(median_abs_deviation(sample, axis=None, scale="normal"))
    least, most = min(usual, float(sample.min())), max(usual, float(sample.max()))
    shortest = usual + SHORTEST * (most - least)
    return Scale(usual, max(usual + spread, shortest, float(np.quantile(sample, 1 - HOTTEST))))


def most_unusual(scores: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    """How unusual images are: the mean of the most unusual 1/64 of the patches of each, one patch at least.

    Args:
        scores: how unusual each patch is [N, H, W].

    Returns:
        One number an image [N], in the unit of the scores.

    Example:
        >>> most_unusual(np.array([[[1.0, 2.0], [7.0, 3.0]]])).tolist()
        [7.0]
    """
    flat, means = scores.reshape(len(scores), scores.shape[1] * scores.shape[2]), np.empty(len(scores))
    count = max(1, round(MOST_UNUSUAL * flat.shape[1]))
    for i in range(0, len(flat), AT_ONCE):
        some = flat[i : i + AT_ONCE]
        means[i : i + AT_ONCE] = np.partition(some, -count, axis=1)[:, -count:].mean(1, dtype=np.float64)
    return means


def heat(scores: Float[np.ndarray, "n h w"], scale: Scale) -> Float[np.ndarray, "n h w"]:
    """The heat of each patch, from 0 (usual) to 1.

    Args:
        scores: how unusual each patch is [N, H, W].
        scale: of the run.

    Returns:
        Heat [N, H, W].

    Example:
        >>> heat(np.array([[[1.0, 3.0, 9.0]]]), Scale(2.0, 4.0)).tolist()
        [[[0.0, 0.5, 1.0]]]
    """
    graded = scale.grade(scores)
    return np.clip(graded, 0, 1, out=graded)


def excess(weights: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """How far weights are above the mean of their image, (w - mean) / (max - mean), clipped at 0.

    It is the heat where weights come from no scores, such as those of ground-truth masks.

    Args:
        weights: of the patches of each image [N, H, W].

    Returns:
        Numbers from 0 to 1 [N, H, W]; all 0 where nothing in an image stands out.

    Example:
        >>> excess(np.array([[[0.0, 0.4, 0.6]]])).round(2).tolist()
        [[[0.0, 0.25, 1.0]]]
    """
    mean = weights.mean((1, 2), keepdims=True)
    above = np.clip(weights - mean, 0, None)
    above[above.max((1, 2)) <= SMALLEST_EXCESS * mean[:, 0, 0]] = 0
    highest = above.max((1, 2), keepdims=True)
    return above / np.where(highest > 0, highest, 1)
