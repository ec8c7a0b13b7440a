"""Digests are equal only if all of the content is."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.reproduce._digest import RATINGS, digest

X = np.arange(12.0).reshape(4, 3)
DENSE = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]])


def ratings(**changes):
    made = Ratings.from_dense(DENSE)
    given = {name: getattr(made, name) for name in RATINGS} | changes
    return Ratings(given.pop("indptr"), given.pop("codes"), given.pop("_values"), **given)


# Every two of these differ.
VALUES = {
    "none": None,
    "false": False,
    "zero": 0,
    "0.0": 0.0,
    "text": "0",
    "bytes": b"0",
    "nothing": [],
    "nested": [[]],
    "empty text": [""],
    "joined": ["ab", "c"],
    "parted": ["a", "bc"],
    "set": {"ab", "c"},
    "dict": {"a": 1, "b": 2},
    "dict in another order": {"b": 2, "a": 1},  # strategies draw one after the other
    "X": X,
    "X, transposed": X.T,
    "X, flat": X.ravel(),
    "X in float32": X.astype(np.float32),
    "X, one bit": np.nextafter(X, 99),
    "table": pd.DataFrame(X),
    "table with names": pd.DataFrame(X, columns=list("abc")),
    "sparse": sparse.csr_array(X),
    "labels": np.array(["a", "b"]),
    "labels with a zero": np.array(["a", "b\0c"]),
    "ratings": ratings(),
    "ratings, outputs": ratings(outputs=["valence"]),
    "ratings, annotators": ratings(annotators=["1", "0"]),
    "ratings, samples": ratings(samples=["x", "y", "z"]),
    "ratings, scale": ratings(scale=(1, 7)),
    "ratings, values": ratings(_values=[2.0, 1.0, 3.0, 4.0, 5.0]),
    "ratings, classes": ratings(_values=[0, 1, 1, 0, 0], classes=["x", "y"]),
    "ratings, other classes": ratings(_values=[0, 1, 1, 0, 0], classes=["x", "z"]),
    "ratings, samples of each": ratings(indptr=[0, 2, 4, 5], codes=[0, 1, 0, 1, 1]),
    "lambda": lambda x: x + 1,
    "another lambda": lambda x: x + 2,
    "partial": partial(int, base=2),
    "another partial": partial(int, base=3),
    "class": StandardScaler,
    "estimator": StandardScaler(),
    "with another parameter": StandardScaler(with_mean=False),
    "frozen": FrozenEstimator(StandardScaler().fit(X)),
    "frozen elsewhere": FrozenEstimator(StandardScaler().fit(X + 1)),
    "pipeline": make_pipeline(StandardScaler(), AnnotatorMappedRegressor()),
    "pipeline, other steps": make_pipeline(AnnotatorMappedRegressor()),
    "long list of units": AnnotatorMappedRegressor(callbacks=[partial(int, base=2)]),
    "another list": AnnotatorMappedRegressor(callbacks=[partial(int, base=3)]),
    "state": np.random.RandomState(0),
    "another state": np.random.RandomState(1),
}


def test_no_two_of_many_values_have_one_digest():
    found = {name: digest(value) for name, value in VALUES.items()}
    assert len(set(found.values())) == len(found)
    assert found == {name: digest(value) for name, value in VALUES.items()}


def test_how_a_value_is_stored_says_nothing():
    same = [
        (X, np.asfortranarray(X)),
        (X, np.repeat(X, 2, axis=0)[::2]),
        (np.array(["a", "b"]), np.array(["a", "b"], dtype="<U300")),
        (np.array(["a", "b"]), np.array(["a", "b"], dtype=object)),
        ([1, "all"], (np.int64(1), np.str_("all"))),
        (AnnotatorMappedRegressor(), AnnotatorMappedRegressor(verbose=1)),
        (sparse.csr_array(X), sparse.csc_array(X)),
    ]
    for one, other in same:
        assert digest(one) == digest(other)


def test_all_that_ratings_hold_is_in_their_digest():
    assert set(vars(ratings())) == set(RATINGS)


def test_any_single_change_of_an_array_changes_its_digest():
    rng = np.random.RandomState(0)
    large = rng.normal(size=(9000, 3))  # more than one block
    before = digest(large)
    for row in rng.randint(9000, size=5):
        changed = large.copy()
        changed[row, rng.randint(3)] += 1e-9
        assert digest(changed) != before


def test_what_cannot_be_told_apart_is_refused():
    class Anything:
        def __reduce__(self):
            raise ValueError("not me")

    with pytest.raises(TypeError, match="cannot be told from others of its kind"):
        digest([Anything()])
