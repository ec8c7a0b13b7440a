import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_annoser import Ratings
from tests.cases import CASES, HALF, as_cube, dense, empty_rows, every_case, half, unsorted

# ---------------------------------------------------------------------- what is in them


@every_case
def test_arrays_of_ratings_make_equal_ratings(ratings):
    labels = {name: getattr(ratings, name) for name in ("annotators", "outputs", "samples", "scale")}
    again = Ratings(ratings.indptr, ratings.codes, ratings.values, **labels)
    assert again == ratings


def test_codes_of_a_sample_are_sorted_with_their_values():
    ratings = Ratings([0, 3], [2, 0, 1], [30.0, 10.0, 20.0], annotators=["a", "b", "c"])
    assert ratings.codes.tolist() == [0, 1, 2]
    assert ratings.values.ravel().tolist() == [10.0, 20.0, 30.0]


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


@every_case
def test_the_consensus_is_the_mean_of_the_dense_form(ratings):
    cube = as_cube(ratings).astype(np.float64)
    expected = [[row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else np.nan for row in s.T] for s in cube]
    assert_allclose(ratings.consensus().reshape(len(ratings), -1), expected, rtol=1e-12)
    assert ratings.consensus().shape == ratings.shape


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


def test_html_repr_holds_no_mathematics():
    html = Ratings.from_rows([1.0, 2.0], ["$x^$", "b"])._repr_html_()
    assert "mathjax_ignore" in html.partition(">")[0]
    assert "$x^$, b" in html


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


# ---------------------------------------------------------------------- outputs that were not rated


def test_an_output_may_be_missing():
    ratings = half()
    assert ratings.n_ratings == 5
    assert not ratings.is_complete
    np.testing.assert_array_equal(ratings.to_dense(), HALF)
    np.testing.assert_array_equal(ratings.consensus(), [[2, 2], [np.nan, 4], [5, 8]])
    assert ratings.counts().tolist() == [3, 2]
    assert ratings == half()
    assert ratings != ratings.with_values(np.nan_to_num(ratings.values))
    assert pickle.loads(pickle.dumps(ratings)) == ratings


def test_missing_outputs_survive_slices_scales_and_the_consensus():
    ratings = Ratings.from_dense(HALF, scale=(0, 10)).rescaled()
    np.testing.assert_allclose(ratings.to_dense(), HALF / 5 - 1)
    np.testing.assert_array_equal(half()[[2, 0]].to_dense(), HALF[[2, 0]])
    np.testing.assert_array_equal(half().as_consensus().values, half().consensus())
