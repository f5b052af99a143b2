from .nearest import nearest_blocks, nearest_distances, pairwise_nearest

__all__ = ["nearest_blocks", "nearest_distances", "pairwise_nearest"]
