"""Forecast of the CCC: honest correlations, priors that give way to ratings, and intervals that hold what they say."""

import numpy as np
import pytest

from sklearn_annoser.mapping import Enroller, forecast_scores, learn_prior
from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.ratings import Ratings
from tests.oracles_network import plain_ccc

N_HIDDEN = 8
COMMON = np.random.RandomState(99).normal(size=(1, N_HIDDEN + 1))


def make_annotators(n, n_ratings, noise, n_samples=400, seed=0):
    """Hidden features, true heads and ratings of annotators who rate as far from their head as `noise` says."""
    rng = np.random.RandomState(seed)
    hidden = np.maximum(rng.normal(size=(n_samples, 1, N_HIDDEN)), 0)
    heads = COMMON + 0.3 * rng.normal(size=(n, 1, N_HIDDEN + 1))
    values = np.full((n_samples, n, 1), np.nan)
    for annotator, (head, own) in enumerate(zip(heads, np.broadcast_to(noise, n), strict=True)):
        rows = rng.choice(n_samples, size=n_ratings, replace=False)
        values[rows, annotator] = (
            hidden[rows, 0] @ head[0, :-1, None] + head[0, -1] + own * rng.normal(size=(len(rows), 1))
        )
    return hidden, heads, Ratings.from_dense(values)


def drawn_from_the_model(heads, prior, n, n_ratings, seed):
    """Annotators of a corpus whose heads and noise are those that the model behind the blend expects."""
    rng = np.random.RandomState(seed)
    hidden = np.maximum(rng.normal(size=(400, 1, N_HIDDEN)), 0)
    axes = Axes.of(heads[:, 0], prior, 0)
    z = np.arctanh(prior.correlation[0]) + 0.4 * rng.normal()
    start = np.tanh(z) * np.sqrt(prior.variance[0]) * axes.consensus
    start[-1] += axes.mean
    own = rng.normal(size=(n, axes.directions.shape[1])) * np.sqrt(axes.own_variances(prior, 0))
    truth = start + own @ axes.directions.T
    values = np.full((400, n, 1), np.nan)
    noise = np.sqrt(prior.variance[0] * (1 - prior.correlation[0] ** 2))
    for annotator, head in enumerate(truth):
        rows = rng.choice(400, size=n_ratings, replace=False)
        values[rows, annotator, 0] = hidden[rows, 0] @ head[:-1] + head[-1] + noise * rng.normal(size=n_ratings)
    return hidden, truth[:, None], Ratings.from_dense(values)


def make_source(noise=1.0, n=20, seed=7):
    hidden, heads, ratings = make_annotators(n, 60, noise, seed=seed)
    return heads, learn_prior([hidden], heads.mean(axis=0), ratings, ratings)


def forecast(case, heads, prior, *, seed=0, level=0.8, n_folds=5, n_unseen=None, **how):
    hidden, _, ratings = case
    how = {"strategy": "blend", "calibration": "affine"} | how
    mapping = Enroller(heads, prior, **how).enrol(hidden, ratings, rng=np.random.RandomState(seed))
    rng = np.random.RandomState(seed)
    return mapping, forecast_scores(mapping, level=level, n_folds=n_folds, n_unseen=n_unseen, rng=rng)


def true_scores(case, mapping, noise, n_unseen=20_000, seed=5):
    """CCC of mapped annotators on many ratings more."""
    rng = np.random.RandomState(seed)
    hidden = np.maximum(rng.normal(size=(n_unseen, N_HIDDEN)), 0)
    found = []
    for truth, head, own in zip(case[1], mapping.heads, np.broadcast_to(noise, len(case[1])), strict=True):
        clean = hidden @ truth[0, :-1] + truth[0, -1] + own * rng.normal(size=n_unseen)
        found.append(plain_ccc_fast(clean, hidden @ head[0, :-1] + head[0, -1]))
    return np.array(found)


def plain_ccc_fast(true, pred):
    covariance = np.mean((true - true.mean()) * (pred - pred.mean()))
    return 2 * covariance / (true.var() + pred.var() + (true.mean() - pred.mean()) ** 2)


def test_the_quick_ccc_is_the_plain_one():
    true, pred = np.random.RandomState(0).normal(size=(2, 50))
    assert plain_ccc_fast(true, pred) == pytest.approx(plain_ccc(true, pred))


@pytest.mark.parametrize("strategy", ["joint", "blend", "all"])
@pytest.mark.parametrize("calibration", [None, "affine"])
def test_with_many_ratings_the_forecast_is_the_truth(strategy, calibration):
    heads, prior = make_source()
    case = make_annotators(15, 300, 1.0, seed=1)
    mapping, told = forecast(case, heads, prior.with_samples([case[0]]), strategy=strategy, calibration=calibration)
    np.testing.assert_allclose(told.score[:, 0], true_scores(case, mapping, 1.0), atol=0.12)
    assert abs(np.mean(told.score[:, 0] - true_scores(case, mapping, 1.0))) < 0.03


@pytest.mark.parametrize("n_ratings", [5, 10, 20, 40])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(n_ratings, level):
    # Annotators whose z differs by about as much as that of the known ones.
    known, noise = (np.exp(0.15 * np.random.RandomState(seed).normal(size=n)) for seed, n in ((4, 20), (3, 300)))
    heads, prior = make_source(known)
    case = make_annotators(300, n_ratings, noise, seed=2)
    mapping, told = forecast(case, heads, prior.with_samples([case[0]]), level=level)
    true = true_scores(case, mapping, noise, n_unseen=4000)
    assert np.mean((told.low[:, 0] < true) & (true < told.high[:, 0])) == pytest.approx(level, abs=0.12)


@pytest.mark.parametrize("n_ratings", [5, 20])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_the_interval_holds_the_truth_of_annotators_drawn_from_the_model_itself(n_ratings, level):
    heads, prior = make_source()
    held = []
    for seed in range(20):
        case = drawn_from_the_model(heads, prior, 30, n_ratings, seed)
        mapping, told = forecast(case, heads, prior, level=level)
        noise = np.sqrt(prior.variance[0] * (1 - prior.correlation[0] ** 2))
        true = true_scores(case, mapping, noise, n_unseen=4000)
        held.append(np.mean((told.low[:, 0] < true) & (true < told.high[:, 0])))
    assert np.mean(held) == pytest.approx(level, abs=0.1)


def test_annotators_of_chance_are_told_from_good_ones():
    noise = np.repeat([0.3, 6.0], 20)
    heads, prior = make_source(noise=1.0)
    case = make_annotators(40, 40, noise, seed=4)
    mapping, told = forecast(case, heads, prior)
    good, chance = told.score[:20, 0], told.score[20:, 0]
    assert np.mean(good[:, None] > chance) > 0.95
    assert chance.mean() < 0.3
    # What those of chance blur, when all are mapped together, is told, too.
    true = true_scores(case, mapping, noise)
    assert good.mean() == pytest.approx(true[:20].mean(), abs=0.05)
    assert np.corrcoef(told.score[:, 0], true)[0, 1] > 0.9


def test_few_ratings_of_one_annotator_leave_what_the_source_makes_expect():
    heads, prior = make_source()
    case = make_annotators(1, 3, 1.0, seed=5)
    _, told = forecast(case, heads, prior)
    assert prior.correlation[0] - 0.25 < told.score[0, 0] < prior.correlation[0]
    assert told.high[0, 0] - told.low[0, 0] > 0.2


def test_other_annotators_tell_what_the_corpus_is_like():
    heads, prior = make_source(noise=0.3)
    noisy = make_annotators(60, 20, 6.0, seed=6)
    alone = (noisy[0], noisy[1][:1], noisy[2].keep_annotators([noisy[2].annotators[0]]))
    together = forecast(noisy, heads, prior)[1]
    assert together.score[0, 0] < forecast(alone, heads, prior)[1].score[0, 0] - 0.05


def test_fewer_unseen_ratings_differ_more_by_chance():
    heads, prior = make_source()
    case = make_annotators(5, 20, 1.0, seed=7)
    widths = []
    for n_unseen in (None, 200, 20):
        _, told = forecast(case, heads, prior, n_unseen=n_unseen)
        widths.append((told.high - told.low).mean())
    assert widths[0] < widths[1] < widths[2]


def test_a_wider_level_is_a_wider_interval_around_the_same_score():
    heads, prior = make_source()
    case = make_annotators(5, 20, 1.0, seed=8)
    narrow, wide = (forecast(case, heads, prior, level=level)[1] for level in (0.5, 0.95))
    np.testing.assert_array_equal(narrow.score, wide.score)
    assert (wide.low < narrow.low).all()
    assert (narrow.high < wide.high).all()


def test_constant_ratings_and_nobody_at_all_give_the_prior():
    heads, prior = make_source()
    hidden, truth, ratings = make_annotators(3, 12, 1.0, seed=9)
    values = ratings.to_dense()
    values[:, 1] = np.where(np.isnan(values[:, 1]), np.nan, 0.4)
    values[:, 2] = np.nan
    _, told = forecast((hidden, truth, Ratings.from_dense(values)), heads, prior)
    assert np.isfinite(told.score).all()
    assert (told.low < told.score).all()


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n", "blend"])
def test_how_many_are_looked_at_together_changes_no_number(strategy, monkeypatch):
    heads, prior = make_source()
    case = make_annotators(9, 12, 1.0, seed=4)
    _, whole = forecast(case, heads, prior, strategy=strategy)
    monkeypatch.setattr("sklearn_annoser.mapping._forecast.BLOCK_TARGETS", 4)
    _, parts = forecast(case, heads, prior, strategy=strategy)
    for name in ("score", "low", "high"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_who_is_chosen_without_some_ratings_is_who_is_chosen_of_the_others(strategy, monkeypatch):
    monkeypatch.setattr("sklearn_annoser.mapping._scores.BLOCK_ROWS", 5)
    heads, prior = make_source()
    hidden, _, ratings = make_annotators(7, 6, 1.0, seed=4)
    enroller, rng = Enroller(heads, prior, strategy, n_heads=2), np.random.RandomState(0)
    left_out = np.arange(ratings.n_ratings) % 3 == 0
    left_out[ratings.codes == 2] = np.arange(6) > 0  # one rating
    again = enroller.but(min_ratings=1).enrol(hidden, ratings.keep_ratings(~left_out))
    np.testing.assert_array_equal(next(enroller.enrol(hidden, ratings).heads_without([left_out], rng)), again.heads)
