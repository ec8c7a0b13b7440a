"""Labels: planted annotators are found, probabilities are probabilities, scores are scikit-learn's."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, log_loss
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedClassifier, Ratings
from sklearn_annoser.estimators._class_scores import score_labels as _score_labels
from sklearn_annoser.network import CrossEntropy

RNG = np.random.RandomState(0)
X = RNG.normal(size=(600, 6)).astype(np.float32)
WEIGHTS = RNG.normal(size=(6, 3))
N_ANNOTATORS = 6
# Three types of annotators, who turn the same scores into labels in another order.
ORDERS = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
NAMES = np.array(["angry", "happy", "sad"])


def labels_of(features, kind, noise=0.3, seed=0):
    scores = features @ WEIGHTS + noise * np.random.RandomState(seed).normal(size=(len(features), 3))
    return np.array(ORDERS[kind])[scores.argmax(axis=1)]


def corpus():
    dense = np.full((len(X), N_ANNOTATORS), np.nan)
    for annotator in range(N_ANNOTATORS):
        rows = np.random.RandomState(annotator).choice(len(X), size=300, replace=False)
        dense[rows, annotator] = labels_of(X, annotator % 3, seed=annotator)[rows]
    return Ratings.from_dense(dense, annotators=[f"ann_{number}" for number in range(N_ANNOTATORS)], classes=True)


RATINGS = corpus()
NEW = np.random.RandomState(9).normal(size=(300, 6)).astype(np.float32)


def quick(**changes):
    settings = {"n_hidden": 32, "lr": 0.1, "max_epochs": 30, "pretrain_epochs": 1, "random_state": 0}
    return AnnotatorMappedClassifier(**(settings | changes))


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(X, RATINGS)


@pytest.fixture
def model(fitted):
    return pickle.loads(pickle.dumps(fitted))


@pytest.mark.parametrize("scoring", ["log_likelihood", "kappa", "f1_macro"])
@pytest.mark.parametrize("kind", range(3))
def test_a_new_annotator_is_mapped_to_one_of_their_type(model, scoring, kind):
    truth = labels_of(NEW, kind, noise=0, seed=20)
    label = model.select_annotator(NEW[:20], truth[:20], scoring=scoring)
    assert int(label[-1]) % 3 == kind
    assert label == model.selected_annotator_ == model.selection_.index[0]
    assert accuracy_score(truth[20:], model.predict(NEW[20:])) > 0.8
    np.testing.assert_array_equal(model.predict(NEW), model.predict(NEW, annotator=label))


def test_probabilities_add_up_and_are_those_of_the_labels(model):
    probability = model.predict_proba(NEW, annotator="ann_0")
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert (probability > 0).all()
    np.testing.assert_array_equal(model.classes_[probability.argmax(axis=1)], model.predict(NEW, annotator="ann_0"))
    everyone = model.predict_proba_annotators(NEW)
    assert everyone.shape == (300, N_ANNOTATORS, 3)
    np.testing.assert_allclose(everyone[:, 0], probability, atol=1e-5)
    truth = labels_of(NEW, 0, seed=30)
    assert log_loss(truth, probability) < 0.7 < np.log(3)


def test_the_strategies_serve_whom_they_say(model):
    truth = labels_of(NEW, 1)[:20]
    logits = {name: model.predict_logits(NEW, annotator=name) for name in model.annotators_}
    assert model.select_annotator(NEW[:20], truth, strategy="all") is None
    np.testing.assert_allclose(model.predict_logits(NEW), np.mean(list(logits.values()), axis=0), atol=1e-4)
    top = model.select_annotator(NEW[:20], truth, strategy="top-n", n_heads=2)
    assert list(top) == model.selection_.index[:2].tolist()
    np.testing.assert_allclose(model.predict_logits(NEW), np.mean([logits[name] for name in top], axis=0), atol=1e-4)
    assert model.select_annotator(NEW[:20], truth, strategy="blend") is None
    likelihood = np.array([np.prod(model.predict_proba(NEW[:20], name)[np.arange(20), truth]) for name in logits])
    expected = np.einsum("a,ank->nk", likelihood / likelihood.sum(), np.array(list(logits.values())))
    np.testing.assert_allclose(model.predict_logits(NEW), expected, atol=1e-4)
    drawn = model.select_annotator(NEW[:20], truth, strategy="random")
    np.testing.assert_allclose(model.predict_logits(NEW), logits[drawn], atol=1e-4)
    assert model.clear_selection().selected_annotator_ is None


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    rng = np.random.RandomState(seed)
    logits, codes = rng.normal(size=(12, 7, 4)), rng.randint(4, size=12)
    for annotator, predicted in enumerate(logits.argmax(axis=2).T):
        assert _score_labels(logits, codes, "kappa")[annotator] == pytest.approx(cohen_kappa_score(codes, predicted))
        macro = f1_score(codes, predicted, average="macro", zero_division=0)
        assert _score_labels(logits, codes, "f1_macro")[annotator] == pytest.approx(macro)
        probability = np.exp(logits[:, annotator]) / np.exp(logits[:, annotator]).sum(axis=1, keepdims=True)
        likelihood = _score_labels(logits, codes, "log_likelihood")[annotator]
        assert likelihood == pytest.approx(-log_loss(codes, probability, labels=range(4)))


def test_one_label_on_both_sides_scores_nothing():
    logits = np.zeros((5, 2, 3))
    logits[:, 0, 1] = 1
    np.testing.assert_array_equal(_score_labels(logits, np.ones(5, dtype=int), "kappa"), 0)


def test_calibration_moves_frequencies_towards_those_of_the_labels(model):
    biased = np.where(np.arange(40) < 36, 2, labels_of(NEW[:40], 0))
    shares = []
    for calibration in (None, "prior"):
        model.select_annotator(NEW[:40], biased, strategy="all", calibration=calibration)
        shares.append(model.predict_proba(NEW[:40])[:, 2].mean())
    assert shares[0] + 0.1 < shares[1] < 0.95


def test_an_array_with_annotators_is_the_same_as_ratings():
    who, labels = np.where(np.arange(600) % 2, "ann", "bob"), labels_of(X, 0)
    by_array = quick(max_epochs=3).fit(X, labels, annotators=who)
    by_ratings = quick(max_epochs=3).fit(X, Ratings.from_rows(labels.astype(float), who))
    np.testing.assert_array_equal(by_array.heads_, by_ratings.heads_)
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(StandardScaler(), quick(max_epochs=2).set_fit_request(annotators=True))
        assert routed.fit(X, labels, annotators=who)[-1].annotators_.tolist() == ["ann", "bob"]


def test_the_score_of_ratings_is_the_mean_accuracy_of_the_annotators(model):
    uneven = RATINGS.keep_ratings((RATINGS.codes > 0) | (RATINGS.rows < 50))  # the first has a few labels only
    expected = []
    for name in model.annotators_:
        rows, labels = uneven.of(name)
        expected.append(accuracy_score(labels, model.predict(X[rows], annotator=name)))
    assert model.score(X, uneven) == pytest.approx(np.mean(expected))
    stranger = Ratings.from_rows(labels_of(NEW, 0).astype(float), "eve")
    assert model.score(NEW, stranger) == accuracy_score(labels_of(NEW, 0), model.predict(NEW))
    with pytest.raises(ValueError, match="sample_weight cannot be used with Ratings"):
        model.score(X, RATINGS, sample_weight=np.ones(len(X)))


def test_ratings_of_one_annotator_enrol_as_an_array_does(model):
    truth = labels_of(NEW[:20], 1)
    label = model.select_annotator(NEW[:20], truth, strategy="blend")
    expected = model.predict_logits(NEW)
    ratings = Ratings.from_rows(truth.astype(float), "eve")
    unrated = Ratings.from_dense(np.r_[np.full(10, np.nan), truth][:, None], annotators=["eve"])
    for features, given in ((NEW[:20], ratings), (np.concatenate([NEW[-10:], NEW[:20]]), unrated)):
        model.clear_selection()
        assert model.select_annotator(features, given, strategy="blend") == label
        np.testing.assert_array_equal(model.predict_logits(NEW), expected)
    with pytest.raises(ValueError, match=f"labels of one new annotator, got {N_ANNOTATORS}"):
        model.select_annotator(X, RATINGS)


def test_labels_may_be_words(model):
    who = np.repeat(["ann", "bob"], 300)
    named = quick(max_epochs=5).fit(X, NAMES[labels_of(X, 0)], annotators=who)
    assert named.classes_.tolist() == NAMES.tolist()
    assert set(named.predict(NEW)) <= set(NAMES)
    assert named.select_annotator(NEW[:10], NAMES[labels_of(NEW, 0)][:10]) in ("ann", "bob")
    with pytest.raises(ValueError, match=f"y must have labels like those that were fitted, .'{NAMES[0]}'"):
        named.score(X, RATINGS)


def test_the_aggregate_learns_the_shares_of_the_votes():
    with pytest.warns(ConvergenceWarning, match="next to nothing"):  # all labels are as frequent in every sample
        aggregate = quick(variant="aggregate").fit(X, RATINGS)
    assert aggregate.annotators_.tolist() == ["consensus"]
    np.testing.assert_allclose(aggregate.predict_proba(NEW).mean(axis=0), 1 / 3, atol=0.1)


def test_clones_and_pickles(fitted):
    assert not hasattr(clone(fitted), "regressor_")
    twin = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(twin.predict_proba(NEW), fitted.predict_proba(NEW))


def test_the_loss_is_the_cross_entropy():
    import torch

    rng = np.random.RandomState(0)
    logits, codes = rng.normal(size=(9, 3)), rng.randint(3, size=9)
    shares = torch.from_numpy(np.eye(3)[codes])
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(codes))
    assert CrossEntropy()(torch.from_numpy(logits), shares).item() == pytest.approx(expected.item())
    times = rng.randint(0, 3, size=9)
    again = np.repeat(np.arange(9), times)
    repeated = CrossEntropy()(torch.from_numpy(logits[again]), shares[again])
    weight = torch.from_numpy(np.repeat(times[:, None], 3, axis=1).astype(float))
    assert CrossEntropy()(torch.from_numpy(logits), shares, weight).item() == pytest.approx(repeated.item())


@pytest.mark.parametrize(
    ("y", "kwargs", "message"),
    [
        (np.zeros(600), {}, "y has one class only, 0.0: there is nothing to tell apart"),
        (RATINGS, {"annotators": np.zeros(600)}, "annotators must be None if y is Ratings"),
        (Ratings.from_rows(np.zeros((600, 2)), "ann"), {}, "output 'rating_0' of y has one class only, 0.0: there is"),
        (RATINGS[:5], {}, "X has 600 samples, but y has ratings of 5"),
        (np.linspace(0, 1, 600), {}, "Unknown label type"),
    ],
)
def test_bad_targets_are_refused(y, kwargs, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y, **kwargs)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0.0, 7.0], {}, "label 7.0 is not in the fitted classes"),
        ([0.0], {}, "X has 2 samples, but y has 1 labels"),
        ([0.0, 1.0], {"strategy": "separate"}, "strategy must be one of"),
        ([0.0, 1.0], {"scoring": "accuracy"}, "scoring must be one of"),
        ([0.0, 1.0], {"calibration": "affine"}, "calibration must be one of"),
        ([0.0, 1.0], {"n_heads": 0}, "n_heads must be >= 1"),
    ],
)
def test_bad_enrollment_is_refused(model, y, options, message):
    with pytest.raises(ValueError, match=message):
        model.select_annotator(NEW[:2], y, **options)


def test_an_unknown_variant_or_no_fit_is_refused():
    with pytest.raises(ValueError, match=r"variant must be one of \['individual', 'aggregate'\], got 'both'"):
        quick(variant="both").fit(X, RATINGS)
    with pytest.raises(NotFittedError):
        quick().select_annotator(NEW[:2], [0, 1])


# ---------------------------------------------------------------------- classes that say so, what is not there

VOTES = Ratings.from_dense(np.stack([NAMES[labels_of(X, 0)], NAMES[labels_of(X, 0, seed=1)]], axis=1), classes=True)


def test_words_by_several_annotators_are_learned_as_their_numbers():
    words = quick(max_epochs=3).fit(X, RATINGS.with_values(NAMES[RATINGS.labels.astype(int)], classes=True))
    numbers = quick(max_epochs=3).fit(X, RATINGS)
    assert words.classes_.tolist() == NAMES.tolist()
    np.testing.assert_array_equal(words.heads_, numbers.heads_)
    assert words.score(X, RATINGS.with_values(NAMES[RATINGS.labels.astype(int)], classes=True)) == numbers.score(
        X, RATINGS
    )
    some = VOTES[:20].keep_annotators([0])
    assert words.select_annotator(X[:20], some) == numbers.select_annotator(X[:20], labels_of(X, 0)[:20].astype(float))


def test_scikit_learn_cross_validates_classes():
    model = quick(max_epochs=2)
    with pytest.warns(UserWarning, match="annotators, who are lost"):
        probability = cross_val_predict(model, X, VOTES, cv=KFold(3), method="predict_proba")
    assert probability.shape == (600, 3)
    plain = cross_val_predict(model, X, VOTES.consensus(), cv=KFold(3), method="predict_proba")
    np.testing.assert_array_equal(probability, plain)
    scores = cross_val_score(model, X, VOTES, cv=StratifiedKFold(3), scoring="accuracy")
    expected = []
    for train, test in StratifiedKFold(3).split(X, VOTES.consensus()):
        predicted = clone(model).fit(X[train], VOTES[train]).predict(X[test])
        expected.append(accuracy_score(VOTES[test].consensus(), predicted))
    np.testing.assert_array_equal(scores, expected)
    calibrated = CalibratedClassifierCV(model, cv=3).fit(X, VOTES)
    assert calibrated.predict_proba(X).shape == (600, 3)
    assert calibrated.classes_.tolist() == NAMES.tolist()
    assert calibrated.calibrated_classifiers_[0].estimator.annotators_.tolist() == [0, 1]


def test_numbers_on_which_annotators_differ_are_better_declared():
    undeclared = Ratings.from_dense([[0, 2]] * 20 + [[1, 1]] * 20)
    with pytest.warns(UserWarning, match=r"np\.asarray\(y\), as scikit-learn takes it .* is their mean\. Declare them"):
        model = quick(max_epochs=1).fit(X[:40], undeclared)
    declared = undeclared.with_values(undeclared.values, classes=True)
    np.testing.assert_array_equal(model.heads_, quick(max_epochs=1).fit(X[:40], declared).heads_)
    quick(max_epochs=1).fit(X[:40], undeclared.keep_annotators([0]))


def test_a_sample_with_weight_zero_is_not_there():
    labels = VOTES.consensus().astype(object)
    who = np.where(np.arange(600) % 2, "ann", "bob")
    groups = np.arange(600) // 3
    weight = np.ones(600)
    weight[:50] = 0
    without = quick(max_epochs=3).fit(X[50:], labels[50:], annotators=who[50:], groups=groups[50:])
    labels[:50], who[:50] = "unsure", "cy"
    model = quick(max_epochs=3).fit(X, labels, annotators=who, groups=groups, sample_weight=weight)
    assert model.classes_.tolist() == NAMES.tolist()
    assert model.annotators_.tolist() == ["ann", "bob"]
    np.testing.assert_allclose(model.heads_, without.heads_, atol=1e-6)
    by_ratings = Ratings.from_rows(labels, who, classes=True)
    same = quick(max_epochs=3).fit(X, by_ratings, groups=groups, sample_weight=weight)
    np.testing.assert_array_equal(same.heads_, model.heads_)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": np.where(np.arange(600) > 3, 1.0, np.nan)}, "groups must not be missing, got nan at position 0"),
        ({"groups": [None] + ["a"] * 599}, "groups must not be missing, got None at position 0"),
        ({"groups": ["a"]}, "groups must have one label for each of 600 samples, got 1"),
        ({"y": [None] + ["a", "b"] * 299 + ["a"]}, "y must not be missing, got None at position 0"),
        ({"y": ["a", "a\0"] * 300}, "y must be text without NUL characters"),
        ({"y": [2**63, -1] * 300}, "y must be numbers that 64 bits hold exactly"),
        ({"y": np.ma.masked_equal(labels_of(X, 0), 2)}, "y must not be masked"),
        ({"X": np.ma.masked_less(X, 0)}, "X must not be masked"),
        ({"annotators": np.ma.masked_equal(np.arange(600), 2)}, "annotators must not be missing, got None at positi"),
        ({"validation": np.ma.masked_equal(np.arange(600), 2)}, "validation must not be masked"),
        ({"sample_weight": np.ma.masked_equal(np.arange(600.0), 2)}, "sample_weight must be finite, got nan"),
        ({"sample_weight": np.zeros(600)}, "sample_weight must not be negative and not all zero"),
    ],
)
def test_what_is_missing_or_masked_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(**{"X": X, "y": labels_of(X, 0)} | changes)


def test_samples_in_another_order_are_refused(model):
    frame = pd.DataFrame(X, index=[f"clip{i}" for i in range(600)]).add_prefix("f")
    ratings = Ratings.from_rows(labels_of(X, 0), "ann", samples=frame.index[::-1], classes=True)
    for ask in (quick().fit, model.score, model.select_annotator):
        with pytest.raises(ValueError, match="X and the ratings are not of the same samples in the same order: row 0"):
            ask(frame, ratings)
