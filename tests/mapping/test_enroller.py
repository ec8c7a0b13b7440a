"""From ratings to heads: strategies, fallbacks, calibration, and mapping again without some ratings."""

import numpy as np
import pytest

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import _enroller
from tests.mapping.cases import ALL_STRATEGIES, PRIOR, enrol, make_case, mapped_predictions, planted
from tests.oracles_network import plain_calibration, plain_ccc, plain_scores, predictions_of

# ---------------------------------------------------------------------- strategies


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_the_planted_annotator_is_found(strategy):
    hidden, heads, _ = make_case([30], n_known=15, n_hidden=8)
    truth = [3, 11, 0]
    result = enrol(hidden, heads, planted(hidden, heads, truth), strategy=strategy, n_heads=3)
    assert (result.chosen[:, :, 0] == np.array(truth)[:, None]).all()
    assert result.mapped.all()


def test_joint_takes_the_head_with_the_best_sum_for_all_outputs():
    hidden, heads, ratings = make_case([8, 11, 5])
    result = enrol(hidden, heads, ratings)
    best = plain_scores(hidden, heads, ratings).sum(axis=2).argmax(axis=1)
    np.testing.assert_array_equal(result.chosen, np.repeat(best[:, None, None], 2, axis=1))
    np.testing.assert_allclose(result.heads, heads[best])
    np.testing.assert_allclose(result.scores, plain_scores(hidden, heads, ratings), atol=1e-6)


def test_separate_takes_the_best_head_of_each_output():
    hidden, heads, ratings = make_case([8, 11, 5])
    result = enrol(hidden, heads, ratings, strategy="separate")
    best = plain_scores(hidden, heads, ratings).argmax(axis=1)
    np.testing.assert_array_equal(result.chosen[:, :, 0], best)
    assert (best[:, 0] != best[:, 1]).any()
    for target in range(3):
        for output in range(2):
            np.testing.assert_allclose(result.heads[target, output], heads[best[target, output], output])


@pytest.mark.parametrize(("n_heads", "n_chosen"), [(1, 1), (3, 3), (6, 6), (50, 6)])
def test_top_n_is_the_mean_of_the_best_heads(n_heads, n_chosen):
    hidden, heads, ratings = make_case([8, 11, 5])
    result = enrol(hidden, heads, ratings, strategy="top-n", n_heads=n_heads)
    totals = plain_scores(hidden, heads, ratings).sum(axis=2)
    for target, total in enumerate(totals):
        best = sorted(range(6), key=lambda head: -total[head])[:n_chosen]
        assert result.chosen[target].tolist() == [best, best]
        np.testing.assert_allclose(result.heads[target], heads[best].mean(axis=0))
        expected = np.mean([predictions_of(hidden, heads[head]) for head in best], axis=0)
        np.testing.assert_allclose(mapped_predictions(hidden, result, target), expected)


def test_all_is_the_mean_of_every_head():
    hidden, heads, ratings = make_case([8, 0, 1])
    result = enrol(hidden, heads, ratings, strategy="all", min_ratings=1)
    assert result.chosen is None
    np.testing.assert_allclose(result.heads, np.repeat(heads.mean(axis=0)[None], 3, axis=0))
    np.testing.assert_array_equal(result.mapped, [[True, True], [False, False], [True, True]])


def test_random_draws_uniformly_and_one_head_for_all_outputs():
    hidden, heads, ratings = make_case([3] * 2000, n_known=5)
    first, again, other = (
        enrol(hidden, heads, ratings, strategy="random", rng=np.random.RandomState(seed)).chosen for seed in (0, 0, 1)
    )
    assert first.shape == (2000, 2, 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first[:, 0], first[:, 1])
    shares = np.bincount(first[:, 0, 0], minlength=5) / 2000
    np.testing.assert_allclose(shares, 0.2, atol=0.05)  # five standard errors of 0.009
    enrol(hidden, heads, ratings, strategy="random")  # without a seed as well


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_ties_go_to_the_first_head(strategy):
    hidden, heads = np.zeros((1, 2, 2)), np.zeros((300, 2, 3))
    heads[::2, :, -1] = 2.0  # every other head is off by one, the others are right
    heads[1::2, :, -1] = 1.0
    ratings = Ratings.from_dense(np.ones((1, 1, 2)))
    result = enrol(hidden, heads, ratings, strategy=strategy, n_heads=3, min_ratings=1)
    expected = [1, 3, 5] if strategy == "top-n" else [1]
    assert result.chosen[0].tolist() == [expected, expected]


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_a_single_rating_takes_the_head_with_the_smallest_error(strategy):
    hidden, heads = np.zeros((1, 2, 2)), np.zeros((4, 2, 3))
    heads[:, :, -1] = [[-1, 0], [0, 0.1], [0.55, 0.5], [2, 0.4]]
    ratings = Ratings.from_dense(np.full((1, 1, 2), 0.5))
    result = enrol(hidden, heads, ratings, strategy=strategy, n_heads=1, min_ratings=1)
    assert result.chosen[0, :, 0].tolist() == [2, 2]
    assert result.mapped.all()


@pytest.mark.parametrize("strategy", ALL_STRATEGIES)
@pytest.mark.parametrize("min_ratings", [1, 2, 5])
def test_too_few_ratings_are_served_by_the_mean_of_all_heads(strategy, min_ratings):
    counts = np.array([0, 1, 2, 4, 5, 9])
    hidden, heads, ratings = make_case(list(counts))
    result = enrol(hidden, heads, ratings, strategy=strategy, n_heads=1, min_ratings=min_ratings, prior=PRIOR)
    np.testing.assert_array_equal(result.mapped, np.repeat((counts >= min_ratings)[:, None], 2, axis=1))
    unmapped = ~result.mapped[:, 0]
    np.testing.assert_allclose(result.heads[unmapped], np.broadcast_to(heads.mean(axis=0), (unmapped.sum(), 2, 5)))


def test_constant_ratings_are_not_mapped():
    hidden, heads, _ = make_case([9])
    values = np.stack([np.full((12, 2), 0.1), np.random.RandomState(0).normal(size=(12, 2))], axis=1)
    values[:, 1, 0] = 0.3  # the second target differs in one output only
    ratings = Ratings.from_dense(values)
    mapped = {
        name: enrol(hidden, heads, ratings, strategy=name, n_heads=2, prior=PRIOR).mapped for name in ALL_STRATEGIES
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
    result = enrol(hidden, heads, ratings.with_values(values), strategy="separate")
    np.testing.assert_allclose(result.heads[0, 0], heads[:, 0].mean(axis=0))
    np.testing.assert_allclose(result.heads[0, 1], heads[result.chosen[0, 1, 0], 1])


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_permuting_the_heads_permutes_the_choices(strategy):
    hidden, heads, ratings = make_case([8, 11, 5, 1], n_known=9)
    order = np.random.RandomState(3).permutation(9)
    plain = enrol(hidden, heads, ratings, strategy=strategy, n_heads=4, min_ratings=1)
    permuted = enrol(hidden, heads[order], ratings, strategy=strategy, n_heads=4, min_ratings=1)
    np.testing.assert_array_equal(order[permuted.chosen], plain.chosen)
    np.testing.assert_allclose(permuted.heads, plain.heads, atol=1e-12)


@pytest.mark.parametrize("calibration", [None, "affine"])
def test_targets_are_mapped_each_on_their_own(calibration):
    hidden, heads, ratings = make_case([8, 11, 0, 5])
    options = {"strategy": "joint", "calibration": calibration, "prior": PRIOR}
    together = enrol(hidden, heads, ratings, **options)
    for target in range(4):
        if ratings.counts()[target]:
            alone = enrol(hidden, heads, ratings.keep_annotators([target]), **options)
            np.testing.assert_allclose(together.heads[target], alone.heads[0], atol=1e-10)
            np.testing.assert_array_equal(together.chosen[target], alone.chosen[0])


def test_heads_keep_their_precision():
    for dtype in (np.float32, np.float64):
        hidden, heads, ratings = make_case([8, 11], dtype=dtype)
        mapping = enrol(hidden, heads, ratings, strategy="blend", calibration="affine", prior=PRIOR)
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
        enrol(*make_case([3]), **kwargs)


# ---------------------------------------------------------------------- calibration


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n", "blend", "all"])
def test_calibration_equals_the_formula_and_folds_into_the_head(strategy):
    hidden, heads, ratings = make_case([8, 0, 11, 1, 40], n_known=5)
    options = {"strategy": strategy, "n_heads": 2, "prior": PRIOR}
    plain = enrol(hidden, heads, ratings, **options)
    calibrated = enrol(hidden, heads, ratings, calibration="affine", **options)
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
    result = enrol(hidden, heads, ratings, calibration="affine", prior=prior)
    predicted, (_, values) = mapped_predictions(hidden, result, 0), ratings.of(0)
    np.testing.assert_allclose(predicted.mean(axis=0), values.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(predicted.std(axis=0), values.std(axis=0), rtol=0.02)


def test_the_more_equal_ratings_the_less_spread():
    hidden, heads, _ = make_case([40])
    spreads = []
    for n_ratings in (1, 5, 40):
        values = np.full((len(hidden), 1, 2), np.nan)
        values[:n_ratings] = 0.3
        result = enrol(hidden, heads, Ratings.from_dense(values), calibration="affine", prior=PRIOR)
        spreads.append(mapped_predictions(hidden, result, 0).std(axis=0))
    assert (np.diff(spreads, axis=0) < 0).all()


def test_constant_predictions_are_shifted_only():
    hidden, heads, ratings = make_case([12], n_known=1)
    heads[:, :, :-1] = 0
    result = enrol(hidden, heads, ratings, calibration="affine", prior=PRIOR)
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
            mapped_predictions(hidden, enrol(hidden, heads, ratings, calibration=calibration, prior=PRIOR), 0)[:, 0],
        )
        for calibration in (None, "affine")
    }
    assert ccc["affine"] > ccc[None] + 0.1


# ---------------------------------------------------------------------- some ratings only


@pytest.mark.parametrize("strategy", ["joint", "top-n"])
def test_an_output_rated_once_does_not_overrule_the_others(strategy):
    hidden, heads, ratings = make_case([12, 15])
    gaps = ratings.values * 50
    gaps[1:, 0] = np.nan
    gaps = ratings.with_values(gaps)
    missing = ratings.with_values(np.where([True, False], np.nan, ratings.values * 50))
    options = {"strategy": strategy, "n_heads": 2, "min_ratings": 1}
    found, expected = (enrol(hidden, heads * 50, some, **options) for some in (gaps, missing))
    np.testing.assert_array_equal(found.chosen, expected.chosen)


def test_one_rating_counts_where_those_of_the_other_output_are_equal():
    hidden, heads, ratings = make_case([12])
    values = ratings.values.copy()
    values[1:, 0], values[:, 1] = np.nan, 2.0  # every head has a CCC of 0 with equal ratings
    found = enrol(hidden, heads, ratings.with_values(values), min_ratings=1)
    predicted = heads[:, 0, :-1] @ hidden[ratings.rows[0], 0] + heads[:, 0, -1]
    assert found.chosen[0, 0, 0] == np.abs(predicted - values[0, 0]).argmin() != 0
    assert found.mapped.all()


def test_one_rating_of_each_output_picks_the_smallest_errors():
    hidden, heads, ratings = make_case([1])
    found = enrol(hidden, heads, ratings, min_ratings=1)
    predicted = np.einsum("oh,koh->ko", hidden[ratings.rows[0]], heads[:, :, :-1]) + heads[:, :, -1]
    assert found.chosen[0, 0, 0] == np.abs(predicted - ratings.values[0]).sum(axis=1).argmin()


@pytest.mark.parametrize("calibration", [None, "affine"])
@pytest.mark.parametrize("strategy", ["joint", "blend", "all"])
def test_heads_without_some_ratings_are_those_of_the_others(strategy, calibration):
    hidden, heads, ratings = make_case([12, 3, 15])
    left_out = ratings.rows % 3 == 0
    how = {"strategy": strategy, "calibration": calibration, "prior": PRIOR}
    mapping = enrol(hidden, heads, ratings, min_ratings=5, **how)
    again = next(mapping.heads_without([left_out], np.random.RandomState(0)))
    others = enrol(hidden, heads, ratings.keep_ratings(~left_out), min_ratings=1, **how)
    np.testing.assert_array_equal(again[[0, 2]], others.heads[[0, 2]])
    np.testing.assert_array_equal(again[1], mapping.heads[1])  # too few to be mapped with all of them


def test_who_was_drawn_is_judged_and_not_somebody_drawn_anew():
    hidden, heads, ratings = make_case([12, 9, 15], n_known=50)
    mapping = enrol(hidden, heads, ratings, strategy="random", rng=np.random.RandomState(3))
    again = next(mapping.heads_without([ratings.rows % 3 == 0], np.random.RandomState(4)))
    np.testing.assert_array_equal(again, mapping.heads)


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n", "blend", "random"])
def test_several_parts_left_out_are_each_as_if_it_were_alone(strategy):
    hidden, heads, ratings = make_case([12, 9, 15], n_known=30)
    mapping = enrol(hidden, heads, ratings, strategy=strategy, prior=PRIOR, rng=np.random.RandomState(3))
    parts = [ratings.rows % 3 == number for number in range(3)]
    together = list(mapping.heads_without(parts, np.random.RandomState(0)))
    for part, found in zip(parts, together, strict=True):
        np.testing.assert_array_equal(found, next(mapping.heads_without([part], np.random.RandomState(0))))


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_who_is_best_without_some_ratings_is_among_the_best_with_all(strategy, monkeypatch):
    monkeypatch.setattr(_enroller, "MOST_CONTENDERS", 40)
    rng = np.random.RandomState(0)
    hidden, heads, ratings = make_case([20, 18, 16], n_known=400)
    heads[:] = heads[0] + 0.3 * (heads - heads[0])
    given = np.einsum("roh,oh->ro", hidden[ratings.rows], heads[7, :, :-1]) + 0.3 * rng.normal(
        size=ratings.values.shape
    )
    ratings = ratings.with_values(given)
    mapping = enrol(hidden, heads, ratings, strategy=strategy)
    for part in range(4):
        left_out = ratings.rows % 4 == part
        expected = enrol(hidden, heads, ratings.keep_ratings(~left_out), strategy=strategy, min_ratings=1)
        again = next(mapping.heads_without([left_out], rng))
        np.testing.assert_array_equal(again, expected.heads)
