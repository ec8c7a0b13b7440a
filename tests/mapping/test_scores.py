"""Scores and predictions of heads: all at once equal the plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import _predict, _scores, predict_pairs, score_heads
from sklearn_annoser.mapping._scores import contenders, score_one
from sklearn_annoser.ratings import ratings_by_annotator
from tests.mapping.cases import make_case
from tests.oracles_network import plain_scores, predictions_of

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
    monkeypatch.setattr(_scores, "BLOCK_ROWS", blocks[0])
    monkeypatch.setattr(_scores, "BLOCK_HEADS", blocks[1])
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


@pytest.mark.parametrize("block", [1, 7, 2048])
def test_predicted_pairs_equal_a_loop(block, monkeypatch):
    monkeypatch.setattr(_predict, "BLOCK_ROWS", block)
    hidden, heads, ratings = make_case([5, 9, 3])
    codes = ratings.codes[::-1]
    expected = [predictions_of(hidden[[row]], heads[code])[0] for row, code in zip(ratings.rows, codes, strict=True)]
    np.testing.assert_allclose(predict_pairs(hidden, heads, ratings.rows, codes), expected, atol=1e-12)


def test_one_target_is_scored_as_among_others():
    hidden, heads, ratings = make_case([12, 1, 15])
    values = ratings.values.copy()
    values[ratings.codes == 2, 1] = np.nan
    ratings = ratings.with_values(values)
    expected = score_heads(hidden, heads, ratings)
    for target, mine in enumerate(ratings_by_annotator(ratings)):
        found = score_one(hidden[ratings.rows[mine]], heads, ratings.values[mine])
        np.testing.assert_allclose(found, expected[target], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("by_output", [False, True])
def test_contenders_are_those_who_score_best(by_output):
    scores = np.random.RandomState(0).normal(size=(50, 2))
    found = contenders(scores, by_output=by_output, n=7)
    rivals = scores.T if by_output else [scores.sum(axis=1)]
    np.testing.assert_array_equal(found, np.unique(np.concatenate([np.argsort(-each)[:7] for each in rivals])))
    np.testing.assert_array_equal(contenders(scores, by_output=by_output, n=50), np.arange(50))
