"""The paper's embedding and signed residuals, the default, in; the methods on the way from one to the other out."""

from typing import Any

from anomaly_clustering.mic.presets import method_arguments
from anomaly_clustering.mic.references import NORMAL_IMAGES
from anomaly_clustering.mic.streaming import IMAGES
from experiments.methods import SEMI, WEIGHTED, Method, with_options

# Of rows in which normal images are known, as in the paper's tables.
SUFFIX = " (semi)"


def ladder(*, normals: bool) -> dict[str, Method]:
    """The rows of the ladder: its steps, then the default without one ingredient at a time.

    Args:
        normals: whether there are images that are known to be free of defects.

    Returns:
        Methods by the names of their rows, from the paper's on.
    """
    paper, suffix = (SEMI, SUFFIX) if normals else (WEIGHTED, "")
    method, rows = paper, {"Weighted Average": paper}
    for name, ingredient in _steps(normals=normals).items():
        rows[name] = method = with_options(method, **ingredient)
    # The last step is the default.
    rows |= {f"Default {name}": with_options(method, **change) for name, change in _changes(normals=normals).items()}
    return {name + suffix: method for name, method in rows.items()}


def _steps(*, normals: bool) -> dict[str, dict[str, Any]]:
    """What each step adds to the one before; the values are those of the default."""
    default = method_arguments("signed_residuals", normals=normals)

    def of(*names: str) -> dict[str, Any]:
        return {name: default[name] for name in names}

    few = NORMAL_IMAGES if normals else IMAGES
    return {
        f"+ {few} {'normal images' if normals else 'references'}": {"num_references": few},
        f"+ tau by {default['effective_patches']:.0%} of the patches": of("effective_patches"),
        # From here on images are compared with so many references anyway.
        "+ levels": of("layer") | {"num_references": None},
        "+ signed roots": of("signed_root"),
        "+ residuals": of("residual_share"),
        # Distances to normal images are one number a patch already.
        **({} if normals else {"+ interval scores": of("reduce")}),
        "+ bagged Ward": of("method"),
        "+ 2 views": {"views": 2},
        f"+ {default['views']} views, the default": of("views"),
    }


def _changes(*, normals: bool) -> dict[str, dict[str, Any]]:
    """What takes one ingredient out of the default again."""
    return {
        "without levels": {"layer": None},
        "without signed roots": {"signed_root": False},
        "without residuals": {"residual_share": None},
        **({} if normals else {"without interval scores": {"reduce": "mean"}}),
        "without bagging": {"method": "ward"},
        "with one view": {"views": 1},
    }


LADDER = ladder(normals=False) | ladder(normals=True)
