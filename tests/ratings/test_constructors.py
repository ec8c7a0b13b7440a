import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_annoser import Ratings
from tests.cases import as_cube, dense_arrays, half, patient, unsorted


def long_table(**changes):
    columns = {"sample": ["a", "a", "b"], "annotator": ["ann", "bob", "ann"], "valence": [1.0, 2.0, 3.0]}
    return pd.DataFrame(columns | changes)


# ---------------------------------------------------------------------- round trips and tables


@patient
@given(dense_arrays())
def test_from_dense_and_to_dense_are_inverse(values):
    ratings = Ratings.from_dense(values)
    assert_array_equal(as_cube(ratings), values)
    assert ratings.values.dtype == values.dtype
    assert ratings.n_ratings == np.isfinite(values[:, :, 0]).sum()


@patient
@given(dense_arrays())
def test_from_long_and_to_long_are_inverse(values):
    ratings = Ratings.from_dense(values, samples=[f"s{i}" for i in range(len(values))])
    again = Ratings.from_long(ratings.to_long(), outputs=ratings.outputs, samples=ratings.samples)
    kept = ratings.keep_annotators()
    assert again == kept
    assert again.values.dtype == values.dtype


@patient
@given(dense_arrays(), st.randoms(use_true_random=False))
def test_the_order_of_a_tables_rows_does_not_matter_when_samples_are_given(values, random):
    ratings = Ratings.from_dense(values, samples=np.arange(len(values)))
    table = ratings.to_long()
    order = random.sample(range(len(table)), len(table))
    kwargs = {"outputs": ratings.outputs, "samples": ratings.samples}
    assert Ratings.from_long(table.iloc[order], **kwargs) == Ratings.from_long(table, **kwargs)


def test_missing_outputs_go_through_a_table_and_back():
    long = half().to_long()
    assert long["valence"].isna().sum() == 2
    again = Ratings.from_long(long, outputs=["activation", "valence"], samples=range(3))
    np.testing.assert_array_equal(again.values, half().values)
    np.testing.assert_array_equal(
        Ratings.from_rows([[1, np.nan], [np.nan, 2]], "ann").values, [[1, np.nan], [np.nan, 2]]
    )


def test_from_long_follows_the_given_samples_and_keeps_unrated_ones():
    ratings = unsorted()
    assert ratings.samples.tolist() == ["b", "d", "a", "c"]
    assert ratings.annotators.tolist() == ["ann", "moe", "zoe"]
    nan = np.nan
    assert_array_equal(ratings.to_dense()[:, :, 0], [[3, 1.5, nan], [nan, nan, nan], [nan, 4, 2], [5, nan, 1]])


def test_from_long_orders_samples_by_their_first_rating():
    table = long_table(sample=["z", "z", "a"])
    assert Ratings.from_long(table, outputs="valence").samples.tolist() == ["z", "a"]


def test_from_long_takes_columns_by_any_name():
    table = long_table().rename(columns={"sample": "clip", "annotator": "who"})
    renamed = Ratings.from_long(table, sample="clip", annotator="who", outputs=["valence"])
    assert renamed == Ratings.from_long(long_table(), outputs="valence")


@pytest.mark.parametrize("dtype", ["category", "object", "str"])
def test_from_long_takes_any_type_of_labels(dtype):
    table = long_table().astype({"sample": dtype, "annotator": dtype})
    ratings = Ratings.from_long(table, outputs="valence")
    assert ratings == Ratings.from_long(long_table(), outputs="valence")
    assert ratings.annotators.dtype.kind == ratings.samples.dtype.kind == "U"


def test_numbers_as_labels_stay_numbers():
    table = long_table(sample=[30, 30, 10], annotator=np.array([9, 2, 9], dtype=object))
    ratings = Ratings.from_long(table, outputs="valence")
    assert ratings.annotators.tolist() == [2, 9]
    assert ratings.samples.tolist() == [30, 10]
    assert ratings.annotators.dtype.kind == ratings.samples.dtype.kind == "i"


def test_duplicates_are_averaged_where_asked_for():
    table = long_table(sample=["a", "a", "a"], annotator=["ann", "bob", "ann"])
    ratings = Ratings.from_long(table, outputs="valence", duplicates="mean")
    assert ratings.to_dense().tolist() == [[2.0, 2.0]]  # ann: (1 + 3) / 2


@patient
@given(dense_arrays(), st.integers(2, 4))
def test_averaging_equal_duplicates_changes_nothing(values, n_times):
    ratings = Ratings.from_dense(values, samples=np.arange(len(values)))
    table = pd.concat([ratings.to_long()] * n_times)
    again = Ratings.from_long(table, outputs=ratings.outputs, samples=ratings.samples, duplicates="mean")
    assert_allclose(again.values, ratings.values, rtol=1e-6)
    assert_array_equal(again.indptr, ratings.indptr)


def test_duplicates_are_averaged_output_by_output():
    table = pd.DataFrame({"sample": [0, 0], "annotator": ["a", "a"], "x": [1.0, np.nan], "y": [2.0, 4.0]})
    ratings = Ratings.from_long(table, outputs=["x", "y"], duplicates="mean")
    np.testing.assert_array_equal(ratings.values, [[1, 3]])


def test_a_frame_gives_from_dense_its_annotators():
    frame = pd.DataFrame({"ann": [1, None], "bob": [3, 4]}, dtype="Int64")
    ratings = Ratings.from_dense(frame)
    assert ratings.annotators.tolist() == ["ann", "bob"]
    assert_array_equal(ratings.to_dense(), [[1, 3], [np.nan, 4]])


def test_none_is_a_missing_rating_in_from_dense():
    assert_array_equal(Ratings.from_dense([[1, None], [2, 3]]).to_dense(), [[1, np.nan], [2, 3]])


def test_from_rows_gives_each_sample_one_rating():
    ratings = Ratings.from_rows([1.0, 2.0, 3.0], ["bob", "ann", "bob"])
    assert ratings.annotators.tolist() == ["ann", "bob"]
    nan = np.nan
    assert_array_equal(ratings.to_dense(), [[nan, 1], [2, nan], [nan, 3]])


def test_from_rows_takes_a_single_label_and_a_frames_columns():
    ratings = Ratings.from_rows(pd.DataFrame({"arousal": [1, 2], "valence": [3, 4]}), "ann")
    assert ratings.outputs == ("arousal", "valence")
    assert ratings.annotators.tolist() == ["ann"]
    assert ratings.values.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], [[True, False], [False, True]]])
def test_whole_numbers_become_float64(values):
    assert Ratings.from_dense(values).values.dtype == np.float64


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"valence": [1.0, np.nan, 3.0]}, ValueError, "1 of 3 ratings have no value .* position 1"),
        ({"valence": [1.0, 2.0, np.inf]}, ValueError, r"ratings must be finite, got inf at position \(2, 0\)"),
        ({"valence": [1.0, None, 3.0]}, ValueError, "1 of 3 ratings have no value .* position 1"),
        ({"valence": ["1", "high", "3"]}, TypeError, r"ratings must be numbers, got '1' at position \(0, 0\)"),
        ({"valence": [1, "high", 3]}, TypeError, r"ratings must be numbers, got 'high' at position \(1, 0\)"),
        ({"valence": [1j, 2, 3]}, TypeError, "ratings must be numbers, got dtype complex128"),
        ({"annotator": ["ann", None, "bob"]}, ValueError, "column 'annotator' must not be missing, got .* position 1"),
        ({"sample": [np.nan, 1.0, 2.0]}, ValueError, "column 'sample' must not be missing, got nan at position 0"),
        (
            {"annotator": ["ann", 3, "bob"]},
            TypeError,
            "column 'annotator' must be all strings or all numbers: 2 of 3 are strings.*astype",
        ),
        (
            {"annotator": pd.to_datetime(["2020-01-01"] * 3)},
            TypeError,
            "column 'annotator' must be all strings or all numbers: these are datetime.*astype",
        ),
        (
            {"sample": ["a", "a", "a"]},
            ValueError,
            "1 ratings are by an annotator who rated the same sample before, for example annotator 'ann' and sample "
            '\'a\'.*duplicates="last" or "first" takes one of them, "mean" averages',
        ),
    ],
)
def test_from_long_refuses_a_bad_column(changes, error, match):
    with pytest.raises(error, match=match):
        Ratings.from_long(long_table(**changes), outputs="valence")


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"outputs": "joy"}, ValueError, r"there is no column 'joy'. The columns are \['sample', 'annotator', 'valenc"),
        ({"annotator": "who"}, ValueError, "there is no column 'who'"),
        ({"sample": "clip"}, ValueError, "there is no column 'clip'"),
        ({"outputs": ["valence", "valence"]}, ValueError, "must be different columns, got .*'valence', 'valence'"),
        ({"outputs": ["sample"]}, ValueError, "sample, annotator and outputs must be different columns"),
        ({"outputs": []}, ValueError, "there are no ratings: Ratings need at least one, with at least one output"),
        (
            {"duplicates": "drop"},
            ValueError,
            r"duplicates must be one of \['error', 'mean', 'first', 'last'\], got 'drop'",
        ),
        ({"samples": ["a"]}, ValueError, r"rated sample 'b' is not in `samples`. It has 1, for example \['a'\]"),
        ({"samples": ["c", "d"]}, ValueError, r"rated sample 'a' \(and 2 more\) is not in `samples`"),
        ({"samples": ["a", "b", "a"]}, ValueError, "samples must be unique, got 'a' twice"),
        ({"samples": [["a", "b"]]}, ValueError, r"samples must be one-dimensional, got shape \(1, 2\)"),
        ({"samples": ["a", "b", None]}, ValueError, "samples must not be missing, got None at position 2"),
        ({"samples": ["a", 2]}, TypeError, "samples must be all strings or all numbers: 1 of 2 are strings"),
        (
            {"scale": (2, 7)},
            ValueError,
            "1 of 3 ratings lie outside the declared scale: 'valence' goes from 2 to 7, got 1",
        ),
    ],
)
def test_from_long_refuses_bad_arguments(kwargs, error, match):
    with pytest.raises(error, match=match):
        Ratings.from_long(long_table(), **{"outputs": "valence"} | kwargs)


def test_from_long_refuses_a_column_name_that_is_there_twice():
    table = pd.DataFrame([["a", "ann", 1, 2]], columns=["sample", "annotator", "valence", "valence"])
    with pytest.raises(ValueError, match=r"column 'valence' is there 2 times\. Rename or drop all but one"):
        Ratings.from_long(table, outputs="valence")


def test_from_long_refuses_what_is_no_frame():
    with pytest.raises(TypeError, match=r"frame must be a DataFrame of .* or a dict of columns, got list"):
        Ratings.from_long([["a"]], outputs="valence")


def test_from_long_refuses_an_empty_frame():
    with pytest.raises(ValueError, match="there are no ratings: frame has no rows"):
        Ratings.from_long(long_table().iloc[:0], outputs="valence")


@pytest.mark.parametrize(
    ("values", "kwargs", "error", "match"),
    [
        ([[1, np.inf]], {}, ValueError, r"values must be finite, got inf at position \(0, 1\)"),
        ([[1, "2"]], {}, TypeError, r"values must be numbers, got '2' at position \(0, 1\)"),
        ([1, 2], {}, ValueError, r"values must have shape \(n_samples, n_annotators\) or .* got \(2,\)"),
        (np.ones((1, 1, 1, 1)), {}, ValueError, r"values must have at most 3 dimensions, got shape \(1, 1, 1, 1\)"),
        (5.0, {}, ValueError, "values must be an array .* got a single number"),
        ([[np.nan, np.nan]], {}, ValueError, "there are no ratings"),
        (np.empty((0, 3)), {}, ValueError, "there are no ratings"),
        (np.empty((2, 3, 0)), {}, ValueError, "there are no ratings"),
        ([[1, 2]], {"annotators": ["a"]}, ValueError, "values has 2 columns, but there are 1 annotators"),
        ([[1, 2]], {"annotators": ["a", "a"]}, ValueError, "annotators must be unique, got 'a' twice"),
        ([[1, 2]], {"annotators": [7, 7]}, ValueError, "annotators must be unique, got 7 twice"),
        ([[1, 2]], {"annotators": ["a", None]}, ValueError, "annotators must not be missing, got None at position 1"),
        ([[1, 2]], {"annotators": ["a", 1]}, TypeError, "annotators must be all strings or all numbers: 1 of 2"),
        ([[1, 2]], {"samples": ["x", "y"]}, ValueError, "samples has 2 labels, but indptr describes 1 samples"),
        ([[1, 2]], {"outputs": ["x", "y"]}, ValueError, r"there are 2 output names, \['x', 'y'\], for 1 columns"),
        ([[[1, 2]]], {"outputs": ["x", "x"]}, ValueError, r"outputs must have different names, got \['x', 'x'\]"),
        ([[1, 2]], {"outputs": "x"}, TypeError, "outputs must be a sequence of strings, got 'x'"),
        ([[1, 2]], {"outputs": ["x\0"]}, ValueError, r"outputs must be text without NUL characters"),
        ([[1, 2]], {"outputs": [1]}, TypeError, r"outputs must be a sequence of strings, got \[1\]"),
        ([[1, 2]], {"scale": (1, 1.5)}, ValueError, "1 of 2 ratings lie outside .* 'rating' goes from 1 to 1.5, got 2"),
        ([[1, 2]], {"scale": (5, 1)}, ValueError, r"scale must have low < high, got \(5, 1\)"),
        (
            [[1, 2]],
            {"scale": (1, 2, 3)},
            ValueError,
            "scale must be .low, high., or one such pair for each of the 1 out",
        ),
        ([[1, 2]], {"scale": (1, np.inf)}, ValueError, r"scale must be finite, got inf at position \(1,\)"),
        ([[1, 2]], {"scale": ("low", "high")}, TypeError, r"scale must be numbers, got 'low' at position \(0,\)"),
    ],
)
def test_from_dense_refuses_bad_input(values, kwargs, error, match):
    with pytest.raises(error, match=match):
        Ratings.from_dense(values, **kwargs)


@pytest.mark.parametrize(
    ("values", "annotators", "error", "match"),
    [
        ([1, 2, 3], ["a", "b"], ValueError, "there are 3 ratings, but 2 annotators: give one for each rating"),
        ([1, np.nan], "a", ValueError, "1 of 2 ratings have no value .* position 1"),
        (["1", "2"], "a", TypeError, r"values must be numbers, got '1' at position \(0,\)"),
        ([1, "two"], "a", TypeError, r"values must be numbers, got 'two' at position \(1,\)"),
        ([b"1"], "a", TypeError, r"values must be numbers, got b'1' at position \(0,\)"),
        ([1, 2], None, ValueError, "annotators must not be missing, got None at position 0"),
        ([1, 2], [["a", "b"]], ValueError, "annotators must be one-dimensional"),
        ([1, 2], [("a", "b"), "c"], TypeError, "annotators must be all strings or all numbers: 1 of 2 are strings"),
        (3.0, "a", ValueError, "values must be an array .* got a single number"),
        ([], [], ValueError, "there are no ratings"),
        (np.ones((1, 1, 1)), "a", ValueError, r"values must have at most 2 dimensions, got shape \(1, 1, 1\)"),
    ],
)
def test_from_rows_refuses_bad_input(values, annotators, error, match):
    with pytest.raises(error, match=match):
        Ratings.from_rows(values, annotators)
