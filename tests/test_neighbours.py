"""Nearest others, however vectors move: what comparing all with all finds."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from anomaly_clustering.clustering.neighbours import AT_HAND, Neighbours
from anomaly_clustering.clustering.unknown import Ranking, ScoredEmbeddings, from_center


def naive(vectors: np.ndarray, count: int) -> np.ndarray:
    distances = cdist(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, : min(count, len(vectors) - 1)]


@pytest.mark.parametrize("n", [1, 2, 3, AT_HAND, AT_HAND + 1, AT_HAND + 2, 200])
@pytest.mark.parametrize("step", [0.0, 1e-4, 0.02, 1.0])
def test_they_are_those_of_all_pairs_at_each_call(n: int, step: float) -> None:
    drawn = np.random.default_rng(n)
    vectors, near = drawn.normal(size=(n, 5)), Neighbours(3)
    for _ in range(6):
        found = near.of(vectors)
        assert np.abs(found.distances - naive(vectors, 3)).max(initial=0) < 1e-12
        apart = np.linalg.norm(vectors[found.images] - vectors[:, None], axis=2)
        assert np.abs(apart - found.distances).max(initial=0) < 1e-12
        assert (found.images != np.arange(n)[:, None]).all()
        vectors = vectors + step * drawn.normal(size=vectors.shape)


def test_copies_are_neighbours_of_one_another_and_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(size=(4, 5)), 3 * AT_HAND, axis=0)
    near = Neighbours(3)
    near.of(vectors)
    monkeypatch.setattr(Neighbours, "_search", None)
    for moved in (vectors, vectors + 0.1):
        found = near.of(moved)
        assert (found.distances == 0).all()
        assert (found.images != np.arange(len(vectors))[:, None]).all()


def test_while_a_mean_moves_few_are_looked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, searched = np.random.default_rng(0), []
    run, more = drawn.normal(size=(400, 30)), drawn.normal(size=(40, 30))
    scores = np.full((400, 4), np.nan)
    search = Neighbours._search
    monkeypatch.setattr(Neighbours, "_search", lambda self, rows: (searched.append(len(rows)), search(self, rows))[1])
    near = Neighbours(3)
    for count in range(1, len(more)):
        center = np.concatenate([run, more[:count]]).mean(0)
        of_run, new = (from_center(vectors, center) for vectors in (run, more[:1]))
        kept = Ranking(ScoredEmbeddings(of_run, scores), near).p_values(ScoredEmbeddings(new, scores[:1]))
        assert kept == Ranking(ScoredEmbeddings(of_run, scores)).p_values(ScoredEmbeddings(new, scores[:1]))
    of_kept = sum(searched) - 400 * (len(more) - 1)
    assert of_kept < 400 * len(more) / 4
