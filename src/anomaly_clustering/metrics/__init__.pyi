from .agreement import (
    AdjustedRandIndex,
    ClusteringMetric,
    MatchedAccuracy,
    MatchedF1,
    NormalizedMutualInformation,
    Purity,
    adjusted_rand_index,
    clustering_metrics,
    matched_accuracy,
    matched_f1,
    normalized_mutual_information,
    purity,
)
from .counts import confusion, contingency, match_clusters
from .localisation import LocalisationAUROC, localisation_auroc
from .tree_purity import MeanAUC, PurityCurve, ReductionAt, mean_auc, purity_curve, purity_metrics, reduction_at

__all__ = [
    "AdjustedRandIndex",
    "ClusteringMetric",
    "LocalisationAUROC",
    "MatchedAccuracy",
    "MatchedF1",
    "MeanAUC",
    "NormalizedMutualInformation",
    "Purity",
    "PurityCurve",
    "ReductionAt",
    "adjusted_rand_index",
    "clustering_metrics",
    "confusion",
    "contingency",
    "localisation_auroc",
    "match_clusters",
    "matched_accuracy",
    "matched_f1",
    "mean_auc",
    "normalized_mutual_information",
    "purity",
    "purity_curve",
    "purity_metrics",
    "reduction_at",
]
