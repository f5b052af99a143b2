"""Places on the map: neighbours stay neighbours, and later images land among theirs."""

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist, squareform

from anomaly_clustering.report import places as module
from anomaly_clustering.report.places import place_all, place_among


@pytest.fixture
def without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)


@pytest.mark.usefixtures("without_umap")
def test_a_plane_is_shown_as_it_is() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(20, 2)) @ np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    for places, name in (place_all(plane, None), place_all(None, squareform(pdist(plane)))):
        assert name in ("PCA", "classical scaling")
        np.testing.assert_allclose(pdist(places), pdist(plane), rtol=1e-6)


@pytest.mark.usefixtures("without_umap")
def test_one_dimension_is_a_line() -> None:
    places, _ = place_all(np.arange(5.0)[:, None], None)
    np.testing.assert_allclose(np.abs(np.diff(places[:, 0])), 1)
    assert (places[:, 1] == 0).all()


@pytest.mark.skipif(find_spec("umap") is None, reason="the extra 'report' is not installed")
def test_umap_keeps_groups_together_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([rng.normal(20 * k, 1, (15, 8)) for k in range(3)])
    places, name = place_all(embeddings, None, seed=0)
    assert name == "UMAP"
    assert (places == place_all(embeddings, None, seed=0)[0]).all()
    nearest = (cdist(places, places) + np.diag([np.inf] * 45)).argmin(1)
    assert (nearest // 15 == np.arange(45) // 15).all()


def test_a_later_image_lies_where_its_like_lies() -> None:
    embeddings = np.array([[0.0, 0], [1, 0], [0, 1], [50, 50], [51, 50], [50, 51]])
    places = np.array([[5.0, 5], [6, 5], [5, 6], [-5, -5], [-6, -5], [-5, -6]])
    found = place_among(np.array([[0.0, 0], [50.3, 50.3]]), embeddings, places)
    np.testing.assert_allclose(found[0], [5, 5])
    assert (found[1] < -5).all()
    assert (found[1] > -6).all()
    assert place_among(embeddings[:0], embeddings, places).shape == (0, 2)
