"""Thresholds: probabilities against a plain twin, gradients, what few labels do."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from sklearn_annoser.mapping import ThresholdPrior, fit_thresholds, ordered_log_proba
from sklearn_annoser.mapping._thresholds import _negative_log_likelihood, centred_thresholds


def plain_proba(score, thresholds):
    """Return the probability of each class, one difference of sigmoids at a time."""
    below = [0.0, *(1 / (1 + np.exp(score - cut)) for cut in thresholds), 1.0]
    return [high - low for low, high in pairwise(below)]


def prior_of(n_classes, level=0.0, variance=1.0):
    return ThresholdPrior(np.array([level] + [0.5] * (n_classes - 2)), variance * np.eye(n_classes - 1))


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_probabilities_are_differences_of_sigmoids(n_classes):
    rng = np.random.RandomState(n_classes)
    scores, thresholds = 3 * rng.normal(size=20), np.sort(rng.normal(size=n_classes - 1))
    found = np.exp(ordered_log_proba(scores, thresholds))
    np.testing.assert_allclose(found, [plain_proba(score, thresholds) for score in scores], atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_far_scores_lose_no_digits():
    found = ordered_log_proba(np.array([-500.0, 500.0]), np.array([-1.0, 1.0]))
    np.testing.assert_allclose(found[0, :2], [0, -499 + np.log1p(-np.exp(-2.0))], atol=1e-9)
    np.testing.assert_allclose(found[1, ::-1], found[0])


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_likelihood(n_classes, seed):
    rng = np.random.RandomState(seed)
    scores, codes, found = rng.normal(size=30), rng.randint(n_classes, size=30), rng.normal(size=n_classes - 1)

    def value(u):
        return _negative_log_likelihood(scores + u[0], codes, u[1:])[0]

    cuts = centred_thresholds(found[1:])[0]
    plain = -sum(np.log(plain_proba(score + found[0], cuts)[code]) for score, code in zip(scores, codes, strict=True))
    assert value(found) == pytest.approx(plain)
    gradient = _negative_log_likelihood(scores + found[0], codes, found[1:])[1]
    np.testing.assert_allclose(gradient, approx_fprime(found, value, 1e-7), rtol=1e-3, atol=1e-4)


def test_the_fit_is_the_most_probable_one():
    rng = np.random.RandomState(0)
    scores, codes, prior = rng.normal(size=15), rng.randint(4, size=15), prior_of(4, level=0.3)
    shift, cuts = fit_thresholds(scores, codes, prior, level=0.1)
    best = np.array([shift + 0.1, *np.log(np.diff(cuts))])

    def loss(u):
        value = _negative_log_likelihood(scores + u[0] - 0.1, codes, u[1:])[0]
        return value + (u - prior.mean) @ np.linalg.solve(prior.covariance, u - prior.mean) / 2

    for _ in range(200):
        assert loss(best + 0.1 * rng.normal(size=3)) >= loss(best) - 1e-9


def test_without_labels_all_is_as_expected():
    prior = prior_of(4, level=0.7)
    shift, cuts = fit_thresholds(np.empty(0), np.empty(0, dtype=int), prior, level=0.2)
    assert shift == pytest.approx(0.5)
    np.testing.assert_allclose(cuts, centred_thresholds(prior.mean[1:])[0])


@pytest.mark.parametrize("n", [1, 5, 500])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_equal_labels_leave_rising_thresholds(n, n_classes):
    for code in range(n_classes):
        shift, cuts = fit_thresholds(np.zeros(n), np.full(n, code), prior_of(n_classes), level=0.0)
        assert np.isfinite(shift)
        assert (np.diff(cuts) > 0).all()
        probability = np.exp(ordered_log_proba(np.full(1, shift), cuts))[0]
        assert (probability > 0).all()
        assert probability.argmax() == code or n == 1


def test_the_more_labels_the_less_the_prior_counts():
    rng = np.random.RandomState(0)
    true = np.array([-3.0, -1.0, 0.0])
    errors = []
    for n in (5, 50, 5000):
        scores = 2 * rng.normal(size=n)
        codes = ((scores + rng.logistic(size=n))[:, None] > true).sum(axis=1)
        shift, cuts = fit_thresholds(scores, codes, prior_of(4, variance=0.3), level=0.0)
        errors.append(np.abs(cuts - shift - true).max())
    assert errors[0] > errors[2]
    assert errors[2] < 0.2


def test_reversed_classes_have_reversed_thresholds():
    rng = np.random.RandomState(1)
    scores, codes = rng.normal(size=20), rng.randint(4, size=20)
    prior = ThresholdPrior(np.array([0.3, 0.1, 0.6]), np.diag([1.0, 0.2, 0.4]))
    mirrored = ThresholdPrior(np.array([-0.3, 0.6, 0.1]), np.diag([1.0, 0.4, 0.2]))
    shift, cuts = fit_thresholds(scores, codes, prior, level=0.0)
    other_shift, other_cuts = fit_thresholds(-scores, 3 - codes, mirrored, level=0.0)
    assert other_shift == pytest.approx(-shift, abs=1e-4)
    np.testing.assert_allclose(other_cuts, -cuts[::-1], atol=1e-4)


def test_moved_scores_move_nothing_but_the_shift():
    rng = np.random.RandomState(1)
    scores, codes = rng.normal(size=20), rng.randint(3, size=20)
    shift, cuts = fit_thresholds(scores, codes, prior_of(3), level=0.0)
    moved, same = fit_thresholds(scores + 7, codes, prior_of(3), level=7.0)
    assert moved == pytest.approx(shift - 7, abs=1e-5)
    np.testing.assert_allclose(same, cuts, atol=1e-5)


def test_the_prior_is_that_of_the_known_and_of_one_alone_a_guess():
    rng = np.random.RandomState(0)
    levels, gaps = 0.5 * rng.normal(size=4000), 0.3 * rng.normal(size=(4000, 2))
    thresholds = np.array([centred_thresholds(own)[0] for own in gaps])
    prior = ThresholdPrior.learn(levels, thresholds)
    np.testing.assert_allclose(prior.mean, 0, atol=0.03)
    np.testing.assert_allclose(prior.covariance, np.diag([0.25, 0.09, 0.09]), atol=0.02)
    alone = ThresholdPrior.learn(levels[:1], thresholds[:1])
    np.testing.assert_allclose(alone.covariance, np.diag([1.0, 0.25, 0.25]))
    np.testing.assert_allclose(alone.mean, [levels[0], *gaps[0]])
