import enum
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_annoser import _validation
from sklearn_annoser._validation import (
    as_columns,
    check_finite_values,
    check_groups,
    check_known,
    check_labels,
    check_number,
    check_option,
    find_labels,
    refuse_masks,
)
from tests.cases import patient

MASKED = np.ma.masked
HIDDEN = np.ma.masked_equal([1.0, -99.0, 3.0], -99.0)


@pytest.mark.parametrize(("value", "options"), [("a", ("a", "b")), (None, ("a", None)), (False, [False])])
def test_an_option_is_returned(value, options):
    assert check_option("colour", value, options) is value


@pytest.mark.parametrize("value", ["c", "", None, 0, True, ["a"], np.array(["a", "b"])], ids=repr)
def test_what_is_no_option_is_refused_with_the_list_of_them(value):
    with pytest.raises(ValueError, match=r"colour must be one of \['a', 'b', False\], got "):
        check_option("colour", value, ("a", "b", False))


@pytest.mark.parametrize(
    ("value", "kwargs"),
    [
        (1, {}),
        (np.int64(3), {"integer": True, "low": 3, "high": 3}),
        (np.float32(0.5), {"low": 0, "high": 1, "open_low": True}),
        (-7.5, {}),
    ],
)
def test_a_number_within_its_bounds_is_returned_as_it_is(value, kwargs):
    assert check_number("size", value, **kwargs) is value


@pytest.mark.parametrize(
    ("value", "kwargs", "error", "match"),
    [
        ("1", {}, TypeError, "size must be a number, got '1' of type str"),
        (None, {}, TypeError, "size must be a number, got None of type NoneType"),
        (True, {}, TypeError, "size must be a number, got True of type bool"),
        (np.True_, {"integer": True}, TypeError, "size must be an integer, got .*True.* of type bool"),
        (1.0, {"integer": True}, TypeError, "size must be an integer, got 1.0 of type float"),
        (np.array(1), {}, TypeError, "size must be a number, got .* of type ndarray"),
        (1j, {}, TypeError, "size must be a number, got 1j of type complex"),
        (0, {"low": 1}, ValueError, "size must be >= 1, got 0"),
        (0, {"low": 0, "open_low": True}, ValueError, "size must be > 0, got 0"),
        (2, {"high": 1}, ValueError, "size must be <= 1, got 2"),
        (2, {"low": 0, "high": 1}, ValueError, "size must be >= 0 and <= 1, got 2"),
        (np.nan, {"low": 0}, ValueError, "size must be finite, got nan"),
        (np.inf, {"low": 0}, ValueError, "size must be finite, got inf"),
        (10**400, {"integer": True}, ValueError, "size must be finite, got 1000"),
    ],
)
def test_other_numbers_are_refused(value, kwargs, error, match):
    with pytest.raises(error, match=match):
        check_number("size", value, **kwargs)


@pytest.mark.parametrize(
    ("labels", "kind", "expected"),
    [
        (["b", "a"], "U", ["b", "a"]),
        (np.array(["b", "a"]), "U", ["b", "a"]),
        (pd.Series(["b", "a"], dtype="str"), "U", ["b", "a"]),
        (pd.Series(["b", "a"], dtype="category"), "U", ["b", "a"]),
        (pd.Index(["nan", "None"]), "U", ["nan", "None"]),
        ([2, 1], "i", [2, 1]),
        (np.array([2, 1], dtype=object), "i", [2, 1]),
        (pd.Series([2, 1], dtype="Int64"), "i", [2, 1]),
        (range(2), "i", [0, 1]),
        ([1, 2.5], "f", [1.0, 2.5]),
        ([1, 2**64 - 1], "u", [1, 2**64 - 1]),
        (np.array([1, 2], dtype=np.uint64), "i", [1, 2]),
        ([np.uint64(2**63), np.int64(3)], "u", [2**63, 3]),
        ([-(2**63), 2**63 - 1], "i", [-(2**63), 2**63 - 1]),
        ([2.0**53, 0.5], "f", [2.0**53, 0.5]),
        ([True, False], "b", [True, False]),
        (np.array([1, 2], dtype=">i4"), "i", [1, 2]),
        (["NA", "None", "nan-kyoto", "", " "], "U", ["NA", "None", "nan-kyoto", "", " "]),
        ([np.str_("a"), "b"], "U", ["a", "b"]),
        ([enum.Enum("Who", {"ANN": "ann"}, type=str).ANN], "U", ["ann"]),
        ([], "f", []),
    ],
    ids=repr,
)
def test_labels_become_an_array_of_strings_or_of_numbers(labels, kind, expected):
    array = check_labels("annotators", labels)
    assert array.dtype.kind == kind
    assert array.tolist() == expected


def test_labels_are_copied():
    labels = np.array([1, 2])
    check_labels("annotators", labels)[0] = 9
    assert labels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("labels", "error", "match"),
    [
        ("ann", ValueError, r"annotators must be one-dimensional, got shape \(\)"),
        ({"ann"}, ValueError, r"annotators must be one-dimensional, got shape \(\)"),
        ([["a"], ["b"]], ValueError, r"annotators must be one-dimensional, got shape \(2, 1\)"),
        (["a", None], ValueError, "annotators must not be missing, got None at position 1"),
        (["a", np.nan], ValueError, "annotators must not be missing, got nan at position 1"),
        ([1, np.nan], ValueError, "annotators must not be missing, got nan at position 1"),
        (pd.Series([1, None], dtype="Int64"), ValueError, "annotators must not be missing, got <NA> at position 1"),
        (["a", 1, 2], TypeError, "all strings or all numbers: 1 of 3 are strings. Convert them first"),
        (["a", b"b"], TypeError, "all strings or all numbers: 1 of 2 are strings"),
        ([b"a", b"b"], TypeError, "all strings or all numbers: these are bytes"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), TypeError, "these are date"),
        ([{}, {}], TypeError, "all strings or all numbers: these are mixed"),
        ([True, 1], TypeError, "all strings or all numbers: these are mixed-integer"),
        ([Decimal(1), Decimal(2)], TypeError, "all strings or all numbers: these are decimal"),
        (
            [2**70, 2**70 + 1],
            ValueError,
            "annotators must be numbers that 64 bits hold exactly.*Convert them",
        ),
        ([2**63, -1], ValueError, "annotators must be numbers that 64 bits hold exactly"),
        ([2**53 + 1, 0.5], ValueError, "annotators must be numbers that 64 bits hold exactly"),
        ([np.longdouble(1) / 3], ValueError, "annotators must be numbers that 64 bits hold exactly"),
        (["a", "a\0"], ValueError, r"text without NUL characters and lone surrogates, got 'a\\x00' at position 1"),
        (["a\0b"], ValueError, "text without NUL characters"),
        (["a\ud800"], ValueError, "lone surrogates, got 'a.*' at position 0"),
        (np.ma.array([1, 2], mask=[0, 1]), ValueError, "annotators must not be missing, got None at position 1"),
        (["a", MASKED], ValueError, "annotators must not be missing, got None at position 1"),
        ([["a"], ["b", "c"]], TypeError, "these are mixed"),
    ],
    ids=repr,
)
def test_other_labels_are_refused(labels, error, match):
    with pytest.raises(error, match=match):
        check_labels("annotators", labels)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.float64),
        (np.float32([1, 2]), np.float32),
        (np.float16([1, 2]), np.float64),
        (np.array([1, 2], dtype=object), np.float64),
        (pd.Series([1, 2], dtype="Int64"), np.float64),
        (np.array([1, 2], dtype=np.uint8), np.float64),
        (np.array([1, 2], dtype=">f4"), np.float64),
        (np.ma.array(np.float32([1, 2])), np.float32),
        ([Decimal("1"), 2], np.float64),
        (pd.Series([1, 2], dtype="category"), np.float64),
    ],
    ids=repr,
)
def test_values_become_floats(values, dtype):
    array = check_finite_values("y", values)
    assert array.dtype == dtype
    assert array.tolist() == [1, 2]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, MASKED, Decimal("nan")], ids=repr)
def test_missing_values_are_nan_where_they_are_allowed(missing):
    assert_array_equal(check_finite_values("y", [[1, missing]], allow_nan=True), [[1, np.nan]])
    with pytest.raises(ValueError, match=r"y must be finite, got nan at position \(0, 1\)"):
        check_finite_values("y", [[1, missing]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (HIDDEN, [1, np.nan, 3]),
        (np.ma.masked_equal([1, -99, 3], -99), [1, np.nan, 3]),
        (HIDDEN.astype(np.float32), [1, np.nan, 3]),
        (HIDDEN.astype(object), [1, np.nan, 3]),
        ([HIDDEN, HIDDEN], [[1, np.nan, 3]] * 2),
        ([[1, MASKED], (2, 3)], [[1, np.nan], [2, 3]]),
        (pd.DataFrame(HIDDEN[:, None]), [[1], [np.nan], [3]]),
        (np.ma.array([1.0, np.inf], mask=[0, 1]), [1, np.nan]),
    ],
)
def test_what_is_masked_is_missing_not_the_number_under_the_mask(values, expected):
    array = check_finite_values("y", values, allow_nan=True)
    assert type(array) is np.ndarray
    assert_array_equal(array, expected)
    with pytest.raises(ValueError, match="y must be finite, got nan at position"):
        check_finite_values("y", values)


@patient
@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1), st.sampled_from(["f4", "f8", "O", ">f8"]))
def test_masks_of_any_type_are_respected(pairs, dtype):
    numbers, mask = zip(*pairs, strict=True)
    array = check_finite_values("y", np.ma.array(np.array(numbers, dtype=dtype), mask=mask), allow_nan=True)
    assert_array_equal(np.isnan(array), mask)


def test_masks_are_refused_where_there_are_no_gaps():
    assert refuse_masks("X", [1, [2]]) == [1, [2]]
    assert not np.ma.is_masked(refuse_masks("X", np.ma.array([1, 2])))
    for masked in (HIDDEN, [HIDDEN], [[1, MASKED]]):
        with pytest.raises(ValueError, match="X must not be masked: leave out those samples"):
            refuse_masks("X", masked)


@pytest.mark.parametrize("change", [np.asfortranarray, np.flip, lambda array: array.astype(">f8")])
def test_how_an_array_lies_in_memory_does_not_matter(change):
    array = change(np.arange(6.0).reshape(3, 2))
    array.flags.writeable = False
    assert check_finite_values("y", array).tolist() == array.tolist()


@pytest.mark.parametrize("allow_nan", [True, False])
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinity_is_never_allowed(bad, allow_nan):
    with pytest.raises(ValueError, match=rf"y must be finite, got {bad} at position \(1,\)"):
        check_finite_values("y", [1.0, bad], allow_nan=allow_nan)


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)])
@pytest.mark.parametrize("dtype", [np.float64, object])
def test_empty_values_keep_their_shape(shape, dtype):
    assert check_finite_values("y", np.empty(shape, dtype=dtype)).shape == shape


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        (1.0, ValueError, "y must be an array with one row a sample or rating, got a single number"),
        (np.ones((1, 1, 1)), ValueError, r"y must have at most 2 dimensions, got shape \(1, 1, 1\)"),
        ([[1, 2], [3, "x"]], TypeError, r"y must be numbers, got 'x' at position \(1, 1\)"),
        (np.array(["1", "2"]), TypeError, r"y must be numbers, got '1' at position \(0,\)"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), TypeError, "y must be numbers, got dtype datetime64"),
        ([1j], TypeError, "y must be numbers, got dtype complex128"),
        ([{}], TypeError, r"y must be numbers, got \{\} at position \(0,\)"),
        ([[1, 2], [3]], ValueError, "y must be an array of numbers, rows of one length"),
        ([10**400, 1.5], ValueError, r"y must be finite, got 1000.* at position \(0,\)"),
        ([Decimal("sNaN")], ValueError, r"y must be finite, got Decimal\('sNaN'\) at position \(0,\)"),
        ([pd.NaT, 1], TypeError, r"y must be numbers, got NaT at position \(0,\)"),
        (pd.Series(["1"], dtype="category"), TypeError, r"y must be numbers, got '1' at position \(0,\)"),
    ],
    ids=repr,
)
def test_other_values_are_refused(values, error, match):
    with pytest.raises(error, match=match):
        check_finite_values("y", values)


def test_a_vector_becomes_one_column():
    assert as_columns(np.ones(3)).shape == (3, 1)
    assert as_columns(np.ones(0)).shape == (0, 1)
    assert as_columns(np.ones((0, 2))).shape == (0, 2)


def test_known_labels_become_their_positions():
    assert check_known("annotator", ["b", "a", "b"], np.array(["a", "b"]), "here").tolist() == [1, 0, 1]
    assert check_known("annotator", [7.0, 3], np.array([3, 7]), "here").tolist() == [1, 0]
    assert check_known("annotator", [], np.array(["a"]), "here").tolist() == []


@pytest.mark.parametrize(
    ("labels", "known", "match"),
    [
        (["c"], ["a", "b"], r"annotator 'c' is not in the corpus. It has 2, for example \['a', 'b'\]"),
        (["c", "a", "d"], list("abefg"), r"annotator 'c' \(and 1 more\) is not in the corpus. It has 5, .* 'b', 'e'\]"),
        ([1], ["1"], r"annotator 1 is not in the corpus. It has 1, for example \['1'\]"),
        (["1"], [1], r"annotator '1' is not in the corpus. It has 1, for example \[1\]"),
        ([None], ["a"], "annotator must not be missing, got None at position 0"),
    ],
)
def test_unknown_labels_are_named(labels, known, match):
    with pytest.raises(ValueError, match=match):
        check_known("annotator", labels, np.array(known), "the corpus")


@pytest.mark.parametrize(
    ("label", "known", "hint"),
    [("1", [1], "1 is, of type int: convert one of them"), (1, ["1"], "'1' is, of type str: convert one of them")],
)
def test_a_label_that_is_there_as_another_type_is_named(label, known, hint):
    with pytest.raises(ValueError, match=hint):
        check_known("annotator", [label], np.array(known), "the corpus")


WHOLE = st.integers(-(2**66), 2**66) | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 0, 1, -1])
KINDS = [
    WHOLE,
    WHOLE | st.floats(allow_nan=False),
    st.text(st.sampled_from("aB\0 \ud800é1"), max_size=3),
    st.booleans(),
]
LABELS = st.sampled_from(KINDS).flatmap(lambda each: st.lists(each, min_size=1, max_size=8))


@patient
@given(LABELS)
def test_labels_are_kept_as_python_has_them_or_refused(labels):
    try:
        array = check_labels("annotators", labels)
    except (ValueError, TypeError) as error:
        assert "annotators must be" in str(error)  # noqa: PT017
        return
    assert array.tolist() == labels
    assert len(np.unique(array)) == len(pd.factorize(array)[1]) == len(set(labels))


@patient
@given(LABELS, LABELS)
def test_labels_are_found_as_a_dict_finds_them(asked, known):
    known = list(dict.fromkeys(known))
    try:
        asked, known = check_labels("asked", asked), check_labels("known", known)
    except (ValueError, TypeError):
        return
    places = {label: place for place, label in enumerate(known.tolist())}
    if (asked.dtype.kind == "b") == (known.dtype.kind == "b"):
        expected = [places.get(label, -1) for label in asked.tolist()]
    else:
        expected = [-1] * len(asked)  # True is not 1
    assert find_labels(asked, known).tolist() == expected


def test_one_long_label_does_not_make_all_others_long(monkeypatch):
    labels = ["a", "b" * 1000, "a"]
    assert check_labels("annotators", labels).dtype.kind == "U"
    monkeypatch.setattr(_validation, "MAX_PADDED", 2000)
    array = check_labels("annotators", labels)
    assert array.dtype == object
    assert array.tolist() == labels
    assert find_labels(array, np.array(["a"])).tolist() == [0, -1, 0]


def test_groups_are_one_for_each_sample_and_none_is_missing():
    assert check_groups(None, 2) is None
    assert check_groups(pd.Series(["b", "a"]), 2).tolist() == ["b", "a"]
    for groups in (["a", None], [1.0, np.nan], np.ma.array([1, 2], mask=[0, 1])):
        with pytest.raises(ValueError, match=r"groups must not be missing, got .* at position 1"):
            check_groups(groups, 2)
    with pytest.raises(ValueError, match="groups must have one label for each of 3 samples, got 2"):
        check_groups(["a", "b"], 3)
