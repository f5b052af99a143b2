"""Clusters against classes in the report: the same matching, purity and accuracy as in the metrics."""

import numpy as np
import pytest
import torch

from anomaly_clustering.metrics import match_clusters, matched_accuracy, matched_f1, purity
from anomaly_clustering.metrics.counts import confusion
from anomaly_clustering.report.confusion import against_classes


def test_counts_have_a_row_for_each_number_up_to_the_largest() -> None:
    counts = confusion(np.array([0, 0, 0, 2, 2, 0]), np.array([1, 1, 0, 0, 0, -1]), num_classes=3)
    assert counts.tolist() == [[1, 2, 0], [0, 0, 0], [2, 0, 0]]


def test_matching_is_one_to_one_and_leaves_out_what_is_in_no_cluster() -> None:
    # Both clusters are mostly of class 1; the one that loses it takes what is left.
    labels, target = np.array([0, 0, 0, 0, 3, 3, 3, -1, -1]), np.array([1, 1, 1, 0, 1, 1, 0, 0, -1])
    found = against_classes(labels, target, num_classes=2)
    assert found is not None
    assert [(row.number, row.size, row.matched) for row in found.rows] == [(0, 4, 1), (3, 3, 0)]
    assert found.accuracy == 4 / 7
    assert found.purity == 5 / 7
    assert found.totals == [2, 5]
    assert against_classes(labels, np.full(9, -1), num_classes=2) is None


def test_nothing_in_any_cluster_is_no_table() -> None:
    assert against_classes(np.array([-1, -1]), np.array([0, 1]), num_classes=2) is None


def test_report_and_scores_agree_on_two_thousand_tables() -> None:
    """Small tables are full of ties; some rows and columns are empty, some images of unknown class or in no cluster."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        n, num_clusters, num_classes = rng.integers(1, [13, 6, 6]).tolist()
        labels, target = rng.integers(-1, num_clusters, n), rng.integers(-1, num_classes, n)
        found = against_classes(labels, target, num_classes=num_classes)
        some = torch.from_numpy(labels[labels >= 0]), torch.from_numpy(target[labels >= 0])
        if found is None:
            assert not (some[1] >= 0).any()
            continue
        assert found.accuracy == matched_accuracy(*some)
        assert found.purity == purity(*some)
        totals = np.array(found.totals)
        pairs = [
            (row.counts[row.matched], sum(row.counts), totals[row.matched])
            for row in found.rows
            if row.matched is not None
        ]
        assert all(hits > 0 for hits, _, _ in pairs)
        assert len({row.matched for row in found.rows if row.matched is not None}) == len(pairs)
        assert found.accuracy == pytest.approx(sum(hits for hits, _, _ in pairs) / totals.sum())
        f1 = sum(2 * hits / (size + support) * support for hits, size, support in pairs) / totals.sum()
        assert float(matched_f1(*some)) == pytest.approx(f1)


def test_purity_of_the_table_is_that_of_its_rows() -> None:
    found = against_classes(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, -1]), num_classes=2)
    assert found is not None
    assert [row.purity for row in found.rows] == [2 / 3, 1]
    assert [row.unknown for row in found.rows] == [0, 1]
    assert found.purity == 3 / 4


@pytest.mark.parametrize(
    ("labels", "target", "message"),
    [
        ([0, 1, 1], [0], "one an image, got 3 and 1"),
        ([0, -1], [0, 0], "numbered from 0, got -1"),
        ([0, 0], [0, 2], r"below 2 \(num_classes\), got 2"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_table_is_refused(labels: list[int], target: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion(np.array(labels), np.array(target), num_classes=2)


@pytest.mark.usefixtures("unchecked_types")
def test_lengths_of_a_report_are_checked() -> None:
    with pytest.raises(ValueError, match="one an image, got 2 and 1"):
        against_classes(np.array([0, 1]), np.array([0]), num_classes=2)


def test_the_matching_is_that_of_the_metrics() -> None:
    counts = np.array([[0, 0, 0], [3, 2, 0], [2, 1, 0], [0, 4, 1]])
    labels, target = (
        np.repeat(np.arange(4).repeat(3), counts.ravel()),
        np.repeat(np.tile(np.arange(3), 4), counts.ravel()),
    )
    found = against_classes(labels, target, num_classes=3)
    assert found is not None
    matched = match_clusters(torch.from_numpy(counts)).tolist()
    assert {row.number: -1 if row.matched is None else row.matched for row in found.rows} == dict(
        enumerate(matched[1:], 1)
    )
