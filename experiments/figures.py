"""The paper's figures as methods to measure and a function that draws what was found."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure as Drawing

from experiments.categories import MTD, MVTEC, Category
from experiments.cells import Settings
from experiments.figure_images import gallery, operators, weight_maps
from experiments.figure_lines import bars, purity, sensitivity
from experiments.found import Found
from experiments.methods import (
    DISTANCES,
    LAST_LAYER,
    MASK,
    MAX_HAUSDORFF,
    SEMI,
    WEIGHTED,
    Method,
    with_options,
)

UNSUPERVISED, SEMI_NAME = "Weighted Average", "Weighted Average (semi)"
TAUS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# Of the first network layer that the paper uses: a patch for every 8 x 8 pixels.
STRIDE = 8
TOP_K = 16


class Network(NamedTuple):
    """One bar plot of Figures 9 to 11: a network, its weights if in a local file, and its last layer if cut."""

    name: str
    checkpoint: str | None = None
    last_layer: str = "last"

    def __str__(self) -> str:
        """As the command line takes it."""
        layer = f"@{self.last_layer}" if self.last_layer != "last" else ""
        return f"{self.name}{layer}{f'={self.checkpoint}' if self.checkpoint else ''}"

    @property
    def of_file(self) -> str:
        """What tells the files of figures with it, wherever its weights lie."""
        layer = self.last_layer if self.last_layer != "last" else ""
        return "-".join(filter(None, [self.name, Path(self.checkpoint or "").stem, layer]))


@dataclass(frozen=True)
class Figure:
    """What to measure, on what, and how to draw it.

    Args:
        methods: of the settings, and of the networks where these are compared.
        draw: from what was found and the networks.
        categories: on which it is measured.
        networks: that it compares, if any.
        metrics: of its methods, printed beside it.
    """

    title: str
    methods: Callable[[Settings, Sequence[Network]], Mapping[str, Method]]
    draw: Callable[[Found, Sequence[Network]], Drawing]
    categories: tuple[Category, ...] = (*MVTEC, MTD)
    networks: tuple[Network, ...] = ()
    metrics: tuple[str, ...] = ("nmi",)
    note: str = ""


def _some(*names: str) -> tuple[Category, ...]:
    return (*(category for category in MVTEC if category.name in names), MTD)


def _always(methods: Mapping[str, Method]) -> Callable[[Settings, Sequence[Network]], Mapping[str, Method]]:
    return lambda settings, networks: methods


def _taus(methods: Mapping[str, Method]) -> dict[str, dict[float, str]]:
    return {name: {tau: f"{name}, tau {tau:g}" for tau in TAUS} for name in methods}


def _with_taus(methods: Mapping[str, Method]) -> dict[str, Method]:
    names = _taus(methods)
    return {names[name][tau]: with_options(method, tau=tau) for name, method in methods.items() for tau in TAUS}


def _ks(settings: Settings) -> dict[float, str]:
    patches = (settings.image_size // STRIDE) ** 2
    return {float(k): f"{UNSUPERVISED}, k {k}" for k in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if k <= patches}


def _hard(k: float) -> Method:
    return with_options(WEIGHTED, tau=math.inf, top_k=int(k))


BOTH = {UNSUPERVISED: WEIGHTED, SEMI_NAME: SEMI}
TAU, K = "tau, the smoothness of the weights", "k, the number of patches that count"
PURITY = DISTANCES | {"Top-k weights": _hard(TOP_K)}


def _figure7_methods(settings: Settings, networks: Sequence[Network]) -> dict[str, Method]:
    return _with_taus({UNSUPERVISED: WEIGHTED}) | {name: _hard(k) for k, name in _ks(settings).items()}


def _figure7(found: Found, networks: Sequence[Network]) -> Drawing:
    panels = {
        "(a) soft weights": _taus({UNSUPERVISED: WEIGHTED})[UNSUPERVISED],
        "(b) hard weights": _ks(found.settings),
    }
    return sensitivity(found, panels, xlabel=dict(zip(panels, (TAU, K), strict=True)))


def _fractions() -> dict[float, str]:
    return {fraction: f"{SEMI_NAME}, {fraction:.0%} of the normal images" for fraction in FRACTIONS}


def _figure8(found: Found, networks: Sequence[Network]) -> Drawing:
    return sensitivity(
        found,
        {SEMI_NAME: _fractions()},
        xlabel={SEMI_NAME: "share of the labelled normal images"},
        dotted={SEMI_NAME: UNSUPERVISED},
    )


def _across(methods: Mapping[str, Method]) -> Callable[[Settings, Sequence[Network]], dict[str, Method]]:
    """Every method with every network."""

    def crossed(settings: Settings, networks: Sequence[Network]) -> dict[str, Method]:
        return {
            f"{network.name}: {name}": with_options(
                method, backbone=network.name, checkpoint=network.checkpoint, **_layer(method, network)
            )
            for network in networks
            for name, method in methods.items()
        }

    return crossed


def _layer(method: Method, network: Network) -> dict[str, str]:
    return {"layer": network.last_layer} if method.options.get("layer") == "last" else {}


def _bars(methods: Mapping[str, Method]) -> Callable[[Found, Sequence[Network]], Drawing]:
    def draw(found: Found, networks: Sequence[Network]) -> Drawing:
        names = {(network.name, method): f"{network.name}: {method}" for network in networks for method in methods}
        return bars(found, [network.name for network in networks], list(methods), names)

    return draw


RESNETS = tuple(Network(f"resnet{depth}.tv_in1k") for depth in (18, 50, 101, 152))
EFFICIENTNETS = tuple(Network(f"tf_efficientnet_b{size}.aa_in1k") for size in (0, 4, 7))
VITS = tuple(Network(f"vit_{size}_patch16_224.augreg_in21k_ft_in1k") for size in ("tiny", "small", "base", "large"))
WIDE = Network("wide_resnet50_2.racm_in1k")
OPERATORS = {f"{reduce} over images": with_options(WEIGHTED, reduce=reduce) for reduce in ("mean", "max", "min")}

FIGURES: dict[str, Figure] = {
    "figure3": Figure(
        "Weights over images",
        _always({"Maximum Hausdorff": MAX_HAUSDORFF, **BOTH, "Weighted Average (mask)": MASK}),
        lambda found, networks: weight_maps(found, [*BOTH, "Weighted Average (mask)"], "Maximum Hausdorff"),
        note="Maximum Hausdorff: share of the other images to which a patch decides the distance (Eq. 4).",
    ),
    "figure4": Figure(
        "Purity of clusters on a few categories",
        _always(DISTANCES),
        lambda found, networks: purity(found, list(DISTANCES)),
        categories=_some("cable", "hazelnut", "leather", "wood"),
        metrics=("mauc",),
        note="In brackets mAUC. The text of the paper does not name its categories.",
    ),
    "figure5": Figure(
        "Clusters, by semi-supervised weights and Ward",
        _always({SEMI_NAME: Method(SEMI.config, data={"MVTec AD": {"include_combined": True}})}),
        lambda found, networks: gallery(found, SEMI_NAME),
        categories=_some("cable", "tile"),
        note="In brackets purity. Red: not of the majority. Orange: several types of defect in one image.",
    ),
    "figure6": Figure(
        "Sensitivity to tau",
        lambda settings, networks: _with_taus(BOTH),
        lambda found, networks: sensitivity(found, _taus(BOTH), xlabel=dict.fromkeys(BOTH, TAU)),
    ),
    "figure7": Figure("Sensitivity to tau and k", _figure7_methods, _figure7),
    "figure8": Figure(
        "Number of labelled normal images",
        _always(
            {UNSUPERVISED: WEIGHTED}
            | {name: with_options(SEMI, normal_fraction=fraction) for fraction, name in _fractions().items()}
        ),
        _figure8,
        note="Dotted: unsupervised weights.",
    ),
    "figure9": Figure(
        "Networks, last layer",
        _across(LAST_LAYER),
        _bars(LAST_LAYER),
        networks=(*RESNETS, *EFFICIENTNETS),
    ),
    "figure10": Figure("ResNets, second block", _across(DISTANCES), _bars(DISTANCES), networks=(*RESNETS, WIDE)),
    "figure11": Figure(
        "EfficientNets and vision transformers, intermediate layer",
        _across(DISTANCES),
        _bars(DISTANCES),
        networks=(*EFFICIENTNETS, *VITS),
    ),
    "figure12": Figure(
        "Weights by mean, max and min over the other images",
        _always(OPERATORS),
        lambda found, networks: operators(found, list(OPERATORS)),
        categories=_some("cable"),
    ),
    "figure13": Figure(
        "Purity of clusters",
        _always(PURITY),
        lambda found, networks: purity(found, list(PURITY)),
        metrics=("mauc",),
        note=f"In brackets mAUC. Top-k weights: Eq. 8 with k = {TOP_K}, which the paper does not print.",
    ),
}
