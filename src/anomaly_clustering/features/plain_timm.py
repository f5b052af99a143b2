"""timm in; timm without W&B, which its own training script alone writes to, and which takes most of a second, out."""

from anomaly_clustering.system.imports import without

with without("wandb"):
    import timm

__all__ = ["timm"]
