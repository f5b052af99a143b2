"""The methods that the paper compares: a configuration file and what differs from it, by the name in `published`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Args:
        config: YAML with the module as for the command line (`model`, and `trainer` or `data` where needed), relative
            to the repository.
        options: arguments of the module that differ from the file.
        data: arguments of the DataModule of a data set that differ from those of the table.
        prefix: of the metrics that count, such as 'best_' for the best epoch of a method that is trained.
    """

    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prefix: str = ""


MIC = "configs/mic/"
AVERAGE = Method(MIC + "average.yaml")
MAX_HAUSDORFF = Method(MIC + "max_hausdorff.yaml")
WEIGHTED = Method(MIC + "weighted_average.yaml")
SEMI = Method(MIC + "weighted_average_semi.yaml")
MASK = Method(MIC + "mask.yaml")

DISTANCES = {
    "Average": AVERAGE,
    "Maximum Hausdorff": MAX_HAUSDORFF,
    "Weighted Average": WEIGHTED,
    "Weighted Average (semi)": SEMI,
}


def with_options(method: Method, /, **options: Any) -> Method:
    """The same method but for some arguments of its module."""
    return replace(method, options={**method.options, **options})


# Beyond the paper: the default of `cluster`.
RESIDUALS = {
    "Signed residuals": Method(MIC + "signed_residuals.yaml"),
    "Signed residuals (semi)": Method(MIC + "signed_residuals_semi.yaml"),
}


def _count(name: str, num_clusters: int | str) -> dict[str, Method]:
    return {f"{row}, {name}": with_options(method, num_clusters=num_clusters) for row, method in RESIDUALS.items()}


# What `cluster` does where nobody says how many clusters there are, and fewer of them.
COUNTS = _count("15 clusters", 15) | _count("clusters to name", "auto")
# Of a user who has few normal images.
FEW_NORMALS = {
    "Signed residuals": RESIDUALS["Signed residuals"],
    **{
        f"Signed residuals ({count} normal images)": with_options(
            RESIDUALS["Signed residuals (semi)"], num_references=count
        )
        for count in (5, 10, 20, 50)
    },
    "Signed residuals (100 normal images)": RESIDUALS["Signed residuals (semi)"],
}
_UNSQUARED = {"MTD": {"aspect": "keep"}}
# Images as they are, not squeezed into squares.
ASPECTS = {
    name: row
    for method in ("Weighted Average", "Signed residuals")
    for name, row in (
        (method, (DISTANCES | RESIDUALS)[method]),
        (f"{method}, aspect kept", replace((DISTANCES | RESIDUALS)[method], data=_UNSQUARED)),
    )
}

CLUSTERERS = {
    "k-means": "kmeans",
    "GMM": "gmm",
    "k-medoids": "kmedoids",
    "Spectral": "spectral",
    "Single linkage": "single",
    "Complete linkage": "complete",
    "Average linkage": "average",
    "Ward": "ward",
}
# k-means and mixtures need one vector an image, which a Hausdorff distance does not give.
CLUSTERINGS = {
    f"{name} ({short})": with_options(distance, method=clusterer)
    for name, clusterer in CLUSTERERS.items()
    for short, distance in (("maxH", MAX_HAUSDORFF), ("WA", WEIGHTED))
    if not (short == "maxH" and clusterer in ("kmeans", "gmm"))
}

DEEP = {
    "IIC": Method("configs/baselines/iic.yaml"),
    "IIC (best epoch)": Method("configs/baselines/iic.yaml", prefix="best_"),
    "GATCluster": Method("configs/baselines/gatcluster.yaml"),
    "GATCluster (best epoch)": Method("configs/baselines/gatcluster.yaml", prefix="best_"),
    "SCAN": Method("configs/baselines/scan.yaml"),
    "SCAN (best epoch)": Method("configs/baselines/scan.yaml", prefix="best_"),
}

PROTOTYPES = Method("configs/baselines/prototypes.yaml")
# What is trained on our own localisation, beside clustering of the same embeddings.
RIVALS = {
    "Signed residuals, bagged Ward": Method(MIC + "signed_residuals.yaml"),
    "Signed residuals, prototypes": PROTOTYPES,
    "Weighted averages, Ward": WEIGHTED,
    "Weighted averages, bagged Ward": with_options(WEIGHTED, method="bagged_ward"),
    "Weighted averages, prototypes": with_options(PROTOTYPES, embedding="paper"),
}

# Section 5.1: the last layer, its patches as they are, without the average pooling.
LAST_LAYER = {
    "Holistic": Method(MIC + "holistic.yaml", {"layer": "last"}),
    **{
        name: with_options(method, layer="last", kernel_size=1)
        for name, method in (
            ("Maximum Hausdorff (last layer)", MAX_HAUSDORFF),
            ("Weighted Average (last layer)", WEIGHTED),
            ("Weighted Average (semi, last layer)", SEMI),
        )
    },
}

# Appendix C, in the order of Table 5; then Eq. 5 and 10.
VARIANTS = {
    name: with_options(MAX_HAUSDORFF, distance=distance)
    for name, distance in (
        ("Hausdorff mean-mean", "mean_mean"),
        ("Hausdorff max-min (max)", "max_hausdorff"),
        ("Hausdorff max-min (mean)", "max_hausdorff_mean"),
        ("Hausdorff min-min", "min_hausdorff"),
        ("Hausdorff mean-min (max)", "mean_hausdorff"),
        ("Hausdorff mean-min (mean)", "mean_hausdorff_mean"),
    )
} | {f"Rarity by {reduce}": with_options(WEIGHTED, reduce=reduce) for reduce in ("mean", "max", "min")}

POOLINGS = {
    name: Method(MIC + "gem.yaml", {"distance": distance})
    for name, distance in (
        ("Max pooling", "max"),
        ("GeM (p = 20)", "gem"),
        ("SPoC", "spoc"),
        ("Bag of words", "bag_of_words"),
    )
}
