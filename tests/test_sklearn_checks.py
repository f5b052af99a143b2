"""scikit-learn's own checks of estimators, which know tables only: each row of a table becomes an image."""

from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.utils import Tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from anomaly_clustering.estimator import AnomalyClusterer

pytestmark = pytest.mark.usefixtures("unchecked_types")


def as_images(table: np.ndarray) -> Iterator[np.ndarray]:
    """A stripe a column, the brighter the higher the number, as far as a few standard deviations go."""
    for row in table:
        stripes = np.repeat((1 + np.sin(row.astype(np.float64) / 2)) / 2, np.ceil(32 / len(row)))
        yield np.tile(stripes, (32, 1))


class ClustererOfRows(AnomalyClusterer):
    """AnomalyClusterer behind `validate_data`, so that all checks run and none is expected to fail.

    What only a table can get wrong is found there, not in the estimator, and says nothing of it: NaN, infinity, complex
    numbers, objects, sparse matrices, one sample, one column, another number of columns (`check_complex_data`,
    `check_dtype_object`, `check_estimators_nan_inf`, `check_estimator_sparse_*`, `check_fit1d`, `check_fit2d_*`,
    `check_n_features_in*`, `check_estimators_empty_data_messages`). What images can get wrong is in test_estimator.py.
    The other checks are of the estimator: parameters, tags, clones, pickles, fitting twice, order and subsets of rows,
    what is left alone, labels.
    """

    def fit(self, X, y=None):  # type: ignore[override]
        X = validate_data(self, X, ensure_min_samples=2)
        asked, self.n_clusters = self.n_clusters, max(2, self.n_clusters)  # Checks of other things ask for one.
        try:
            return super().fit(as_images(X))
        finally:
            self.n_clusters = asked

    def predict(self, X):  # type: ignore[override]
        check_is_fitted(self)
        return super().predict(as_images(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


@parametrize_with_checks([ClustererOfRows(2, image_size=32, views=1)])
def test_scikit_learn_finds_nothing(estimator, check) -> None:
    check(estimator)
