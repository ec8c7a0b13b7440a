import copy
import pickle

import audmetric
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import jensenshannon
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torchmetrics.functional import concordance_corrcoef

from sklearn_annoser import Ratings
from sklearn_annoser.metrics import (
    annotator_ccc,
    ccc_matrix,
    ccc_score,
    ccc_scorer,
    ccc_scorers,
    consensus_ccc_score,
    consensus_ccc_scorer,
    individual_ccc_score,
    individual_ccc_scorer,
    jensen_shannon_divergence,
    total_variation_distance,
)
from tests import oracles
from tests.cases import CASES, dense, empty_rows, ragged

TWO = {name: ratings for name, ratings in CASES.items() if ratings.n_ratings > 1}
patient = settings(deadline=None)
every_case = pytest.mark.parametrize("ratings", TWO.values(), ids=TWO)


def pairs(n_samples, n_outputs=None, seed=0):
    """Draw truth and a prediction that has something to do with it."""
    rng = np.random.default_rng(seed)
    shape = n_samples if n_outputs is None else (n_samples, n_outputs)
    true = rng.normal(size=shape)
    return true, rng.normal() * true + rng.normal(size=shape) + rng.normal()


def predictions_of(ratings, seed=0):
    """Draw a value for each rating, and one for each sample."""
    rng = np.random.default_rng(seed)
    each = 0.5 * ratings.values + rng.normal(size=ratings.values.shape)
    return ratings.with_values(each), rng.normal(size=ratings.shape)


@st.composite
def uneven_pairs(draw):
    """Draw whole numbers, of which neither side is constant."""
    n_samples = draw(st.integers(2, 20))
    sides = [draw(hnp.arrays(np.float64, n_samples, elements=st.integers(-50, 50))) for _ in range(2)]
    for side in sides:
        side[0] = side[1] + 1
    return sides


# ---------------------------------------------------------------------- ccc_score


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("seed", range(20))
def test_ccc_is_the_printed_formula(seed, ddof):
    true, pred = pairs(2 + seed, seed=seed)
    assert_allclose(ccc_score(true, pred, ddof=ddof), oracles.ccc(true, pred, ddof), rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(50))
def test_ccc_agrees_with_audmetric_and_torchmetrics(seed):
    true, pred = pairs(3 + 7 * seed, seed=seed)
    assert ccc_score(true, pred) == pytest.approx(audmetric.concordance_cc(true, pred), abs=1e-6)
    unbiased = concordance_corrcoef(torch.from_numpy(pred), torch.from_numpy(true)).item()
    assert ccc_score(true, pred, ddof=1) == pytest.approx(unbiased, abs=1e-6)


def test_ccc_of_a_worked_example():
    # means 2 and 10/3, variances 2/3 and 26/9, covariance (1*2 + 2*3 + 3*5)/3 - 2*10/3 = 1, squared distance 16/9:
    # 2 / (2/3 + 14/9 + 16/9) = 2 / 4
    assert ccc_score([1, 2, 3], [2, 3, 5]) == pytest.approx(0.5)


@patient
@given(uneven_pairs())
def test_ccc_is_symmetric_and_between_minus_one_and_one(sides):
    true, pred = sides
    score = ccc_score(true, pred)
    assert score == pytest.approx(ccc_score(pred, true), abs=1e-12)
    assert -1 <= score <= 1 + 1e-12
    assert ccc_score(true, true) == pytest.approx(1)
    assert ccc_score(true, 2 * true.mean() - true) == pytest.approx(-1)


@patient
@given(uneven_pairs(), st.floats(0.01, 100), st.floats(-100, 100), st.sampled_from([0, 1]))
def test_ccc_does_not_change_when_both_sides_are_scaled_and_shifted_together(sides, scale, shift, ddof):
    true, pred = sides
    moved = ccc_score(scale * true + shift, scale * pred + shift, ddof=ddof)
    assert moved == pytest.approx(ccc_score(true, pred, ddof=ddof), abs=1e-7)


@patient
@given(uneven_pairs(), st.data())
def test_a_weight_is_a_number_of_repeats(sides, data):
    true, pred = sides
    weight = data.draw(hnp.arrays(np.int64, len(true), elements=st.integers(1, 4)))
    repeated = ccc_score(np.repeat(true, weight), np.repeat(pred, weight))
    assert ccc_score(true, pred, sample_weight=weight) == pytest.approx(repeated, abs=1e-10)


@pytest.mark.parametrize("ddof", [0, 1])
def test_a_weight_of_zero_leaves_a_sample_out(ddof):
    true, pred = pairs(9)
    weight = np.arange(9) % 3 > 0
    scored = ccc_score(true, pred, sample_weight=weight, ddof=ddof)
    assert scored == pytest.approx(ccc_score(true[weight], pred[weight], ddof=ddof), abs=1e-12)


@patient
@given(uneven_pairs(), st.floats(1e-6, 1e6))
def test_only_the_proportions_of_weights_matter(sides, factor):
    weight = np.arange(1, len(sides[0]) + 1)
    expected = ccc_score(*sides, sample_weight=weight)
    assert ccc_score(*sides, sample_weight=factor * weight) == pytest.approx(expected, abs=1e-10)


def test_a_shift_lowers_ccc_while_correlation_forgives_it():
    true, _ = pairs(50)
    assert ccc_score(true, true + 1) < 0.75
    assert ccc_score(true, 2 * true) < 0.9
    assert np.corrcoef(true, true + 1)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("scores", ["score", "matrix", "annotators"])
def test_a_large_offset_does_not_eat_the_digits(scores):
    rng = np.random.default_rng(0)
    true = rng.normal(scale=1e-3, size=500)
    pred = true + rng.normal(scale=1e-3, size=500)
    expected = oracles.ccc(true, pred)
    true, pred = true + 1e4, pred + 1e4
    if scores == "score":
        result = ccc_score(true, pred)
    elif scores == "matrix":
        result = ccc_matrix(true, pred[:, None]).item()
    else:
        result = annotator_ccc(Ratings.from_rows(true, "ann"), pred)["rating"].item()
    assert result == pytest.approx(expected, abs=1e-6)  # 1e4 has 12 digits behind the point


def test_float32_is_computed_in_float64():
    true, pred = (side.astype(np.float32) + np.float32(100) for side in pairs(200))
    expected = oracles.ccc(true, pred)
    assert ccc_score(true, pred) == pytest.approx(expected, abs=1e-10)
    assert ccc_matrix(true, pred[:, None]).item() == pytest.approx(expected, abs=1e-10)
    assert annotator_ccc(Ratings.from_rows(true, "ann"), pred)["rating"].item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("value", [0, 0.1, -3.7, 1e4 + 0.1, 1e-9])
@pytest.mark.parametrize("n_samples", [2, 3, 10, 1000])
def test_a_constant_scores_zero_and_equal_constants_one(value, n_samples):
    constant, varied = np.full(n_samples, value), np.arange(n_samples) + value

    def every_way(true, pred):
        by_annotator = annotator_ccc(Ratings.from_rows(true, "ann"), pred)["rating"].item()
        return [ccc_score(true, pred), ccc_matrix(true, pred[:, None]).item(), by_annotator]

    assert_allclose(every_way(constant, varied), 0, atol=1e-12)
    assert_allclose(every_way(varied, constant), 0, atol=1e-12)
    assert_allclose(every_way(constant, constant + 1), 0, atol=1e-12)
    assert_allclose(every_way(constant, constant), 1, atol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_one_sample_is_not_enough(ddof):
    with pytest.warns(UndefinedMetricWarning, match="CCC is not defined for fewer than two samples"):
        assert np.isnan(ccc_score([1], [1], ddof=ddof))
    with pytest.warns(UndefinedMetricWarning, match="fewer than two samples"):
        assert np.isnan(ccc_score([1, 2, 3], [1, 2, 3], sample_weight=[0, 1, 0], ddof=ddof))
    with pytest.warns(UndefinedMetricWarning, match="fewer than two samples"):
        assert_array_equal(ccc_score([[1, 2]], [[1, 2]], multioutput="raw_values"), [np.nan, np.nan])


def test_outputs_are_averaged_as_asked():
    true, pred = pairs(20, 3)
    each = [oracles.ccc(true[:, i], pred[:, i]) for i in range(3)]
    assert_allclose(ccc_score(true, pred, multioutput="raw_values"), each, atol=1e-10)
    assert ccc_score(true, pred) == pytest.approx(np.mean(each))
    assert ccc_score(true, pred, multioutput=[2, 0, 6]) == pytest.approx((2 * each[0] + 6 * each[2]) / 8)
    assert isinstance(ccc_score(true, pred), float)


def test_one_column_is_one_output():
    true, pred = pairs(20)
    assert ccc_score(true[:, None], pred) == ccc_score(true, pred[:, None]) == ccc_score(true, pred)


@pytest.mark.parametrize("name", ["dense", "ragged", "float32", "dense_two_outputs"])
def test_ratings_stand_for_their_consensus(name):
    ratings = CASES[name]
    _, pred = predictions_of(ratings)
    assert ccc_score(ratings, pred) == ccc_score(ratings.consensus(), pred)


def test_unrated_samples_have_no_ccc():
    with pytest.raises(ValueError, match="samples have no rating"):
        ccc_score(empty_rows(), np.zeros(8))


@pytest.mark.parametrize(
    ("true", "pred", "kwargs", "error", "match"),
    [
        ([], [], {}, ValueError, "y_true and y_pred are empty: CCC needs at least two samples"),
        (np.empty((0, 2)), np.empty((0, 2)), {}, ValueError, "y_true and y_pred are empty"),
        ([1, 2], [1, 2, 3], {}, ValueError, "inconsistent numbers of samples: .2, 3."),
        ([1, 2], [[1, 2], [3, 4]], {}, ValueError, "y_true has 1 outputs, but y_pred has 2"),
        (np.ones((2, 2, 2)), [1, 2], {}, ValueError, "y_true must have at most 2 dimensions"),
        (1, [1], {}, ValueError, "y_true must be an array .* got a single number"),
        ([1, np.nan], [1, 2], {}, ValueError, r"y_true must be finite, got nan at position \(1,\)"),
        ([1, 2], [1, np.inf], {}, ValueError, r"y_pred must be finite, got inf at position \(1,\)"),
        ([1, 2], ["1", "2"], {}, TypeError, r"y_pred must be numbers, got '1' at position \(0,\)"),
        ([1, 2], [1, 2], {"ddof": 2}, ValueError, "ddof must be >= 0 and <= 1, got 2"),
        ([1, 2], [1, 2], {"ddof": 0.5}, TypeError, "ddof must be an integer, got 0.5 of type float"),
        ([1, 2], [1, 2], {"ddof": True}, TypeError, "ddof must be an integer, got True of type bool"),
        ([1, 2], [1, 2], {"multioutput": "mean"}, ValueError, "multioutput must be 'uniform_average', .* got 'mean'"),
        ([1, 2], [1, 2], {"multioutput": [1, 1]}, ValueError, r"one weight for each of 1 outputs, .* got \[1, 1\]"),
        ([1, 2], [1, 2], {"multioutput": [0]}, ValueError, "none negative and not all zero, got"),
        ([1, 2], [1, 2], {"multioutput": [-1]}, ValueError, "none negative and not all zero, got"),
        ([1], [1], {"multioutput": "mean", "sample_weight": [1]}, ValueError, "multioutput must be 'uniform_average'"),
        ([1, 2], [1, 2], {"sample_weight": [1]}, ValueError, r"sample_weight must have shape \(2,\), got \(1,\)"),
        ([1, 2], [1, 2], {"sample_weight": [1, -1]}, ValueError, "sample_weight must not be negative and not all zero"),
        ([1, 2], [1, 2], {"sample_weight": [0, 0]}, ValueError, "sample_weight must not be negative and not all zero"),
        ([1, 2], [1, 2], {"sample_weight": [1, np.nan]}, ValueError, "sample_weight must be finite, got nan"),
        ([1, 2], [1, 2], {"sample_weight": [[1, 1]]}, ValueError, "sample_weight must have at most 1 dim"),
    ],
)
@pytest.mark.filterwarnings("ignore:CCC is not defined")
def test_ccc_refuses_bad_input(true, pred, kwargs, error, match):
    with pytest.raises(error, match=match):
        ccc_score(true, pred, **kwargs)


# ---------------------------------------------------------------------- ccc_matrix


@pytest.mark.parametrize("seed", range(5))
def test_matrix_is_every_pair_of_columns(seed):
    rng = np.random.default_rng(seed)
    true, pred = rng.normal(size=(11, 3)), rng.normal(size=(11, 4))
    assert_allclose(ccc_matrix(true, pred), oracles.ccc_matrix(true, pred), rtol=0, atol=1e-10)
    assert_allclose(ccc_matrix(true, pred), ccc_matrix(pred, true).T, rtol=0, atol=1e-12)


def test_matrix_compares_a_column_with_every_output_of_a_cube():
    rng = np.random.default_rng(0)
    true, pred = rng.normal(size=(11, 3)), rng.normal(size=(11, 4, 2))
    expected = np.stack([oracles.ccc_matrix(true, pred[:, :, i]) for i in range(2)], axis=-1)
    assert_allclose(ccc_matrix(true, pred), expected, rtol=0, atol=1e-10)


@every_case
@pytest.mark.filterwarnings("ignore:CCC is not defined")
def test_matrix_of_ratings_compares_on_what_each_annotator_rated(ratings):
    cube = ratings.to_dense().reshape(len(ratings), ratings.n_annotators, -1).astype(np.float64)
    pred = np.random.default_rng(0).normal(size=(len(ratings), 5, ratings.n_outputs))
    expected = [oracles.ccc_matrix(cube[:, :, i], pred[:, :, i]) for i in range(ratings.n_outputs)]
    result = ccc_matrix(ratings, pred)
    assert result.shape == (ratings.n_annotators, 5, ratings.n_outputs)
    assert_allclose(result, np.stack(expected, axis=-1), rtol=0, atol=1e-10)
    if ratings.n_outputs == 1:
        assert_array_equal(ccc_matrix(ratings, pred[:, :, 0]), result[:, :, 0])


def test_matrix_is_nan_with_a_warning_where_an_annotator_rated_once():
    ratings = Ratings.from_dense([[1, 2], [2, np.nan], [3, np.nan]])
    with pytest.warns(UndefinedMetricWarning, match="fewer than two samples"):
        matrix = ccc_matrix(ratings, [[1, 3], [2, 2], [3, 1]])
    assert_allclose(matrix, [[1, -1], [np.nan, np.nan]])


def test_matrix_scores_constants_as_the_score_does():
    matrix = ccc_matrix([[5, 1], [5, 2]], [[5, 4], [5, 4]])
    assert matrix.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("true", "pred", "error", "match"),
    [
        ([1, 2], [1, 2], ValueError, r"y_pred must have shape \(n_samples, n_pred\[, n_outputs\]\), got \(2,\)"),
        ([1, 2, 3], [[1], [2]], ValueError, "inconsistent numbers of samples: .3, 2."),
        (dense(), [[1], [2]], ValueError, "inconsistent numbers of samples: .12, 2."),
        (dense(n_outputs=2), np.ones((12, 3)), ValueError, "y_true has 2 outputs, but y_pred has 1"),
        (dense(), np.ones((12, 3, 2)), ValueError, "y_true has 1 outputs, but y_pred has 2"),
        ([], np.ones((0, 2)), ValueError, "y_true and y_pred are empty"),
        ([1, np.nan], [[1], [2]], ValueError, "y_true must be finite, got nan"),
        ([1, 2], [[1], [np.nan]], ValueError, r"y_pred must be finite, got nan at position \(1, 0\)"),
        (["a", "b"], [[1], [2]], TypeError, "y_true must be numbers, got 'a'"),
    ],
)
def test_matrix_refuses_bad_input(true, pred, error, match):
    with pytest.raises(error, match=match):
        ccc_matrix(true, pred)


# ---------------------------------------------------------------------- scores of ratings


@every_case
def test_annotator_scores_are_those_of_the_loop(ratings):
    each, per_sample = predictions_of(ratings)
    outputs = list(ratings.outputs)
    spread = per_sample.reshape(len(ratings), -1)[ratings.rows]
    for pred, values in [(each, each.values), (per_sample, spread)]:
        table = annotator_ccc(ratings, pred)
        assert_allclose(table[outputs], oracles.annotator_ccc(ratings, values), rtol=0, atol=1e-10)
        assert_array_equal(table["n_ratings"], ratings.counts())
        assert_array_equal(table.index, ratings.annotators)
        assert table.columns.tolist() == [*outputs, "n_ratings"]


def test_annotators_who_rated_once_or_never_have_no_score():
    ratings = Ratings.from_dense([[1, 2], [2, np.nan], [3, np.nan]], annotators=["ann", "bob"])
    table = annotator_ccc(ratings, [1, 2, 3])
    assert_array_equal(table["rating"], [1, np.nan])
    assert_array_equal(annotator_ccc(ratings[1:], [2, 3])["rating"], [1, np.nan])
    assert individual_ccc_score(ratings, [1, 2, 3]) == 1


@every_case
@pytest.mark.parametrize("kind", ["ratings", "array"])
def test_individual_and_consensus_scores_are_those_of_the_loops(ratings, kind):
    each, per_sample = predictions_of(ratings)
    pred = each if kind == "ratings" else per_sample
    values = each.values if kind == "ratings" else per_sample.reshape(len(ratings), -1)[ratings.rows]
    individual, consensus = oracles.individual_ccc(ratings, values), oracles.consensus_ccc(ratings, values)
    assert_allclose(individual_ccc_score(ratings, pred, multioutput="raw_values"), individual, rtol=0, atol=1e-10)
    assert_allclose(consensus_ccc_score(ratings, pred, multioutput="raw_values"), consensus, rtol=0, atol=1e-10)
    assert individual_ccc_score(ratings, pred) == pytest.approx(individual.mean())
    assert consensus_ccc_score(ratings, pred) == pytest.approx(consensus.mean())


@pytest.mark.parametrize("min_ratings", [2, 18, 20])
def test_annotators_with_few_ratings_do_not_count(min_ratings):
    ratings = ragged(n_samples=30, n_annotators=8)
    each, _ = predictions_of(ratings)
    expected = oracles.individual_ccc(ratings, each.values, min_ratings)
    assert 0 < (ratings.counts() >= 20).sum() < (ratings.counts() >= 18).sum() < 8
    assert individual_ccc_score(ratings, each, min_ratings=min_ratings) == pytest.approx(expected.item())


@patient
@given(st.permutations(range(6)))
def test_permuting_annotators_permutes_their_scores(order):
    ratings = ragged(annotators=list("abcdef"))
    order = list(order)
    permuted = Ratings.from_dense(ratings.to_dense()[:, order], annotators=ratings.annotators[order])
    _, pred = predictions_of(ratings)
    pd.testing.assert_frame_equal(annotator_ccc(permuted, pred), annotator_ccc(ratings, pred).iloc[order])
    assert individual_ccc_score(permuted, pred) == pytest.approx(individual_ccc_score(ratings, pred))
    assert consensus_ccc_score(permuted, pred) == pytest.approx(consensus_ccc_score(ratings, pred))
    assert_array_equal(ccc_matrix(permuted, pred[:, None]), ccc_matrix(ratings, pred[:, None])[order])


def test_permuting_samples_changes_no_score():
    ratings = ragged()
    each, _ = predictions_of(ratings)
    order = np.random.default_rng(0).permutation(len(ratings))
    assert individual_ccc_score(ratings[order], each[order]) == pytest.approx(individual_ccc_score(ratings, each))
    assert consensus_ccc_score(ratings[order], each[order]) == pytest.approx(consensus_ccc_score(ratings, each))


def test_ratings_predict_themselves_perfectly():
    ratings = ragged(n_outputs=2)
    assert individual_ccc_score(ratings, ratings) == pytest.approx(1)
    assert consensus_ccc_score(ratings, ratings) == pytest.approx(1)


def test_the_consensus_score_of_a_dense_table_is_plain_ccc():
    ratings = dense()
    _, pred = predictions_of(ratings)
    assert consensus_ccc_score(ratings, pred) == pytest.approx(ccc_score(ratings, pred))


def test_weights_of_outputs_are_used_by_both_scores():
    ratings = ragged(n_outputs=2)
    each, _ = predictions_of(ratings)
    for score in (individual_ccc_score, consensus_ccc_score):
        first, second = score(ratings, each, multioutput="raw_values")
        assert score(ratings, each, multioutput=[1, 3]) == pytest.approx((first + 3 * second) / 4)


def test_nobody_with_enough_ratings_is_nan_with_a_warning():
    ratings = dense()
    with pytest.warns(UndefinedMetricWarning, match="no annotator has 13 ratings, so there is no individual CCC"):
        assert np.isnan(individual_ccc_score(ratings, np.zeros(12), min_ratings=13))
    with pytest.warns(UndefinedMetricWarning, match="no annotator has 2 ratings"):
        assert np.isnan(individual_ccc_score(ratings[[]], []))


@pytest.mark.parametrize("score", [annotator_ccc, individual_ccc_score, consensus_ccc_score])
@pytest.mark.parametrize(
    ("true", "pred", "error", "match"),
    [
        ([1, 2], [1, 2], TypeError, "y_true must be Ratings, got list. For plain arrays use ccc_score"),
        (
            dense(),
            dense(n_samples=11),
            ValueError,
            "y_pred must have a value for each rating of y_true: Ratings.n_samp",
        ),
        (dense(), dense(annotators=list("abcd")), ValueError, "y_pred must have a value for each rating of y_true"),
        (ragged(), ragged(seed=1), ValueError, "y_pred must have a value for each rating of y_true"),
        (dense(), np.zeros(11), ValueError, r"y_pred must have shape \(12,\), one value .* got \(11, 1\)"),
        (dense(n_outputs=2), np.zeros(12), ValueError, r"y_pred must have shape \(12, 2\), one value .* got \(12, 1\)"),
        (dense(), np.full(12, np.nan), ValueError, r"y_pred must be finite, got nan at position \(0,\)"),
        (dense(), ["a"] * 12, TypeError, "y_pred must be numbers, got 'a'"),
    ],
)
def test_scores_of_ratings_refuse_bad_input(score, true, pred, error, match):
    with pytest.raises(error, match=match):
        score(true, pred)


def test_no_output_may_be_called_as_the_column_of_counts():
    ratings = Ratings.from_rows([1.0, 2.0], "ann", outputs=["n_ratings"])
    with pytest.raises(ValueError, match="cannot insert n_ratings, already exists"):
        annotator_ccc(ratings, [1.0, 2.0])


@pytest.mark.parametrize(("value", "error"), [(1, ValueError), (2.5, TypeError)])
def test_min_ratings_is_a_whole_number_from_two(value, error):
    with pytest.raises(error, match="min_ratings must be"):
        individual_ccc_score(dense(), np.zeros(12), min_ratings=value)


# ---------------------------------------------------------------------- scorers


class Recall(RegressorMixin, BaseEstimator):
    """Predict each rating perfectly and each sample as zero, to see which of the two was asked for."""

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def predict_ratings(self, X, ratings):
        assert len(X) == len(ratings)
        return ratings

    def __sklearn_is_fitted__(self):
        return True


@pytest.fixture
def ratings():
    return ragged(n_samples=60, n_annotators=5, seed=3)


@pytest.fixture
def X(ratings):
    return np.random.default_rng(0).normal(size=(60, 4)) + ratings.consensus()[:, None]


def test_cross_validate_with_all_scorers_scores_each_fold(X, ratings):
    result = cross_validate(Ridge(), X, ratings, cv=3, scoring=ccc_scorers, return_indices=True, return_estimator=True)
    for fold, (model, test) in enumerate(zip(result["estimator"], result["indices"]["test"], strict=True)):
        pred = model.predict(X[test])
        assert result["test_ccc_individual"][fold] == individual_ccc_score(ratings[test], pred)
        assert result["test_ccc_consensus"][fold] == consensus_ccc_score(ratings[test], pred)
        assert result["test_ccc_rater_blind"][fold] == ccc_score(ratings[test], pred)
    assert result["test_ccc_rater_blind"].min() > 0.3


@pytest.mark.parametrize("scorer", ccc_scorers.values(), ids=ccc_scorers)
def test_scorers_work_alone_and_on_plain_arrays(scorer, X, ratings):
    model = Ridge().fit(X, ratings)
    y = ratings.consensus()
    assert scorer(model, X, y) == ccc_score(y, model.predict(X))
    assert isinstance(scorer(model, X, y), float)
    assert np.isfinite(cross_val_score(Ridge(), X, ratings, scoring=scorer, cv=3)).all()
    assert check_scoring(Ridge(), scoring=scorer) is get_scorer(scorer)


@pytest.mark.parametrize("scorer", ccc_scorers.values(), ids=ccc_scorers)
def test_a_constant_prediction_scores_zero(scorer, X, ratings):
    assert scorer(DummyRegressor().fit(X, ratings), X, ratings) == 0


@pytest.mark.parametrize(
    "model",
    [
        Recall(),
        make_pipeline(Recall()),
        make_pipeline(StandardScaler(), Recall()),
        make_pipeline(StandardScaler(), "passthrough", Recall()),
        GridSearchCV(Recall(), {}, cv=2, scoring=ccc_scorer),
        GridSearchCV(make_pipeline(StandardScaler(), Recall()), {}, cv=2, scoring=ccc_scorer),
    ],
    ids=["bare", "pipeline", "scaled", "passthrough", "search", "search_of_pipeline"],
)
def test_a_model_of_annotators_predicts_each_rating(model, X, ratings):
    model.fit(X, ratings)
    assert individual_ccc_scorer(model, X, ratings) == pytest.approx(1)
    assert consensus_ccc_scorer(model, X, ratings) == pytest.approx(1)
    assert ccc_scorer(model, X, ratings) == 0


def test_a_scaler_before_a_model_of_annotators_is_applied(X, ratings):
    class Features(Recall):
        def predict_ratings(self, X, ratings):
            assert_allclose(X.mean(axis=0), 0, atol=1e-9)
            return ratings

    model = make_pipeline(StandardScaler(), Features()).fit(X + 50, ratings)
    assert individual_ccc_scorer(model, X + 50, ratings) == pytest.approx(1)


@pytest.mark.parametrize("scorer", ccc_scorers.values(), ids=ccc_scorers)
def test_scorers_survive_pickling(scorer, X, ratings):
    model = Ridge().fit(X, ratings)
    assert pickle.loads(pickle.dumps(scorer))(model, X, ratings) == scorer(model, X, ratings)


def test_scorers_choose_in_a_grid_search(X, ratings):
    search = GridSearchCV(Ridge(), {"alpha": [1e-3, 1e6]}, scoring=ccc_scorers, refit="ccc_individual", cv=3)
    search.fit(X, ratings)
    assert search.best_params_ == {"alpha": 1e-3}
    assert search.score(X, ratings) == individual_ccc_scorer(search, X, ratings)


@pytest.mark.parametrize("scoring", [*ccc_scorers.values(), ccc_scorers], ids=[*ccc_scorers, "all"])
def test_scorers_work_with_metadata_routing(scoring, X, ratings):
    groups = np.arange(60) // 4
    plain = cross_validate(Ridge(), X, ratings, cv=GroupKFold(3), scoring=scoring, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(Ridge(), X, ratings, cv=GroupKFold(3), scoring=scoring, params={"groups": groups})
    for name in plain:
        if name.startswith("test_"):
            assert_array_equal(routed[name], plain[name])


def test_weights_are_routed_to_the_scorer_that_takes_them(X, ratings):
    weight = np.arange(60) % 2.0
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = copy.deepcopy(ccc_scorer).set_score_request(sample_weight=True)
        scoring = {"weighted": weighted, "individual": individual_ccc_scorer}
        result = cross_validate(
            Ridge().set_fit_request(sample_weight=False),
            X,
            ratings,
            cv=3,
            scoring=scoring,
            params={"sample_weight": weight},
            return_indices=True,
            return_estimator=True,
        )
    for fold, (model, test) in enumerate(zip(result["estimator"], result["indices"]["test"], strict=True)):
        pred = model.predict(X[test])
        assert result["test_weighted"][fold] == ccc_score(ratings[test], pred, sample_weight=weight[test])
        assert result["test_individual"][fold] == individual_ccc_score(ratings[test], pred)


# ---------------------------------------------------------------------- distances of distributions

DISTANCES = {"total_variation": total_variation_distance, "jensen_shannon": jensen_shannon_divergence}
every_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)


@st.composite
def grids(draw):
    """Draw two rows of whole masses on a grid, neither without any."""
    shape = draw(st.sampled_from([(4,), (2, 3), (3, 1, 2)]))
    sides = [draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 9))) for _ in range(2)]
    for side in sides:
        side.flat[draw(st.integers(0, side.size - 1))] += 1
    return [side[None] for side in sides]


def test_distances_of_a_worked_example():
    # (1/2, 1/2, 0) and (0, 1/2, 1/2): half of the mass must move; m = (1/4, 1/2, 1/4), so
    # JSD = (1/2 log 2 + 1/2 log 1) / 2 + (1/2 log 1 + 1/2 log 2) / 2 = 1/2 log 2
    p, q = [[5, 5, 0], [1, 0, 0]], [[0, 2, 2], [0, 3, 0]]
    assert_allclose(total_variation_distance(p, q), [1 / 2, 1])
    assert_allclose(jensen_shannon_divergence(p, q), [1 / 2, 1])
    assert_allclose(jensen_shannon_divergence(p, q, base=np.e), [np.log(2) / 2, np.log(2)])
    assert_allclose(jensen_shannon_divergence(p, q, base=4), [1 / 4, 1 / 2])


@every_distance
@patient
@given(grids())
def test_distances_are_symmetric_bounded_and_zero_for_equal_distributions_only(distance, sides):
    p, q = sides
    (found,) = distance(p, q)
    assert 0 <= found <= 1
    assert found == pytest.approx(distance(q, p).item(), abs=1e-15)
    equal = np.array_equal(p * q.sum(), q * p.sum())
    assert (found < 1e-12) == equal
    assert distance(p, p).item() == 0
    assert distance(p, 3 * p).item() == pytest.approx(0, abs=1e-15)
    assert (found == pytest.approx(1)) == (not (p * q).any())


@patient
@given(grids(), st.sampled_from([2, np.e, 10]))
def test_divergence_is_the_square_of_scipys_distance(sides, base):
    p, q = sides
    expected = jensenshannon(p.ravel(), q.ravel(), base=base) ** 2
    assert jensen_shannon_divergence(p, q, base=base).item() == pytest.approx(np.nan_to_num(expected), abs=1e-12)


@patient
@given(grids())
def test_divergence_is_between_half_the_squared_variation_in_nats_and_the_variation(sides):
    variation, nats = total_variation_distance(*sides), jensen_shannon_divergence(*sides, base=np.e)
    assert variation**2 / 2 <= nats + 1e-12  # of Pinsker's inequality, for the halves of p - q
    assert nats <= np.log(2) * variation + 1e-12


@every_distance
def test_each_row_is_a_distribution_whatever_its_shape_and_sum(distance):
    rng = np.random.default_rng(0)
    p, q = rng.uniform(size=(2, 6, 4, 5))
    found = distance(p, q)
    assert found.shape == (6,)
    assert_allclose(found, [distance(p[[i]], q[[i]]).item() for i in range(6)])
    assert_allclose(found, distance(p.reshape(6, 20), q.reshape(6, 20)))
    assert_allclose(found, distance(p * rng.uniform(1, 9, size=(6, 1, 1)), q))
    order = rng.permutation(5)
    assert_allclose(found, distance(p[..., order], q[..., order]))
    assert distance(p[:0], q[:0]).shape == (0,)
    assert distance(p.astype(np.float32), q.astype(np.float32)).dtype == np.float64


def test_rounding_leads_the_divergence_out_of_no_bound():
    p, noise = np.random.default_rng(0).uniform(size=(2, 1000, 20))
    nearly = jensen_shannon_divergence(p, p * (1 + 1e-9 * noise))
    apart = jensen_shannon_divergence(np.hstack([p, 0 * p]), np.hstack([0 * p, noise]))
    assert nearly.min() >= 0
    assert apart.max() <= 1


@every_distance
@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 1e-17])
def test_next_to_no_mass_in_a_cell_is_next_to_no_distance(distance, tiny):
    for p, q in [([[1, tiny]], [[1, 0]]), ([[1, 0]], [[1, tiny]]), ([[1, tiny]], [[1, 2 * tiny]])]:
        assert_allclose(distance(p, q), 0, atol=1e-15)


@every_distance
@pytest.mark.parametrize(
    ("p", "q", "error", "match"),
    [
        ([[1, 2], [0, 0]], [[1, 2], [1, 1]], ValueError, "row 1 of p has no mass"),
        ([[1, 2], [1, 1]], [[0, 0], [0, 0]], ValueError, "row 0 of q has no mass"),
        (np.ones((2, 0)), np.ones((2, 0)), ValueError, "row 0 of p has no mass"),
        ([[1, -1]], [[1, 1]], ValueError, r"p must not be negative, got -1.0 at position \(0, 1\)"),
        ([[[1, 1], [1, 1]]], [[[1, 1], [-2, 1]]], ValueError, r"q must not be neg.* -2.0 at position \(0, 1, 0\)"),
        ([[1, np.nan]], [[1, 1]], ValueError, r"p must be finite, got nan at position \(0, 1\)"),
        ([[1, 1]], [[np.inf, 1]], ValueError, r"q must be finite, got inf at position \(0, 0\)"),
        ([[1, 1]], [[1, 1, 1]], ValueError, r"p and q must have the same shape, got \(1, 2\) and \(1, 3\)"),
        ([1, 1], [1, 1], ValueError, r"shape \(n_samples, ...cells\), got \(2,\). One distribution is p\[None\]"),
        ([["a", "b"]], [[1, 1]], TypeError, "p must be numbers, got 'a'"),
    ],
)
def test_distances_refuse_what_is_no_distribution(distance, p, q, error, match):
    with pytest.raises(error, match=match):
        distance(p, q)


@pytest.mark.parametrize(
    ("base", "error"), [(1, ValueError), (0.5, ValueError), (np.inf, ValueError), ("e", TypeError)]
)
def test_the_base_of_the_logarithm_is_above_one(base, error):
    with pytest.raises(error, match="base must be"):
        jensen_shannon_divergence([[1, 2]], [[2, 1]], base=base)


# ---------------------------------------------------------------------- outputs that were not rated


def gappy(seed=0):
    """Ratings and predictions of two outputs, a third of the values missing, and the same for each output alone."""
    rng = np.random.RandomState(seed)
    dense = rng.normal(size=(40, 4, 2))
    dense[rng.uniform(size=dense.shape) < 0.35] = np.nan
    predictions = rng.normal(size=(40, 2))
    return Ratings.from_dense(dense), predictions, [Ratings.from_dense(dense[:, :, output]) for output in range(2)]


@pytest.mark.parametrize("score", [individual_ccc_score, consensus_ccc_score])
def test_each_output_is_scored_on_what_was_rated_of_it(score):
    ratings, predictions, alone = gappy()
    both = score(ratings, predictions, multioutput="raw_values")
    np.testing.assert_allclose(both, [score(own, predictions[:, k]) for k, own in enumerate(alone)])


def test_the_matrix_compares_on_what_was_rated():
    ratings, predictions, alone = gappy()
    cube = np.stack([predictions, predictions[::-1]], axis=1)
    found = ccc_matrix(ratings, cube)
    for output, own in enumerate(alone):
        np.testing.assert_allclose(found[:, :, output], ccc_matrix(own, cube[:, :, output]))


def test_an_output_rated_once_has_no_ccc_and_leaves_the_others():
    dense = np.random.RandomState(0).normal(size=(10, 2, 2))
    dense[1:, 0, 1] = np.nan
    ratings = Ratings.from_dense(dense)
    table = annotator_ccc(ratings, dense[:, 1])
    assert np.isnan(table.loc[0, "rating_1"])
    assert individual_ccc_score(ratings, dense[:, 1], multioutput="raw_values")[1] == pytest.approx(1)
