"""The name of a method in; the arguments of MIC that make it out: the paper's, and signed residuals, the default."""

from typing import Any, Literal

from anomaly_clustering.features.backbone import PYRAMID
from anomaly_clustering.system.choices import check_choice

Preset = Literal["signed_residuals", "paper"]
# The same numbers for all networks and products; none was chosen by one data set. See the page on the method.
SIGNED_RESIDUALS: dict[str, Any] = {
    "layer": PYRAMID,
    "reduce": "interval",
    "effective_patches": 0.06,
    "residual_share": 0.75,
    "signed_root": True,
    "views": 4,
    "method": "bagged_ward",
}
# Normal images are alike but for where they were cut: the closest of them show what a patch should be.
AGAINST_NORMALS: dict[str, Any] = SIGNED_RESIDUALS | {"weights": "novelty", "reduce": "mean", "residual_share": 0.1}


def method_arguments(preset: Preset, *, normals: bool, **chosen: Any) -> dict[str, Any]:
    """Arguments of MIC for a method.

    Args:
        preset: 'signed_residuals' or 'paper'.
        normals: whether there are images that are known to be free of defects.
        chosen: arguments of MIC that take the place of the method's; None leaves these. A tau takes the place of the
            number of patches that count.

    Returns:
        Keyword arguments of MIC.

    Raises:
        ValueError: there is no such method.

    Example:
        >>> method_arguments("paper", normals=True, layer=None, method="average")
        {'weights': 'novelty', 'method': 'average'}
    """
    check_choice("the method", preset, Preset)
    given = {name: value for name, value in chosen.items() if value is not None}
    if "tau" in given:
        given = {"effective_patches": None} | given
    if preset == "paper":
        return {"weights": "novelty" if normals else "rarity"} | given
    return (AGAINST_NORMALS if normals else SIGNED_RESIDUALS) | given
