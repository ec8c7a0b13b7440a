"""How much is people's own: axes beside the consensus, and the share told by known annotators."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sklearn_annoser.mapping import CrossedModel, Known, _own_content, learn_own_content, learn_prior
from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.ratings import Ratings
from tests.mapping.test_blend import make_corpus, prior_of

GUESS = 0.04


def plain_share(content, ratings, variance):
    """The share of one output, by densities of contrasts written out."""
    table = ratings.to_dense()
    apart = table - np.nanmean(table, axis=0)
    logs, noise, told = np.zeros(12), np.zeros(12), 0
    ratios = 0.0025 * 2048 ** (np.arange(12) / 11)
    for person in range(table.shape[1]):
        others = np.delete(apart, person, axis=1)
        rows = np.flatnonzero(np.isfinite(table[:, person]) & np.isfinite(others).any(axis=1))
        if len(rows) < 6:
            continue
        known = np.c_[np.ones(len(rows)), np.nanmean(others[rows], axis=1)]
        contrasts = np.linalg.svd(known)[0][:, 2:]  # of mean 0, whatever constant and others
        seen = contrasts.T @ table[rows, person]
        for place, ratio in enumerate(ratios):
            covariance = contrasts.T @ (np.eye(len(rows)) + ratio * content[rows] @ content[rows].T) @ contrasts
            scale = seen @ np.linalg.solve(covariance, seen) / len(seen)
            logs[place] += multivariate_normal(np.zeros(len(seen)), scale * covariance).logpdf(seen)
            noise[place] += scale * len(seen)
        told += len(seen)
    shares = ratios * noise / told / variance
    logs -= 0.5 * (np.log(shares / GUESS) / np.log(2.5)) ** 2
    likely = np.exp(logs - logs.max())
    return np.exp(likely @ np.log(shares) / likely.sum())


def known_corpus(share, n_annotators=30, n_ratings=60, n_samples=300, seed=0, n_outputs=1):
    """Hidden features, heads, prior and ratings of annotators whose own content has a share of the variance."""
    hidden, heads, ratings = make_corpus(seed=seed, n_outputs=n_outputs, n_samples=n_samples)
    prior = learn_prior([hidden], heads.mean(axis=0), ratings, ratings)
    rng = np.random.RandomState(seed)
    values = np.full((n_samples, n_annotators, n_outputs), np.nan)
    for output in range(n_outputs):
        axes = Axes.of(heads[:, output], prior, output)
        seen = np.c_[hidden[:, output], np.ones(n_samples)]
        content, everybody = seen @ axes.content, seen @ axes.consensus
        for person in range(n_annotators):
            rows = rng.choice(n_samples, n_ratings, replace=False)
            own = np.sqrt(share) * content @ rng.normal(size=content.shape[1])
            noise = np.sqrt(0.7 - share) * rng.normal(size=n_samples)
            values[rows, person, output] = (np.sqrt(0.3) * everybody + own + noise)[rows]
    return hidden, heads, replace(prior, variance=np.ones(n_outputs)), Ratings.from_dense(values)


def share_of(case, **changes):
    hidden, heads, prior, ratings = case
    return learn_own_content(lambda rows: [hidden[rows]], heads, replace(prior, **changes), ratings)


def test_content_is_what_the_consensus_does_not_tell():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    for output in range(2):
        axes = Axes.of(heads[:, output], prior, output)
        seen = np.c_[hidden[:, output], np.ones(len(hidden))]
        content, consensus = seen @ axes.content, seen @ axes.consensus
        np.testing.assert_allclose(content.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(content.T @ consensus / len(seen), 0, atol=1e-10)
        assert content.var(axis=0).sum() == pytest.approx(1)
        assert np.abs(np.corrcoef(content.T) - np.eye(axes.n_content)).max() < 1e-6
        assert (consensus.mean(), consensus.var()) == (pytest.approx(0, abs=1e-10), pytest.approx(1))


def test_one_hidden_feature_is_all_consensus():
    hidden = np.random.RandomState(0).normal(size=(50, 1, 1))
    heads = np.array([[[1.0, 0.0]], [[2.0, 1.0]]])
    ratings = Ratings.from_dense(hidden[:, 0] @ np.ones((1, 8)) + np.random.RandomState(1).normal(size=(50, 8)))
    prior = learn_prior([hidden], heads.mean(axis=0), ratings, ratings)
    assert Axes.of(heads[:, 0], prior, 0).n_content == 0
    own = learn_own_content(lambda rows: [hidden[rows]], heads, prior, ratings)
    assert np.isfinite(own).all()
    head = CrossedModel(Known(heads, prior).axes[0], hidden[:, 0], ratings, prior, 0).heads()
    assert (head[:, 0] > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_share_equals_the_formula(seed):
    case = known_corpus(0.1, n_annotators=4, n_ratings=25 + 5 * seed, n_samples=60, seed=seed)
    hidden, heads, prior, ratings = case
    axes = Axes.of(heads[:, 0], prior, 0)
    content = np.c_[hidden[:, 0], np.ones(len(hidden))] @ axes.content
    assert share_of(case)[0] == pytest.approx(plain_share(content, ratings, 1.0), rel=1e-6)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.4])
def test_a_planted_share_is_found(share):
    found = share_of(known_corpus(share, n_annotators=60, n_outputs=2))
    np.testing.assert_allclose(found, share, rtol=0.35)


def test_the_scale_of_ratings_and_the_order_of_annotators_do_not_matter():
    hidden, heads, prior, ratings = known_corpus(0.1)
    plain = share_of((hidden, heads, prior, ratings))
    scaled = ratings.with_values(ratings.values * 7 + 3)
    np.testing.assert_allclose(share_of((hidden, heads, prior, scaled), variance=np.full(1, 49.0)), plain)
    turned = Ratings.from_dense(ratings.to_dense()[:, ::-1])
    np.testing.assert_allclose(share_of((hidden, heads, prior, turned)), plain)
    # Annotators who use different parts of the scale have as much of their own.
    spread = np.exp(np.random.RandomState(0).normal(size=30))[ratings.codes][:, None]
    assert share_of((hidden, heads, prior, ratings.with_values(ratings.values * spread)))[0] > 0


def test_blocks_change_nothing():
    hidden, heads, prior, ratings = known_corpus(0.1)
    whole = share_of((hidden, heads, prior, ratings))
    parts = learn_own_content(lambda rows: np.array_split(hidden[rows], 7), heads, prior, ratings)
    np.testing.assert_allclose(parts, whole)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(40.0)[:, None],  # a single annotator: nothing tells what others see
        np.where(np.eye(4)[np.arange(40) % 4], np.arange(40.0)[:, None], np.nan),  # each has samples of their own
        np.full((40, 3), 2.0),
        np.repeat(np.arange(40.0)[:, None], 3, axis=1),  # all agree
        np.full((40, 2), np.nan),
    ],
    ids=["one", "alone", "constant", "agree", "nobody"],
)
def test_ratings_that_tell_nothing_leave_the_guess(values):
    hidden, heads, prior, _ = known_corpus(0.1, n_samples=40, n_ratings=20)
    if np.isfinite(values).any():
        ratings = Ratings.from_dense(values)
    else:
        ratings = Ratings.from_dense(np.ones((40, 2))).keep_ratings(np.zeros(80, dtype=bool))
    np.testing.assert_array_equal(share_of((hidden, heads, prior, ratings)), GUESS)


def test_of_many_ratings_some_are_looked_at(monkeypatch):
    case = known_corpus(0.15, n_annotators=60)
    whole = share_of(case)
    monkeypatch.setattr(_own_content, "MOST_ANNOTATORS", 20)
    monkeypatch.setattr(_own_content, "MOST_RATINGS", 800)
    seen = []
    hidden, heads, prior, ratings = case
    some = learn_own_content(lambda rows: [seen.append(rows), hidden[rows]][1:], heads, prior, ratings)
    assert _own_content._telling(ratings).sum() == 20 * 30
    assert some != whole
    np.testing.assert_allclose(some, whole, rtol=0.5)


def test_heads_that_are_partly_of_the_consensus_differ_by_more_than_they_seem_to():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    everyone = heads.mean(axis=0)
    shrunk = everyone + 0.25 * (heads - everyone)
    for output in range(2):
        whole = Axes.of(heads[:, output], prior, output)
        same = Axes.of(shrunk[:, output], replace(prior, individual_share=0.25), output)
        np.testing.assert_allclose(same.consensus, whole.consensus)
        first = slice(1 + whole.n_content, None)
        np.testing.assert_allclose(np.abs(same.directions[:, first]), np.abs(whole.directions[:, first]), atol=1e-6)


def test_few_items_are_doubted_where_several_people_have_rated_them():
    hidden, heads, ratings = make_corpus(n_samples=400)
    prior = prior_of(hidden, ratings)
    known = Known(heads, prior)

    def doubt(values):
        return CrossedModel(known.axes[0], hidden[: len(values), 0], Ratings.from_dense(values), prior, 0).doubt()

    few, many = np.random.RandomState(0).normal(size=(50, 3)), np.random.RandomState(0).normal(size=(300, 3))
    assert doubt(few) == pytest.approx(3)  # 150 / 50
    assert doubt(few[:, :1]) == pytest.approx(1.5)
    half = few.copy()
    half[:25, 1:], half[25:, 2:] = np.nan, np.nan  # 25 ratings of items of one's own, 50 of shared ones
    assert doubt(half) == pytest.approx(1.5 + 50 / 75 * 1.5)
    assert doubt(many) == doubt(many[:, :1]) == pytest.approx(0.5)
