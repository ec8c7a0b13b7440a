"""How much annotators differ in how well they are predicted: measured, and told by known ones."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sklearn_annoser.mapping._between import DEVIATIONS, evidence_of_z, expected_z, likely_deviations, measured_z
from sklearn_annoser.ratings import Ratings


def drawn(deviation, n_annotators=100, n_ratings=60, seed=0, level=0.5):
    """Predictions and ratings of annotators whose z differs by some deviation."""
    rng = np.random.RandomState(seed)
    rho = np.tanh(level + deviation * rng.normal(size=n_annotators))
    told = rng.normal(size=(n_annotators, n_ratings))
    values = rho[:, None] * told + np.sqrt(1 - rho[:, None] ** 2) * rng.normal(size=told.shape)
    return told.reshape(-1, 1), Ratings.from_rows(values.reshape(-1, 1), np.repeat(np.arange(n_annotators), n_ratings))


def test_z_is_that_of_the_correlation_within_groups():
    told, ratings = drawn(0.2, n_annotators=3, n_ratings=20)
    groups = ratings.codes * 2 + np.tile(np.arange(20) >= 12, 3)
    z, precision = measured_z(told, ratings, groups)
    for annotator in range(3):
        parts = [np.flatnonzero(groups == 2 * annotator + half) for half in range(2)]
        pairs = np.concatenate(
            [
                np.c_[told[part], ratings.values[part]] - np.c_[told[part], ratings.values[part]].mean(0)
                for part in parts
            ]
        )
        r = (pairs[:, 0] @ pairs[:, 1]) / np.sqrt((pairs[:, 0] @ pairs[:, 0]) * (pairs[:, 1] @ pairs[:, 1]))
        assert z[annotator, 0] == pytest.approx(np.arctanh(r))
        assert precision[annotator, 0] == 20 - 2 - 2


def test_what_is_not_given_or_does_not_differ_tells_nothing():
    told, ratings = drawn(0.2, n_annotators=3, n_ratings=8)
    told[:8], told[8:14] = 1.0, np.nan
    z, precision = measured_z(told, ratings, ratings.codes)
    np.testing.assert_array_equal(z[:2], 0)
    np.testing.assert_array_equal(precision.ravel(), [0, 0, 5])


@pytest.mark.parametrize("shift", [0.4, 2.0])
def test_evidence_and_expectation_are_those_of_the_normal_distribution(shift):
    rng = np.random.RandomState(0)
    z, precision = rng.normal(size=(2, 5)), rng.uniform(6, 30, size=5)
    told = []
    for between in (0.01, 0.3):
        covariance = shift**2 + between * np.eye(5) + np.diag(1 / precision)
        mean, variance = expected_z(z[:1].T, precision[:, None], between, shift)
        whole = shift**2 + between * np.eye(5)
        np.testing.assert_allclose(mean[:, 0], whole @ np.linalg.solve(covariance, z[0]))
        np.testing.assert_allclose(variance[:, 0], np.diag(whole - whole @ np.linalg.solve(covariance, whole)))
        ours = evidence_of_z(z[:1].T, precision[:, None], between, shift)[0]
        told.append(multivariate_normal(np.zeros(5), covariance).logpdf(z[0]) - ours)
    assert told[0] == pytest.approx(told[1])


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_new_annotators_are_expected_to_differ_by_a_planted_deviation_or_twice_that(step):
    likely = likely_deviations(*drawn(DEVIATIONS[step], n_annotators=400))
    assert likely.shape == (1, len(DEVIATIONS))
    assert likely.sum() == pytest.approx(1)
    if step < 4:
        np.testing.assert_allclose(likely[0, step : step + 2], 3 / 8, atol=0.13)
        np.testing.assert_allclose(likely[0, step - 1], 1 / 8, atol=0.13)
    else:
        assert likely[0, step] > 0.7


@pytest.mark.parametrize("n_annotators", [1, 30])
def test_few_ratings_leave_all_probable(n_annotators):
    likely = likely_deviations(*drawn(0.1, n_annotators, n_ratings=6))
    np.testing.assert_allclose(likely, [[0.125, 0.175, 0.2, 0.225, 0.275]])
