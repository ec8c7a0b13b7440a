from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import (
    _enroller,
    bootstrap_heads,
    heads_without,
    learn_prior,
    map_annotators,
    predict_pairs,
    score_heads,
)
from tests.oracles_network import (
    plain_bootstrap,
    plain_calibration,
    plain_ccc,
    plain_scores,
    predictions_of,
)

ALL_STRATEGIES = ["joint", "separate", "top-n", "blend", "all", "random"]


def make_case(counts, n_known=6, n_outputs=2, n_hidden=4, seed=0, dtype=np.float64):
    """Hidden features, heads, and ratings of targets who rated `counts` samples each."""
    rng = np.random.RandomState(seed)
    n_samples = max(*counts, 1) + 3
    hidden = np.maximum(rng.normal(size=(n_samples, n_outputs, n_hidden)), 0).astype(dtype)
    heads = rng.normal(size=(n_known, n_outputs, n_hidden + 1)).astype(dtype)
    values = np.full((n_samples, len(counts), n_outputs), np.nan)
    for target, count in enumerate(counts):
        rows = rng.choice(n_samples, size=count, replace=False)
        values[rows, target] = rng.normal(size=(count, n_outputs))
    return hidden, heads, Ratings.from_dense(values)


def make_prior(n_outputs=2, n_hidden=4, seed=5):
    """What a source corpus of other samples tells."""
    hidden, heads, ratings = make_case([20, 30, 25, 15], n_outputs=n_outputs, n_hidden=n_hidden, seed=seed)
    return learn_prior([hidden], heads.mean(axis=0), ratings, ratings)


PRIOR = make_prior()


def planted(hidden, heads, chosen, n_ratings=20, noise=0.02, seed=0):
    """Ratings of targets each of whom rates as one of the heads says."""
    rng = np.random.RandomState(seed)
    values = np.full((len(hidden), len(chosen), heads.shape[1]), np.nan)
    for target, head in enumerate(chosen):
        rows = rng.choice(len(hidden), size=n_ratings, replace=False)
        values[rows, target] = predictions_of(hidden[rows], heads[head])
        values[rows, target] += rng.normal(scale=noise, size=(n_ratings, heads.shape[1]))
    return Ratings.from_dense(values)


def mapped_predictions(hidden, result, target):
    return predictions_of(hidden, result.heads[target].astype(np.float64))


# ---------------------------------------------------------------------- scores

COUNTS = {
    "one rating": [1],
    "two ratings": [2],
    "no rating beside many": [0, 12, 0],
    "ragged": [5, 1, 0, 30, 2, 2, 0, 1, 17],
    "many targets": [3] * 40,
}


@pytest.mark.parametrize("blocks", [(2048, 2048), (4, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
def test_scores_equal_the_double_loop(counts, n_outputs, blocks, monkeypatch):
    monkeypatch.setattr(_enroller, "BLOCK_ROWS", blocks[0])
    monkeypatch.setattr(_enroller, "BLOCK_HEADS", blocks[1])
    hidden, heads, ratings = make_case(counts, n_outputs=n_outputs, n_known=7)
    scores = score_heads(hidden, heads, ratings)
    assert scores.shape == (len(counts), 7, n_outputs)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, plain_scores(hidden, heads, ratings), atol=1e-6)


@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any),
    n_known=st.integers(1, 9),
    n_outputs=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_scores_equal_the_double_loop_for_any_shape(counts, n_known, n_outputs, seed):
    hidden, heads, ratings = make_case(counts, n_known, n_outputs, seed=seed)
    np.testing.assert_allclose(score_heads(hidden, heads, ratings), plain_scores(hidden, heads, ratings), atol=1e-6)


def test_scores_in_single_precision_are_near_and_keep_a_large_offset_out():
    hidden, heads, ratings = make_case([20, 5, 9], dtype=np.float32)
    far = heads.copy()
    far[:, :, -1] += 100
    far_ratings = ratings.with_values(ratings.values + 100)
    expected = plain_scores(hidden.astype(np.float64), heads.astype(np.float64), ratings)
    np.testing.assert_allclose(score_heads(hidden, heads, ratings), expected, atol=1e-5)
    np.testing.assert_allclose(score_heads(hidden, far, far_ratings), expected, atol=1e-3)


def test_a_single_rating_scores_minus_the_absolute_error():
    hidden, heads = np.zeros((1, 1, 2)), np.zeros((3, 1, 3))
    heads[:, 0, -1] = [0.0, 0.75, 2.0]
    scores = score_heads(hidden, heads, Ratings.from_dense([[0.5]]))
    np.testing.assert_allclose(scores[0, :, 0], [-0.5, -0.25, -1.5])


@pytest.mark.parametrize("value", [0.1, 3.0])
def test_constant_ratings_score_zero(value):
    hidden, heads, _ = make_case([9])
    scores = score_heads(hidden, heads, Ratings.from_dense(np.full((12, 1, 2), value)))
    np.testing.assert_array_equal(scores, 0)


def test_constant_predictions_score_zero():
    hidden, heads, ratings = make_case([9])
    heads[2, :, :-1] = 0
    scores = score_heads(hidden, heads, ratings)
    np.testing.assert_array_equal(scores[0, 2], 0)
    assert (scores[0, [0, 1, 3]] != 0).all()


# ---------------------------------------------------------------------- pairs


@pytest.mark.parametrize("block", [1, 7, 2048])
def test_predicted_pairs_equal_a_loop(block, monkeypatch):
    monkeypatch.setattr(_enroller, "BLOCK_ROWS", block)
    hidden, heads, ratings = make_case([5, 9, 3])
    codes = ratings.codes[::-1]
    expected = [predictions_of(hidden[[row]], heads[code])[0] for row, code in zip(ratings.rows, codes, strict=True)]
    np.testing.assert_allclose(predict_pairs(hidden, heads, ratings.rows, codes), expected, atol=1e-12)


# ---------------------------------------------------------------------- strategies


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_the_planted_annotator_is_found(strategy):
    hidden, heads, _ = make_case([30], n_known=15, n_hidden=8)
    truth = [3, 11, 0]
    result = map_annotators(hidden, heads, planted(hidden, heads, truth), strategy=strategy, n_heads=3)
    assert (result.chosen[:, :, 0] == np.array(truth)[:, None]).all()
    assert result.mapped.all()


def test_joint_takes_the_head_with_the_best_sum_for_all_outputs():
    hidden, heads, ratings = make_case([8, 11, 5])
    result = map_annotators(hidden, heads, ratings)
    best = plain_scores(hidden, heads, ratings).sum(axis=2).argmax(axis=1)
    np.testing.assert_array_equal(result.chosen, np.repeat(best[:, None, None], 2, axis=1))
    np.testing.assert_allclose(result.heads, heads[best])
    np.testing.assert_allclose(result.scores, plain_scores(hidden, heads, ratings), atol=1e-6)


def test_separate_takes_the_best_head_of_each_output():
    hidden, heads, ratings = make_case([8, 11, 5])
    result = map_annotators(hidden, heads, ratings, strategy="separate")
    best = plain_scores(hidden, heads, ratings).argmax(axis=1)
    np.testing.assert_array_equal(result.chosen[:, :, 0], best)
    assert (best[:, 0] != best[:, 1]).any()
    for target in range(3):
        for output in range(2):
            np.testing.assert_allclose(result.heads[target, output], heads[best[target, output], output])


@pytest.mark.parametrize(("n_heads", "n_chosen"), [(1, 1), (3, 3), (6, 6), (50, 6)])
def test_top_n_is_the_mean_of_the_best_heads(n_heads, n_chosen):
    hidden, heads, ratings = make_case([8, 11, 5])
    result = map_annotators(hidden, heads, ratings, strategy="top-n", n_heads=n_heads)
    totals = plain_scores(hidden, heads, ratings).sum(axis=2)
    for target, total in enumerate(totals):
        best = sorted(range(6), key=lambda head: -total[head])[:n_chosen]
        assert result.chosen[target].tolist() == [best, best]
        np.testing.assert_allclose(result.heads[target], heads[best].mean(axis=0))
        expected = np.mean([predictions_of(hidden, heads[head]) for head in best], axis=0)
        np.testing.assert_allclose(mapped_predictions(hidden, result, target), expected)


def test_all_is_the_mean_of_every_head():
    hidden, heads, ratings = make_case([8, 0, 1])
    result = map_annotators(hidden, heads, ratings, strategy="all", min_ratings=1)
    assert result.chosen is None
    np.testing.assert_allclose(result.heads, np.repeat(heads.mean(axis=0)[None], 3, axis=0))
    np.testing.assert_array_equal(result.mapped, [[True, True], [False, False], [True, True]])


def test_random_draws_uniformly_and_one_head_for_all_outputs():
    hidden, heads, ratings = make_case([3] * 2000, n_known=5)
    first, again, other = (
        map_annotators(hidden, heads, ratings, strategy="random", rng=np.random.RandomState(seed)).chosen
        for seed in (0, 0, 1)
    )
    assert first.shape == (2000, 2, 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first[:, 0], first[:, 1])
    shares = np.bincount(first[:, 0, 0], minlength=5) / 2000
    np.testing.assert_allclose(shares, 0.2, atol=0.05)  # five standard errors of 0.009
    map_annotators(hidden, heads, ratings, strategy="random")  # without a seed as well


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_ties_go_to_the_first_head(strategy):
    hidden, heads = np.zeros((1, 2, 2)), np.zeros((300, 2, 3))
    heads[::2, :, -1] = 2.0  # every other head is off by one, the others are right
    heads[1::2, :, -1] = 1.0
    ratings = Ratings.from_dense(np.ones((1, 1, 2)))
    result = map_annotators(hidden, heads, ratings, strategy=strategy, n_heads=3, min_ratings=1)
    expected = [1, 3, 5] if strategy == "top-n" else [1]
    assert result.chosen[0].tolist() == [expected, expected]


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_a_single_rating_takes_the_head_with_the_smallest_error(strategy):
    hidden, heads = np.zeros((1, 2, 2)), np.zeros((4, 2, 3))
    heads[:, :, -1] = [[-1, 0], [0, 0.1], [0.55, 0.5], [2, 0.4]]
    ratings = Ratings.from_dense(np.full((1, 1, 2), 0.5))
    result = map_annotators(hidden, heads, ratings, strategy=strategy, n_heads=1, min_ratings=1)
    assert result.chosen[0, :, 0].tolist() == [2, 2]
    assert result.mapped.all()


@pytest.mark.parametrize("strategy", ALL_STRATEGIES)
@pytest.mark.parametrize("min_ratings", [1, 2, 5])
def test_too_few_ratings_are_served_by_the_mean_of_all_heads(strategy, min_ratings):
    counts = np.array([0, 1, 2, 4, 5, 9])
    hidden, heads, ratings = make_case(list(counts))
    result = map_annotators(hidden, heads, ratings, strategy=strategy, n_heads=1, min_ratings=min_ratings, prior=PRIOR)
    np.testing.assert_array_equal(result.mapped, np.repeat((counts >= min_ratings)[:, None], 2, axis=1))
    unmapped = ~result.mapped[:, 0]
    np.testing.assert_allclose(result.heads[unmapped], np.broadcast_to(heads.mean(axis=0), (unmapped.sum(), 2, 5)))


def test_constant_ratings_are_not_mapped():
    hidden, heads, _ = make_case([9])
    values = np.stack([np.full((12, 2), 0.1), np.random.RandomState(0).normal(size=(12, 2))], axis=1)
    values[:, 1, 0] = 0.3  # the second target differs in one output only
    ratings = Ratings.from_dense(values)
    mapped = {
        name: map_annotators(hidden, heads, ratings, strategy=name, n_heads=2, prior=PRIOR).mapped
        for name in ALL_STRATEGIES
    }
    for name in ("joint", "top-n"):  # one choice for all outputs: one that tells is enough
        np.testing.assert_array_equal(mapped[name], [[False, False], [True, True]])
    np.testing.assert_array_equal(mapped["separate"], [[False, False], [False, True]])
    for name in ("blend", "all", "random"):  # they do not compare heads
        assert mapped[name].all()


def test_an_output_that_is_not_mapped_gets_the_mean_of_all_heads():
    hidden, heads, ratings = make_case([9])
    values = ratings.values.copy()
    values[:, 0] = 0.3
    result = map_annotators(hidden, heads, ratings.with_values(values), strategy="separate")
    np.testing.assert_allclose(result.heads[0, 0], heads[:, 0].mean(axis=0))
    np.testing.assert_allclose(result.heads[0, 1], heads[result.chosen[0, 1, 0], 1])


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_permuting_the_heads_permutes_the_choices(strategy):
    hidden, heads, ratings = make_case([8, 11, 5, 1], n_known=9)
    order = np.random.RandomState(3).permutation(9)
    plain = map_annotators(hidden, heads, ratings, strategy=strategy, n_heads=4, min_ratings=1)
    permuted = map_annotators(hidden, heads[order], ratings, strategy=strategy, n_heads=4, min_ratings=1)
    np.testing.assert_array_equal(order[permuted.chosen], plain.chosen)
    np.testing.assert_allclose(permuted.heads, plain.heads, atol=1e-12)


@pytest.mark.parametrize("calibration", [None, "affine"])
@pytest.mark.parametrize("strategy", ["joint", "blend"])
def test_targets_are_mapped_each_on_their_own(strategy, calibration):
    hidden, heads, ratings = make_case([8, 11, 0, 5])
    options = {"strategy": strategy, "calibration": calibration, "prior": PRIOR}
    together = map_annotators(hidden, heads, ratings, **options)
    for target in range(4):
        if ratings.counts()[target]:
            alone = map_annotators(hidden, heads, ratings.keep_annotators([target]), **options)
            np.testing.assert_allclose(together.heads[target], alone.heads[0], atol=1e-10)
            if strategy == "joint":
                np.testing.assert_array_equal(together.chosen[target], alone.chosen[0])


def test_heads_keep_their_precision():
    for dtype in (np.float32, np.float64):
        hidden, heads, ratings = make_case([8, 11], dtype=dtype)
        mapping = map_annotators(hidden, heads, ratings, strategy="blend", calibration="affine", prior=PRIOR)
        assert mapping.heads.dtype == dtype


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"strategy": "best"}, r"strategy must be one of \['joint', 'separate', .*, got 'best'"),
        ({"calibration": "linear"}, r"calibration must be one of \[None, 'affine'\], got 'linear'"),
        ({"n_heads": 0}, "n_heads must be >= 1, got 0"),
        ({"strategy": "blend"}, 'strategy="blend" and calibration need a prior'),
        ({"calibration": "affine"}, 'strategy="blend" and calibration need a prior'),
    ],
)
def test_unknown_options_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        map_annotators(*make_case([3]), **kwargs)


# ---------------------------------------------------------------------- calibration


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n", "blend", "all"])
def test_calibration_equals_the_formula_and_folds_into_the_head(strategy):
    hidden, heads, ratings = make_case([8, 0, 11, 1, 40], n_known=5)
    options = {"strategy": strategy, "n_heads": 2, "prior": PRIOR}
    plain = map_annotators(hidden, heads, ratings, **options)
    calibrated = map_annotators(hidden, heads, ratings, calibration="affine", **options)
    for target in range(5):
        before, after = (mapped_predictions(hidden, result, target) for result in (plain, calibrated))
        rows, values = ratings.of(target)
        for output in range(2):
            head = plain.heads[target, output]
            enrolled = before[rows, output], values[:, output]
            expected = plain_calibration(before[:, output], *enrolled, head, PRIOR, output, strategy != "blend")
            np.testing.assert_allclose(after[:, output], expected, atol=1e-10)
            slope, offset = calibrated.slope[target, output], calibrated.offset[target, output]
            np.testing.assert_allclose(before[:, output] * slope + offset, expected, atol=1e-10)


def test_many_ratings_are_matched_in_mean_and_spread():
    hidden, heads, ratings = make_case([20000], n_known=1)
    ratings = ratings.with_values(ratings.values * 0.2 + 4)
    prior = PRIOR.with_samples([hidden])
    result = map_annotators(hidden, heads, ratings, calibration="affine", prior=prior)
    predicted, (_, values) = mapped_predictions(hidden, result, 0), ratings.of(0)
    np.testing.assert_allclose(predicted.mean(axis=0), values.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(predicted.std(axis=0), values.std(axis=0), rtol=0.02)


def test_the_more_equal_ratings_the_less_spread():
    hidden, heads, _ = make_case([40])
    spreads = []
    for n_ratings in (1, 5, 40):
        values = np.full((len(hidden), 1, 2), np.nan)
        values[:n_ratings] = 0.3
        result = map_annotators(hidden, heads, Ratings.from_dense(values), calibration="affine", prior=PRIOR)
        spreads.append(mapped_predictions(hidden, result, 0).std(axis=0))
    assert (np.diff(spreads, axis=0) < 0).all()


def test_constant_predictions_are_shifted_only():
    hidden, heads, ratings = make_case([12], n_known=1)
    heads[:, :, :-1] = 0
    result = map_annotators(hidden, heads, ratings, calibration="affine", prior=PRIOR)
    np.testing.assert_array_equal(result.slope, 1)
    assert (result.offset != 0).all()
    assert np.isfinite(result.heads).all()


def test_calibration_raises_the_concordance_of_an_annotator_with_another_scale():
    hidden, heads, _ = make_case([60], n_known=4)
    ratings = planted(hidden, heads, [2], n_ratings=40)
    ratings = ratings.with_values(ratings.values * 0.3 + 2)
    truth = predictions_of(hidden, heads[2]) * 0.3 + 2
    ccc = {
        calibration: plain_ccc(
            truth[:, 0],
            mapped_predictions(hidden, map_annotators(hidden, heads, ratings, calibration=calibration, prior=PRIOR), 0)[
                :, 0
            ],
        )
        for calibration in (None, "affine")
    }
    assert ccc["affine"] > ccc[None] + 0.1


# ---------------------------------------------------------------------- confidence


def make_bootstrap(n_ratings=20, n_known=8, noise=0.02, seed=0, n_outputs=2):
    hidden, heads, _ = make_case([n_ratings - 3], n_known=n_known, n_outputs=n_outputs, n_hidden=8, seed=seed)
    rng = np.random.RandomState(seed)
    values = predictions_of(hidden, heads[1]) if noise is not None else rng.normal(size=(n_ratings, n_outputs))
    return hidden, heads, values + rng.normal(scale=noise or 1, size=values.shape)


def confidence(case, seed=0, **kwargs):
    return bootstrap_heads(*case, rng=np.random.RandomState(seed), **kwargs)


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_a_clear_annotator_is_chosen_again_with_confidence(strategy):
    wins, sure = confidence(make_bootstrap(), strategy=strategy)
    assert wins.argmax() == 1
    assert wins[1] > 0.95
    assert sure > 0.98


@pytest.mark.parametrize("strategy", ["joint", "separate"])
def test_ratings_of_pure_noise_give_a_confidence_of_a_half(strategy):
    sure = [
        confidence(make_bootstrap(noise=None, seed=seed), n_bootstrap=50, strategy=strategy)[1] for seed in range(150)
    ]
    assert np.mean(sure) == pytest.approx(0.5, abs=4 * np.std(sure) / np.sqrt(len(sure)) + 0.02)


def test_confidence_falls_with_the_noise_of_the_ratings():
    levels = [np.mean([confidence(make_bootstrap(noise=noise, seed=s))[1] for s in range(5)]) for noise in (0.1, 1, 5)]
    assert all(more > less for more, less in pairwise(levels))


@pytest.mark.parametrize("noise", [0.02, 1.0, None])
def test_wins_and_confidence_equal_those_of_a_loop_over_resamples(noise, monkeypatch):
    monkeypatch.setattr(_enroller, "BLOCK_HEADS", 3)
    case = make_bootstrap(noise=noise, n_ratings=12)
    wins, sure = confidence(case, n_bootstrap=40)
    plain_wins, plain_sure = plain_bootstrap(*case, 40, np.random.RandomState(0))
    np.testing.assert_allclose(wins, plain_wins, atol=1e-6)
    assert sure == pytest.approx(plain_sure, abs=1e-5)


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
@pytest.mark.parametrize("noise", [0.02, 1.0, None])
def test_wins_are_shares(strategy, noise):
    wins, sure = confidence(make_bootstrap(noise=noise), strategy=strategy)
    assert wins.shape == (8,)
    assert wins.min() >= 0
    assert wins.sum() == pytest.approx(1)
    assert 0 <= sure <= 1


def test_the_resamples_depend_on_the_seed_only():
    case = make_bootstrap(noise=None)
    (first, sure), (again, sure_again), (other, _) = (confidence(case, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert sure == sure_again
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("n_ratings", "n_known", "n_bootstrap"), [(2, 8, 100), (20, 1, 100), (20, 8, 0)])
def test_confidence_is_nan_where_there_is_nothing_to_compare(n_ratings, n_known, n_bootstrap):
    hidden, heads, values = make_bootstrap(n_known=max(n_known, 2))
    wins, sure = confidence((hidden[:n_ratings], heads[:n_known], values[:n_ratings]), n_bootstrap=n_bootstrap)
    assert np.isnan(sure)
    np.testing.assert_array_equal(wins, np.zeros(n_known))


@pytest.mark.parametrize("value", [0.1, 3.0])
@pytest.mark.parametrize("strategy", ["joint", "separate"])
def test_constant_ratings_tell_nothing(strategy, value):
    hidden, heads, values = make_bootstrap()
    wins, sure = confidence((hidden, heads, np.full_like(values, value)), strategy=strategy)
    assert np.isnan(sure)
    np.testing.assert_array_equal(wins, 0)


@pytest.mark.parametrize("strategy", ["joint", "separate"])
def test_an_output_with_constant_ratings_is_passed_over(strategy):
    hidden, heads, values = make_bootstrap()
    values[:, 0] = 0.1
    wins, sure = confidence((hidden, heads, values), strategy=strategy)
    assert wins[1] > 0.95
    assert wins.sum() == pytest.approx(1)
    assert sure > 0.98


def test_equal_heads_are_luck():
    hidden, heads, values = make_bootstrap()
    heads[:] = heads[1]
    _, sure = confidence((hidden, heads, values))
    assert np.isnan(sure) or sure == pytest.approx(0.5, abs=0.1)


def test_permuting_the_heads_permutes_the_wins():
    hidden, heads, values = make_bootstrap(noise=1.0)
    order = np.random.RandomState(1).permutation(8)
    (wins, sure), (permuted, sure_permuted) = (confidence((hidden, each, values)) for each in (heads, heads[order]))
    np.testing.assert_allclose(permuted, wins[order])
    assert sure == pytest.approx(sure_permuted)


@pytest.mark.parametrize("strategy", ["joint", "top-n"])
def test_an_output_rated_once_does_not_overrule_the_others(strategy):
    hidden, heads, ratings = make_case([12, 15])
    gaps = ratings.values * 50
    gaps[1:, 0] = np.nan
    gaps = ratings.with_values(gaps)
    missing = ratings.with_values(np.where([True, False], np.nan, ratings.values * 50))
    options = {"strategy": strategy, "n_heads": 2, "min_ratings": 1}
    found, expected = (map_annotators(hidden, heads * 50, some, **options) for some in (gaps, missing))
    np.testing.assert_array_equal(found.chosen, expected.chosen)


def test_one_rating_of_each_output_picks_the_smallest_errors():
    hidden, heads, ratings = make_case([1])
    found = map_annotators(hidden, heads, ratings, min_ratings=1)
    predicted = np.einsum("oh,koh->ko", hidden[ratings.rows[0]], heads[:, :, :-1]) + heads[:, :, -1]
    assert found.chosen[0, 0, 0] == np.abs(predicted - ratings.values[0]).sum(axis=1).argmin()


@pytest.mark.parametrize("strategy", ["joint", "blend", "all"])
def test_heads_without_some_ratings_are_those_of_the_others(strategy):
    hidden, heads, ratings = make_case([12, 3, 15])
    left_out = ratings.rows % 3 == 0
    how = {"strategy": strategy, "calibration": "affine"}
    mapping = map_annotators(hidden, heads, ratings, prior=PRIOR, min_ratings=5, **how)
    rng = np.random.RandomState(0)
    again = heads_without(mapping, hidden, heads, ratings, left_out, prior=PRIOR, rng=rng, min_ratings=11, **how)
    others = map_annotators(hidden, heads, ratings.keep_ratings(~left_out), prior=PRIOR, min_ratings=1, **how)
    np.testing.assert_array_equal(again[[0, 2]], others.heads[[0, 2]])
    np.testing.assert_array_equal(again[1], mapping.heads[1])  # too few to be mapped with all of them
