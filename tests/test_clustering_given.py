"""What is clustered may be arrays, tensors or lists; what are no numbers is refused."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from anomaly_clustering.clustering import bagged_ward, choose_num_clusters
from anomaly_clustering.clustering.grouping import group_distance, group_embeddings
from anomaly_clustering.clustering.methods import cluster_distance, cluster_embeddings, cut, ward
from anomaly_clustering.mic import distances as of_bags


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_are_as_good_as_arrays_with_a_gradient_or_without(dtype: torch.dtype) -> None:
    embeddings = torch.randn(12, 3).to(dtype).requires_grad_()
    points = embeddings.detach().double().numpy()
    tree, distance = ward(points), squareform(pdist(points))
    assert np.allclose(ward(embeddings), tree)
    assert np.allclose(of_bags.euclidean(points), distance)
    for given, expected in (
        (cluster_embeddings(embeddings, 3), cluster_embeddings(points, 3)),
        (group_embeddings(embeddings, 3, "bagged_ward", seed=0).labels, cluster_embeddings(points, 3, "bagged_ward")),
        (cluster_distance(torch.from_numpy(distance), 3), cluster_distance(distance, 3)),
        (
            group_distance(torch.from_numpy(distance), 3, "average", seed=0).labels,
            cluster_distance(distance, 3, "average"),
        ),
        (bagged_ward(torch.from_numpy(pdist(points)), 3, seed=0), bagged_ward(pdist(points), 3, seed=0)),
        (cut(torch.from_numpy(tree), 3), cut(tree, 3)),
    ):
        assert given.tolist() == expected.tolist()
    by_silhouette = choose_num_clusters(torch.from_numpy(tree), "silhouette", distance=torch.from_numpy(distance))
    assert by_silhouette == choose_num_clusters(tree, "silhouette", distance=distance)


@pytest.mark.usefixtures("unchecked_types")
def test_lists_are_taken_and_what_are_no_numbers_is_refused() -> None:
    assert ward([[1.0, 2.0], [2.0, 3.0]]).shape == (1, 4)
    with pytest.raises(TypeError, match="embeddings must be an array or a tensor of numbers, got a list of <U6"):
        ward(["a.jpeg", "b.png"])
    with pytest.raises(ValueError, match=r"embeddings must be \[N, D\], got \[3\]"):
        cluster_embeddings(np.arange(3.0), 2)
    with pytest.raises(ValueError, match=r"distance must be \[N, N\], got \[3\]"):
        cluster_distance(np.arange(3.0), 2)
