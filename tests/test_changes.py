"""Changes that are planted are found where they are, and nothing is found where nothing changes."""

import numpy as np
import pytest
from scipy.stats import binomtest

from anomaly_clustering.metrics.changes import LEVEL, Change, changes_of_shares, drift, holm

DAYS, CLUSTERS = 30, 5
SHARES = np.array([0.5, 0.2, 0.15, 0.1, 0.05])


def month(rng: np.random.Generator, shares_of_days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A month of between 15 and 45 images a day, with the shares of that day."""
    counts = rng.integers(15, 46, DAYS)
    period = np.repeat(np.arange(DAYS), counts)
    kind = np.concatenate(
        [rng.choice(CLUSTERS, count, p=shares) for count, shares in zip(counts, shares_of_days, strict=True)]
    )
    return period, kind


def marked(period: np.ndarray, kind: np.ndarray, embeddings: np.ndarray, unknown: np.ndarray, seed: int) -> np.ndarray:
    """Of each defect, the unknown images and drift, by the correction that all share."""
    tests = CLUSTERS + 2
    found = changes_of_shares(period, kind, num_kinds=CLUSTERS, num_tests=tests, seed=seed)
    found += changes_of_shares(period, unknown - 1, num_kinds=1, num_tests=tests, seed=seed)
    found.append(drift(period, embeddings, kind, num_tests=tests, seed=seed)[0])
    return holm([change.p_value for change in found])


def images(seed: int, change: bool) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    shares = np.tile(SHARES, (DAYS, 1))
    if change:
        shares[19:] = [0.35, 0.2, 0.15, 0.1, 0.2]
    period, kind = month(rng, shares)
    centres = 5 * np.random.default_rng(99).normal(size=(CLUSTERS, 12))
    embeddings = centres[kind] + rng.normal(size=(len(kind), 12))
    return period, kind, embeddings, (rng.random(len(kind)) < 0.05).astype(int)


@pytest.mark.parametrize(("months", "most"), [(30, 1), pytest.param(100, 5, marks=pytest.mark.slow)])
def test_in_a_month_without_a_change_nothing_is_marked_but_by_chance_and_in_one_with_it_that_is(
    months: int, most: int
) -> None:
    alarms = sum(marked(*images(seed, change=False), seed=seed).any() for seed in range(months))
    assert alarms <= most, alarms
    hits = np.array([marked(*images(seed, change=True), seed=seed) for seed in range(months // 5)])
    # The share of the last defect rises from 5% to 20%, at the cost of the first alone; and that is no drift.
    assert hits[:, 4].all()
    assert not hits[:, [1, 2, 3, 5, 6]].any()


def test_a_change_is_found_where_it_is() -> None:
    period, kind, _, _ = images(0, change=True)
    change = changes_of_shares(period, kind, num_kinds=CLUSTERS, num_tests=5)[4]
    assert abs(change.first - 19) <= 1
    assert change.last == DAYS - 1
    # What changes at the first day's end is told by what is new, and a single bad batch by itself.
    bad = kind.copy()
    bad[period == 7] = 3
    assert changes_of_shares(period, bad, num_kinds=CLUSTERS, num_tests=5)[3][:2] == (7, 7)


def test_drift_is_found_in_a_group_that_moves_a_little_and_not_in_a_group_that_grows() -> None:
    period, kind, embeddings, _ = images(1, change=True)
    change, distances = drift(period, embeddings, kind, num_tests=1)
    assert change.p_value > LEVEL
    embeddings[(period >= 24)] += 0.4
    change, moved = drift(period, embeddings, kind, num_tests=1)
    assert change.p_value == 0.001
    assert abs(change.first - 24) <= 1
    assert moved[24:].mean() > 2 * moved[:24].mean()
    assert distances.shape == (DAYS,)


def test_p_values_are_as_often_small_as_they_say() -> None:
    rng = np.random.default_rng(0)
    period = np.repeat(np.arange(5), 12)
    p_values = [
        changes_of_shares(period, rng.integers(0, 2, 60), num_kinds=2, num_tests=1, seed=seed)[0].p_value
        for seed in range(200)
    ]
    assert binomtest(sum(p <= 0.1 for p in p_values), 200, 0.1, alternative="greater").pvalue > 0.01


def test_one_period_says_nothing_and_too_many_are_refused() -> None:
    one = np.zeros(9, dtype=int)
    assert changes_of_shares(one, one, num_kinds=1, num_tests=1) == [Change(0, 0, 1.0)]
    assert drift(one, np.random.default_rng(0).normal(size=(9, 3)), one, num_tests=1)[0].p_value == 1
    with pytest.raises(ValueError, match="at most 200 periods, got 300"):
        changes_of_shares(np.arange(300), np.zeros(300, dtype=int), num_kinds=1, num_tests=1)
