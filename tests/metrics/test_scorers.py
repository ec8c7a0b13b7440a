import copy
import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser.metrics import (
    ccc_score,
    ccc_scorer,
    ccc_scorers,
    consensus_ccc_score,
    consensus_ccc_scorer,
    individual_ccc_score,
    individual_ccc_scorer,
)
from tests.cases import ragged


class Recall(RegressorMixin, BaseEstimator):
    """Predict each rating perfectly and each sample as zero, to see which of the two was asked for."""

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def predict_ratings(self, X, ratings):
        assert len(X) == len(ratings)
        return ratings

    def __sklearn_is_fitted__(self):
        return True


@pytest.fixture
def ratings():
    return ragged(n_samples=60, n_annotators=5, seed=3)


@pytest.fixture
def X(ratings):
    return np.random.default_rng(0).normal(size=(60, 4)) + ratings.consensus()[:, None]


def test_cross_validate_with_all_scorers_scores_each_fold(X, ratings):
    result = cross_validate(Ridge(), X, ratings, cv=3, scoring=ccc_scorers, return_indices=True, return_estimator=True)
    for fold, (model, test) in enumerate(zip(result["estimator"], result["indices"]["test"], strict=True)):
        pred = model.predict(X[test])
        assert result["test_ccc_individual"][fold] == individual_ccc_score(ratings[test], pred)
        assert result["test_ccc_consensus"][fold] == consensus_ccc_score(ratings[test], pred)
        assert result["test_ccc_rater_blind"][fold] == ccc_score(ratings[test], pred)
    assert result["test_ccc_rater_blind"].min() > 0.3


@pytest.mark.parametrize("scorer", ccc_scorers.values(), ids=ccc_scorers)
def test_scorers_work_alone_and_on_plain_arrays(scorer, X, ratings):
    model = Ridge().fit(X, ratings)
    y = ratings.consensus()
    assert scorer(model, X, y) == ccc_score(y, model.predict(X))
    assert isinstance(scorer(model, X, y), float)
    assert np.isfinite(cross_val_score(Ridge(), X, ratings, scoring=scorer, cv=3)).all()
    assert check_scoring(Ridge(), scoring=scorer) is get_scorer(scorer)


@pytest.mark.parametrize("scorer", ccc_scorers.values(), ids=ccc_scorers)
def test_a_constant_prediction_scores_zero(scorer, X, ratings):
    assert scorer(DummyRegressor().fit(X, ratings), X, ratings) == 0


@pytest.mark.parametrize(
    "model",
    [
        Recall(),
        make_pipeline(Recall()),
        make_pipeline(StandardScaler(), Recall()),
        make_pipeline(StandardScaler(), "passthrough", Recall()),
        GridSearchCV(Recall(), {}, cv=2, scoring=ccc_scorer),
        GridSearchCV(make_pipeline(StandardScaler(), Recall()), {}, cv=2, scoring=ccc_scorer),
    ],
    ids=["bare", "pipeline", "scaled", "passthrough", "search", "search_of_pipeline"],
)
def test_a_model_of_annotators_predicts_each_rating(model, X, ratings):
    model.fit(X, ratings)
    assert individual_ccc_scorer(model, X, ratings) == pytest.approx(1)
    assert consensus_ccc_scorer(model, X, ratings) == pytest.approx(1)
    assert ccc_scorer(model, X, ratings) == 0


def test_a_scaler_before_a_model_of_annotators_is_applied(X, ratings):
    class Features(Recall):
        def predict_ratings(self, X, ratings):
            assert_allclose(X.mean(axis=0), 0, atol=1e-9)
            return ratings

    model = make_pipeline(StandardScaler(), Features()).fit(X + 50, ratings)
    assert individual_ccc_scorer(model, X + 50, ratings) == pytest.approx(1)


@pytest.mark.parametrize("scorer", ccc_scorers.values(), ids=ccc_scorers)
def test_scorers_survive_pickling(scorer, X, ratings):
    model = Ridge().fit(X, ratings)
    assert pickle.loads(pickle.dumps(scorer))(model, X, ratings) == scorer(model, X, ratings)


def test_scorers_choose_in_a_grid_search(X, ratings):
    search = GridSearchCV(Ridge(), {"alpha": [1e-3, 1e6]}, scoring=ccc_scorers, refit="ccc_individual", cv=3)
    search.fit(X, ratings)
    assert search.best_params_ == {"alpha": 1e-3}
    assert search.score(X, ratings) == individual_ccc_scorer(search, X, ratings)


@pytest.mark.parametrize("scoring", [*ccc_scorers.values(), ccc_scorers], ids=[*ccc_scorers, "all"])
def test_scorers_work_with_metadata_routing(scoring, X, ratings):
    groups = np.arange(60) // 4
    plain = cross_validate(Ridge(), X, ratings, cv=GroupKFold(3), scoring=scoring, groups=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(Ridge(), X, ratings, cv=GroupKFold(3), scoring=scoring, params={"groups": groups})
    for name in plain:
        if name.startswith("test_"):
            assert_array_equal(routed[name], plain[name])


def test_weights_are_routed_to_the_scorer_that_takes_them(X, ratings):
    weight = np.arange(60) % 2.0
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = copy.deepcopy(ccc_scorer).set_score_request(sample_weight=True)
        scoring = {"weighted": weighted, "individual": individual_ccc_scorer}
        result = cross_validate(
            Ridge().set_fit_request(sample_weight=False),
            X,
            ratings,
            cv=3,
            scoring=scoring,
            params={"sample_weight": weight},
            return_indices=True,
            return_estimator=True,
        )
    for fold, (model, test) in enumerate(zip(result["estimator"], result["indices"]["test"], strict=True)):
        pred = model.predict(X[test])
        assert result["test_weighted"][fold] == ccc_score(ratings[test], pred, sample_weight=weight[test])
        assert result["test_individual"][fold] == individual_ccc_score(ratings[test], pred)
