import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_annoser import Ratings
from sklearn_annoser.metrics import annotator_ccc, ccc_matrix, ccc_score, consensus_ccc_score, individual_ccc_score
from tests import oracles
from tests.cases import dense, every_scored_case, gappy, patient, predictions_of, ragged


@every_scored_case
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


@every_scored_case
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


@pytest.mark.parametrize("score", [individual_ccc_score, consensus_ccc_score])
def test_each_output_is_scored_on_what_was_rated_of_it(score):
    ratings, predictions, alone = gappy()
    both = score(ratings, predictions, multioutput="raw_values")
    np.testing.assert_allclose(both, [score(own, predictions[:, k]) for k, own in enumerate(alone)])


def test_an_output_rated_once_has_no_ccc_and_leaves_the_others():
    dense = np.random.RandomState(0).normal(size=(10, 2, 2))
    dense[1:, 0, 1] = np.nan
    ratings = Ratings.from_dense(dense)
    table = annotator_ccc(ratings, dense[:, 1])
    assert np.isnan(table.loc[0, "rating_1"])
    assert individual_ccc_score(ratings, dense[:, 1], multioutput="raw_values")[1] == pytest.approx(1)


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


def test_masked_predictions_are_refused_and_masked_ratings_not_there():
    ratings = Ratings.from_dense(np.ma.masked_equal([[1, -9], [2, 5], [3, 1], [-9, 2]], -9))
    table = annotator_ccc(ratings, [1.0, 2, 3, 2])
    assert table["n_ratings"].tolist() == [3, 3]
    assert table["rating"].iloc[0] == 1
    for metric in (annotator_ccc, individual_ccc_score, consensus_ccc_score):
        with pytest.raises(ValueError, match=r"y_pred must be finite, got nan at position \(1,\)"):
            metric(ratings, np.ma.array([1.0, 2, 3, 2], mask=[0, 1, 0, 0]))


def test_classes_are_not_correlated():
    classes = Ratings.from_dense([[0, 1], [1, 2], [2, 0]], classes=True)
    for metric in (annotator_ccc, individual_ccc_score, consensus_ccc_score, ccc_score):
        with pytest.raises(TypeError, match="y_true must be ratings that are numbers, got Ratings of the classes"):
            metric(classes, [1.0, 2, 3])
    with pytest.raises(TypeError, match="y_true must be ratings that are numbers"):
        ccc_matrix(classes, np.ones((3, 2)))


def test_predictions_of_samples_in_another_order_are_refused():
    ratings = Ratings.from_dense([[1, 3], [2, 2], [3, 1]], samples=["a", "b", "c"])
    right = pd.Series([1.0, 2, 3], index=["a", "b", "c"])
    for metric in (annotator_ccc, consensus_ccc_score, ccc_score):
        metric(ratings, right)
        with pytest.raises(ValueError, match="y_pred and the ratings are not of the same samples in the same order"):
            metric(ratings, right[::-1])
    other = Ratings.from_dense([[1, 3], [2, 2], [3, 1]], samples=["c", "b", "a"])
    with pytest.raises(ValueError, match="row 0 of y_pred is 'c'"):
        annotator_ccc(ratings, other)
