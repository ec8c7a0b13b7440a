"""Ratings that are classes: labels stay what they are, and there is a plurality in the place of a mean."""

import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split

from sklearn_annoser import Ratings
from tests.cases import patient

TABLE = pd.DataFrame(
    {
        "sample": ["x", "x", "x", "y", "y"],
        "annotator": ["ann", "bob", "cy", "ann", "cy"],
        "emotion": ["sad", "angry", "sad", "sad", "angry"],
    }
)
WORDS = Ratings.from_long(TABLE, outputs="emotion", classes=True)
NUMBERS = Ratings.from_dense([[0, 2, 2], [0, 2, None], [None, 2, 0]], classes=True)


def test_words_are_ratings_and_come_back():
    assert WORDS.classes.tolist() == ["angry", "sad"]
    assert WORDS.labels.tolist() == TABLE["emotion"].tolist()
    pd.testing.assert_frame_equal(WORDS.to_long(), TABLE, check_dtype=False)
    assert WORDS.to_dense().tolist() == [["sad", "angry", "sad"], ["sad", None, "angry"]]
    assert Ratings.from_dense(WORDS.to_dense(), annotators=WORDS.annotators, samples=["x", "y"], outputs=["emotion"],
                              classes=True) == WORDS  # fmt: skip
    rows, labels = WORDS.of("cy")
    assert (rows.tolist(), labels.tolist()) == ([0, 1], ["sad", "angry"])
    assert pickle.loads(pickle.dumps(WORDS)) == WORDS
    assert repr(WORDS).endswith("outputs=['emotion'], n_classes=2)")
    assert "<td>3</td>" in WORDS._repr_html_()


def test_the_consensus_is_the_plurality_and_of_several_the_first_class():
    assert np.asarray(WORDS).tolist() == WORDS.consensus().tolist() == ["sad", "angry"]
    assert np.asarray(NUMBERS).tolist() == [2, 0, 0]
    other_order = Ratings.from_long(TABLE, outputs="emotion", classes=["sad", "angry"])
    assert other_order.consensus().tolist() == ["sad", "sad"]
    assert WORDS.as_consensus().labels.tolist() == ["sad", "angry"]
    assert WORDS.as_consensus().annotators.tolist() == ["consensus"]


@patient
@given(st.lists(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=4, max_size=4), min_size=1, max_size=6))
def test_the_plurality_is_that_of_counting(dense):
    dense = [[*row[:3], row[3] or "b"] for row in dense]  # each sample has a label
    ratings = Ratings.from_dense(dense, classes=["c", "b", "a"])
    expected = []
    for row in dense:
        votes = Counter(label for label in row if label)
        expected.append(max("cba", key=lambda label: votes[label]))  # the first of several
    assert ratings.consensus().tolist() == expected
    assert [[label or None for label in row] for row in ratings.to_dense().tolist()] == dense


def test_rows_and_annotators_are_kept_as_with_numbers():
    assert WORDS[[1]].labels.tolist() == ["sad", "angry"]
    assert WORDS.keep_annotators(["bob"]).labels.tolist() == ["angry"]
    assert WORDS.keep_ratings(WORDS.labels == "sad").n_ratings == 3
    assert WORDS[[]].labels.tolist() == []
    assert Ratings.from_long(TABLE, outputs="emotion", classes=["sad", "angry"]) != WORDS
    assert Ratings.from_rows(["b", "a"], "ann", classes=True).labels.tolist() == ["b", "a"]
    assert Ratings.from_rows(np.ma.array(["b", "a", "a"], mask=[0, 0, 0]), "ann", classes=True).n_ratings == 3


def test_numbers_can_be_declared_afterwards():
    plain = Ratings.from_dense([[0, 2], [2, 2]])
    declared = plain.with_values(plain.values, classes=True)
    assert declared == Ratings.from_dense([[0, 2], [2, 2]], classes=[0.0, 2.0])
    assert declared.consensus().tolist() == [0, 2]
    assert declared.with_values(plain.values) == plain
    assert plain.classes is None


TWO = pd.DataFrame(
    {
        "sample": ["x", "x", "y", "y"],
        "annotator": ["ann", "bob", "ann", "cy"],
        "emotion": ["sad", "angry", "sad", None],
        "sex": ["f", "f", None, "m"],
    }
)


def test_several_outputs_share_their_classes_and_may_be_missing():
    ratings = Ratings.from_long(TWO, outputs=["emotion", "sex"], classes=True)
    assert ratings.classes.tolist() == ["angry", "f", "m", "sad"]
    assert ratings.labels.tolist() == [["sad", "f"], ["angry", "f"], ["sad", None], [None, "m"]]
    assert np.asarray(ratings).tolist() == [["angry", "f"], ["sad", "m"]]
    assert ratings.of("cy")[1].tolist() == [[None, "m"]]
    pd.testing.assert_frame_equal(ratings.to_long(), TWO, check_dtype=False)
    assert Ratings.from_dense(ratings.to_dense(), annotators=ratings.annotators, outputs=["emotion", "sex"],
                              samples=["x", "y"], classes=True) == ratings  # fmt: skip
    assert "<th>sex</th>" in ratings._repr_html_()
    assert pickle.loads(pickle.dumps(ratings)) == ratings
    with pytest.raises(ValueError, match="1 samples have no rating of some output"):
        ratings[[1]].keep_annotators(["cy"]).consensus()


def test_ordered_categoricals_tell_the_order_of_the_classes():
    sizes = pd.Categorical(["big", "small", "big"], categories=["small", "medium", "big"], ordered=True)
    table = pd.DataFrame({"sample": ["a", "b", "c"], "annotator": "ann", "size": sizes, "other": sizes[::-1]})
    assert Ratings.from_long(table, outputs="size", classes=True).classes.tolist() == ["small", "big"]
    assert Ratings.from_rows(table["size"], "ann", classes=True).classes.tolist() == ["small", "big"]
    unordered = table.assign(size=table["size"].cat.as_unordered())
    assert Ratings.from_long(unordered, outputs="size", classes=True).classes.tolist() == ["big", "small"]
    both = ["size", "other"]
    assert Ratings.from_long(table, outputs=both, classes=True).classes.tolist() == ["small", "big"]
    assert Ratings.from_long(unordered, outputs=both, classes=True).classes.tolist() == ["big", "small"]
    table["other"] = pd.Categorical(["bad", "bad", "good"], categories=["bad", "good"], ordered=True)
    assert Ratings.from_long(table, outputs=both, classes=True).classes.tolist() == ["small", "big", "bad", "good"]
    table["other"] = table["size"].cat.reorder_categories(["big", "medium", "small"], ordered=True)
    with pytest.raises(ValueError, match="columns have the same categories in different orders"):
        Ratings.from_long(table, outputs=both, classes=True)


@pytest.mark.parametrize(
    "use",
    [
        lambda ratings: ratings.values,
        lambda ratings: ratings.standardized(),
        lambda ratings: ratings.rescaled(),
    ],
)
def test_classes_are_never_taken_for_numbers(use):
    with pytest.raises(TypeError, match=r"must be ratings that are numbers, got Ratings of the classes \['angry'"):
        use(WORDS)


def test_numbers_have_no_labels():
    with pytest.raises(TypeError, match="these Ratings are numbers: make them with classes=True"):
        _ = Ratings.from_dense([[1, 2]]).labels


def test_a_sample_without_rating_has_no_plurality():
    ratings = Ratings.from_dense([["a", None], [None, None]], classes=True)
    for ask in (np.asarray, Ratings.consensus):
        with pytest.raises(ValueError, match=r"1 of 2 samples have no rating \(the first is at position 1\)"):
            ask(ratings)
    assert ratings.as_consensus().labels.tolist() == ["a"]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Ratings.from_dense([["a", "b"]], classes=["a"]), ValueError, "values: label 'b' is not in `classes`"),
        (lambda: Ratings.from_dense([["a", 1]], classes=True), TypeError, "values must be all strings or all numbers"),
        (lambda: Ratings.from_dense([["a"]], classes=["a", "a"]), ValueError, "classes must be unique, got 'a' twice"),
        (lambda: Ratings.from_dense("a", classes=True), ValueError, "values must be an array .*got a single label"),
        (lambda: Ratings.from_rows([1, 2], "x", classes=True, scale=(1, 2)), ValueError, "have no scale"),
        (lambda: Ratings.from_rows(["a", None], "x", classes=True), ValueError, "1 of 2 ratings have no value"),
        (lambda: Ratings([0, 1], [0], [2], annotators=["x"], classes=["a", "b"]), ValueError, "positions in the 2 cla"),
        (lambda: Ratings([0, 1], [0], [0.5], annotators=["x"], classes=["a", "b"]), ValueError, "from 0, got 0.5"),
        (
            lambda: Ratings.from_long(TABLE, outputs="emotion", classes=True, duplicates="mean"),
            ValueError,
            "classes have no mean: duplicates must be .error.",
        ),
        (
            lambda: Ratings.from_long(pd.concat([TABLE, TABLE]), outputs="emotion", samples=["x", "y"], classes=True),
            ValueError,
            "5 ratings are by an annotator who rated the same sample before",
        ),
    ],
)
def test_what_are_no_classes_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_scikit_learn_takes_the_plurality():
    labels = np.random.RandomState(0).choice(["a", "b", "c"], (60, 3))
    ratings, X = Ratings.from_dense(labels, classes=True), np.zeros((60, 1))
    votes = ratings.consensus()
    folds = list(StratifiedKFold(3).split(X, ratings))
    for (train, test), (train_too, test_too) in zip(folds, StratifiedKFold(3).split(X, votes), strict=True):
        assert_array_equal(train, train_too)
        assert_array_equal(test, test_too)
    assert accuracy_score(ratings, votes) == 1
    part, _ = train_test_split(ratings, stratify=ratings, random_state=0)
    assert isinstance(part, Ratings)
    model = DummyClassifier(strategy="prior")
    probability = cross_val_predict(model, X, ratings, cv=3, method="predict_proba")
    assert_array_equal(probability, cross_val_predict(model, X, votes, cv=3, method="predict_proba"))
