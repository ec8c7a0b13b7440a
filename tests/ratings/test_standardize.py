import numpy as np
import pytest

from sklearn_annoser import Ratings
from tests.cases import HALF, half


def test_standardized_ratings_keep_the_order_and_lose_mean_and_spread():
    rng = np.random.RandomState(0)
    values = rng.normal(size=(400, 3, 2)) * [[1], [3], [0.2]] + [[5], [0], [-4]]
    plain = Ratings.from_dense(values)
    for n_worth, tolerance in ((0, 1e-12), (10, 0.6)):
        dense = plain.standardized(n_worth=n_worth).to_dense()
        np.testing.assert_allclose(dense.mean(axis=0), 0, atol=tolerance)
        np.testing.assert_allclose(dense.std(axis=0), 1, atol=tolerance)
        np.testing.assert_array_equal(dense.argsort(axis=0), values.argsort(axis=0))


def test_few_ratings_are_not_taken_at_their_word():
    values = np.random.RandomState(0).normal(size=(200, 2))
    values[1:, 1] = np.nan
    values[0, 1] = 2.0
    one = Ratings.from_dense(values).standardized().of(1)[1]
    assert 1 < one[0] < 2.5
    np.testing.assert_array_equal(Ratings.from_dense([[1.0], [1.0]]).standardized().values, 0)
    np.testing.assert_array_equal(np.isnan(half().standardized().to_dense()), np.isnan(HALF))


@pytest.mark.parametrize("n_worth", [0, 10])
@pytest.mark.parametrize("value", [0.1, 1.0])
def test_equal_ratings_standardize_to_zero(n_worth, value):
    equal = Ratings.from_dense(np.full((3, 1), value)).standardized(n_worth=n_worth)
    np.testing.assert_array_equal(equal.values, np.zeros((3, 1)))


def test_an_output_that_nobody_rated_stays_missing():
    values = np.array([[[1.0, np.nan]], [[2.0, np.nan]], [[3.0, 1.0]]])
    found = Ratings.from_dense(values)[:2].standardized().values
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[:, 0]).all()
