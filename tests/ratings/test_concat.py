import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser import Ratings

GIVEN = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    min_size=1,
    max_size=8,
)


def table_of(given):
    return pd.DataFrame([(*pair, *values) for pair, values in given.items()], columns=["sample", "annotator", "p", "q"])


def made(given, **options):
    return Ratings.from_long(
        table_of(given), outputs=["p", "q"], samples=sorted({pair[0] for pair in given}), **options
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(GIVEN, min_size=1, max_size=3), st.sampled_from(["mean", "first", "last"]))
def test_labelled_ratings_are_joined_as_their_tables_are(parts, duplicates):
    joined = Ratings.concat([made(part) for part in parts], duplicates=duplicates)
    truth = {}  # slow: pair -> all values, in the order of the parts
    for part in parts:
        for pair, values in part.items():
            truth.setdefault(pair, []).append(values)
    pick = {
        "mean": lambda each: tuple(np.mean(each, axis=0)),
        "first": lambda each: each[0],
        "last": lambda each: each[-1],
    }
    found = {(row[0], row[1]): tuple(row[2:]) for row in joined.to_long().itertuples(index=False)}
    assert found == {pair: pick[duplicates](each) for pair, each in truth.items()}
    first = dict.fromkeys(sample for part in parts for sample in made(part).samples.tolist())
    assert joined.samples.tolist() == list(first)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=2), min_size=1, max_size=4), min_size=1, max_size=3
    )
)
def test_samples_without_labels_are_all_different(parts):
    joined = Ratings.concat([Ratings.from_dense(part) for part in parts])
    np.testing.assert_array_equal(joined.to_dense(), np.concatenate([np.array(part, dtype=float) for part in parts]))
    assert joined.samples is None


def test_what_one_has_the_other_has():
    one = Ratings.from_dense(np.array([[1, 2]], dtype=np.float32), annotators=[2, 10], scale=(1, 5), samples=["a"])
    two = Ratings.from_rows([3], 3, scale=(1, 5), samples=["a"])
    joined = Ratings.concat([one, two])
    assert joined.annotators.tolist() == [2, 10, 3]
    assert joined.scale.tolist() == [[1, 5]]
    assert joined.to_dense().tolist() == [[1, 2, 3]]
    assert Ratings.concat([one]) == one
    assert Ratings.concat([one, one[[]]]) == one
    swapped = (
        Ratings.from_rows([[1, 9]], "ann", outputs=["p", "q"]),
        Ratings.from_rows([[8, 2]], "bob", outputs=["q", "p"]),
    )
    assert Ratings.concat(swapped).values.tolist() == [[1, 9], [2, 8]]


def test_classes_stay_what_they_are():
    one = Ratings.from_rows(["sad", "glad"], "ann", samples=["a", "b"], classes=True)
    two = Ratings.from_rows(["angry", "sad"], "bob", samples=["b", "a"], classes=True)
    joined = Ratings.concat([one, two])
    assert joined.classes.tolist() == ["angry", "glad", "sad"]
    assert joined.to_dense().tolist() == [["sad", "sad"], ["glad", "angry"]]
    assert Ratings.concat([one, one], duplicates="last") == one
    with pytest.raises(ValueError, match='classes have no mean: duplicates must be "error", "first" or "last"'):
        Ratings.concat([one, one], duplicates="mean")
    other = Ratings.from_rows(["angry"], "eve", samples=["a"], classes=["sad", "angry"])
    with pytest.raises(ValueError, match="the same classes in the same order, or sorted ones"):
        Ratings.concat([one, other])


PLAIN = Ratings.from_dense([[1, 2]])


@pytest.mark.parametrize(
    ("ratings", "error", "match"),
    [
        ([], ValueError, "at least one Ratings, got an empty sequence"),
        (PLAIN, TypeError, r"a sequence of Ratings, got Ratings: give \[one, other\]"),
        ([PLAIN, [[1]]], TypeError, "must be Ratings, got list at position 1"),
        (
            [PLAIN, Ratings.from_dense([[1]], outputs=["v"])],
            ValueError,
            r"same outputs, got \['rating'\] and, at position 1",
        ),
        (
            [PLAIN, Ratings.from_dense([[1]], scale=(1, 5))],
            ValueError,
            r"same scale, got None and, at position 1, \[\[1",
        ),
        ([PLAIN, Ratings.from_dense([[1]], samples=["a"])], ValueError, "labels of samples, or none"),
        ([PLAIN, Ratings.from_dense([["a"]], classes=True)], ValueError, "all be numbers, or all classes"),
        (
            [PLAIN, Ratings.from_dense([[1]], annotators=["a"])],
            TypeError,
            "all strings or all numbers: 1 of 3 are strings",
        ),
        ([PLAIN, Ratings.from_dense([[1]], annotators=[True])], TypeError, "must not be booleans in some"),
        (2 * [Ratings.from_rows([1], "ann", samples=["a"])], ValueError, "annotator 'ann' and sample 'a'"),
        ([Ratings.from_dense([[1], [2]], samples=["a", "a"])], ValueError, "samples at position 0 must be unique"),
    ],
)
def test_what_does_not_belong_together_is_refused(ratings, error, match):
    with pytest.raises(error, match=match):
        Ratings.concat(ratings)
