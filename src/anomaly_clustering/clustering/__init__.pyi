from .grouping import Groups, group_distance, group_embeddings
from .methods import cluster_distance, cluster_embeddings, cut, ward
from .num_clusters import choose_num_clusters

__all__ = [
    "Groups",
    "choose_num_clusters",
    "cluster_distance",
    "cluster_embeddings",
    "cut",
    "group_distance",
    "group_embeddings",
    "ward",
]
