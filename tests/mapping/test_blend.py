"""Blending: prior knowledge, blended heads and their calibration, against formulas and planted truth."""

import numpy as np
import pytest

from sklearn_annoser.mapping import blend_heads, calibrate_heads, learn_prior
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
def test_a_blended_head_equals_the_formula(n_ratings):
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    new_hidden, _, new = make_corpus(n_annotators=3, n_samples=60, n_ratings=n_ratings, seed=1)
    blended = blend_heads(new_hidden, heads, new, prior)
    for target, label in enumerate(new.annotators):
        rows, values = new.of(label)
        np.testing.assert_allclose(blended[target], plain_blend(new_hidden[rows], heads, values, prior), atol=1e-8)


def test_nobody_has_ratings_nobody_moves():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    without_first = Ratings.from_dense(np.where(np.arange(12)[:, None] == 0, np.nan, ratings.to_dense()))
    blended = blend_heads(hidden, heads, without_first, prior)
    np.testing.assert_allclose(blended[0], heads.mean(axis=0))
    assert (np.abs(blended[1:] - heads.mean(axis=0)).max(axis=(1, 2)) > 0.01).all()


def test_float32_gives_nearly_the_same():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    narrow = blend_heads(hidden.astype(np.float32), heads.astype(np.float32), ratings, prior)
    np.testing.assert_allclose(narrow, blend_heads(hidden, heads, ratings, prior), atol=1e-4)


def test_the_order_of_heads_and_of_annotators_does_not_matter():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    blended = blend_heads(hidden, heads, ratings, prior)
    np.testing.assert_allclose(blend_heads(hidden, heads[::-1], ratings, prior), blended, atol=1e-10)
    one = blend_heads(hidden, heads, ratings.keep_annotators([ratings.annotators[4]]), prior)
    np.testing.assert_allclose(one[0], blended[4], atol=1e-10)


def test_ratings_on_another_scale_blend_alike():
    hidden, heads, ratings = make_corpus()
    blended = blend_heads(hidden, heads, ratings, prior_of(hidden, ratings))
    scaled, moved = heads * 12.0, ratings.with_values(ratings.values * 12 + 13)
    scaled[:, :, -1] += 13
    blended[:, :, :] *= 12
    blended[:, :, -1] += 13
    np.testing.assert_allclose(blend_heads(hidden, scaled, moved, prior_of(hidden, moved)), blended, atol=1e-8)


@pytest.mark.parametrize("n_ratings", [5, 20, 100])
def test_planted_annotators_are_predicted_better_than_by_the_mean_of_all(n_ratings):
    hidden, heads, ratings = make_corpus(n_samples=200, n_ratings=100)
    prior = prior_of(hidden, ratings)
    new_hidden, truth, new = make_corpus(n_annotators=40, n_samples=300, n_ratings=n_ratings, seed=3)
    blended = blend_heads(new_hidden, heads, new, prior)
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


def test_more_ratings_than_weights_tell_the_same_in_fewer_numbers():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    new_hidden, _, new = make_corpus(n_annotators=1, n_samples=30, n_ratings=HIDDEN + 1, seed=1)
    few = blend_heads(new_hidden, heads, new, prior)
    rows, values = new.of(new.annotators[0])
    np.testing.assert_allclose(few[0], plain_blend(new_hidden[rows], heads, values, prior), atol=1e-8)
    many_hidden, _, many = make_corpus(n_annotators=1, n_samples=60, n_ratings=50, seed=2)
    rows, values = many.of(many.annotators[0])
    blended = blend_heads(many_hidden, heads, many, prior)
    np.testing.assert_allclose(blended[0], plain_blend(many_hidden[rows], heads, values, prior), atol=1e-8)


def test_who_is_like_a_known_annotator_is_found():
    hidden, heads, ratings = make_corpus(n_annotators=12, noise=0.1)
    prior = prior_of(hidden, ratings)
    rows = np.arange(8)
    values = np.einsum("noh,oh->no", hidden[rows], heads[3, :, :-1]) + heads[3, :, -1]
    blended = blend_heads(hidden[rows], heads, Ratings.from_rows(values, "new"), prior)[0]
    distance = np.abs(heads - blended).mean(axis=(1, 2))
    assert distance.argmin() == 3
    assert distance[3] < 0.5 * np.abs(heads.mean(axis=0) - heads[3]).mean()


def test_an_output_tells_of_another_that_was_not_rated():
    hidden, heads, ratings = make_corpus(n_annotators=12, noise=0.1)
    prior = prior_of(hidden, ratings)
    rows = np.arange(20)
    values = np.einsum("noh,oh->no", hidden[rows], heads[3, :, :-1]) + heads[3, :, -1]
    both = Ratings.from_rows(values, "new")
    values[:, 1] = np.nan
    half = Ratings.from_rows(np.nan_to_num(values), "new")
    half.values.setflags(write=True)
    half.values[:, 1] = np.nan
    told = blend_heads(hidden[rows], heads, half, prior)[0]
    np.testing.assert_allclose(told[0], blend_heads(hidden[rows], heads, both, prior)[0, 0], atol=0.1)
    assert np.abs(told[1] - heads[3, 1]).mean() < np.abs(heads[:, 1].mean(axis=0) - heads[3, 1]).mean()


def test_a_single_known_head_is_enough():
    hidden, heads, ratings = make_corpus()
    prior = prior_of(hidden, ratings)
    blended = blend_heads(hidden, heads[:1], ratings, prior)
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
