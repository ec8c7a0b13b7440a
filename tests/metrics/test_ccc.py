import audmetric
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from torchmetrics.functional import concordance_corrcoef

from sklearn_annoser import Ratings
from sklearn_annoser.metrics import (
    annotator_ccc,
    ccc_matrix,
    ccc_score,
    consensus_ccc_score,
    individual_ccc_score,
)
from tests import oracles
from tests.cases import CASES, dense, empty_rows, every_scored_case, gappy, patient, predictions_of


def pairs(n_samples, n_outputs=None, seed=0):
    """Draw truth and a prediction that has something to do with it."""
    rng = np.random.default_rng(seed)
    shape = n_samples if n_outputs is None else (n_samples, n_outputs)
    true = rng.normal(size=shape)
    return true, rng.normal() * true + rng.normal(size=shape) + rng.normal()


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


def test_unrated_samples_are_left_out():
    ratings = empty_rows()
    pred = np.random.default_rng(0).normal(size=ratings.n_samples)
    weight = np.arange(1.0, 1 + ratings.n_samples)
    rated = np.isfinite(ratings.consensus())
    assert not rated.all()
    expected = ccc_score(ratings.consensus()[rated], pred[rated], sample_weight=weight[rated])
    assert ccc_score(ratings, pred, sample_weight=weight) == expected


def test_each_output_is_scored_on_what_was_rated_of_it():
    values = np.random.default_rng(0).normal(size=(12, 2, 2))
    values[:4, :, 0] = values[8:, :, 1] = np.nan
    ratings = Ratings.from_dense(values, outputs=["activation", "valence"])
    pred = np.random.default_rng(1).normal(size=(12, 2))
    truth = np.nanmean(values[4:, :, 0], axis=1), np.nanmean(values[:8, :, 1], axis=1)
    expected = [ccc_score(truth[0], pred[4:, 0]), ccc_score(truth[1], pred[:8, 1])]
    assert_allclose(ccc_score(ratings, pred, multioutput="raw_values"), expected, rtol=1e-12)


def test_outputs_are_compared_by_name():
    ratings = CASES["dense_two_outputs"]
    _, pred = predictions_of(ratings)
    frame = pd.DataFrame(pred, columns=list(ratings.outputs)).iloc[:, ::-1]
    for score in (ccc_score, consensus_ccc_score, individual_ccc_score):
        assert score(ratings, frame) == score(ratings, pred)
        with pytest.raises(ValueError, match="y_pred has the outputs"):
            score(ratings, frame.set_axis(["else", "other"], axis=1))
    pd.testing.assert_frame_equal(annotator_ccc(ratings, frame), annotator_ccc(ratings, pred))
    assert ccc_score(pd.DataFrame(pred, columns=list(ratings.outputs)), frame) == 1


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


@every_scored_case
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


def test_the_matrix_compares_on_what_was_rated():
    ratings, predictions, alone = gappy()
    cube = np.stack([predictions, predictions[::-1]], axis=1)
    found = ccc_matrix(ratings, cube)
    for output, own in enumerate(alone):
        np.testing.assert_allclose(found[:, :, output], ccc_matrix(own, cube[:, :, output]))


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


def test_a_sample_with_weight_zero_is_not_there():
    true, pred, weight = [1.0, 2, 3, 1e300], [1.0, 3, 2, -1e300], [1, 2, 1, 0]
    assert ccc_score(true, pred, sample_weight=weight) == ccc_score(true[:3], pred[:3], sample_weight=weight[:3])


def test_what_is_masked_has_no_ccc():
    with pytest.raises(ValueError, match=r"y_true must be finite, got nan at position \(3,\)"):
        ccc_score(np.ma.masked_equal([1.0, 2, 3, -99], -99), [1, 2, 3, 4])
