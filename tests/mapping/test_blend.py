"""Blending: prior knowledge, blended heads and their calibration, against formulas and planted truth."""

from dataclasses import replace

import numpy as np
import pytest

from sklearn_annoser.mapping import Known, _crossed, blend_heads, calibrate_heads, learn_prior
from sklearn_annoser.ratings import Ratings
from tests.oracles_network import plain_blend, plain_ccc, plain_moments

HIDDEN = 6


def make_corpus(n_annotators=12, n_samples=120, n_ratings=30, noise=0.5, spreads=0.2, offsets=0.4, seed=0, n_outputs=2):
    """Hidden features, heads and ratings of annotators who differ in direction, spread and offset."""
    rng = np.random.RandomState(seed)
    hidden = np.maximum(rng.normal(size=(n_samples, n_outputs, HIDDEN)), 0)
    common = np.random.RandomState(99).normal(size=(n_outputs, HIDDEN + 1))
    heads = common + 0.3 * rng.normal(size=(n_annotators, n_outputs, HIDDEN + 1))
    heads *= np.exp(spreads * rng.normal(size=(n_annotators, 1, 1)))
    heads[:, :, -1] += offsets * rng.normal(size=(n_annotators, 1))
    values = np.full((n_samples, n_annotators, n_outputs), np.nan)
    for annotator, head in enumerate(heads):
        rows = rng.choice(n_samples, size=n_ratings, replace=False)
        clean = np.einsum("noh,oh->no", hidden[rows], head[:, :-1]) + head[:, -1]
        values[rows, annotator] = clean + noise * rng.normal(size=clean.shape)
    return hidden, heads, Ratings.from_dense(values)


def prior_of(hidden, ratings):
    """What a corpus tells, predicted by an arbitrary head."""
    head = np.random.RandomState(98).normal(size=(hidden.shape[1], hidden.shape[2] + 1))
    return learn_prior([hidden], head, ratings, ratings)


def blend(hidden, heads, ratings, prior):
    return blend_heads(hidden, Known(heads, prior), ratings)


# ---------------------------------------------------------------------- prior


def test_moments_equal_those_taken_sample_by_sample_in_any_blocks():
    hidden, heads, ratings = make_corpus()
    prior = learn_prior(np.array_split(hidden, [7, 50, 51]), heads.mean(axis=0), ratings, ratings)
    for output in range(2):
        mean, second = plain_moments(hidden[:, output])
        np.testing.assert_allclose(prior.mean[output], mean, atol=1e-12)
        np.testing.assert_allclose(prior.second[output], second, atol=1e-12)
        pairs = []
        for label in ratings.annotators:
            rows, values = ratings.of(label)
            predicted = np.c_[hidden[rows, output], np.ones(len(rows))] @ heads[:, output].mean(axis=0)
            pairs.append(np.stack([values[:, output] - values[:, output].mean(), predicted - predicted.mean()]))
        np.testing.assert_allclose(prior.correlation[output], np.corrcoef(np.concatenate(pairs, axis=1))[0, 1])


def test_rating_variances_equal_the_formulas():
    hidden, _, ratings = make_corpus(n_annotators=8)
    prior = prior_of(hidden, ratings)
    for output in range(2):
        each = [ratings.of(label)[1][:, output] for label in ratings.annotators]
        pooled = np.mean([np.var(values, ddof=1) for values in each])  # all have as many ratings
        log_spread = np.var([np.log(np.std(values, ddof=1)) for values in each], ddof=1) - 1 / (2 * 29)
        log_spread = max(log_spread, 0)
        between = np.var([np.mean(values) for values in each], ddof=1) - pooled / 30
        np.testing.assert_allclose(prior.variance[output], pooled)
        np.testing.assert_allclose(prior.n_worth[output], 1 / (2 * (7 * log_spread + 2 * 0.04) / 9))
        np.testing.assert_allclose(prior.offset_variance[output], (7 * between + 2 * 0.1 * pooled) / 9)


def test_a_population_of_annotators_is_recovered():
    hidden, _, ratings = make_corpus(
        n_annotators=400, n_samples=500, n_ratings=200, noise=0.1, spreads=0.3, offsets=1.0
    )
    alike = make_corpus(n_annotators=400, n_samples=500, n_ratings=200, noise=0.1, spreads=0.0, offsets=0.0)[2]
    differing, same = prior_of(hidden, ratings), prior_of(hidden, alike)
    assert (differing.offset_variance > 5 * same.offset_variance).all()
    assert (differing.n_worth < same.n_worth / 1.5).all()


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.5]),
        np.zeros(30),
        np.random.RandomState(0).normal(size=30),
    ],
    ids=["single", "equal", "one annotator"],
)
def test_a_poor_source_still_gives_a_usable_prior(values):
    hidden = np.random.RandomState(0).normal(size=(len(values), 1, 3))
    prior = prior_of(hidden, Ratings.from_rows(values[:, None], "a"))
    assert (prior.variance > 0).all()
    np.testing.assert_allclose(prior.n_worth, 12.5)
    np.testing.assert_allclose(prior.offset_variance, 0.1 * prior.variance)


def test_samples_of_the_target_outweigh_the_source_as_they_grow():
    hidden, _, ratings = make_corpus()
    prior, other = prior_of(hidden, ratings), 3 + np.abs(np.random.RandomState(1).normal(size=(3000, 2, HIDDEN)))
    for n in (30, 3000):
        seen = prior.with_samples([other[:n]])
        share = n / (n + 30)
        np.testing.assert_allclose(
            seen.mean[:, :-1], share * other[:n].mean(axis=0) + (1 - share) * hidden.mean(axis=0), atol=1e-10
        )
    np.testing.assert_array_equal(seen.variance, prior.variance)


# ---------------------------------------------------------------------- blend


@pytest.mark.parametrize("n_ratings", [1, 3, 7, 40])
@pytest.mark.parametrize("n_annotators", [1, 4])
@pytest.mark.parametrize("n_content", [0, 2])
def test_blended_heads_equal_the_formula(n_ratings, n_annotators, n_content):
    hidden, heads, ratings = make_corpus()
    prior = replace(prior_of(hidden, ratings), n_content=n_content)
    new_hidden, _, new = make_corpus(n_annotators=n_annotators, n_samples=60, n_ratings=n_ratings, seed=1)
    blended = blend(new_hidden, heads, new, prior)
    np.testing.assert_allclose(blended, plain_blend(new_hidden, heads, new, prior), atol=3e-3)


@pytest.mark.parametrize("seed", range(12))
def test_drawn_ratings_blend_as_the_formula_says(seed, monkeypatch):
    monkeypatch.setattr(_crossed, "NEGLIGIBLE", 0.0)
    rng = np.random.RandomState(seed)
    hidden, heads, ratings = make_corpus(n_annotators=rng.randint(2, 9), n_ratings=25, seed=seed)
    prior = prior_of(hidden, ratings)
    values = np.where(rng.uniform(size=(30, 5, 1)) < rng.uniform(0.05, 0.6, size=(5, 1)), 0.0, np.nan)
    values = values + rng.normal(size=(30, 5, 2)) + rng.normal(size=(30, 1, 2))
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    values[0] = 0.3  # somebody rated at least
    new = Ratings.from_dense(values * 10.0 ** rng.randint(-3, 1))
    blended = blend(hidden[:30], heads, new, prior)
    np.testing.assert_allclose(blended, plain_blend(hidden[:30], heads, new, prior), atol=1e-7, rtol=1e-7)


def test_who_has_no_ratings_has_what_all_have_in_common():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    without_first = Ratings.from_dense(np.where(np.arange(12)[:, None] == 0, np.nan, ratings.to_dense()))
    blended = blend(hidden, heads, without_first, prior)
    np.testing.assert_allclose(blended, plain_blend(hidden, heads, without_first, prior), atol=3e-3)
    others = np.abs(blended[1:] - blended[0]).max(axis=(1, 2))
    assert (others > 0.01).all()


def test_only_the_items_that_were_rated_most_have_an_effect_of_their_own(monkeypatch):
    hidden, heads, ratings = make_corpus(n_samples=50, n_ratings=20)
    prior = prior_of(hidden, ratings)
    whole = blend(hidden, heads, ratings, prior)
    monkeypatch.setattr(_crossed, "MOST_ITEMS", 45)
    nearly = np.abs(blend(hidden, heads, ratings, prior) - whole).max()
    monkeypatch.setattr(_crossed, "MOST_ITEMS", 0)
    assert 0 < nearly < 0.5 * np.abs(blend(hidden, heads, ratings, prior) - whole).max()


def test_blocks_of_annotators_change_nothing(monkeypatch):
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    whole = blend(hidden, heads, ratings, prior)
    monkeypatch.setattr(_crossed, "BLOCK_RATINGS", 1)
    np.testing.assert_allclose(blend(hidden, heads, ratings, prior), whole, atol=1e-10)


def test_float32_gives_nearly_the_same():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    narrow = blend(hidden.astype(np.float32), heads.astype(np.float32), ratings, prior)
    np.testing.assert_allclose(narrow, blend(hidden, heads, ratings, prior), atol=1e-4)


def test_the_order_of_heads_and_of_annotators_does_not_matter():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    blended = blend(hidden, heads, ratings, prior)
    np.testing.assert_allclose(blend(hidden, heads[::-1], ratings, prior), blended, atol=1e-10)
    turned = Ratings.from_dense(ratings.to_dense()[:, ::-1])
    np.testing.assert_allclose(blend(hidden, heads, turned, prior)[::-1], blended, atol=1e-10)
    back = Ratings.from_dense(ratings.to_dense()[::-1])
    np.testing.assert_allclose(blend(hidden[::-1], heads, back, prior), blended, atol=1e-10)


def test_ratings_on_another_scale_blend_alike():
    hidden, heads, ratings = make_corpus()
    blended = blend(hidden, heads, ratings, prior_of(hidden, ratings))
    scaled, moved = heads * 12.0, ratings.with_values(ratings.values * 12 + 13)
    scaled[:, :, -1] += 13
    blended[:, :, :] *= 12
    blended[:, :, -1] += 13
    np.testing.assert_allclose(blend(hidden, scaled, moved, prior_of(hidden, moved)), blended, atol=1e-8)


@pytest.mark.parametrize("n_ratings", [5, 20, 100])
def test_planted_annotators_are_predicted_better_than_by_the_mean_of_all(n_ratings):
    hidden, heads, ratings = make_corpus(n_samples=200, n_ratings=100)
    prior = prior_of(hidden, ratings)
    new_hidden, truth, new = make_corpus(n_annotators=40, n_samples=300, n_ratings=n_ratings, seed=3)
    blended = blend(new_hidden, heads, new, prior)
    slope, offset = calibrate_heads(new_hidden, blended, new, prior.with_samples([new_hidden]), with_offset=False)
    scores = {"mean": [], "blend": [], "calibrated": []}
    for target in range(40):
        clean, mean, own = (
            new_hidden[:, 0] @ head[0, :-1] + head[0, -1]
            for head in (truth[target], heads.mean(axis=0), blended[target])
        )
        scores["mean"].append(plain_ccc(clean, mean))
        scores["blend"].append(plain_ccc(clean, own))
        scores["calibrated"].append(plain_ccc(clean, own * slope[target, 0] + offset[target, 0]))
    means = {name: np.mean(values) for name, values in scores.items()}
    assert means["blend"] > means["mean"] + 0.05
    if n_ratings == 100:
        assert means["blend"] > 0.95


def test_a_corpus_of_its_own_is_learned_from_all_who_enrol():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    new_hidden, truth, new = make_corpus(n_annotators=30, n_samples=400, n_ratings=10, spreads=0, offsets=0, seed=3)
    shift = np.random.RandomState(4).normal(size=HIDDEN)
    values = new.values + (new_hidden[new.rows] @ shift)  # everybody there sees something that nobody here does
    new = new.with_values(values - values.mean(axis=0))
    clean = np.einsum("nh,th->nt", new_hidden[:, 0], truth[:, 0, :-1]) + (new_hidden[:, 0] @ shift)[:, None]

    def correlation(blended):
        predicted = np.einsum("nh,th->nt", new_hidden[:, 0], blended[:, 0, :-1])
        return np.mean([np.corrcoef(clean[:, t], predicted[:, t])[0, 1] for t in range(30)])

    alone = [blend(new_hidden, heads, new.keep_annotators([label]), prior)[0] for label in new.annotators]
    assert correlation(blend(new_hidden, heads, new, prior)) > correlation(np.array(alone)) + 0.05


def test_a_single_known_head_is_enough():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    blended = blend(hidden, heads[:1], ratings, prior)
    assert np.isfinite(blended).all()
    assert np.abs(blended - heads[0]).max() > 0.1


def test_an_annotator_whose_ratings_are_all_equal_tells_nothing_of_spreads():
    rng = np.random.RandomState(0)
    codes, values = np.repeat(np.arange(10), 20), rng.randint(1, 8, 200).astype(float)
    values[codes == 3] = 5
    told = []
    for scale in (1.0, 1 / 3):  # a third has no end in binary, and the mean of 20 may differ from each
        ratings = Ratings.from_rows(values * scale, codes)
        hidden = rng.normal(size=(200, 1, 2))
        told.append(learn_prior([hidden], np.zeros((1, 3)), ratings, ratings).n_worth[0])
    assert told[0] == pytest.approx(told[1])
    assert told[0] > 10
