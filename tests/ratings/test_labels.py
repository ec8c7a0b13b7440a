"""Who rated what is never lost: Ratings against a dict of Python."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_annoser import Ratings, _validation
from tests.cases import patient

WHOLE = st.integers(-(2**66), 2**66) | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 0, 1, -1])
KINDS = [
    WHOLE,
    WHOLE | st.floats(allow_nan=False),
    st.text(st.sampled_from("aB\0 é1"), max_size=3),
    st.sampled_from(["NA", "None", "nan", "1", ""]),
    st.booleans(),
]
LABELS = st.sampled_from(KINDS).flatmap(lambda each: st.lists(each, min_size=1, max_size=8))


@patient
@given(LABELS, st.booleans())
def test_ratings_name_everybody_as_a_dict_does_or_refuse(labels, swap):
    """A label that is there twice rates, or is rated, twice; nobody else is."""
    others = [f"p{position}" for position in range(len(labels))]
    columns = (others, labels) if swap else (labels, others)
    frame = pd.DataFrame(dict(zip(("annotator", "sample"), (pd.Series(c, dtype=object) for c in columns), strict=True)))
    frame["rating"] = np.arange(len(labels), dtype=float)
    expected = {(who, what): value for who, what, value in zip(*columns, frame["rating"], strict=True)}
    try:
        ratings = Ratings.from_long(frame, outputs="rating", samples=list(dict.fromkeys(columns[1])))
    except (ValueError, TypeError) as error:
        assert "must be" in str(error)  # noqa: PT017
        return
    long = ratings.to_long()
    found = zip(ratings.annotators[ratings.codes].tolist(), ratings.samples[ratings.rows].tolist(), strict=True)
    assert dict(zip(found, long["rating"], strict=True)) == expected
    assert set(ratings.annotators.tolist()) == set(columns[0])
    for who in set(columns[0]):
        assert ratings.of(who)[1].tolist() == [expected[key] for key in expected if key[0] == who]


@pytest.mark.parametrize("dtype", ["object", "category", "str", "string"])
def test_annotators_called_na_are_people(dtype):
    who = ["NA", "None", "nan", "null"]
    ratings = Ratings.from_rows([1.0, 2, 3, 4], pd.Series(who, dtype=dtype))
    assert sorted(who) == ratings.annotators.tolist()
    assert ratings.of("NA")[1].tolist() == [1]


def test_ids_of_64_bits_are_never_compared_as_floats():
    ids = np.array([2573020360226874006, 13687853399390180967, 13687853399390180968], dtype=np.uint64)
    ratings = Ratings.from_rows([1.0, 2, 3], ids)
    assert ratings.annotators.tolist() == ids.tolist()
    assert ratings.of(13687853399390180968)[1].tolist() == [3]
    one, other = (Ratings.from_rows([1.0], np.array([label])) for label in (2**53 + 1, 2.0**53))
    assert one != other
    assert Ratings.from_rows([1.0], [3]) == Ratings.from_rows([1.0], [3.0])
    with pytest.raises(ValueError, match=r"annotator 9007199254740992\.0 is not in these ratings"):
        one.of(2.0**53)


def test_one_long_label_costs_what_it_is_long(monkeypatch):
    monkeypatch.setattr(_validation, "MAX_PADDED", 10**5)
    frame = pd.DataFrame({"sample": [f"s{i:03}" for i in range(200)], "annotator": "ann", "rating": 1.0})
    frame.loc[0, "sample"] = frame.loc[0, "annotator"] = "long" * 1000
    ratings = Ratings.from_long(frame, outputs="rating")
    assert ratings.samples.tolist() == frame["sample"].tolist()
    assert ratings.annotators.tolist() == ["ann", "long" * 1000]
    assert ratings[[1, 0]].samples.tolist() == ["s001", "long" * 1000]
    assert Ratings.from_rows([1.0] * 200, "long" * 1000).annotators.tolist() == ["long" * 1000]


def test_masks_hide_ratings_annotators_and_rows():
    table = np.ma.masked_equal([[1, -99, 3], [2, 4, -99]], -99)
    assert Ratings.from_dense(table).consensus().tolist() == [2, 3]
    hidden = np.ma.array([0, 1], mask=[0, 1])
    with pytest.raises(ValueError, match=r"1 of 2 ratings have no value .* position 1"):
        Ratings.from_rows(hidden, "ann")
    with pytest.raises(ValueError, match="annotators must not be missing, got None at position 1"):
        Ratings.from_rows([1.0, 2.0], hidden)
    with pytest.raises(ValueError, match="the rows of Ratings must not be masked"):
        _ = Ratings.from_rows([1.0, 2.0], "ann")[hidden]
    with pytest.raises(ValueError, match="codes must not be masked"):
        Ratings([0, 1, 2], hidden, [1, 2], annotators=[1, 2])
    with pytest.raises(ValueError, match="mask must not be masked"):
        Ratings.from_rows([1.0, 2.0], "ann").keep_ratings(hidden.astype(bool))


class OtherTable:
    """A table of another library."""

    columns = ("ann", "bob")

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 2))

    def to_pandas(self):
        """Return nothing."""


def test_what_looks_like_a_table_and_gives_none_is_refused():
    for make in (Ratings.from_dense, lambda values: Ratings.from_rows(values, "ann")):
        with pytest.raises(TypeError, match=r"values must be a DataFrame of .* got OtherTable"):
            make(OtherTable())
    with pytest.raises(TypeError, match=r"frame must be a DataFrame of .* got OtherTable"):
        Ratings.from_long(OtherTable(), outputs="rating")
