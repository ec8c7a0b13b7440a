"""Ratings taken apart: each rating is found once, with its annotator and its output."""

import numpy as np

from sklearn_annoser import Ratings
from sklearn_annoser.ratings import count_by_output, rated_outputs, ratings_by_annotator, shuffled_places
from tests.cases import every_case


@every_case
def test_every_rating_is_of_one_annotator(ratings):
    parts = ratings_by_annotator(ratings)
    assert len(parts) == ratings.n_annotators
    for label, mine in zip(ratings.annotators.tolist(), parts, strict=True):
        assert (ratings.annotators[ratings.codes[mine]] == label).all()
        assert (np.diff(mine) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(ratings.n_ratings))


def test_outputs_that_were_not_rated_are_passed_over():
    nan = np.nan
    ratings = Ratings([0, 2, 3], [0, 1, 1], [[1, nan], [2, 3], [nan, 4]], annotators=["ann", "bob", "idle"])
    found = [(codes.tolist(), values.tolist(), n) for codes, values, n in rated_outputs(ratings)]
    assert found == [([0, 1], [1.0, 2.0], 3), ([1, 1], [3.0, 4.0], 3)]
    assert count_by_output(ratings).tolist() == [[1, 0], [1, 2], [0, 0]]


@every_case
def test_a_shuffle_orders_the_ratings_of_each_annotator(ratings):
    place = shuffled_places(ratings, np.random.RandomState(0))
    for mine in ratings_by_annotator(ratings):
        assert sorted(place[mine]) == list(range(len(mine)))


def test_a_shuffle_is_uniform_and_repeatable():
    ratings = Ratings.from_dense(np.ones((4, 2)))
    first = [shuffled_places(ratings, np.random.RandomState(seed))[0] for seed in range(400)]
    assert (np.bincount(first) > 60).all()  # 100 are expected of each
    np.testing.assert_array_equal(*(shuffled_places(ratings, np.random.RandomState(1)) for _ in range(2)))
