import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score, learning_curve, train_test_split
from sklearn.tree import DecisionTreeRegressor

from sklearn_annoser import Ratings
from tests.cases import CASES, dense, empty_rows, every_rated_case, half, ragged


def features_of(ratings, seed=0):
    """Draw features of which the first says much about the consensus."""
    X = np.random.default_rng(seed).normal(size=(len(ratings), 5))
    X[:, 0] += 3 * ratings.consensus().reshape(len(ratings), -1)[:, 0]
    return X


@pytest.fixture
def ratings():
    return ragged(n_samples=60, n_annotators=5, seed=3, samples=np.arange(60))


@pytest.fixture
def X(ratings):
    return features_of(ratings)


# ---------------------------------------------------------------------- as an array


@every_rated_case
def test_as_an_array_ratings_are_their_consensus(ratings):
    array = np.asarray(ratings)
    assert_array_equal(array, ratings.consensus())
    assert (array.shape, array.ndim, len(array)) == (ratings.shape, ratings.ndim, len(ratings))
    assert np.asarray(ratings, dtype=np.float32).dtype == np.float32


def test_samples_without_rating_have_no_array():
    with pytest.raises(
        ValueError, match=r"4 of 8 samples have no rating \(the first is at position 0\).*Keep the rated"
    ):
        np.asarray(empty_rows())


def test_the_way_out_that_the_message_names_works():
    ratings = empty_rows()
    rated = (ratings.counts("sample") > 0).to_numpy()
    assert np.isfinite(np.asarray(ratings[rated])).all()
    assert len(ratings[rated]) == 4


def test_an_array_without_a_copy_is_refused():
    with pytest.raises(ValueError, match="the consensus is computed"):
        dense().__array__(copy=False)


def test_without_a_consensus_of_an_output_there_is_no_array():
    with pytest.raises(ValueError, match=r"1 samples have no rating of some output .*'activation' at position 1"):
        np.asarray(half())


# ---------------------------------------------------------------------- in scikit-learn


def test_train_test_split_keeps_rows_together(X, ratings):
    X_train, X_test, train, test = train_test_split(X, ratings, test_size=0.25, random_state=0)
    assert isinstance(train, Ratings)
    assert (len(train), len(test)) == (45, 15)
    assert_array_equal(X[train.samples], X_train)
    assert test == ratings[test.samples]
    assert_array_equal(X[test.samples], X_test)


@pytest.mark.parametrize(
    ("splitter", "groups"), [(KFold(4), None), (GroupKFold(4), np.arange(60) // 3)], ids=["KFold", "GroupKFold"]
)
def test_splitters_cover_all_ratings_once(splitter, groups, X, ratings):
    folds = [ratings[test] for _, test in splitter.split(X, ratings, groups)]
    assert sum(fold.n_ratings for fold in folds) == ratings.n_ratings
    assert sorted(np.concatenate([fold.samples for fold in folds])) == list(range(60))


def test_group_folds_share_no_group(X, ratings):
    groups = np.arange(60) % 7
    for train, test in GroupKFold(3).split(X, ratings, groups):
        assert not set(groups[ratings[train].samples]) & set(groups[ratings[test].samples])


def test_select_k_best_finds_the_feature_of_the_consensus(X, ratings):
    selector = SelectKBest(f_regression, k=1).fit(X, ratings)
    assert selector.get_support().tolist() == [True, False, False, False, False]
    assert_array_equal(selector.scores_, f_regression(X, ratings.consensus())[0])


@pytest.mark.parametrize(
    "model",
    [
        Ridge(),
        DecisionTreeRegressor(random_state=0),
        BaggingRegressor(Ridge(), n_estimators=3, random_state=0),
        StackingRegressor([("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=2, random_state=0))], cv=3),
        TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
    ],
    ids=lambda model: type(model).__name__,
)
def test_plain_regressors_learn_the_consensus(model, X, ratings):
    on_ratings = model.fit(X, ratings).predict(X)
    assert_array_equal(on_ratings, model.fit(X, ratings.consensus()).predict(X))
    assert model.score(X, ratings) == model.score(X, ratings.consensus()) > 0.5


def test_ridge_learns_the_consensus_of_several_outputs():
    ratings = CASES["ragged_two_outputs"]
    X = features_of(ratings)
    model = Ridge().fit(X, ratings)
    assert_array_equal(model.coef_, Ridge().fit(X, ratings.consensus()).coef_)
    assert model.coef_.shape == (2, 5)


def test_cross_val_score_of_ratings_is_that_of_the_consensus(X, ratings):
    scores = cross_val_score(Ridge(), X, ratings, cv=4, scoring="r2")
    assert_array_equal(scores, cross_val_score(Ridge(), X, ratings.consensus(), cv=4, scoring="r2"))
    assert scores.min() > 0.5


def test_permutation_importance_finds_the_feature_of_the_consensus(X, ratings):
    model = LinearRegression().fit(X, ratings)
    importances = permutation_importance(model, X, ratings, n_repeats=3, random_state=0).importances_mean
    assert importances.argmax() == 0
    expected = permutation_importance(model, X, ratings.consensus(), n_repeats=3, random_state=0).importances_mean
    assert_array_equal(importances, expected)


def test_learning_curve_of_ratings_is_that_of_the_consensus(X, ratings):
    kwargs = {"cv": 3, "train_sizes": [10, 40], "shuffle": True, "random_state": 0}
    sizes, train, test = learning_curve(Ridge(), X, ratings, **kwargs)
    expected = learning_curve(Ridge(), X, ratings.consensus(), **kwargs)
    assert sizes.tolist() == [10, 40]
    assert_array_equal(train, expected[1])
    assert_array_equal(test, expected[2])


def test_lengths_that_differ_are_refused_by_scikit_learn(X, ratings):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Ridge().fit(X[:-1], ratings)


def test_unrated_samples_are_refused_by_a_plain_regressor():
    ratings = empty_rows()
    with pytest.raises(ValueError, match="samples have no rating"):
        Ridge().fit(np.ones((8, 2)), ratings)
