from .distances import euclidean, hausdorff
from .module import MIC
from .result import Grouping
from .weights import choose_tau, effective_patches, mask_weights, novelty, rarity, soften, weighted_average

__all__ = [
    "MIC",
    "Grouping",
    "choose_tau",
    "effective_patches",
    "euclidean",
    "hausdorff",
    "mask_weights",
    "novelty",
    "rarity",
    "soften",
    "weighted_average",
]
