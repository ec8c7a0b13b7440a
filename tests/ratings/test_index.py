import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_annoser import Ratings
from tests.cases import as_cube, dense, dense_arrays, every_case, patient


@st.composite
def ratings_and_key(draw):
    values = draw(dense_arrays())
    n = len(values)
    indices = st.lists(st.integers(-n, n - 1), max_size=2 * n)
    masks = st.lists(st.booleans(), min_size=n, max_size=n)
    key = draw(
        st.one_of(
            st.slices(n),
            indices,
            indices.map(lambda rows: np.array(rows, dtype=np.int32)),
            indices.map(lambda rows: pd.Series(rows, dtype=np.int64, index=np.arange(len(rows))[::-1])),
            masks,
            masks.map(np.array),
            masks.map(pd.Series),
            masks.map(lambda mask: pd.array(mask, dtype="boolean")),
        )
    )
    return values, key


@patient
@given(ratings_and_key())
def test_slicing_ratings_is_slicing_their_dense_form(values_and_key):
    values, key = values_and_key
    ratings = Ratings.from_dense(values, samples=np.arange(len(values)) + 100)
    plain = key if isinstance(key, slice) else np.asarray(key) if len(key) else []
    assert_array_equal(as_cube(ratings[key]), values[plain])
    assert_array_equal(ratings[key].samples, ratings.samples[plain])
    assert_array_equal(ratings[key].annotators, ratings.annotators)


# A splitter of scikit-learn indexes whatever has a shape as an array, with y[rows, ...]. Without a shape it would make
# a plain list of y[row] for each row, which is no Ratings any more.
@every_case
@pytest.mark.parametrize("rest", [(...,), (slice(None),), (slice(None), ...), ()], ids=str)
def test_rows_with_an_ellipsis_are_the_rows(ratings, rest):
    rows = np.arange(len(ratings))[::-2]
    assert ratings[(rows, *rest)] == ratings[rows]


@every_case
def test_an_integer_gives_ratings_of_one_sample(ratings):
    assert len(ratings[0]) == 1
    assert ratings[0] == ratings[[0]] == ratings[np.int64(0)] == ratings[-len(ratings)]
    assert [row == ratings[[i]] for i, row in enumerate(ratings)] == [True] * len(ratings)


@every_case
def test_permuting_rows_back_and_forth_changes_nothing(ratings):
    order = np.random.default_rng(0).permutation(len(ratings))
    assert ratings[order][np.argsort(order)] == ratings
    assert_array_equal(ratings[order].consensus(), ratings.consensus()[order])


def test_slices_without_rows_are_ratings_of_no_sample():
    for nothing in ([], slice(0, 0), np.zeros(12, dtype=bool), np.array([], dtype=int)):
        empty = dense()[nothing]
        assert (len(empty), empty.n_ratings, empty.n_annotators) == (0, 0, 4)


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("clip", "Ratings are indexed by a slice, integers or a boolean mask, got str"),
        ([0.5], "got list with dtype float64"),
        ([["a"]], "got list with dtype"),
        ([[0, 1]], r"dtype int64 and shape \(1, 2\)"),
        (True, "got bool"),
        (None, "got NoneType"),
        (..., "got ellipsis"),
        ((), r"Ratings are indexed by sample, ratings\[rows\], got \(\)"),
        ((0, 0), r"Ratings are indexed by sample, ratings\[rows\], got \(0, 0\)"),
        (([0], np.array([0, 1])), "Ratings are indexed by sample"),
        (12, "index 12 is out of bounds"),
        ([-13], "index -13 is out of bounds"),
        ([True, False], "boolean index did not match"),
    ],
    ids=str,
)
def test_other_keys_are_refused(key, match):
    with pytest.raises(IndexError, match=match):
        dense()[key]
