from .bagging import bagged_ward
from .grouping import Groups, group_distance, group_embeddings
from .methods import cluster_distance, cluster_embeddings, ward
from .num_clusters import choose_num_clusters
from .to_name import clusters_to_name
from .trees import cut

__all__ = [
    "Groups",
    "bagged_ward",
    "choose_num_clusters",
    "cluster_distance",
    "cluster_embeddings",
    "clusters_to_name",
    "cut",
    "group_distance",
    "group_embeddings",
    "ward",
]
