"""Several outputs of classes: each is what it would be alone, and some may be missing."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_annoser import AnnotatorMappedClassifier, Ratings

RNG = np.random.RandomState(0)
X = RNG.normal(size=(500, 5)).astype(np.float32)
WEIGHTS = RNG.normal(size=(5, 2))
HEIGHTS, MOODS = np.array(["low", "middle", "top"]), np.array(["glad", "sad"])
CLASSES = [*HEIGHTS, *MOODS]
N_ANNOTATORS = 4


def labels_of(features, who):
    scores = features @ WEIGHTS
    tall = HEIGHTS[np.digitize(scores[:, 0], [-1 + who / 2, 1 + who / 2])]
    mood = MOODS[((scores[:, 1] > 0) ^ (who % 2)).astype(int)]  # every second one means the opposite
    return np.stack([tall, mood], axis=1).astype(object)


def corpus():
    dense = np.stack([labels_of(X, who) for who in range(N_ANNOTATORS)], axis=1)
    dense[RNG.uniform(size=dense.shape) < 0.3] = None
    return Ratings.from_dense(dense, outputs=["height", "mood"], classes=CLASSES)


RATINGS = corpus()


def quick(**changes):
    settings = {"n_hidden": 16, "lr": 0.2, "max_epochs": 40, "pretrain_epochs": 1, "random_state": 0}
    return AnnotatorMappedClassifier(**(settings | changes))


@pytest.fixture(scope="module", params=[False, True], ids=["nominal", "ordered"])
def fitted(request):
    return quick(ordered=request.param).fit(X, RATINGS)


@pytest.fixture
def model(fitted):
    return pickle.loads(pickle.dumps(fitted))


def test_every_output_is_learned_although_labels_are_missing(model):
    assert not RATINGS.is_complete
    assert [own.tolist() for own in model.classes_] == [HEIGHTS.tolist(), MOODS.tolist()]
    assert model.outputs_ == ("height", "mood")
    for who in range(N_ANNOTATORS):
        predicted = model.predict(X, annotator=who)
        assert predicted.shape == (500, 2)
        assert (predicted == labels_of(X, who)).mean() > 0.85
    probability = model.predict_proba(X, annotator=0)
    assert [own.shape for own in probability] == [(500, 3), (500, 2)]
    for own, classes, predicted in zip(probability, model.classes_, model.predict(X, annotator=0).T, strict=True):
        np.testing.assert_allclose(own.sum(axis=1), 1)
        assert classes[own.argmax(axis=1)].tolist() == predicted.tolist()
    assert [own.shape for own in model.predict_proba_annotators(X)] == [(500, 4, 3), (500, 4, 2)]
    assert [own.shape for own in model.predict_logits(X)] == [(500, 3), (500, 2)]
    if model.ordered:
        assert [own.shape for own in model.thresholds_] == [(4, 2), (4, 1)]
        assert (np.diff(model.thresholds_[0]) > 0).all()


def test_the_score_is_the_mean_of_the_accuracies_of_outputs(model):
    each = []
    for output in range(2):
        own = []
        for who in range(N_ANNOTATORS):
            rows, labels = RATINGS.of(who)
            given = ~pd.isna(labels[:, output])
            predicted = model.predict(X[rows[given]], annotator=who)[:, output]
            own.append(accuracy_score(labels[given, output], predicted))
        each.append(np.mean(own))
    assert model.score(X, RATINGS) == pytest.approx(np.mean(each))
    truth, weight = labels_of(X, 0), np.arange(500.0)
    predicted = model.predict(X)
    assert model.score(X, truth) == pytest.approx((truth == predicted).mean())
    weighted = [
        accuracy_score(*pair, sample_weight=weight) for pair in zip(truth.T.astype(str), predicted.T, strict=True)
    ]
    assert model.score(X, truth, sample_weight=weight) == pytest.approx(np.mean(weighted))
    with pytest.raises(ValueError, match=r"y must have shape \(500, 2\), got \(500, 1\)"):
        model.score(X, truth[:, 0])


@pytest.mark.parametrize("calibration", [None, "prior"])
@pytest.mark.parametrize("strategy", ["joint", "top-n", "blend", "all"])
def test_a_new_annotator_enrols_with_what_they_gave(model, strategy, calibration):
    truth = labels_of(X, 1)
    some = truth[:40].copy()
    some[::3, 0] = None
    label = model.select_annotator(X[:40], some, strategy=strategy, calibration=calibration, n_heads=2)
    assert strategy not in ("joint", "top-n") or 1 in np.atleast_1d(label)
    assert list(model.selection_) == ["height", "mood", "score"]
    np.testing.assert_allclose(model.selection_["score"], model.selection_[["height", "mood"]].mean(axis=1))
    expected = model.predict_proba(X)
    ratings = Ratings.from_rows(some, "eve", outputs=["height", "mood"], classes=CLASSES)
    model.select_annotator(X[:40], ratings, strategy=strategy, calibration=calibration, n_heads=2)
    for own, other in zip(model.predict_proba(X), expected, strict=True):
        np.testing.assert_array_equal(own, other)
    if strategy in ("joint", "blend"):
        assert model.score(X, truth) > 0.85


def test_outputs_are_put_in_order_by_name(model):
    swapped = RATINGS._replace(_values=RATINGS._values[:, ::-1], outputs=("mood", "height"))
    assert model.score(X, swapped) == model.score(X, RATINGS)
    truth = pd.DataFrame(labels_of(X, 0), columns=["height", "mood"])
    assert model.score(X, truth[["mood", "height"]]) == model.score(X, truth.to_numpy())
    expected = model.select_annotator(X[:20], truth[:20])
    assert model.select_annotator(X[:20], truth[["mood", "height"]][:20]) == expected
    with pytest.raises(ValueError, match="'colour' is where 'mood' should be"):
        model.score(X, RATINGS._replace(outputs=("height", "colour")))


def test_an_output_without_any_label_stays_as_it_is(model):
    some = labels_of(X[:30], 1)
    some[:, 1] = None
    model.select_annotator(X[:30], some, strategy="all")
    before = model.predict_proba(X)[1]
    model.select_annotator(X[:30], some, strategy="all", calibration="prior")
    np.testing.assert_allclose(model.predict_proba(X)[1], before)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([["low", "glad"]], "X has 3 samples, but y has 1 labels"),
        (["low", "top", "top"], r"y must have 2 columns, \['height', 'mood'\], got \(3,\)"),
        ([["low"]] * 3, r"y must have 2 columns, .* got \(3, 1\)"),
        ([["glad", "low"]] * 3, "label 'glad' .* is not in the fitted classes"),
        ([[None, None]] * 3, "y has no labels"),
        (Ratings.from_rows(["low"] * 3, "eve", classes=True), r"y must have 2 outputs, \['height', 'mood'\], got 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(model, y, message):
    with pytest.raises(ValueError, match=message):
        model.select_annotator(X[:3], y)


def test_an_array_of_two_columns_is_the_same_as_ratings():
    labels, who = labels_of(X, 0), np.where(np.arange(500) % 2, "ann", "bob")
    expected = quick(max_epochs=2).fit(X, Ratings.from_rows(labels, who, classes=CLASSES))
    table = pd.DataFrame(labels, columns=["height", "mood"])
    for y in (labels, labels.tolist(), table):
        model = quick(max_epochs=2).fit(X, y, annotators=who)
        np.testing.assert_array_equal(model.heads_, expected.heads_)
    assert model.outputs_ == ("height", "mood")
    numbers = quick(max_epochs=2).fit(X, np.stack([labels[:, 0] == "low", np.arange(500) % 3], axis=1))
    assert [own.tolist() for own in numbers.classes_] == [[0, 1], [0, 1, 2]]
    mixed = np.stack([np.arange(500) % 3, labels[:, 1]], axis=1).astype(object)
    assert quick(max_epochs=2).fit(X, mixed).predict(X).dtype == object
    labels[7, 1] = None
    with pytest.raises(ValueError, match="y must not be missing, got None at position 7"):
        quick().fit(X, labels)
    with pytest.raises(ValueError, match="Unknown label type"):
        quick().fit(X, RNG.normal(size=(500, 2)))
    with pytest.raises(ValueError, match=r"output 'b' of y has one class only, 1.0"):
        quick().fit(X, Ratings.from_rows(np.stack([np.arange(500) % 2, np.ones(500)], axis=1), "x", outputs=["a", "b"]))


def test_numbers_on_which_annotators_differ_are_better_declared():
    values = np.stack([[[0, 1]] * 500, [[2, 1], [0, 0]] * 250], axis=1).astype(float)
    values[0, 0, 0] = np.nan
    with pytest.warns(UserWarning, match="y does not say that its values are classes"):
        quick(max_epochs=1).fit(X, Ratings.from_dense(values))
    quick(max_epochs=1).fit(X, Ratings.from_dense(values, classes=True))


def test_clones_and_searches():
    search = GridSearchCV(quick(max_epochs=5), {"ordered": [False, True]}, cv=KFold(2)).fit(X, RATINGS)
    assert search.best_score_ > 0.4
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


def test_samples_of_no_weight_are_not_there():
    weight = np.ones(500)
    weight[:60] = 0
    model = quick(max_epochs=3).fit(X, RATINGS, sample_weight=weight)
    without = quick(max_epochs=3).fit(X[60:], RATINGS[60:])
    np.testing.assert_allclose(model.heads_, without.heads_, atol=1e-6)


def test_one_column_is_one_output():
    labels = labels_of(X, 0)[:, 0].astype(str)
    one = Ratings.from_rows(labels[:, None], "ann", classes=True)
    model = quick(max_epochs=2).fit(X, one)
    assert model.classes_.tolist() == HEIGHTS.tolist()
    assert model.predict(X).shape == (500,)
    np.testing.assert_array_equal(model.heads_, quick(max_epochs=2).fit(X, labels, annotators=["ann"] * 500).heads_)
