"""All options of MIC, checked when they are given. What each means is said at `MIC`."""

from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

from anomaly_clustering.clustering.methods import ON_DISTANCES, ON_EMBEDDINGS, Method
from anomaly_clustering.mic.distance_names import PATCHWISE, Distance
from anomaly_clustering.mic.weights import Reduce, check_tau
from anomaly_clustering.search.precision import Precision

Weights = Literal["uniform", "rarity", "novelty", "mask", "maps"]

CHOICES: dict[str, Any] = {
    "distance": Distance,
    "weights": Weights,
    "reduce": Reduce,
    "method": Method,
    "precision": Precision,
}
# Whole numbers and the least of each. None, where it is allowed, is for what is not asked for.
LEAST = {"kernel_size": 1, "num_references": 2, "normal_stride": 1, "top_k": 1, "resamples": 0, "seed": 0}
OPTIONAL = ("kernel_size", "num_references", "top_k")


@dataclass(frozen=True, kw_only=True)
class Options:
    """All arguments of MIC; a run reads them and never writes them.

    Raises:
        ValueError: an argument is not allowed, alone or together with another; the message names it, the value and what
            is allowed.
    """

    backbone: str
    layer: str | None
    checkpoint: Path | str | None
    kernel_size: int | None
    distance: Distance
    weights: Weights
    reduce: Reduce
    num_references: int | None
    normal_fraction: float
    normal_stride: int
    tau: float
    effective_patches: float | None
    top_k: int | None
    method: Method
    num_clusters: int | Literal["auto"] | None
    resamples: int
    precision: Precision
    cache: Path | str | None
    seed: int

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, known in CHOICES.items():
            if given[name] not in get_args(known):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {given[name]!r}")
        for name, least in LEAST.items():
            if not (given[name] is None and name in OPTIONAL) and not _is_whole(given[name], least):
                raise ValueError(f"{name} must be a whole number and at least {least}, got {given[name]!r}")
        # NumPy's numbers become what JSON and PyTorch take; what is none is refused below.
        for name in (*LEAST, "num_clusters"):
            if isinstance(given[name], Integral) and not isinstance(given[name], bool):
                object.__setattr__(self, name, int(given[name]))
        for name in ("normal_fraction", "tau", "effective_patches"):
            if isinstance(given[name], Real) and not isinstance(given[name], bool):
                object.__setattr__(self, name, float(given[name]))
        if self.kernel_size is not None and self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")
        if not (self.num_clusters in ("auto", None) or _is_whole(self.num_clusters, 2)):
            raise ValueError(f"num_clusters must be at least 2, or 'auto', got {self.num_clusters!r}")
        if self.resamples == 1:
            raise ValueError("resamples must be 0 (none) or at least 2, got 1")
        if not (isinstance(self.normal_fraction, Real) and 0 < self.normal_fraction <= 1):
            raise ValueError(f"normal_fraction must be above 0 and at most 1, got {given['normal_fraction']!r}")
        check_tau(self.tau)
        patches = self.effective_patches
        if patches is not None and not (isinstance(patches, Real) and 1 < patches < float("inf")):
            raise ValueError(f"effective_patches must be above 1 and finite, got {given['effective_patches']!r}")
        if self.distance in PATCHWISE and self.method in ON_EMBEDDINGS:
            raise ValueError(
                f"method {self.method!r} needs one vector an image, and distance {self.distance!r} has none; with it "
                f"use one of {tuple(ON_DISTANCES)}"
            )

    @property
    def weighs(self) -> bool:
        """Whether images are compared by averages that weigh patches."""
        return self.distance == "weighted_average"

    @property
    def weighs_patches(self) -> bool:
        """Whether patches count differently, so that there are weights to look at."""
        return self.weighs and self.weights != "uniform"

    @property
    def scores_by_comparing(self) -> bool:
        """Whether the weights follow from comparing patches with those of other images."""
        return self.weighs and self.weights in ("rarity", "novelty")

    @property
    def weighs_subsets(self) -> bool:
        """Whether resampling weighs the patches of each subset anew, since weights depend on the other images."""
        return bool(self.resamples) and self.weighs and self.weights == "rarity" and self.num_references is None

    @property
    def localises(self) -> bool:
        """Whether the weights say where the network finds a defect, so that masks can tell how well they do."""
        return self.weighs and self.weights in ("rarity", "novelty", "maps")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
