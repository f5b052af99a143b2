"""Scores by the names that people know them by, in the order in which they are shown."""

TITLES = {
    "nmi": "NMI",
    "ari": "ARI",
    "f1": "F1",
    "accuracy": "accuracy",
    "purity": "purity",
    "mauc": "mAUC",
    "r@90%": "R@0.9",
    "r@95%": "R@0.95",
    "r@99%": "R@0.99",
    "localisation_auroc": "localisation AUROC",
}
