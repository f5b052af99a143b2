import math
from collections.abc import Iterable
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    adjusted_rand_score,
    f1_score,
    normalized_mutual_info_score,
)
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from anomaly_clustering import metrics as m
from anomaly_clustering.clustering import ward
from anomaly_clustering.metrics.agreement import clustering_metrics
from anomaly_clustering.metrics.tree_purity import purity_metrics

FUNCTIONS = {
    "nmi": m.normalized_mutual_information,
    "ari": m.adjusted_rand_index,
    "f1": m.matched_f1,
    "accuracy": m.matched_accuracy,
    "purity": m.purity,
}


def from_counts(counts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Labels with a given contingency table, clusters x classes."""
    cells = [(k, c) for k, row in enumerate(counts) for c, count in enumerate(row) for _ in range(count)]
    return torch.tensor(cells)[:, 0], torch.tensor(cells)[:, 1]


def best_renamings(preds: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Clusters renamed to classes one to one in every way that gives most hits; those left over to no class's name."""
    clusters, classes = np.unique(preds), np.unique(target)
    names = [*classes, *range(1000, 1000 + len(clusters))][: max(len(clusters), len(classes))]
    ways = [dict(zip(clusters, way, strict=False)) for way in permutations(names, len(clusters))]
    renamed = [np.array([way[label] for label in preds]) for way in ways]
    hits = [(labels == target).sum() for labels in renamed]
    return [labels for labels, count in zip(renamed, hits, strict=True) if count == max(hits)]


@pytest.mark.parametrize("shape", [(5, 5), (3, 6), (6, 4)], ids=["as many", "fewer clusters", "more clusters"])
@pytest.mark.parametrize("seed", range(3))
def test_functions_equal_scikit_learn(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.integers(shape[1], size=200)
    preds = np.where(rng.random(200) < 0.5, target % shape[0], rng.integers(shape[0], size=200))
    found = {name: float(function(torch.tensor(preds), torch.tensor(target))) for name, function in FUNCTIONS.items()}
    assert found["nmi"] == pytest.approx(normalized_mutual_info_score(target, preds))
    assert found["ari"] == pytest.approx(adjusted_rand_score(target, preds))
    best = best_renamings(preds, target)
    assert found["f1"] == pytest.approx(max(f1_score(target, labels, average="weighted") for labels in best))
    assert found["accuracy"] == pytest.approx(accuracy_score(target, best[0]))
    assert found["purity"] == pytest.approx(contingency_matrix(target, preds).max(0).sum() / 200)


@pytest.mark.parametrize(
    ("counts", "nmi", "ari", "f1"),
    [
        ([[4, 10], [8, 20]], 0.000, -0.018, 0.581),
        ([[12, 15], [0, 15]], 0.251, 0.050, 0.652),
        ([[12, 17], [0, 13]], 0.214, -0.008, 0.599),
    ],
    ids=["average", "maximum Hausdorff", "weighted average"],
)
def test_toothbrush_as_printed_in_table_7(counts: list[list[int]], nmi: float, ari: float, f1: float) -> None:
    preds, target = from_counts(counts)
    assert round(float(m.normalized_mutual_information(preds, target)), 3) == nmi
    assert round(float(m.adjusted_rand_index(preds, target)), 3) == ari
    assert round(float(m.matched_f1(preds, target)), 3) == f1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_perfect_groups_score_one_whatever_they_are_called(name: str) -> None:
    target = torch.tensor([0, 0, 1, 1, 2, 2, 2])
    preds = torch.tensor([70, 70, -3, -3, 11, 11, 11])
    assert float(FUNCTIONS[name](preds, target)) == pytest.approx(1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_numbering_of_clusters_plays_no_role_even_in_ties(name: str) -> None:
    # Both matchings have three hits; their F1 differ.
    preds, target = from_counts([[3, 2, 0], [2, 1, 0], [0, 4, 1]])
    swapped = torch.tensor([2, 0, 1])[preds]
    assert FUNCTIONS[name](preds, target) == pytest.approx(float(FUNCTIONS[name](swapped, target)), abs=1e-12)


def gain(counts: np.ndarray, pairs: Iterable[tuple[int, int]]) -> tuple[int, float]:
    """Hits and weighted F1 of clusters and classes that are matched."""
    pairs = [(k, c) for k, c in pairs if counts[k, c]]
    support, sizes = counts.sum(0), counts.sum(1)
    f1 = sum(2 * counts[k, c] / (sizes[k] + support[c]) * support[c] for k, c in pairs)
    return int(sum(counts[k, c] for k, c in pairs)), round(float(f1), 9)


def test_the_matching_has_most_hits_and_of_these_the_highest_f1_whatever_the_order_of_ids() -> None:
    """Against all matchings of 2,000 small tables; with rows, columns and empty ones in any order."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        counts = rng.integers(0, 4, rng.integers(1, 5, 2))
        rows, columns = counts.shape
        ways = (
            [(k, c) for k, c in enumerate(way[:rows]) if c < columns] for way in permutations(range(max(rows, columns)))
        )
        best = max(gain(counts, way) for way in ways)
        padded = np.pad(counts, ((1, 0), (1, 1)))
        for table in (counts, counts[rng.permutation(rows)], counts[:, rng.permutation(columns)], padded):
            matched = m.match_clusters(torch.from_numpy(table)).tolist()
            pairs = [(k, c) for k, c in enumerate(matched) if c >= 0]
            assert gain(table, pairs) == best
            assert len({c for _, c in pairs}) == len(pairs)
            assert all(table[k, c] for k, c in pairs)


def test_clusters_without_a_class_are_left_over() -> None:
    assert m.match_clusters(torch.tensor([[0, 5], [4, 1], [3, 3]])).tolist() == [1, 0, -1]
    assert m.match_clusters(torch.tensor([[0, 0], [0, 3]])).tolist() == [-1, 1]
    assert m.match_clusters(torch.zeros(2, 0)).tolist() == [-1, -1]
    assert m.match_clusters(torch.zeros(2, 3)).tolist() == [-1, -1]


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_counts_are_not_negative(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"finite and not negative, got .*{wrong}"):
        m.match_clusters(torch.tensor([[1.0, wrong]]))


THREE = torch.tensor([0, 1, 1])


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        (THREE[:1], THREE, r"got preds int64 \[1\], target int64 \[3\]"),
        (THREE, THREE[:1], r"got preds int64 \[3\], target int64 \[1\]"),
        (THREE[:, None], THREE, r"got preds int64 \[3, 1\]"),
        (THREE.double(), THREE, r"got preds float64 \[3\]"),
        (THREE, THREE.float(), r"target float32 \[3\]"),
        (THREE.bool(), THREE, r"got preds bool \[3\]"),
        (THREE, THREE.numpy(), "target a ndarray"),
    ],
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ids_are_integers_one_a_sample(name: str, preds: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FUNCTIONS[name](preds, target)
    with pytest.raises(ValueError, match=message):
        clustering_metrics()[name].update(preds, target)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("index", [torch.arange(2), torch.arange(3.0)])
def test_positions_are_integers_one_a_sample(index: Tensor) -> None:
    with pytest.raises(ValueError, match=r"integers, one a sample, got .* index (int64 \[2\]|float32 \[3\])"):
        m.Purity().update(THREE, THREE, index)


def test_ids_of_any_width_count_alike() -> None:
    """Unknown positions are -1, which unsigned bytes do not have: 255 would be one and the same sample."""
    preds, target = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    for kind in (torch.uint8, torch.int8, torch.int32):
        metric = m.Purity()
        metric.update(preds.to(kind), target.to(kind))
        assert metric.compute() == m.purity(preds.to(kind), target.to(kind)) == 3 / 4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_leave_out_unknown_classes_as_the_evaluator_does(name: str) -> None:
    preds, target = torch.tensor([0, 0, 1, 1, 2, 1]), torch.tensor([0, 1, 1, 1, -1, -1])
    evaluator = clustering_metrics()
    evaluator.update(preds, target)
    assert FUNCTIONS[name](preds, target) == FUNCTIONS[name](preds[:4], target[:4]) == evaluator.compute()[name]


def test_one_group_on_both_sides_is_full_agreement() -> None:
    same = torch.zeros(5, dtype=torch.long)
    assert m.normalized_mutual_information(same, same) == 1
    assert m.adjusted_rand_index(same, same) == 1


def test_one_group_on_one_side_tells_nothing() -> None:
    preds, target = torch.zeros(6, dtype=torch.long), torch.arange(6) % 3
    assert m.normalized_mutual_information(preds, target) == 0
    assert m.adjusted_rand_index(preds, target) == 0


def test_all_apart_on_both_sides_is_full_agreement() -> None:
    assert m.adjusted_rand_index(torch.arange(4), torch.arange(4)) == 1


def test_no_samples_is_an_error() -> None:
    empty = torch.empty(0, dtype=torch.long)
    with pytest.raises(ValueError, match="at least one labelled sample"):
        m.purity(empty, empty)
    with pytest.raises(ValueError, match="at least one labelled sample"):
        m.purity(torch.tensor([0]), torch.tensor([-1]))


def test_classes_accumulate_and_leave_unknown_and_repeated_samples_out() -> None:
    preds, target = torch.randint(0, 3, (20,)), torch.randint(0, 4, (20,))
    evaluator = clustering_metrics()
    index = torch.arange(20)
    evaluator.update(preds[:12], target[:12], index[:12])
    evaluator.update(preds[12:], target[12:], index[12:])
    evaluator.update(preds[:3], target[:3], index[:3])  # repeated by a sampler
    evaluator.update(torch.tensor([0]), torch.tensor([-1]), torch.tensor([99]))  # class unknown
    found = evaluator.compute()
    assert set(found) == set(FUNCTIONS)
    for name, value in found.items():
        assert value == FUNCTIONS[name](preds, target)


def test_without_an_index_every_sample_counts() -> None:
    evaluator = clustering_metrics()
    evaluator.update(torch.tensor([0, 0]), torch.tensor([0, 0]))
    evaluator.update(torch.tensor([0, 1]), torch.tensor([1, 1]))
    assert evaluator.compute()["purity"] == 0.75


UNKNOWN, TWO = torch.tensor([-1, -1]), torch.tensor([0, 1])
# Each with a batch that has a score, and one that has none.
BATCHES: list[tuple[Metric, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]] = [
    (m.NormalizedMutualInformation(), (TWO, TWO), (TWO, UNKNOWN)),
    (m.Purity(), (TWO, TWO), (TWO[:0], TWO[:0])),
    (m.MeanAUC(ward), (torch.rand(2, 1), TWO), (torch.rand(2, 1), UNKNOWN)),
    (m.ReductionAt(0.9, ward), (torch.rand(2, 1), TWO), (torch.rand(1, 1), TWO[:1])),
    (
        m.LocalisationAUROC(),
        (torch.rand(2, 2, 2), torch.eye(2).expand(2, 1, 2, 2)),
        (torch.rand(2, 2, 2), torch.zeros(2, 1, 2, 2)),
    ),
]


@pytest.mark.parametrize(("metric", "scored", "unscored"), BATCHES, ids=lambda given: type(given).__name__)
def test_a_batch_without_a_score_is_kept_and_loses_none_before_it(
    metric: Metric, scored: tuple[Tensor, Tensor], unscored: tuple[Tensor, Tensor]
) -> None:
    assert metric(*unscored).isnan()
    assert metric(*scored).isfinite()
    assert metric(*unscored).isnan()
    count = len(scored[0]) + 2 * len(unscored[0])
    assert sum(len(index) for index in metric.index) == count
    assert metric.compute().isfinite()
    metric.reset()
    metric.update(*unscored)
    with pytest.raises(ValueError, match=r"need|no samples"):
        metric.compute()


EMPTY: list[Metric | MetricCollection] = [
    clustering_metrics(),
    m.MatchedF1(),
    purity_metrics(ward),
    m.LocalisationAUROC(),
]


@pytest.mark.parametrize("metric", EMPTY, ids=lambda metric: type(metric).__name__)
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_what_no_sample_was_added_to_says_so(metric: Metric | MetricCollection) -> None:
    with pytest.raises(ValueError, match="there are no samples: call update with some before compute"):
        metric.compute()
