"""Tables of any library give the same Ratings, names and values as they are."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import Ratings
from sklearn_annoser.datasets import read_ratings

LARGE = 2**53 + 1
COLUMNS = {
    "sample": [LARGE, LARGE, 1],
    "annotator": ["ann", "NA", "ann"],
    "p": [1.5, None, 3.0],
    "q": [2, 4, 5],
    "mood": ["low", "high", "low"],
}
LONG = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in COLUMNS.items()})
WIDE = {"ann": [1, 2, None], "bob": [4.0, None, 5.0]}


def arrow(columns):
    return pytest.importorskip("pyarrow").table(columns)


def polars(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def narwhals(columns):
    return pytest.importorskip("narwhals").from_native(polars(columns))


def narwhals_of_pandas(columns):
    return pytest.importorskip("narwhals").from_native(pd.DataFrame(columns))


class Stream:
    """A table of which nothing is known but its stream."""

    def __init__(self, columns):
        self.table = arrow(columns)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def arrays(columns):
    return {name: np.array(column, dtype=object) for name, column in columns.items()}


def series(columns):
    return {name: pd.Series(column, index=[5, 5, 1], dtype=object) for name, column in columns.items()}


TABLES = [dict, arrays, series, arrow, polars, narwhals, narwhals_of_pandas, Stream]


@pytest.mark.parametrize("make", TABLES)
def test_a_long_table_of_any_library(make):
    columns = COLUMNS
    truth = Ratings.from_long(LONG, outputs=["p", "q"])
    ratings = Ratings.from_long(make(columns), outputs=["p", "q"])
    assert ratings == truth
    assert ratings.samples.tolist() == [LARGE, 1]
    assert ratings.annotators.tolist() == ["NA", "ann"]
    outputs = ["p", "q"]
    assert read_ratings(make(columns), outputs=outputs).ratings == read_ratings(LONG, outputs=outputs).ratings
    moods = Ratings.from_long(make(columns), outputs="mood", classes=True)
    assert moods.labels.tolist() == ["high", "low", "low"]


@pytest.mark.parametrize("make", TABLES)
def test_a_wide_table_of_any_library(make):
    ratings = Ratings.from_dense(make(WIDE))
    assert ratings.annotators.tolist() == ["ann", "bob"]
    np.testing.assert_array_equal(ratings.to_dense(), [[1, 4], [2, np.nan], [np.nan, 5]])
    rows = Ratings.from_rows(make({"p": [1, 2, 3], "q": [4, 5, 6]}), "ann")
    assert rows.outputs == ("p", "q")
    assert rows.values.tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.parametrize("make", [arrow, polars])
def test_float32_stays_float32(make):
    values = np.array([1.5, 2.5], dtype=np.float32)
    assert Ratings.from_dense(make({"ann": values})).values.dtype == np.float32


def test_ordered_classes_of_other_libraries_keep_their_order():
    pl = pytest.importorskip("polars")
    column = pl.Series(["low", "high", "low"], dtype=pl.Enum(["low", "high"]))
    table = polars({"sample": [1, 2, 3], "annotator": ["a", "a", "a"], "mood": column})
    assert Ratings.from_long(table, outputs="mood", classes=True).classes.tolist() == ["low", "high"]
    pa = pytest.importorskip("pyarrow")
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), ["low", "high"], ordered=True)
    table = arrow({"sample": [1, 2, 3], "annotator": ["a", "a", "a"], "mood": codes})
    assert Ratings.from_long(table, outputs="mood", classes=True).classes.tolist() == ["low", "high"]


def test_a_hugging_face_dataset_as_a_table():
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict(COLUMNS).select([2, 0, 1])
    truth = Ratings.from_long(LONG.iloc[[2, 0, 1]], outputs=["p", "q"])
    assert Ratings.from_long(made, outputs=["p", "q"]) == truth


# ---------------------------------------------------------------------- what an index names


def test_from_dense_keeps_the_columns_and_the_index():
    frame = pd.DataFrame({"ann": [1, 2], "bob": [3, 4]}, index=["a.wav", "b.wav"])
    ratings = Ratings.from_dense(frame)
    assert ratings.samples.tolist() == ["a.wav", "b.wav"]
    assert ratings.annotators.tolist() == ["ann", "bob"]
    assert Ratings.from_dense(frame, samples=["x", "y"]).samples.tolist() == ["x", "y"]
    assert Ratings.from_dense(frame.reset_index(drop=True)).samples is None  # it only counts rows
    assert Ratings.from_dense(frame.reset_index(drop=True).iloc[[1, 0]]).samples.tolist() == [1, 0]
    assert Ratings.from_rows(frame["ann"], "ann").samples.tolist() == ["a.wav", "b.wav"]
    assert Ratings.from_rows(frame, "ann").samples.tolist() == ["a.wav", "b.wav"]
    categories = frame.set_index(pd.CategoricalIndex(["a", "b"]))
    assert Ratings.from_dense(categories).samples.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "index", [pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), pd.date_range("2024-01-01", periods=2)]
)
def test_an_index_that_cannot_name_samples_is_refused(index):
    frame = pd.DataFrame({"ann": [1, 2]}, index=index)
    with pytest.raises(TypeError, match=r"the index of values must name the samples, .* or values\.reset_index"):
        Ratings.from_dense(frame)
    assert Ratings.from_dense(frame, samples=["a", "b"]).samples.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "error", "match"),
    [
        ({"sample": ["a"], "annotator": ["x", "y"], "v": [1]}, ValueError, "columns of one length, got {'sample': 1, "),
        ({"sample": "a", "annotator": ["x"], "v": [1]}, TypeError, "must have columns of values, got 'a' for 'sample'"),
        ({"sample": ["a"], "annotator": ["x"]}, ValueError, "there is no column 'v'"),
        ({}, ValueError, "there is no column 'sample'"),
        (5, TypeError, "frame must be a DataFrame of pandas or polars, a table of Arrow, .*, got int"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(table, error, match):
    with pytest.raises(error, match=match):
        Ratings.from_long(table, outputs="v")


def test_a_lazy_table_is_to_be_collected():
    with pytest.raises(TypeError, match=r"frame must be in memory, got LazyFrame: give frame\.collect\(\)"):
        Ratings.from_long(polars(COLUMNS).lazy(), outputs="p")


# ---------------------------------------------------------------------- given twice


def test_of_two_rows_the_first_or_the_last_counts_as_a_whole():
    table = {"sample": [1, 2, 1], "annotator": ["a", "a", "a"], "p": [0, 5, 2], "q": [1, 5, None]}
    first = Ratings.from_long(table, outputs=["p", "q"], duplicates="first")
    assert first.values.tolist() == [[0, 1], [5, 5]]
    last = Ratings.from_long(table, outputs=["p", "q"], duplicates="last")
    np.testing.assert_array_equal(last.values, [[2, np.nan], [5, 5]])
    classes = Ratings.from_long(table, outputs="p", classes=[0, 2, 5], duplicates="last")
    assert classes.labels.tolist() == [2, 5]  # the mean of the classes 0 and 2 is none
