import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score, learning_curve, train_test_split
from sklearn.tree import DecisionTreeRegressor

from sklearn_annoser import Ratings
from tests.cases import CASES, RATED, dense, empty_rows, ragged, unsorted

patient = settings(deadline=None)
every_case = pytest.mark.parametrize("ratings", CASES.values(), ids=CASES)
every_rated_case = pytest.mark.parametrize("ratings", RATED.values(), ids=RATED)


@st.composite
def dense_arrays(draw, min_samples=1):
    """Draw dense ratings with at least one of them, NaN where nobody rated."""
    shape = draw(st.tuples(st.integers(min_samples, 8), st.integers(1, 5), st.integers(1, 3)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    values = draw(hnp.arrays(dtype, shape, elements=st.floats(-100, 100, width=32)))
    missing = draw(hnp.arrays(bool, shape[:2]))
    missing.flat[draw(st.integers(0, missing.size - 1))] = False
    values[missing] = np.nan
    return values


def as_cube(ratings):
    return ratings.to_dense().reshape(ratings.n_samples, ratings.n_annotators, ratings.n_outputs)


def long_table(**changes):
    columns = {"sample": ["a", "a", "b"], "annotator": ["ann", "bob", "ann"], "valence": [1.0, 2.0, 3.0]}
    return pd.DataFrame(columns | changes)


def features_of(ratings, seed=0):
    """Draw features of which the first says much about the consensus."""
    X = np.random.default_rng(seed).normal(size=(len(ratings), 5))
    X[:, 0] += 3 * ratings.consensus().reshape(len(ratings), -1)[:, 0]
    return X


# ---------------------------------------------------------------------- constructors and round trips


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


@every_case
def test_arrays_of_ratings_make_equal_ratings(ratings):
    again = Ratings(
        ratings.indptr,
        ratings.codes,
        ratings.values,
        annotators=ratings.annotators,
        outputs=ratings.outputs,
        samples=ratings.samples,
        scale=ratings.scale,
    )
    assert again == ratings


def test_codes_of_a_sample_are_sorted_with_their_values():
    ratings = Ratings([0, 3], [2, 0, 1], [30.0, 10.0, 20.0], annotators=["a", "b", "c"])
    assert ratings.codes.tolist() == [0, 1, 2]
    assert ratings.values.ravel().tolist() == [10.0, 20.0, 30.0]


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


@pytest.mark.parametrize(("n_outputs", "names"), [(1, ("rating",)), (2, ("rating_0", "rating_1"))])
def test_outputs_have_default_names(n_outputs, names):
    assert dense(n_outputs=n_outputs).outputs == names


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], [[True, False], [False, True]]])
def test_whole_numbers_become_float64(values):
    assert Ratings.from_dense(values).values.dtype == np.float64


def test_float32_stays_float32_everywhere():
    ratings = CASES["float32"]
    table = ratings.to_long()
    kept = [
        ratings[::2],
        ratings.rescaled(),
        ratings.as_consensus(),
        ratings.keep_annotators([0, 1]),
        ratings.with_values(ratings.values),
        Ratings.from_long(table, outputs="rating"),
        Ratings.from_long(pd.concat([table, table]), outputs="rating", duplicates="mean"),
        Ratings.from_rows(np.float32([1, 2]), "ann"),
    ]
    assert [result.values.dtype for result in kept] == [np.float32] * len(kept)
    assert ratings.to_dense().dtype == np.float32
    assert ratings.consensus().dtype == np.float64


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
            "'a'.*duplicates=\"mean\"",
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
        ({"duplicates": "drop"}, ValueError, r"duplicates must be one of \['error', 'mean'\], got 'drop'"),
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
    with pytest.raises(TypeError, match="frame must be a pandas DataFrame, got dict"):
        Ratings.from_long({"sample": ["a"]}, outputs="valence")


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
        (3.0, "a", ValueError, "values must be an array .* got a single number"),
        ([], [], ValueError, "there are no ratings"),
        (np.ones((1, 1, 1)), "a", ValueError, r"values must have at most 2 dimensions, got shape \(1, 1, 1\)"),
    ],
)
def test_from_rows_refuses_bad_input(values, annotators, error, match):
    with pytest.raises(error, match=match):
        Ratings.from_rows(values, annotators)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"indptr": [0, 1, 2]}, ValueError, "indptr must rise from 0 to the number of ratings, 3, got"),
        ({"indptr": [1, 2, 3]}, ValueError, "indptr must rise from 0"),
        ({"indptr": [0, 4, 3]}, ValueError, "indptr must rise from 0"),
        ({"indptr": []}, ValueError, "indptr must rise from 0"),
        ({"indptr": [0.0, 2.0, 3.0]}, TypeError, "indptr must be one-dimensional integers, got dtype float64"),
        ({"codes": [0, 1]}, ValueError, "there are 3 values, but 2 codes: give one code for each rating"),
        ({"codes": [[0, 1, 0]]}, TypeError, r"codes must be one-dimensional integers, got dtype int64, shape \(1, 3\)"),
        ({"codes": [0, 2, 0]}, ValueError, "codes must be between 0 and 1, the positions in annotators, got 0 to 2"),
        ({"codes": [0, -1, 0]}, ValueError, "codes must be between 0 and 1, the positions in annotators, got -1 to 0"),
        ({"codes": [1, 1, 0]}, ValueError, "annotator 'bob' rated the sample at position 0 twice. .*from_long.*mean"),
        ({"values": []}, ValueError, "there are no ratings"),
        ({"annotators": ["ann", "ann"]}, ValueError, "annotators must be unique, got 'ann' twice"),
    ],
)
def test_the_constructor_refuses_arrays_that_do_not_fit(changes, error, match):
    arrays = {"indptr": [0, 2, 3], "codes": [0, 1, 0], "values": [1.0, 2.0, 3.0], "annotators": ["ann", "bob"]}
    with pytest.raises(error, match=match):
        Ratings(**arrays | changes)


# ---------------------------------------------------------------------- slicing


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


# ---------------------------------------------------------------------- what is in them


@every_case
def test_the_consensus_is_the_mean_of_the_dense_form(ratings):
    cube = as_cube(ratings).astype(np.float64)
    expected = [[row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else np.nan for row in s.T] for s in cube]
    assert_allclose(ratings.consensus().reshape(len(ratings), -1), expected, rtol=1e-12)
    assert ratings.consensus().shape == ratings.shape


@every_rated_case
def test_as_an_array_ratings_are_their_consensus(ratings):
    array = np.asarray(ratings)
    assert_array_equal(array, ratings.consensus())
    assert (array.shape, array.ndim, len(array)) == (ratings.shape, ratings.ndim, len(ratings))
    assert np.asarray(ratings, dtype=np.float32).dtype == np.float32


def test_samples_without_rating_have_no_array():
    with pytest.raises(
        ValueError, match=r"4 of 8 samples have no rating \(the first is at position 0\).*Keep the rated"
    ):
        np.asarray(empty_rows())


def test_the_way_out_that_the_message_names_works():
    ratings = empty_rows()
    rated = (ratings.counts("sample") > 0).to_numpy()
    assert np.isfinite(np.asarray(ratings[rated])).all()
    assert len(ratings[rated]) == 4


def test_an_array_without_a_copy_is_refused():
    with pytest.raises(ValueError, match="the consensus is computed"):
        dense().__array__(copy=False)


@every_case
def test_counts_are_those_of_the_dense_form(ratings):
    rated = np.isfinite(as_cube(ratings)[:, :, 0])
    assert_array_equal(ratings.counts(), rated.sum(axis=0))
    assert_array_equal(ratings.counts("sample"), rated.sum(axis=1))
    assert_array_equal(ratings.counts().index, ratings.annotators)
    assert_array_equal(
        ratings.counts("sample").index, np.arange(len(ratings)) if ratings.samples is None else ratings.samples
    )


def test_counting_by_anything_else_is_refused():
    with pytest.raises(ValueError, match=r"by must be one of \['annotator', 'sample'\], got 'output'"):
        dense().counts("output")


@every_case
def test_of_gives_the_rows_and_values_of_one_annotator(ratings):
    cube = as_cube(ratings)
    for code, annotator in enumerate(ratings.annotators):
        rows, values = ratings.of(annotator)
        expected = np.flatnonzero(np.isfinite(cube[:, code, 0]))
        assert_array_equal(rows, expected)
        assert_array_equal(values.reshape(len(rows), -1), cube[expected, code])
        assert values.ndim == ratings.ndim


@pytest.mark.parametrize("ask", [Ratings.of, lambda ratings, who: ratings.keep_annotators([who])], ids=["of", "keep"])
def test_an_unknown_annotator_is_named(ask):
    with pytest.raises(
        ValueError, match=r"annotator 'zed' is not in these ratings. It has 3, for example \['ann', 'bob"
    ):
        ask(empty_rows(), "zed")
    with pytest.raises(ValueError, match="annotator 42 is not in these ratings"):
        ask(CASES["int_labels"], 42)
    with pytest.raises(ValueError, match="annotator '70' is not in these ratings"):
        ask(CASES["int_labels"], "70")


@every_case
def test_keeping_annotators_keeps_their_columns_and_all_samples(ratings):
    kept = ratings.keep_annotators(ratings.annotators[::-2])
    columns = np.isin(ratings.annotators, ratings.annotators[::-2]) & (ratings.counts() > 0).to_numpy()
    assert_array_equal(as_cube(kept), as_cube(ratings)[:, columns])
    assert_array_equal(kept.annotators, ratings.annotators[columns])
    assert_array_equal(kept._sample_labels(), ratings._sample_labels())


def test_annotators_with_few_ratings_are_dropped():
    ratings = CASES["unsorted"]  # each of the three rated twice
    assert ratings.keep_annotators(min_ratings=2) is ratings
    assert ratings.keep_annotators(min_ratings=3).n_annotators == 0
    assert ratings[[0, 2]].keep_annotators(min_ratings=2).annotators.tolist() == ["moe"]


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"annotators": "ann"}, ValueError, "annotator must be one-dimensional"),
        ({"min_ratings": -1}, ValueError, "min_ratings must be >= 0, got -1"),
        ({"min_ratings": 1.5}, TypeError, "min_ratings must be an integer, got 1.5 of type float"),
    ],
)
def test_keep_annotators_refuses_bad_arguments(kwargs, error, match):
    with pytest.raises(error, match=match):
        empty_rows().keep_annotators(**kwargs)


@every_case
def test_keeping_ratings_keeps_samples_and_annotators(ratings):
    mask = np.arange(ratings.n_ratings) % 3 > 0
    expected = as_cube(ratings).copy()
    expected[ratings.rows[~mask], ratings.codes[~mask]] = np.nan
    assert_array_equal(as_cube(ratings.keep_ratings(mask)), expected)


@pytest.mark.parametrize("mask", [[True], [0] * 48, np.ones((48, 1), dtype=bool)], ids=["short", "int", "two_d"])
def test_keep_ratings_refuses_what_is_no_mask(mask):
    with pytest.raises(ValueError, match="mask must be boolean, one for each of the 48 ratings, got dtype"):
        dense().keep_ratings(mask)


@every_case
def test_the_consensus_can_be_an_annotator(ratings):
    consensus = ratings.as_consensus()
    assert consensus.annotators.tolist() == ["consensus"]
    assert_allclose(consensus.consensus(), ratings.consensus(), rtol=1e-6)
    assert_array_equal(consensus.counts("sample"), (ratings.counts("sample") > 0).astype(int))
    assert consensus.as_consensus() == consensus


@every_case
def test_other_values_keep_who_rated_what(ratings):
    other = ratings.with_values(ratings.values * 2 - 7)
    assert_array_equal(as_cube(other), as_cube(ratings) * 2 - 7)
    assert other.scale is None
    assert_array_equal(other.annotators, ratings.annotators)
    assert_array_equal(other._sample_labels(), ratings._sample_labels())


def test_no_ratings_take_no_values():
    nothing = dense()[[]]
    assert nothing.with_values([]) == nothing.with_values(np.empty((0, 1))) == nothing


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.ones(47), r"values must have shape \(48, 1\), got \(47, 1\)"),
        (np.ones((48, 2)), r"values must have shape \(48, 1\), got \(48, 2\)"),
        (np.full(48, np.nan), "48 of 48 ratings have no value .* position 0"),
    ],
)
def test_other_values_must_fit(values, match):
    with pytest.raises(ValueError, match=match):
        dense().with_values(values)


# ---------------------------------------------------------------------- scale


def test_rescaling_is_linear_from_the_declared_scale():
    ratings = Ratings.from_rows([[1, 10], [3, 10], [5, 20]], "ann", scale=[(1, 5), (10, 20)])
    assert ratings.rescaled().values.tolist() == [[-1, -1], [0, -1], [1, 1]]
    assert ratings.rescaled((0, 100)).values.tolist() == [[0, 0], [50, 0], [100, 100]]
    assert ratings.rescaled([(0, 1), (1, 2)]).values.tolist() == [[0, 1], [0.5, 1], [1, 2]]


@patient
@given(
    hnp.arrays(np.float64, (4, 2), elements=st.floats(1, 7)),
    st.tuples(st.floats(-10, 10), st.floats(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    st.sampled_from([np.float32, np.float64]),
)
def test_rescaling_there_and_back_gives_the_ratings(values, to, dtype):
    ratings = Ratings.from_rows(values.astype(dtype), "ann", scale=(1, 7))
    there = ratings.rescaled(to)
    assert there.scale.tolist() == [list(to)] * 2
    assert Ratings.from_long(there.to_long(), outputs=there.outputs, scale=to).values.tolist() == there.values.tolist()
    assert_allclose(there.rescaled((1, 7)).values, ratings.values, rtol=1e-4 if dtype == np.float32 else 1e-10)


def test_a_float32_rating_at_the_end_of_its_scale_is_inside():
    assert Ratings.from_rows(np.float32([-0.7, 0.1]), "ann", scale=(-0.7, 0.1)).n_ratings == 2


def test_rescaled_ratings_stay_within_the_new_scale():
    # 0.3 - -0.8 + -0.8 is above 0.3
    assert Ratings.from_rows([1.0, 5.0], "ann", scale=(1, 5)).rescaled((-0.8, 0.3)).values.ravel().tolist() == [
        -0.8,
        0.3,
    ]


def test_slices_keep_the_scale():
    assert unsorted()[[0, 2]].scale.tolist() == [[1, 5], [1, 5]]


@pytest.mark.parametrize(
    ("ratings", "to", "match"),
    [
        (dense(), (0, 1), r"these ratings have no scale. Declare it when you make them, for example scale=\(1, 7\)"),
        (unsorted(), (1, 0), r"scale must have low < high, got \(1, 0\)"),
        (unsorted(), [(0, 1)] * 3, "scale must be .low, high., or one such pair for each of the 2 outputs"),
    ],
)
def test_rescaling_needs_two_scales(ratings, to, match):
    with pytest.raises(ValueError, match=match):
        ratings.rescaled(to)


# ---------------------------------------------------------------------- tables


def test_to_long_has_a_row_for_each_rating():
    expected = pd.DataFrame(
        {"clip": ["b", "b", "a"], "who": ["ann", "moe", "moe"], "arousal": [3, 1.5, 4], "valence": [3, 2.5, 2]}
    )
    table = unsorted().keep_annotators(["ann", "moe"])[:3].to_long(sample="clip", annotator="who")
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_to_long_names_samples_without_labels_by_their_position():
    assert empty_rows().to_long()["sample"].unique().tolist() == [1, 2, 3, 6]


def test_to_long_refuses_names_that_collide():
    ratings = Ratings.from_rows([1.0], "ann", outputs=["sample"])
    with pytest.raises(ValueError, match=r"two columns would have the same name: sample='sample'.*Give other names"):
        ratings.to_long()
    assert ratings.to_long(sample="clip").columns.tolist() == ["clip", "annotator", "sample"]


# ---------------------------------------------------------------------- as an object of Python


@every_case
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r)), lambda r: joblib_round_trip(r)],
    ids=["copy", "deepcopy", "pickle", "joblib"],
)
def test_copies_are_equal_and_immutable(ratings, copied):
    twin = copied(ratings)
    assert twin == ratings
    assert twin is not ratings
    assert twin.values.dtype == ratings.values.dtype
    with pytest.raises(ValueError, match="read-only"):
        twin.values[0] = 0
    with pytest.raises(AttributeError, match="immutable"):
        twin.values = ratings.values


def joblib_round_trip(ratings):
    buffer = io.BytesIO()
    joblib.dump(ratings, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("name", ["indptr", "codes", "values", "annotators", "samples", "scale"])
def test_arrays_cannot_be_written_to(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(unsorted(), name)[0] = 0


@pytest.mark.parametrize("name", ["values", "outputs", "colour"])
def test_attributes_cannot_be_set(name):
    with pytest.raises(AttributeError, match=f"Ratings are immutable: {name} cannot be set. Build new Ratings"):
        setattr(dense(), name, None)


def test_ratings_do_not_follow_the_arrays_they_were_made_of():
    arrays = {
        "indptr": np.array([0, 1, 2]),
        "codes": np.array([0, 1], dtype=np.int32),
        "values": np.array([[1.0], [2.0]]),
        "annotators": np.array([3, 4]),
        "samples": np.array([5, 6]),
        "scale": np.array([[0.0, 9.0]]),
    }
    ratings, untouched = Ratings(**arrays), Ratings(**copy.deepcopy(arrays))
    other, new_values = ratings.with_values(arrays["values"]), arrays["values"]
    for array in arrays.values():
        array += 1
    assert ratings == untouched
    assert other.values.tolist() == [[1.0], [2.0]]
    assert new_values.tolist() == [[2.0], [3.0]]


@pytest.mark.parametrize(
    "other",
    [
        Ratings.from_dense([[1.0, 2.0], [3.0, 5.0]], annotators=["a", "b"]),
        Ratings.from_dense([[1.0, 2.0], [3.0, np.nan]], annotators=["a", "b"]),
        Ratings.from_dense([[1.0, 2.0], [3.0, 4.0]], annotators=["a", "c"]),
        Ratings.from_dense([[1.0, 2.0], [3.0, 4.0]], annotators=[0, 1]),
        Ratings.from_dense([[1.0, 2.0], [3.0, 4.0]], annotators=["a", "b"], outputs=["valence"]),
        Ratings.from_dense([[1.0, 2.0], [3.0, 4.0]], annotators=["a", "b"], samples=["x", "y"]),
        Ratings.from_dense([[1.0, 2.0], [3.0, 4.0]], annotators=["a", "b"], scale=(1, 4)),
        Ratings.from_dense([[1.0, 2.0]], annotators=["a", "b"]),
        "ratings",
    ],
    ids=["value", "missing", "label", "kind", "output", "samples", "scale", "length", "str"],
)
def test_what_differs_in_anything_is_not_equal(other):
    ratings = Ratings.from_dense([[1.0, 2.0], [3.0, 4.0]], annotators=["a", "b"])
    assert ratings != other
    assert other != ratings


def test_ratings_have_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(dense())


def test_repr_counts_what_is_there():
    assert repr(unsorted()) == "Ratings(n_samples=4, n_ratings=6, n_annotators=3, outputs=['arousal', 'valence'])"


@every_case
def test_every_case_has_an_html_repr(ratings):
    assert f"{ratings.n_ratings:,} ratings of {len(ratings):,} samples" in ratings._repr_html_()
    assert "0 ratings of 0 samples" in ratings[[]]._repr_html_()


def test_html_repr_escapes_labels():
    html = Ratings.from_rows([1.0, 2.0], ["<script>", "b&b"], outputs=["<i>valence"])._repr_html_()
    assert "&lt;script&gt;, b&amp;b" in html
    assert "&lt;i&gt;valence" in html
    assert "<script>" not in html
    assert "<i>" not in html


def test_html_repr_lists_five_annotators_at_most():
    assert "a, b, c, d, e, ..." in Ratings.from_dense([[1] * 6], annotators=list("abcdef"))._repr_html_()
    assert "a, b, c, d, e</p>" in Ratings.from_dense([[1] * 5], annotators=list("abcde"))._repr_html_()


def test_many_ratings_take_little_memory():
    n_samples, n_annotators, per_sample = 134_000, 13_000, 6
    rng = np.random.default_rng(0)
    codes = (rng.integers(n_annotators, size=(n_samples, 1)) + np.arange(per_sample)) % n_annotators
    indptr = np.arange(n_samples + 1) * per_sample
    values = np.ones((codes.size, 2), dtype=np.float32)
    ratings = Ratings(indptr, codes.ravel(), values, annotators=np.arange(n_annotators))
    # codes of 4 bytes and two values of 4 bytes a rating, and 8 bytes a sample: 9.6 + 1.1 MB
    assert ratings.nbytes == codes.size * (4 + 2 * 4) + (n_samples + 1) * 8 < 17e6
    assert len(pickle.dumps(ratings)) < 17e6


# ---------------------------------------------------------------------- as the y of scikit-learn


@pytest.fixture
def ratings():
    return ragged(n_samples=60, n_annotators=5, seed=3, samples=np.arange(60))


@pytest.fixture
def X(ratings):
    return features_of(ratings)


def test_train_test_split_keeps_rows_together(X, ratings):
    X_train, X_test, train, test = train_test_split(X, ratings, test_size=0.25, random_state=0)
    assert isinstance(train, Ratings)
    assert (len(train), len(test)) == (45, 15)
    assert_array_equal(X[train.samples], X_train)
    assert test == ratings[test.samples]
    assert_array_equal(X[test.samples], X_test)


@pytest.mark.parametrize(
    ("splitter", "groups"), [(KFold(4), None), (GroupKFold(4), np.arange(60) // 3)], ids=["KFold", "GroupKFold"]
)
def test_splitters_cover_all_ratings_once(splitter, groups, X, ratings):
    folds = [ratings[test] for _, test in splitter.split(X, ratings, groups)]
    assert sum(fold.n_ratings for fold in folds) == ratings.n_ratings
    assert sorted(np.concatenate([fold.samples for fold in folds])) == list(range(60))


def test_group_folds_share_no_group(X, ratings):
    groups = np.arange(60) % 7
    for train, test in GroupKFold(3).split(X, ratings, groups):
        assert not set(groups[ratings[train].samples]) & set(groups[ratings[test].samples])


def test_select_k_best_finds_the_feature_of_the_consensus(X, ratings):
    selector = SelectKBest(f_regression, k=1).fit(X, ratings)
    assert selector.get_support().tolist() == [True, False, False, False, False]
    assert_array_equal(selector.scores_, f_regression(X, ratings.consensus())[0])


@pytest.mark.parametrize(
    "model",
    [
        Ridge(),
        DecisionTreeRegressor(random_state=0),
        BaggingRegressor(Ridge(), n_estimators=3, random_state=0),
        StackingRegressor([("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=2, random_state=0))], cv=3),
        TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
    ],
    ids=lambda model: type(model).__name__,
)
def test_plain_regressors_learn_the_consensus(model, X, ratings):
    on_ratings = model.fit(X, ratings).predict(X)
    assert_array_equal(on_ratings, model.fit(X, ratings.consensus()).predict(X))
    assert model.score(X, ratings) == model.score(X, ratings.consensus()) > 0.5


def test_ridge_learns_the_consensus_of_several_outputs():
    ratings = CASES["ragged_two_outputs"]
    X = features_of(ratings)
    model = Ridge().fit(X, ratings)
    assert_array_equal(model.coef_, Ridge().fit(X, ratings.consensus()).coef_)
    assert model.coef_.shape == (2, 5)


def test_cross_val_score_of_ratings_is_that_of_the_consensus(X, ratings):
    scores = cross_val_score(Ridge(), X, ratings, cv=4, scoring="r2")
    assert_array_equal(scores, cross_val_score(Ridge(), X, ratings.consensus(), cv=4, scoring="r2"))
    assert scores.min() > 0.5


def test_permutation_importance_finds_the_feature_of_the_consensus(X, ratings):
    model = LinearRegression().fit(X, ratings)
    importances = permutation_importance(model, X, ratings, n_repeats=3, random_state=0).importances_mean
    assert importances.argmax() == 0
    expected = permutation_importance(model, X, ratings.consensus(), n_repeats=3, random_state=0).importances_mean
    assert_array_equal(importances, expected)


def test_learning_curve_of_ratings_is_that_of_the_consensus(X, ratings):
    kwargs = {"cv": 3, "train_sizes": [10, 40], "shuffle": True, "random_state": 0}
    sizes, train, test = learning_curve(Ridge(), X, ratings, **kwargs)
    expected = learning_curve(Ridge(), X, ratings.consensus(), **kwargs)
    assert sizes.tolist() == [10, 40]
    assert_array_equal(train, expected[1])
    assert_array_equal(test, expected[2])


def test_lengths_that_differ_are_refused_by_scikit_learn(X, ratings):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Ridge().fit(X[:-1], ratings)


def test_unrated_samples_are_refused_by_a_plain_regressor():
    ratings = empty_rows()
    with pytest.raises(ValueError, match="samples have no rating"):
        Ridge().fit(np.ones((8, 2)), ratings)


# ---------------------------------------------------------------------- outputs that were not rated

NAN = np.nan
HALF = np.array(
    [
        [[1.0, 2.0], [3.0, NAN]],
        [[NAN, 4.0], [NAN, NAN]],
        [[5.0, NAN], [NAN, 8.0]],
    ]
)


def half():
    return Ratings.from_dense(HALF, annotators=["ann", "bob"], outputs=["activation", "valence"])


def test_an_output_may_be_missing():
    ratings = half()
    assert ratings.n_ratings == 5
    assert not ratings.is_complete
    np.testing.assert_array_equal(ratings.to_dense(), HALF)
    np.testing.assert_array_equal(ratings.consensus(), [[2, 2], [NAN, 4], [5, 8]])
    assert ratings.counts().tolist() == [3, 2]
    assert ratings == half()
    assert ratings != ratings.with_values(np.nan_to_num(ratings.values))
    assert pickle.loads(pickle.dumps(ratings)) == ratings


def test_missing_outputs_go_through_a_table_and_back():
    long = half().to_long()
    assert long["valence"].isna().sum() == 2
    again = Ratings.from_long(long, outputs=["activation", "valence"], samples=range(3))
    np.testing.assert_array_equal(again.values, half().values)
    np.testing.assert_array_equal(Ratings.from_rows([[1, NAN], [NAN, 2]], "ann").values, [[1, NAN], [NAN, 2]])


def test_missing_outputs_survive_slices_scales_and_the_consensus():
    ratings = Ratings.from_dense(HALF, scale=(0, 10)).rescaled()
    np.testing.assert_allclose(ratings.to_dense(), HALF / 5 - 1)
    np.testing.assert_array_equal(half()[[2, 0]].to_dense(), HALF[[2, 0]])
    np.testing.assert_array_equal(half().as_consensus().values, half().consensus())


def test_duplicates_are_averaged_output_by_output():
    table = pd.DataFrame({"sample": [0, 0], "annotator": ["a", "a"], "x": [1.0, NAN], "y": [2.0, 4.0]})
    ratings = Ratings.from_long(table, outputs=["x", "y"], duplicates="mean")
    np.testing.assert_array_equal(ratings.values, [[1, 3]])


def test_without_a_consensus_of_an_output_there_is_no_array():
    with pytest.raises(ValueError, match=r"1 samples have no rating of some output .*'activation' at position 1"):
        np.asarray(half())


def test_standardized_ratings_keep_the_order_and_lose_mean_and_spread():
    rng = np.random.RandomState(0)
    values = rng.normal(size=(400, 3, 2)) * [[1], [3], [0.2]] + [[5], [0], [-4]]
    plain = Ratings.from_dense(values)
    for n_worth, tolerance in ((0, 1e-12), (10, 0.6)):
        dense = plain.standardized(n_worth=n_worth).to_dense()
        np.testing.assert_allclose(dense.mean(axis=0), 0, atol=tolerance)
        np.testing.assert_allclose(dense.std(axis=0), 1, atol=tolerance)
        np.testing.assert_array_equal(dense.argsort(axis=0), values.argsort(axis=0))


def test_few_ratings_are_not_taken_at_their_word():
    values = np.random.RandomState(0).normal(size=(200, 2))
    values[1:, 1] = NAN
    values[0, 1] = 2.0
    one = Ratings.from_dense(values).standardized().of(1)[1]
    assert 1 < one[0] < 2.5
    np.testing.assert_array_equal(Ratings.from_dense([[1.0], [1.0]]).standardized().values, 0)
    np.testing.assert_array_equal(np.isnan(half().standardized().to_dense()), np.isnan(HALF))


@pytest.mark.parametrize("n_worth", [0, 10])
@pytest.mark.parametrize("value", [0.1, 1.0])
def test_equal_ratings_standardize_to_zero(n_worth, value):
    equal = Ratings.from_dense(np.full((3, 1), value)).standardized(n_worth=n_worth)
    np.testing.assert_array_equal(equal.values, np.zeros((3, 1)))


def test_an_output_that_nobody_rated_stays_missing():
    values = np.array([[[1.0, np.nan]], [[2.0, np.nan]], [[3.0, 1.0]]])
    found = Ratings.from_dense(values)[:2].standardized().values
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[:, 0]).all()
