"""Ordered classes: a planted scale is found, thresholds rise, the laws of an order hold."""

import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.metrics import accuracy_score, cohen_kappa_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_annoser import AnnotatorMappedClassifier, Ratings
from sklearn_annoser.estimators._class_scores import score_labels

RNG = np.random.RandomState(0)
X = RNG.normal(size=(600, 5)).astype(np.float32)
NEW = RNG.normal(size=(300, 5)).astype(np.float32)
DIRECTION = 3 * RNG.normal(size=5) / np.sqrt(5)
N_ANNOTATORS = 8
WORDS = np.array(["none", "some", "much", "all"])  # not in the order of sorting
CUTS = np.array([-2.0, 0.0, 2.0]) + np.linspace(-1.5, 1.5, N_ANNOTATORS)[:, None]  # one lenient, one strict


def labels_of(features, cuts, seed=0):
    noise = np.random.RandomState(seed).logistic(scale=0.5, size=len(features))
    return ((features @ DIRECTION + noise)[:, None] > cuts).sum(axis=1)


def corpus():
    dense = np.full((len(X), N_ANNOTATORS), None, dtype=object)
    for annotator in range(N_ANNOTATORS):
        rows = np.flatnonzero((np.arange(len(X)) + annotator // 2) % 2)  # every sample has four
        dense[rows, annotator] = WORDS[labels_of(X, CUTS[annotator], seed=annotator)[rows]]
    return Ratings.from_dense(dense, annotators=[f"ann_{number}" for number in range(N_ANNOTATORS)], classes=WORDS)


RATINGS = corpus()


def places_of_labels():
    return (RATINGS.labels[:, None] == WORDS).argmax(axis=1)


def quick(**changes):
    settings = {"ordered": True, "n_hidden": 16, "lr": 0.1, "max_epochs": 40, "pretrain_epochs": 1, "random_state": 0}
    return AnnotatorMappedClassifier(**(settings | changes))


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(X, RATINGS)


@pytest.fixture
def model(fitted):
    return pickle.loads(pickle.dumps(fitted))


def test_the_scale_is_learned_with_everybodys_thresholds(model):
    assert model.classes_.tolist() == WORDS.tolist()
    assert model.heads_.shape == (N_ANNOTATORS, 1, 17)
    assert model.thresholds_.shape == (N_ANNOTATORS, 3)
    assert (np.diff(model.thresholds_) > 0).all()
    np.testing.assert_allclose(model.thresholds_.mean(axis=1), 0, atol=1e-9)
    leniency = model.heads_[:, 0, -1]
    assert np.corrcoef(leniency, -CUTS.mean(axis=1))[0, 1] > 0.9
    assert model.score(X, RATINGS) > 0.65
    strict = quick(ordered=False).fit(X, RATINGS)
    with pytest.raises(AttributeError, match="classes without an order have no thresholds"):
        _ = strict.thresholds_


def test_probabilities_are_those_of_the_cumulative_link(model):
    score = model.regressor_.predict_annotators(NEW)[:, 2, 0]
    below = 1 / (1 + np.exp(score[:, None] - model.thresholds_[2]))
    expected = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))), axis=1)
    probability = model.predict_proba(NEW, annotator="ann_2")
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_allclose(model.predict_proba_annotators(NEW)[:, 2], probability, atol=1e-5)
    np.testing.assert_allclose(np.exp(model.predict_logits(NEW, annotator="ann_2")), probability)
    assert model.predict(NEW, annotator="ann_2").tolist() == WORDS[probability.argmax(axis=1)].tolist()


@pytest.mark.parametrize("scoring", ["log_likelihood", "kappa", "f1_macro"])
@pytest.mark.parametrize("kind", [0, N_ANNOTATORS - 1])
def test_a_new_annotator_is_mapped_to_one_who_is_as_strict(model, scoring, kind):
    truth = WORDS[labels_of(NEW, CUTS[kind], seed=20)]
    label = model.select_annotator(NEW[:60], truth[:60], scoring=scoring)
    assert abs(int(label[-1]) - kind) <= 3  # not one of the other half
    assert accuracy_score(truth[60:], model.predict(NEW[60:])) > 0.6


@pytest.mark.parametrize("shift", [-4.0, 4.0])
@pytest.mark.parametrize("strategy", ["all", "joint", "blend"])
def test_calibration_finds_thresholds_that_nobody_known_has(model, strategy, shift):
    truth = labels_of(NEW, CUTS.mean(axis=0) + shift, seed=20)
    likelihood = []
    for calibration in (None, "prior"):
        model.select_annotator(NEW[:40], WORDS[truth[:40]], strategy=strategy, calibration=calibration)
        probability = model.predict_proba(NEW[40:])
        likelihood.append(np.log(probability[np.arange(260), truth[40:]]).mean())
        np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert likelihood[1] > likelihood[0] + 0.02


def test_one_label_moves_thresholds_a_little_and_the_right_way(model):
    model.select_annotator(NEW[:1], ["all"], strategy="all")
    before = model.predict_proba(NEW)[:, 3].mean()
    high = model.select_annotator(NEW[:1], ["all"], strategy="all", calibration="prior")
    assert high is None
    up = model.predict_proba(NEW)[:, 3].mean()
    model.select_annotator(NEW[:1], ["none"], strategy="all", calibration="prior")
    down = model.predict_proba(NEW)[:, 3].mean()
    assert down < before < up
    assert up - down < 0.4


def test_who_always_says_the_same_is_served_and_keeps_all_classes(model):
    model.select_annotator(NEW[:50], ["some"] * 50, strategy="blend", calibration="prior")
    probability = model.predict_proba(NEW)
    assert probability[:, 1].mean() > 0.5
    assert (probability > 0).all()


def test_a_class_that_was_not_used_becomes_rarer(model):
    truth = labels_of(NEW, CUTS[4], seed=20)
    truth = np.where(truth == 2, 3, truth)  # never "much"
    shares = []
    for calibration in (None, "prior"):
        model.select_annotator(NEW[:80], WORDS[truth[:80]], strategy="all", calibration=calibration)
        shares.append(model.predict_proba(NEW)[:, 2].mean())
    assert 0 < shares[1] < shares[0]


def test_labels_beyond_the_scale_are_refused(model):
    with pytest.raises(ValueError, match="label 'most' is not in the fitted classes"):
        model.select_annotator(NEW[:2], ["most", "all"])
    with pytest.raises(ValueError, match=r"label 'much' .and 769 more. is not in the order of the classes"):
        quick(ordered=["none", "some", "all"]).fit(X, RATINGS)
    with pytest.raises(ValueError, match="ordered must be one-dimensional"):
        quick(ordered="none").fit(X, RATINGS)
    with pytest.raises(ValueError, match="ordered must be unique, got 'none' twice"):
        quick(ordered=["none", "none"]).fit(X, RATINGS)


def test_the_reversed_order_reverses_the_probabilities():
    one, other = (quick(ordered=order, max_epochs=60).fit(X, RATINGS) for order in (WORDS, WORDS[::-1]))
    assert other.classes_.tolist() == WORDS[::-1].tolist()
    gap = np.abs(one.predict_proba(NEW) - other.predict_proba(NEW)[:, ::-1])
    assert gap.mean() < 0.03  # weights are drawn anew


def test_names_of_classes_do_not_matter():
    numbers = quick(max_epochs=3).fit(X, RATINGS.with_values(places_of_labels(), classes=[0, 1, 2, 3]))
    words = quick(max_epochs=3).fit(X, RATINGS)
    np.testing.assert_array_equal(numbers.heads_, words.heads_)
    np.testing.assert_array_equal(numbers.thresholds_, words.thresholds_)


def test_two_ordered_classes_are_a_logistic_regression():
    y = np.where(labels_of(X, np.array([0.0])) == 1, "yes", "no")
    model = quick().fit(X, y)
    assert model.thresholds_.tolist() == [[0.0]]
    score = model.regressor_.predict(X)
    score = score[:, 0] if score.ndim == 2 else score
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-score)), atol=1e-6)
    without_order = quick(ordered=False).fit(X, y)
    assert np.abs(model.predict_proba(NEW) - without_order.predict_proba(NEW)).mean() < 0.1  # of two trainings


def test_the_order_is_told_in_four_ways():
    words = RATINGS.consensus()
    expected = quick(max_epochs=2, ordered=WORDS.tolist()).fit(X, words)
    series = pd.Series(pd.Categorical(words, categories=WORDS, ordered=True))
    table = pd.DataFrame({"sample": np.arange(600), "annotator": "consensus", "amount": series})
    for y in (
        series,
        Ratings.from_long(table, outputs="amount", classes=True),
        Ratings.from_rows(words, "consensus", classes=WORDS),
    ):
        model = quick(max_epochs=2).fit(X, y)
        assert model.classes_.tolist() == WORDS.tolist()
        np.testing.assert_array_equal(model.heads_, expected.heads_)
    assert quick(max_epochs=1).fit(X, words).classes_.tolist() == sorted(WORDS)
    assert quick(max_epochs=1).fit(X, places_of_labels()[:600]).classes_.tolist() == [0, 1, 2, 3]


def test_a_class_that_nobody_used_is_not_there():
    model = quick(max_epochs=2, ordered=["nil", *WORDS[:2], "half", *WORDS[2:]]).fit(X, RATINGS)
    assert model.classes_.tolist() == WORDS.tolist()
    assert model.thresholds_.shape == (N_ANNOTATORS, 3)


def test_weights_count_samples():
    weight = np.ones(600)
    weight[:100] = 0
    model = quick(max_epochs=3).fit(X, RATINGS, sample_weight=weight)
    without = quick(max_epochs=3).fit(X[100:], RATINGS[100:])
    np.testing.assert_allclose(model.heads_, without.heads_, atol=1e-6)
    np.testing.assert_allclose(model.thresholds_, without.thresholds_, atol=1e-6)
    heavy = quick(max_epochs=10).fit(X, RATINGS, sample_weight=np.where(X[:, 0] > 0, 1.0, 0.01))
    assert (np.diff(heavy.thresholds_) > 0).all()


def test_the_aggregate_has_one_row_of_thresholds():
    model = quick(variant="aggregate").fit(X, RATINGS)
    assert model.thresholds_.shape == (1, 3)
    model.select_annotator(NEW[:20], WORDS[labels_of(NEW, CUTS[0])[:20]], strategy="all", calibration="prior")
    assert model.score(NEW, WORDS[labels_of(NEW, CUTS[0])]) > 0.5


def test_clones_pickles_searches_and_processes(fitted):
    assert clone(fitted).get_params()["ordered"] is True
    twin = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(twin.predict_proba(NEW), fitted.predict_proba(NEW))
    search = GridSearchCV(quick(max_epochs=5), {"ordered": [False, True, WORDS.tolist()]}, cv=2).fit(X, RATINGS)
    assert search.best_score_ > 0.4
    assert len(cross_val_score(quick(max_epochs=2), X, RATINGS, cv=2, scoring="accuracy")) == 2
    fits = Parallel(n_jobs=2)(delayed(quick(max_epochs=2, random_state=seed).fit)(X, RATINGS) for seed in (0, 0))
    np.testing.assert_array_equal(fits[0].thresholds_, fits[1].thresholds_)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_of_ordered_classes_has_quadratic_weights(seed):
    rng = np.random.RandomState(seed)
    logits, codes = rng.normal(size=(12, 7, 4)), rng.randint(4, size=12)
    found = score_labels(logits, codes, "kappa", ordered=True)
    for annotator, predicted in enumerate(logits.argmax(axis=2).T):
        expected = cohen_kappa_score(codes, predicted, weights="quadratic", labels=range(4))
        assert found[annotator] == pytest.approx(expected)
