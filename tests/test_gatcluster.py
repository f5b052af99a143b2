from math import log
from pathlib import Path

import pytest
import torch
from digits import digits, train
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.data import Folder
from baselines import GATCluster
from baselines.gatcluster import (
    Targets,
    balanced_target,
    gatcluster_loss,
    relation_loss,
    relation_target,
    sharp_target,
)
from baselines.gatcluster_network import AttentionNetwork, gaussian, imagenet10

WEIGHTS = (5.0, 3.0, 1.0, 5.0)


@pytest.mark.parametrize("k", [2, 4, 8])
def test_exact_value_of_balanced_clusters(k: int) -> None:
    p = torch.eye(k).repeat(32 // k, 1)
    targets = Targets(p, p, p.argmax(1))
    assert gatcluster_loss(p, p, targets, WEIGHTS) == pytest.approx(-5 - 6 * log(k), abs=1e-4)
    # One-hot predictions are their own targets, but for the authors' 1e-5 in each denominator.
    assert torch.allclose(balanced_target(p), p, atol=2e-4)
    assert torch.allclose(sharp_target(p), p, atol=2e-4)


def test_parameters_and_shapes_of_the_authors() -> None:
    network = AttentionNetwork(10)
    assert sum(p.numel() for p in network.backbone.parameters()) == 3_105_310
    assert network.backbone(torch.rand(2, 1, 128, 128)).shape == (2, 10, 6, 6)
    assert [logits.shape for logits in network(torch.rand(2, 1, 128, 128))] == [(2, 10), (2, 10)]
    assert imagenet10(10)(torch.rand(1, 1, 96, 96)).shape[-1] == 2
    with pytest.raises(ValueError, match="input_size must be at least 82 pixels, got 81"):
        AttentionNetwork(10, input_size=81)


def test_number_of_clusters_need_not_be_that_of_features() -> None:
    network = AttentionNetwork(3, features=10, backbone="small", input_size=16)
    assert [logits.shape for logits in network(torch.rand(2, 1, 16, 16))] == [(2, 3), (2, 3)]


def test_attention_is_a_gaussian_at_the_place_it_names() -> None:
    weights = gaussian(torch.tensor([[0.4, 0.8, 0.5]]), 6)[0]
    assert divmod(int(weights.argmax()), 6) == (2, 4)
    u = torch.tensor([2 / 5, 3 / 5]) - torch.tensor([0.4, 0.8])
    assert weights[2, 3] == pytest.approx(float(torch.exp(-u.square().sum() / (2 * 0.05 * 0.5 + 1e-5))), abs=1e-5)
    official = gaussian(torch.tensor([[0.4, 0.8, 0.2]]), 6, official_indexing=True)[0]
    assert divmod(int(official.argmax()), 6) == (2, 1)


def test_the_sharp_target_is_that_of_deep_embedded_clustering() -> None:
    q = torch.rand(50, 4).softmax(1)
    p = q**2 / q.sum(0)
    assert torch.allclose(sharp_target(q), p / p.sum(1, keepdim=True), atol=1e-3)
    assert torch.allclose(balanced_target(q).sum(1), torch.ones(50), atol=1e-3)


def test_related_are_those_that_k_means_puts_together() -> None:
    p = torch.eye(3).repeat_interleave(10, 0) * 0.9 + 0.1 / 3
    found = relation_target(p, 3, seed=0)
    assert adjusted_rand_score(found, torch.arange(3).repeat_interleave(10)) == 1


@pytest.mark.filterwarnings("error")
def test_each_is_related_to_itself_alone_where_a_cluster_is_empty_or_tiny() -> None:
    assert len(relation_target(torch.eye(2).repeat(10, 1), 3, seed=0).unique()) == 20
    assert len(relation_target(torch.eye(3)[:2], 3, seed=0).unique()) == 2
    outlier = torch.cat([torch.eye(3)[:2].repeat(30, 1), torch.eye(3)[2:]])
    assert len(relation_target(outlier, 3, seed=0).unique()) == 61


def test_relation_counts_each_pair_once_with_the_diagonal() -> None:
    p = torch.rand(5, 3).softmax(1)
    relation = torch.tensor([0, 0, 1, 1, 2])
    unit = torch.nn.functional.normalize(p)
    costs = [
        -torch.log(unit[i] @ unit[j]).clamp_min(-100)
        if relation[i] == relation[j]
        else -torch.log(1 - unit[i] @ unit[j])
        for i in range(5)
        for j in range(i + 1)
    ]
    assert relation_loss(p, relation) == pytest.approx(float(torch.stack(costs).mean()), rel=1e-3)


def test_fewer_images_than_a_step_are_one_step(photos: Path) -> None:
    module = GATCluster(backbone="small", input_size=32, passes=3)
    train(module, Folder(photos, image_size=64, num_workers=0), epochs=2, seed=0)
    assert module.optimizers().optimizer.state[module.network.attention.weight]["step"] == 2 * 3  # type: ignore[union-attr]


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    data, _ = digits(tmp_path, range(3))
    module = GATCluster(backbone="small", input_size=16, flip=False)
    best = train(module, data, epochs=15, seed=0)["best_by_accuracy"]
    # Measured: .953; .996 with seed 1.
    assert best["accuracy"] > 1.5 / 3
    assert best["clusters_used"] == 3
