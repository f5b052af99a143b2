"""All options of MIC, checked when they are given. What each means is said at `MIC`."""

from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

from anomaly_clustering.clustering.methods import ON_DISTANCES, ON_EMBEDDINGS, Method
from anomaly_clustering.features.backbone import PYRAMID
from anomaly_clustering.features.views import Views
from anomaly_clustering.mic.contract import Picture
from anomaly_clustering.mic.distance_names import PATCHWISE, Distance
from anomaly_clustering.mic.residuals import check_share
from anomaly_clustering.mic.scores import Reduce
from anomaly_clustering.mic.weights import check_tau
from anomaly_clustering.search.precision import Precision
from anomaly_clustering.system.whole_numbers import seed_number

Weights = Literal["uniform", "rarity", "novelty", "mask", "maps"]

CHOICES: dict[str, Any] = {
    "distance": Distance,
    "weights": Weights,
    "reduce": Reduce,
    "method": Method,
    "precision": Precision,
    "views": Views,
}
# How many images all are compared with: a number, as many as the size of the data set asks for, or all.
NumReferences = int | Literal["auto", "all"]
# Whole numbers and the least of each. None, where it is allowed, is for what is not asked for.
LEAST = {"kernel_size": 1, "num_references": 2, "normal_stride": 1, "top_k": 1, "resamples": 0, "seed": 0}
OPTIONAL = ("kernel_size", "num_references", "top_k")
# Scores up to 1e8 divided by it, and by half of it, are numbers in float32.
SMALLEST_TAU = 1e-30


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
    num_references: NumReferences | None
    normal_fraction: float
    normal_stride: int
    tau: float
    effective_patches: float | None
    top_k: int | None
    residual_share: float | None
    signed_root: bool
    views: Views
    method: Method
    num_clusters: int | Literal["auto"] | None
    resamples: int
    precision: Precision
    cache: Path | str | None
    seed: int

    def __post_init__(self) -> None:
        self._check_each()
        self._check_together()

    def _check_each(self) -> None:
        """Each argument by itself; NumPy's numbers become what JSON and PyTorch take."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, known in CHOICES.items():
            # 2.0 and True equal numbers of views, and are none.
            if given[name] not in get_args(known) or (name == "views" and not _is_whole(given[name], 1)):
                raise ValueError(f"{name} must be one of {get_args(known)}, got {given[name]!r}")
        for name, least in LEAST.items():
            said = (None, "auto", "all") if name == "num_references" else (None,)
            if not (name in OPTIONAL and given[name] in said) and not _is_whole(given[name], least):
                raise ValueError(f"{name} must be a whole number and at least {least}, got {given[name]!r}")
        seed_number("seed", self.seed)
        # What is no number is refused below.
        for name in (*LEAST, "num_clusters", "views"):
            if isinstance(given[name], Integral) and not isinstance(given[name], bool):
                object.__setattr__(self, name, int(given[name]))
        for name in ("normal_fraction", "tau", "effective_patches", "residual_share"):
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
        if self.tau < SMALLEST_TAU:
            raise ValueError(f"tau must be at least {SMALLEST_TAU}, by which float32 can divide, got {given['tau']!r}")
        asked = self.effective_patches
        if asked is not None and not (isinstance(asked, Real) and (0 < asked < 1 or 1 < asked < float("inf"))):
            raise ValueError(
                "effective_patches must be above 1 and finite, or a share between 0 and 1, got "
                f"{given['effective_patches']!r}"
            )
        if self.residual_share is not None:
            check_share(self.residual_share)

    def _check_together(self) -> None:
        if self.resamples and self.num_references == "auto" and self._compares_bags:
            raise ValueError(
                "resamples weigh the patches of each subset anew where all images are compared (num_references 'all'), "
                "and not where some are (a number): give one of these, got 'auto'"
            )
        if self._beyond and not self.scores_by_comparing:
            raise ValueError(
                f"{self._beyond} is for patches that are compared with those of other images (distance "
                "'weighted_average', weights 'rarity' or 'novelty'), got "
                f"distance {self.distance!r} and weights {self.weights!r}"
            )
        if self._beyond and self.normal_stride > 1:
            raise ValueError(
                f"normal_stride must be 1 with {self._beyond}, which draws patches, got {self.normal_stride}"
            )
        if self.signed_root and self.distance in PATCHWISE:
            raise ValueError(f"signed_root needs one vector an image, and distance {self.distance!r} has none")
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
    def _beyond(self) -> str:
        """The first option, if any, that takes references which are at hand before the images come."""
        asked = {
            "residual_share": self.residual_share is not None,
            "views": self.views > 1,
            f"layer {self.layer!r}": self.layer is not None and (self.layer == PYRAMID or "," in self.layer),
        }
        return next((name for name, given in asked.items() if given), "")

    @property
    def streams(self) -> bool:
        """Whether images are embedded batch by batch by comparing them with a few references, see `Stream`."""
        return bool(self._beyond)

    @property
    def weighs_subsets(self) -> bool:
        """Whether resampling weighs the patches of each subset anew, since weights depend on the other images."""
        return bool(self.resamples) and self._compares_bags and self.num_references in (None, "all")

    @property
    def _compares_bags(self) -> bool:
        """Whether images may be compared when all of them are known."""
        return self.weighs and self.weights == "rarity" and not self.streams

    @property
    def absolute_checkpoint(self) -> str | None:
        """The file of weights: commands that come later, and other processes, have working directories of their own."""
        return str(Path(self.checkpoint).resolve()) if self.checkpoint else None

    @property
    def localises(self) -> bool:
        """Whether the weights say where the network finds a defect, so that masks can tell how well they do."""
        return self.weighs and self.weights in ("rarity", "novelty", "maps")

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Which entries of a batch, beside its images, are used where they are there."""
        if not self.weighs_patches:
            return ()
        return ("mask", "map") if self.weights == "maps" else ("mask",)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
