"""Ratings and features are of the same samples, in the same order, or somebody is told."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_annoser import Ratings
from sklearn_annoser.ratings._samples import check_same_samples
from tests.cases import patient

NAMES = ["a", "b", "c"]


def ratings_of(samples):
    return Ratings.from_rows(np.arange(float(len(samples))), "ann", samples=samples)


def frame_of(index):
    return pd.DataFrame({"f": range(len(index))}, index=index)


@pytest.mark.parametrize(
    ("index", "samples"),
    [
        (NAMES, NAMES),
        (NAMES, None),
        (NAMES, ["x", "y", "z"]),
        (range(3), NAMES),
        (range(3), [7, 2, 9]),  # rows that were counted anew
        ([7, 2, 9], range(3)),
        ([7, 2, 9], [7, 2, 9]),
        ([7, 7, 9], [7, 7, 9]),
        ([0, 1, 2], ["0", "1", "2"]),
        (["a", "b"], ["c", "b", "a"]),  # other lengths are found elsewhere
        (pd.MultiIndex.from_tuples([("a", 1), ("b", 1), ("c", 1)]), NAMES),
    ],
)
def test_what_may_be_the_same_samples_is_let_through(index, samples):
    X, ratings = frame_of(index), ratings_of(samples) if samples is not None else Ratings.from_rows([1.0, 2, 3], "ann")
    check_same_samples("X", X, ratings)
    check_same_samples("X", X["f"], ratings)
    check_same_samples("X", X.to_numpy(), ratings)


@pytest.mark.parametrize(
    ("index", "samples"),
    [
        (NAMES, ["a", "c", "b"]),
        (NAMES, ["b", "c", "d"]),
        (range(3), [0, 2, 1]),
        (range(3), ["0", "2", "1"]),
        ([7, 2, 9], [2, 7, 9]),
        (["a", "a", "b"], ["a", "b", "b"]),
        (pd.Categorical(NAMES), ["c", "b", "a"]),
    ],
)
def test_other_samples_or_another_order_is_an_error_that_says_which(index, samples):
    with pytest.raises(ValueError, match=r"X and the ratings are not of the same samples.*row \d of X is .*X\.index"):
        check_same_samples("X", frame_of(index), ratings_of(samples))


@patient
@given(st.permutations(range(6)), st.sampled_from([int, str, "clip{}".format]))
def test_every_other_order_is_found(order, name):
    names, shuffled = [name(i) for i in range(6)], [name(i) for i in order]
    if list(order) == sorted(order):
        check_same_samples("X", frame_of(names), ratings_of(shuffled))
        return
    with pytest.raises(ValueError, match="not of the same samples in the same order"):
        check_same_samples("X", frame_of(names), ratings_of(shuffled))


def table(samples):
    return pd.DataFrame({"sample": samples, "annotator": range(len(samples)), "rating": 1.0})


@pytest.mark.parametrize("samples", [["b", "b", "a", "a"], ["b", "a"], ["a", "b", "a", "b"], [3, 1, 1], [1, 2, 1]])
def test_a_table_in_some_order_needs_no_list_of_samples(samples):
    assert Ratings.from_long(table(samples), outputs="rating").samples.tolist() == list(dict.fromkeys(samples))


@pytest.mark.parametrize("samples", [["b", "a", "b"], [2, 1, 2]])
def test_a_table_in_no_order_warns_of_the_order_of_the_samples(samples):
    with pytest.warns(UserWarning, match=r"in the order of their first rating: .*Give samples= in the order of the ro"):
        ratings = Ratings.from_long(table(samples), outputs="rating")
    assert ratings.samples.tolist() == samples[:2]
    assert Ratings.from_long(table(samples), outputs="rating", samples=samples[1::-1]).n_ratings == 3
