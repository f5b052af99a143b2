from .distances import euclidean, hausdorff
from .module import MIC
from .presets import method_arguments
from .residuals import residual_average, signed_root
from .result import Grouping
from .scores import novelty, rarity
from .weights import choose_tau, effective_patches, mask_weights, soften, weighted_average

__all__ = [
    "MIC",
    "Grouping",
    "choose_tau",
    "effective_patches",
    "euclidean",
    "hausdorff",
    "mask_weights",
    "method_arguments",
    "novelty",
    "rarity",
    "residual_average",
    "signed_root",
    "soften",
    "weighted_average",
]
