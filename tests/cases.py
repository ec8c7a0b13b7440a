"""Named and drawn Ratings that the tests share, each with a shape that has broken such code before."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sklearn_annoser import Ratings


def values_of(shape, seed=0, dtype=np.float64):
    """Draw ratings on a scale from 1 to 5 with ties, as people give them."""
    return np.random.default_rng(seed).integers(1, 6, size=shape).astype(dtype)


def dense(n_samples=12, n_annotators=4, n_outputs=1, seed=0, dtype=np.float64, **kwargs):
    """Everybody rated everything."""
    return Ratings.from_dense(values_of((n_samples, n_annotators, n_outputs), seed, dtype), **kwargs)


def ragged(n_samples=30, n_annotators=6, n_outputs=1, seed=0, dtype=np.float64, **kwargs):
    """Each sample was rated by another number of annotators, at least by one."""
    rng = np.random.default_rng(seed)
    values = values_of((n_samples, n_annotators, n_outputs), seed, dtype)
    missing = rng.random((n_samples, n_annotators)) < 0.5
    missing[np.arange(n_samples), rng.integers(n_annotators, size=n_samples)] = False
    values[missing] = np.nan
    return Ratings.from_dense(values, **kwargs)


def empty_rows(n_outputs=1):
    """The first, the last and a middle sample have no rating."""
    values = values_of((8, 3, n_outputs))
    values[[0, 4, 5, 7]] = np.nan
    values[2, 1:] = np.nan
    return Ratings.from_dense(values, annotators=["ann", "bob", "cy"])


def one_annotator():
    return Ratings.from_rows(values_of(10), "ann")


def unsorted():
    """A table in no order, whose samples are listed in another order than they are rated, one of them unrated."""
    table = pd.DataFrame(
        {
            "sample": ["c", "a", "b", "a", "c", "b"],
            "annotator": ["zoe", "zoe", "ann", "moe", "ann", "moe"],
            "arousal": [1.0, 2.0, 3.0, 4.0, 5.0, 1.5],
            "valence": [5.0, 4.0, 3.0, 2.0, 1.0, 2.5],
        }
    )
    return Ratings.from_long(table, outputs=["arousal", "valence"], samples=["b", "d", "a", "c"], scale=(1, 5))


HALF = np.array(
    [
        [[1.0, 2.0], [3.0, np.nan]],
        [[np.nan, 4.0], [np.nan, np.nan]],
        [[5.0, np.nan], [np.nan, 8.0]],
    ]
)


def half():
    """Half of the ratings lack one of the two outputs."""
    return Ratings.from_dense(HALF, annotators=["ann", "bob"], outputs=["activation", "valence"])


CASES = {
    "dense": dense(),
    "dense_two_outputs": dense(n_outputs=2, outputs=["arousal", "valence"]),
    "ragged": ragged(),
    "ragged_two_outputs": ragged(n_outputs=2),
    "one_annotator": one_annotator(),
    "empty_rows": empty_rows(),
    "empty_rows_two_outputs": empty_rows(n_outputs=2),
    "unsorted": unsorted(),
    "int_labels": ragged(annotators=[70, 3, 12, 5, 900, 41], samples=np.arange(30) * 7 + 1),
    "str_labels": ragged(annotators=list("fbdace"), samples=[f"clip {i}" for i in range(30)]),
    "float32": ragged(dtype=np.float32, scale=(1, 5)),
    "single_rating": Ratings.from_rows([2.0], "ann"),
}

RATED = {name: ratings for name, ratings in CASES.items() if (np.diff(ratings.indptr) > 0).all()}
SCORED = {name: ratings for name, ratings in CASES.items() if ratings.n_ratings > 1}

every_case = pytest.mark.parametrize("ratings", CASES.values(), ids=CASES)
every_rated_case = pytest.mark.parametrize("ratings", RATED.values(), ids=RATED)
every_scored_case = pytest.mark.parametrize("ratings", SCORED.values(), ids=SCORED)
patient = settings(deadline=None)


@st.composite
def dense_arrays(draw):
    """Draw dense ratings with at least one of them, NaN where nobody rated."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(1, 3)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    values = draw(hnp.arrays(dtype, shape, elements=st.floats(-100, 100, width=32)))
    missing = draw(hnp.arrays(bool, shape[:2]))
    missing.flat[draw(st.integers(0, missing.size - 1))] = False
    values[missing] = np.nan
    return values


def as_cube(ratings):
    """Return the dense form, with an axis of outputs even for one."""
    return ratings.to_dense().reshape(ratings.n_samples, ratings.n_annotators, ratings.n_outputs)


def predictions_of(ratings, seed=0):
    """Draw a value for each rating, and one for each sample."""
    rng = np.random.default_rng(seed)
    each = 0.5 * ratings.values + rng.normal(size=ratings.values.shape)
    return ratings.with_values(each), rng.normal(size=ratings.shape)


def gappy(seed=0):
    """Ratings and predictions of two outputs, a third of the values missing, and the same for each output alone."""
    rng = np.random.RandomState(seed)
    dense = rng.normal(size=(40, 4, 2))
    dense[rng.uniform(size=dense.shape) < 0.35] = np.nan
    predictions = rng.normal(size=(40, 2))
    return Ratings.from_dense(dense), predictions, [Ratings.from_dense(dense[:, :, output]) for output in range(2)]
