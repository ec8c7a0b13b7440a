"""Named Ratings that the tests share, each with a shape that has broken such code before."""

import numpy as np
import pandas as pd

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
