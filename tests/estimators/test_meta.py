"""Meta-estimators make an array of y: who rated is lost with a word, or kept by metadata routing."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, TunedThresholdClassifierCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_annoser import AnnotatorMappedClassifier, AnnotatorMapper, Ratings
from sklearn_annoser.ratings._lost import lost_ratings
from tests.estimators.cases import RATINGS, X, enrollment
from tests.planted import quick, trained

ONE = RATINGS.with_outputs(RATINGS.values[:, :1], ["activation"])
LOSING = {
    "TransformedTargetRegressor": lambda own: (TransformedTargetRegressor(own, transformer=StandardScaler()), RATINGS),
    "TransformedTargetRegressor, exp": lambda own: (
        TransformedTargetRegressor(own, func=np.exp, inverse_func=np.log, check_inverse=False),
        ONE,
    ),
    "TransformedTargetRegressor, falling": lambda own: (
        TransformedTargetRegressor(own, func=np.negative, inverse_func=np.negative),
        RATINGS,
    ),
    "BaggingRegressor": lambda own: (BaggingRegressor(own, n_estimators=1), RATINGS),
    "BaggingRegressor of a part": lambda own: (BaggingRegressor(own, n_estimators=1, max_samples=0.3), RATINGS),
    "VotingRegressor": lambda own: (VotingRegressor([("own", own), ("ridge", Ridge())]), ONE),
    "StackingRegressor": lambda own: (StackingRegressor([("own", own)], cv=2), ONE),
    "MultiOutputRegressor": lambda own: (MultiOutputRegressor(own), RATINGS),
    "RegressorChain": lambda own: (RegressorChain(own), RATINGS),
    "a pipeline in a VotingRegressor": lambda own: (
        VotingRegressor([("own", make_pipeline(StandardScaler(), own))]),
        ONE,
    ),
}
MESSAGE = "y is the consensus of Ratings by 12 annotators, who are lost"


@pytest.mark.parametrize("name", LOSING)
def test_a_meta_estimator_that_loses_who_rated_says_so(name):
    model, y = LOSING[name](quick())
    with pytest.warns(UserWarning, match=MESSAGE):
        model.fit(X, y)


@pytest.mark.parametrize("name", [name for name in LOSING if "Stacking" not in name and "pipeline" not in name])
def test_metadata_routing_keeps_who_rated(name):
    rows, who = X[RATINGS.rows], RATINGS.annotators[RATINGS.codes]
    with config_context(enable_metadata_routing=True):
        own = quick(max_epochs=1).set_fit_request(annotators=True)
        model, y = LOSING[name](own)
        values = y.values[:, 0] if y.n_outputs == 1 else y.values
        model.fit(rows, values, annotators=who)
    inner = getattr(model, "regressor_", None) or model.estimators_[0]
    assert len(inner.annotators_) == 12 or "part" in name


def test_a_mapper_in_a_meta_estimator_says_so():
    source = trained()
    mapper = AnnotatorMapper(FrozenEstimator(source), min_ratings=1)
    with pytest.warns(UserWarning, match=MESSAGE):
        TransformedTargetRegressor(mapper, func=np.copy, inverse_func=np.copy).fit(X, RATINGS)


def test_who_means_the_consensus_is_not_told(recwarn):
    made = np.asarray(RATINGS)
    quick(max_epochs=1).fit(X, made)
    cross_val_score(quick(max_epochs=1), X, made, cv=2)
    cross_val_score(make_pipeline(SelectKBest(f_regression, k=5), quick(max_epochs=1)), X, ONE, cv=2, scoring="r2")
    quick(max_epochs=1).fit(X, RATINGS.consensus())
    VotingRegressor([("own", quick(max_epochs=1))]).fit(X, made[:, 0])
    BaggingRegressor(quick(max_epochs=1, variant="aggregate"), n_estimators=1).fit(X, RATINGS)
    assert [str(each.message) for each in recwarn.list] == []


class Meta(BaseEstimator):
    """A meta-estimator that makes an array of y, and something of that array."""

    def fit(self, y, change):
        return lost_ratings(change(np.asarray(y)))


def test_other_arrays_are_not_taken_for_a_consensus():
    ratings = Ratings.from_dense(np.random.RandomState(0).normal(size=(50, 3)))
    for change in (
        np.copy,
        lambda made: made[10:30],
        lambda made: MinMaxScaler().fit_transform(made[:, None]),
        lambda made: -5 * made,
    ):
        assert Meta().fit(ratings, change) is ratings
    for other in (
        lambda made: made[::-1] * 2,
        lambda made: made + np.arange(50),
        lambda made: made[:4] + 0.1,
        lambda made: np.round(made) - 0.5,
    ):
        assert Meta().fit(ratings, other) is None
    alone = Ratings.from_rows(np.random.RandomState(1).normal(size=50), "ann")
    assert Meta().fit(alone, np.copy) is None
    assert lost_ratings(np.asarray(ratings)) is None  # by no estimator


def test_enrolling_one_person_with_an_array_is_not_told(recwarn):
    np.asarray(RATINGS)
    trained().select_annotator(*enrollment())
    assert [str(each.message) for each in recwarn.list] == []


def some_classes():
    return Ratings.from_dense(np.random.RandomState(0).choice(["calm", "angry"], size=(90, 3)), classes=True)


CLASSIFIER = AnnotatorMappedClassifier(n_hidden=8, max_epochs=2, random_state=0)
LOSING_CLASSES = [
    BaggingClassifier(CLASSIFIER, n_estimators=1),
    OneVsRestClassifier(CLASSIFIER),
    StackingClassifier([("own", CLASSIFIER)], cv=2),
    VotingClassifier([("own", CLASSIFIER)]),
]


@pytest.mark.parametrize("model", LOSING_CLASSES, ids=lambda model: type(model).__name__)
def test_a_meta_classifier_that_loses_who_rated_says_so(model):
    with pytest.warns(UserWarning, match="y is the plurality of Ratings by 3 annotators, who are lost"):
        clone(model).fit(X[:90], some_classes())


def test_these_keep_who_labelled():
    calibrated = CalibratedClassifierCV(CLASSIFIER, cv=2).fit(X[:90], some_classes())
    tuned = TunedThresholdClassifierCV(CLASSIFIER, cv=2).fit(X[:90], some_classes())
    for inner in (calibrated.calibrated_classifiers_[0].estimator, tuned.estimator_):
        assert inner.annotators_.tolist() == [0, 1, 2]


def test_a_classifier_is_not_trained_on_the_mean_of_class_numbers():
    rng = np.random.RandomState(0)
    labels = np.stack([rng.choice([0, 2], 90), rng.choice([0, 2], 90)], axis=1)
    model = AnnotatorMappedClassifier(n_hidden=8, max_epochs=2, random_state=0)
    declared = Ratings.from_dense(labels, classes=True)
    options = {"cv": KFold(3), "method": "predict_proba"}
    with pytest.warns(UserWarning, match="y is the plurality of Ratings by 2 annotators, who are lost"):
        assert cross_val_predict(model, X[:90], declared, **options).shape == (90, 2)
    with pytest.raises(ValueError, match="of numbers, whose mean is no label"):
        cross_val_predict(model, X[:90], Ratings.from_dense(labels), **options)
