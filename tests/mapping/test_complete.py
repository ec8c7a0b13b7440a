from dataclasses import replace

import numpy as np
import pytest

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import Enroller, Items, Persons, Telling, complete_block, expected_ratings, item_effects
from tests.mapping.cases import make_case, make_prior

PRIOR = make_prior()


def residuals_of(ratings):
    """Take ratings for residuals."""
    return ratings.values.astype(np.float64)


def some_ratings(n_annotators=5, n_samples=9, n_outputs=2, share=0.6, seed=0):
    """Ratings of random samples, some of one output only."""
    rng = np.random.RandomState(seed)
    values = rng.normal(size=(n_samples, n_annotators, n_outputs))
    values[rng.uniform(size=values.shape) > share] = np.nan
    return Ratings.from_dense(values)


def case(seed=0, **shape):
    """Return what item_effects takes."""
    ratings, rng = some_ratings(seed=seed, **shape), np.random.RandomState(seed + 1)
    deviation = rng.uniform(0.5, 1.5, size=(ratings.n_annotators, ratings.n_outputs))
    return ratings, residuals_of(ratings), deviation, replace(PRIOR, offset_variance=rng.uniform(0.01, 0.5, size=2))


def by_conditioning(items, residuals, ratings, output, scale, offset_variance):
    """Condition a normal distribution of all offsets, effects and noise on the residuals, with whole matrices."""
    given = np.isfinite(residuals[:, output])
    codes, rows = ratings.codes[given], ratings.rows[given]
    own_scale = scale[codes]
    same_item, same_person = rows[:, None] == rows, codes[:, None] == codes
    effects = own_scale[:, None] * own_scale * items.variance * same_item
    others = offset_variance * same_person + np.diag(own_scale**2) * items.noise
    item = np.arange(ratings.n_samples)[:, None] == rows
    return items.variance * (item * own_scale) @ np.linalg.solve(effects + others, residuals[given, output])


# ---------------------------------------------------------------------- effects of items


@pytest.mark.parametrize("seed", range(5))
def test_effects_are_those_of_dense_conditioning(seed):
    ratings, residuals, deviation, prior = case(seed)
    for output, items in enumerate(item_effects(ratings, residuals, deviation, prior)):
        variance = prior.offset_variance[output]
        expected = by_conditioning(items, residuals, ratings, output, deviation[:, output], variance)
        np.testing.assert_allclose(items.effect, expected, atol=1e-8)


def test_what_is_unknown_of_an_effect_is_its_conditional_variance():
    items = Items(np.zeros(3), np.array([0, 1, 4]), 0.3, 0.5)
    for n, unknown, known in zip(items.n, items.unknown(), items.known(), strict=True):
        covariance = 0.3 * np.ones((n, n)) + 0.5 * np.eye(n)
        explained = 0.3 * np.ones(n) @ np.linalg.solve(covariance, 0.3 * np.ones(n)) if n else 0.0
        assert (known, unknown) == pytest.approx((explained, 0.3 - explained))


def test_without_offsets_an_effect_is_the_sum_of_residuals_over_n_and_rho():
    ratings, residuals, deviation, prior = case()
    for output, items in enumerate(
        item_effects(ratings, residuals, deviation, replace(prior, offset_variance=np.full(2, 1e-12)))
    ):
        given = np.isfinite(residuals[:, output])
        scaled = residuals[given, output] / deviation[ratings.codes[given], output]
        sums = np.bincount(ratings.rows[given], scaled, ratings.n_samples)
        np.testing.assert_allclose(items.effect, sums / (items.n + items.noise / items.variance), atol=1e-6)


def test_variances_of_many_ratings_are_found_whatever_the_source_says():
    rng = np.random.RandomState(0)
    values = rng.normal(size=(3000, 1, 1)) * 0.8 + rng.normal(size=(3000, 6, 1)) * 0.5 + rng.normal(size=(1, 6, 1))
    values[rng.uniform(size=values.shape) > 0.5] = np.nan
    ratings = Ratings.from_dense(values)
    prior = make_prior(n_outputs=1)
    (items,) = item_effects(ratings, residuals_of(ratings), np.ones((6, 1)), replace(prior, offset_variance=np.ones(1)))
    assert items.variance == pytest.approx(0.64, rel=0.1)
    assert items.noise == pytest.approx(0.25, rel=0.1)


def test_without_ratings_there_are_no_effects_and_the_variances_are_those_of_the_source():
    nobody = some_ratings().keep_ratings(np.zeros(some_ratings().n_ratings, dtype=bool))
    size = np.ones((nobody.n_annotators, 2))
    for output, items in enumerate(item_effects(nobody, np.empty((0, 2)), size, PRIOR)):
        assert (items.effect == 0).all()
        assert (items.n == 0).all()
        left = (1 - PRIOR.correlation[output] ** 2) * PRIOR.variance[output]
        assert items.variance + items.noise == pytest.approx(left)


def test_the_order_of_samples_and_annotators_does_not_matter():
    ratings, residuals, deviation, prior = case()
    rows = np.random.RandomState(0).permutation(ratings.n_samples)
    people = np.random.RandomState(1).permutation(ratings.n_annotators)
    shuffled = Ratings.from_dense(ratings.to_dense()[rows][:, people])
    again = item_effects(shuffled, residuals_of(shuffled), deviation[people], prior)
    for one, other in zip(item_effects(ratings, residuals, deviation, prior), again, strict=True):
        np.testing.assert_allclose(other.effect, one.effect[rows], atol=1e-10)
        np.testing.assert_array_equal(other.n, one.n[rows])


@pytest.mark.parametrize("factor", [0.1, 30.0])
def test_effects_grow_with_the_scale(factor):
    ratings, residuals, deviation, prior = case()
    squares = {name: factor**2 * getattr(prior, name) for name in ("variance", "offset_variance")}
    again = item_effects(ratings, factor * residuals, deviation, replace(prior, **squares))
    for one, other in zip(item_effects(ratings, residuals, deviation, prior), again, strict=True):
        np.testing.assert_allclose(other.effect, factor * one.effect, rtol=1e-7, atol=1e-9)
        assert other.variance == pytest.approx(factor**2 * one.variance)


def test_a_wide_rater_counts_by_their_own_scale():
    ratings, residuals, deviation, prior = case()
    prior = replace(prior, offset_variance=np.full(2, 1e-9))
    wide = deviation.copy()
    wide[0] *= 3
    stretched = np.where(ratings.codes[:, None] == 0, 3 * residuals, residuals)
    again = item_effects(ratings, stretched, wide, prior)
    for one, other in zip(item_effects(ratings, residuals, deviation, prior), again, strict=True):
        np.testing.assert_allclose(other.effect, one.effect, atol=1e-7)


# ---------------------------------------------------------------------- what is expected of whom


def test_predictions_that_tell_nothing_are_taken_to_their_mean_and_true_ones_are_kept():
    rng = np.random.RandomState(0)
    truth = rng.normal(size=(4000, 2))
    ratings = Ratings.from_rows(truth, rng.choice(["a", "b"], size=4000))
    luck = rng.normal(size=truth.shape)
    assert expected_ratings(ratings, luck, PRIOR).std(axis=0) == pytest.approx(0, abs=0.05)
    assert expected_ratings(ratings, truth, PRIOR).std(axis=0) == pytest.approx(1, abs=0.06)
    assert (expected_ratings(ratings, luck, PRIOR).mean(axis=0) - luck.mean(axis=0)) == pytest.approx(0, abs=1e-12)


# ---------------------------------------------------------------------- completing


def persons_of(counts, strategy="blend", calibration="affine"):
    """Enrol persons who rate noise, and return their heads and what is known of them."""
    hidden, heads, ratings = make_case(counts, n_known=8, seed=3)
    mapping = Enroller(heads, PRIOR, strategy, calibration=calibration, min_ratings=1).enrol(hidden, ratings)
    return hidden, mapping.heads, Persons.of(mapping, mapping.heads, mapping.slope)


def nothing_known(n):
    return [Items(np.zeros(n), np.zeros(n, dtype=int), 0.3, 0.5)] * 2


@pytest.mark.parametrize("calibration", [None, "affine"])
@pytest.mark.parametrize("strategy", ["joint", "blend", "all"])
def test_without_others_completing_is_predicting(strategy, calibration):
    hidden, heads, persons = persons_of([12, 4, 1], strategy, calibration)
    completed, _, _ = complete_block(hidden, heads, persons, nothing_known(len(hidden)), slice(0, len(hidden)))
    predicted = np.einsum("noh,roh->nro", hidden, heads[:, :, :-1]) + heads[:, :, -1]
    np.testing.assert_allclose(completed, predicted, atol=1e-9)


def test_an_item_is_completed_alike_in_any_block():
    hidden, heads, persons = persons_of([12, 4, 1])
    n = len(hidden)
    items = [Items(np.linspace(-1, 1, n), np.arange(n), 0.3, 0.5)] * 2
    whole = complete_block(hidden, heads, persons, items, slice(0, n))
    part = complete_block(hidden[4:7], heads, persons, items, slice(4, 7))
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_allclose(other, one[4:7], atol=1e-12)


def test_variances_fall_with_ratings_of_the_item_and_of_the_person():
    hidden, heads, persons = persons_of([12, 1])
    few, many = ([Items(np.zeros(len(hidden)), np.full(len(hidden), n), 0.3, 0.5)] * 2 for n in (1, 9))
    variances = [complete_block(hidden, heads, persons, each, slice(0, len(hidden)))[2] for each in (few, many)]
    assert (variances[1] < variances[0]).all()
    sure = persons.variances(persons.features(hidden))
    assert (sure[:, 0] < sure[:, 1]).all()


def test_weights_of_persons_have_the_covariance_of_dense_conditioning():
    hidden, _, ratings = make_case([6, 3], n_known=8, seed=3)
    _, _, persons = persons_of([6, 3])
    noise = PRIOR.variance * (1 - PRIOR.correlation**2)
    seen = persons.features(hidden)
    for code in range(2):
        rows = ratings.rows[ratings.codes == code]
        for output in range(2):
            told = seen[rows, output]
            covariance = told @ told.T + noise[output] * np.eye(len(rows))
            expected = np.eye(told.shape[1]) - told.T @ np.linalg.solve(covariance, told)
            np.testing.assert_allclose(persons.covariance[code, output], expected, atol=1e-8)


# ---------------------------------------------------------------------- which ratings would tell most


def telling_case(n_samples=7, n_annotators=4, seed=0):
    """Return what Telling takes, of persons with weights in three ways."""
    rng = np.random.RandomState(seed)
    features = rng.normal(size=(n_samples, 2, 3))
    factor = rng.normal(size=(n_annotators, 2, 3, 3))
    size = (n_annotators, 2)
    persons = Persons(
        axes=np.zeros((2, 1, 3)),
        rest=np.zeros(2),
        covariance=0.1 * factor @ np.swapaxes(factor, 2, 3),
        deviation=rng.uniform(0.5, 1.5, size=size),
        share=np.ones(size),
        is_spread=np.ones(size, dtype=bool),
        centre=np.zeros(size),
        spread=np.ones(size),
    )
    is_rated = rng.uniform(size=(n_annotators, n_samples, 2)) < 0.3
    counts = np.moveaxis(is_rated.sum(axis=0), 1, 0)
    items = [Items(np.zeros(n_samples), n, 0.3, 0.5) for n in counts]
    return features, persons, items, is_rated, np.array([1.0, 2.0])


def told_by_definition(features, persons, items, is_rated, variance, person, row):
    """Return the fall of all other missing ratings' variance, by conditioning persons and items one by one."""
    total = 0.0
    for output, item in enumerate(items):
        squared = persons.deviation[:, output] ** 2
        unknown, later = (1 / (1 / item.variance + (item.n[row] + more) / item.noise) for more in (0, 1))
        covariance = features[:, output] @ persons.covariance[person, output] @ features[:, output].T
        whole = covariance[row, row] + squared[person] * (item.variance + item.noise)
        for other in range(len(persons.deviation)):
            for sample in range(len(features)):
                if is_rated[other, sample, output] or (other, sample) == (person, row):
                    continue
                if sample == row:
                    total += squared[other] * (unknown - later) / variance[output]
                if other == person:
                    total += covariance[sample, row] ** 2 / whole / variance[output]
    return total


def test_gains_are_those_of_the_definition():
    told = telling_case()
    gain = Telling(*told).gain
    for person, row in np.ndindex(gain.shape):
        if told[3][person, row].any():
            assert gain[person, row] == -np.inf
        else:
            assert gain[person, row] == pytest.approx(told_by_definition(*told, person, row))


def test_each_choice_is_the_best_once_those_before_it_are_there():
    features, persons, items, is_rated, variance = telling_case()
    chosen = list(zip(*Telling(features, persons, items, is_rated, variance).choose(5), strict=True))
    for person, row, gain in chosen:
        again = Telling(features, persons, items, is_rated, variance)
        assert gain == pytest.approx(again.gain.max())
        assert (person, row) == np.unravel_index(again.gain.argmax(), again.gain.shape)
        covariance, told = persons.covariance.copy(), features[row]
        for output, item in enumerate(items):
            noise = persons.deviation[person, output] ** 2 * (item.variance + item.noise)
            precision = np.linalg.inv(covariance[person, output]) + np.outer(told[output], told[output]) / noise
            covariance[person, output] = np.linalg.inv(precision)
        is_rated = is_rated.copy()
        is_rated[person, row] = True
        items = [replace(item, n=item.n + (np.arange(len(item.n)) == row)) for item in items]
        persons = replace(persons, covariance=covariance)


def test_of_equal_items_the_one_with_fewer_ratings_comes_first_and_so_for_persons():
    features, persons, items, is_rated, variance = telling_case()
    features = np.repeat(features[:1], len(features), axis=0)
    is_rated = np.zeros_like(is_rated)  # those who have rated are others
    n = np.array([2, 2, 1, 2, 2, 2, 2])
    items = [replace(item, n=n) for item in items]
    assert Telling(features, persons, items, is_rated, variance).choose(1)[1].tolist() == [2]
    covariance = np.stack([scale * persons.covariance[0] for scale in (0.5, 0.5, 1.0, 0.5)])
    alike = replace(persons, covariance=covariance, deviation=np.ones_like(persons.deviation))
    chosen = Telling(features, alike, items, is_rated, variance).choose(1)
    assert (chosen[0].tolist(), chosen[1].tolist()) == ([2], [2])
