import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform
from several_processes import run
from torch import Tensor

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.metrics.agreement import purity
from anomaly_clustering.metrics.titles import TITLES
from anomaly_clustering.metrics.tree_purity import (
    MeanAUC,
    PurityCurve,
    ReductionAt,
    mean_auc,
    purity_curve,
    purity_metrics,
    reduction_at,
)

LINKAGES = ["ward", "single", "complete", "average", "centroid"]  # merges of the last may fall in height


def images(n: int = 40, seed: int = 0, unknown: float = 0.0) -> tuple[np.ndarray, Tensor]:
    """Embeddings of five overlapping classes, of which some images do not tell theirs."""
    rng = np.random.default_rng(seed)
    target = rng.integers(5, size=n)
    embeddings = rng.normal(size=(n, 5)) + 2 * np.eye(5)[target]
    return embeddings, torch.tensor(np.where(rng.random(n) < unknown, -1, target))


def naive_curve(tree: np.ndarray, target: Tensor) -> list[float]:
    """N cuts."""
    known = target >= 0
    labels = [torch.from_numpy(cut(tree, k)) for k in range(1, len(target) + 1)]
    return [float(purity(each[known], target[known])) for each in labels]


@pytest.mark.parametrize("method", LINKAGES)
@pytest.mark.parametrize("unknown", [0, 0.3], ids=["all known", "some unknown"])
def test_curve_equals_the_purity_of_every_cut(method: str, unknown: float) -> None:
    embeddings, target = images(unknown=unknown)
    tree = linkage(embeddings, method)
    assert purity_curve(tree, target).tolist() == naive_curve(tree, target)


def test_curve_equals_that_of_every_cut_with_equally_high_merges() -> None:
    corners = np.array([[x, y] for x in (0, 1) for y in (0, 1)] * 2, dtype=np.float32)
    target = torch.arange(8) % 3
    assert purity_curve(ward(corners), target).tolist() == naive_curve(ward(corners), target)


def test_curve_by_hand() -> None:
    """Images on a line: a a b   c; merged are a a, then b to them, then c."""
    tree = linkage(np.array([[0.0], [1.0], [3.0], [9.0]]), "single")
    curve = purity_curve(tree, torch.tensor([7, 7, 2, 5]))
    assert curve.tolist() == [2 / 4, 3 / 4, 1, 1]
    assert mean_auc(curve) == 3.25 / 4
    assert reduction_at(curve, 0.75) == 1 - 2 / 4
    assert reduction_at(curve, 0.76) == 1 - 3 / 4
    # Without the class of b, a purity of 1 takes two clusters.
    assert purity_curve(tree, torch.tensor([7, 7, -1, 5])).tolist() == [2 / 3, 1, 1, 1]


@pytest.mark.parametrize("method", LINKAGES)
@pytest.mark.parametrize("seed", range(5))
def test_curve_never_falls_and_ends_at_one(method: str, seed: int) -> None:
    embeddings, target = images(seed=seed, unknown=0.2)
    curve = purity_curve(linkage(embeddings, method), target)
    assert len(curve) == 40
    assert (curve.diff() >= 0).all()
    assert curve[-1] == 1


def test_order_of_images_and_names_of_classes_do_not_matter() -> None:
    embeddings, target = images(unknown=0.2)
    order = np.random.default_rng(1).permutation(len(target))
    renamed = torch.where(target < 0, -1, 90 - 3 * target)
    curve = purity_curve(ward(embeddings), target)
    assert torch.equal(purity_curve(ward(embeddings[order]), renamed[torch.from_numpy(order)]), curve)


def test_perfect_clusters_need_as_many_clusters_as_classes() -> None:
    target = torch.arange(30) % 6
    embeddings = 10 * np.eye(6)[target] + np.random.default_rng(0).normal(size=(30, 6))
    curve = purity_curve(ward(embeddings), target)
    assert curve.tolist() == [min(k, 6) / 6 for k in range(1, 31)]
    assert reduction_at(curve, 0.99) == 1 - 6 / 30
    assert reduction_at(curve, 1.0) == 1 - 6 / 30
    assert mean_auc(curve) == pytest.approx((sum(range(1, 6)) / 6 + 25) / 30)


def test_one_class_is_pure_at_every_number_of_clusters() -> None:
    curve = purity_curve(ward(images(12)[0]), torch.zeros(12, dtype=torch.long))
    assert mean_auc(curve) == 1
    assert reduction_at(curve, 1.0) == 1 - 1 / 12


def test_purity_that_is_just_reached_suffices() -> None:
    """19 of 20, whatever way 0.95 is rounded."""
    tree = linkage(np.array([*np.arange(19), 100.0])[:, None], "single")
    curve = purity_curve(tree, torch.tensor([0] * 19 + [1]))
    assert reduction_at(curve, 0.95) == 1 - 1 / 20
    assert reduction_at(curve, 0.95 + 1e-12) == 1 - 2 / 20


def test_area_by_trapezoids_is_less_by_half_a_step_at_both_ends() -> None:
    embeddings, target = images()
    curve = purity_curve(ward(embeddings), target)
    trapezoids = float(torch.trapezoid(curve)) / len(curve)
    assert trapezoids == pytest.approx(float(mean_auc(curve) - (curve[0] + 1) / (2 * len(curve))))


def test_one_image_is_one_pure_cluster() -> None:
    assert purity_curve(np.empty((0, 4)), torch.tensor([3])).tolist() == [1]


def test_a_class_must_be_known() -> None:
    with pytest.raises(ValueError, match="at least one labelled sample, got none"):
        purity_curve(ward(images(5)[0]), torch.full((5,), -1))


def test_tree_must_be_of_these_images() -> None:
    with pytest.raises(ValueError, match="the tree of 6 images has 5 merges, got 4"):
        purity_curve(ward(images(5)[0]), torch.zeros(6, dtype=torch.long))


@pytest.mark.parametrize("merge", [[0, 0], [0, 7], [1, 2]], ids=["itself", "yet to come", "twice"])
def test_a_tree_merges_each_node_once_after_it_was_made(merge: list[int]) -> None:
    tree = linkage(np.array([[0.0], [1.0], [3.0], [9.0], [20.0]]), "single")
    tree[0, :2] = merge
    with pytest.raises(ValueError, match="merges each of its nodes 0 to 7 once, after it was made"):
        purity_curve(tree, torch.zeros(5, dtype=torch.long))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("target", [torch.zeros(5), torch.zeros(5, 1, dtype=torch.long), torch.zeros(5) > 0])
def test_classes_are_integers_one_an_image(target: Tensor) -> None:
    embeddings = images(5)[0]
    with pytest.raises(ValueError, match="target must be integers, one a sample"):
        purity_curve(ward(embeddings), target)
    with pytest.raises(ValueError, match="integers, one a sample"):
        PurityCurve(ward).update(torch.from_numpy(embeddings), target)


@pytest.mark.usefixtures("unchecked_types")
def test_samples_have_one_embedding_one_class_and_one_position_each() -> None:
    embeddings, target = torch.from_numpy(images(5)[0]), torch.zeros(5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"one row a sample, got \[1, 5\] and target \[5\]"):
        PurityCurve(ward).update(embeddings[:1], target)
    with pytest.raises(ValueError, match=r"target int64 \[5\], index int64 \[2\]"):
        MeanAUC(ward).update(embeddings, target, torch.arange(2))


@pytest.mark.usefixtures("unchecked_types")
def test_an_array_is_no_curve() -> None:
    for figure in (mean_auc, partial(reduction_at, purity=0.9)):
        with pytest.raises(ValueError, match="a curve is a tensor of the purity of 1 to N clusters, got a ndarray"):
            figure(np.array([0.5, 1.0]))


def test_an_empty_curve_has_no_area() -> None:
    for figure in (mean_auc, lambda curve: reduction_at(curve, 0.9)):
        with pytest.raises(ValueError, match=r"got one of shape \[0\]"):
            figure(torch.empty(0))


@pytest.mark.parametrize("wrong", [0.0, -0.5, 1.01, float("nan")])
def test_purity_to_reach_is_checked(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"above 0 and at most 1, got {wrong}"):
        reduction_at(torch.ones(3).double(), wrong)
    with pytest.raises(ValueError, match=f"above 0 and at most 1, got {wrong}"):
        ReductionAt(wrong, ward)


def test_classes_accumulate_in_any_order_and_count_repeated_images_once() -> None:
    embeddings, target = images(unknown=0.2)
    order = torch.randperm(40)
    metrics = purity_metrics(ward)
    curve = PurityCurve(ward)
    for index in (*order.split(15), order[:3]):
        for metric in (metrics, curve):
            metric.update(torch.from_numpy(embeddings)[index], target[index], index)
    expected = purity_curve(ward(embeddings), target)
    assert torch.equal(curve.compute(), expected)
    assert metrics.compute() == {
        "mauc": mean_auc(expected),
        "r@90%": reduction_at(expected, 0.9),
        "r@95%": reduction_at(expected, 0.95),
        "r@99%": reduction_at(expected, 0.99),
    }
    assert metrics.keys() <= TITLES.keys()


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_batch_that_says_nothing_has_a_curve_of_nan(count: int) -> None:
    curve = PurityCurve(ward)(torch.rand(count, 2), torch.full((count,), -1))
    assert curve.shape == (count,)
    assert curve.isnan().all()


def test_an_error_of_the_linkage_is_told_also_of_a_batch() -> None:
    def wrong(embeddings: np.ndarray) -> np.ndarray:
        raise ValueError("no such method")

    for metric in (PurityCurve(wrong), MeanAUC(wrong)):
        with pytest.raises(ValueError, match="no such method"):
            metric(torch.rand(3, 2), torch.tensor([0, 1, 1]))


def test_without_an_index_every_sample_counts() -> None:
    embeddings, target = images()
    metric = MeanAUC(ward)
    for part in torch.arange(40).split(15):
        metric.update(torch.from_numpy(embeddings)[part], target[part])
    assert metric.compute() == mean_auc(purity_curve(ward(embeddings), target))


def test_rows_of_a_distance_matrix_are_accumulated_just_so() -> None:
    embeddings, target = images()
    distances = squareform(pdist(embeddings, "cityblock"))
    metric = PurityCurve(lambda rows: linkage(squareform(rows), "complete"))
    for index in torch.randperm(40).split(15):
        metric.update(torch.from_numpy(distances)[index], target[index], index)
    assert torch.equal(metric.compute(), purity_curve(linkage(pdist(embeddings, "cityblock"), "complete"), target))


def curve_is_that_of_one_process(rank: int, world: int) -> None:
    # 41 images for 2 processes: the sampler repeats image 0 at the end.
    embeddings, target = images(41, unknown=0.2)
    index = torch.tensor([*range(rank, 41, world), 0][:21])
    metrics = purity_metrics(ward)
    for part in index.split(8):
        metrics.update(torch.from_numpy(embeddings)[part], target[part], part)
    curve = purity_curve(ward(embeddings), target)
    found = metrics.compute()
    assert found["mauc"] == mean_auc(curve)
    assert found["r@90%"] == reduction_at(curve, 0.9)


def test_two_processes_find_the_curve_of_one(tmp_path: Path) -> None:
    run(curve_is_that_of_one_process, 2, tmp_path)


def test_many_classes_take_no_table_of_all_nodes_and_classes() -> None:
    n = 4000
    tree = linkage(np.random.default_rng(0).normal(size=(n, 2)), "single")
    target = torch.arange(n) // 2
    tracemalloc.start()
    curve = purity_curve(tree, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A table of numbers in 64 bits would take 128 MB.
    assert peak < 2**24
    assert curve[-1] == 1
    assert curve[0] == 2 / n


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("embeddings", [[[0.0], [1.0]], np.zeros((2, 1))])
def test_embeddings_that_are_no_tensor_are_named(embeddings) -> None:
    name = type(embeddings).__name__
    with pytest.raises(ValueError, match=f"^embeddings must be a tensor, one row a sample, got a {name}$"):
        PurityCurve(ward).update(embeddings, torch.tensor([0, 1]))
