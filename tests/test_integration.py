"""The estimators inside scikit-learn's machinery: pipelines, searches, workers, routing, persistence, pictures."""

import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import VotingRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.metrics import ccc_score, ccc_scorers
from tests.planted import corpora, quick, ratings_of, trained

SOURCE, TARGET = corpora()
X, RATINGS, GROUPS = SOURCE.X[:240], SOURCE.ratings[:240], SOURCE.groups[:240]
VALUES, WHO = RATINGS.consensus(), np.array(["ann", "bob", "cy"])[np.arange(240) % 3]
FRAME = pd.DataFrame(X).add_prefix("f").assign(speaker=np.where(GROUPS % 2, "anna", "bert"))
STEP = "annotatormappedregressor"


# ---------------------------------------------------------------------- pipelines


def test_a_pipeline_fits_and_scores_ratings():
    model = make_pipeline(StandardScaler(), quick(max_epochs=30)).fit(SOURCE.X, SOURCE.ratings)
    assert model.score(SOURCE.X, SOURCE.ratings) > 0.4
    features, values = ratings_of(TARGET, "target_000")
    label = model[-1].select_annotator(model[:-1].transform(features), values)
    expected = model[-1].predict(model[:-1].transform(X), annotator=label)
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-6)


def test_named_columns_go_through_a_column_transformer_without_a_warning():
    numbers = [name for name in FRAME if name != "speaker"]
    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(sparse_output=False), ["speaker"]))
    model = make_pipeline(columns.set_output(transform="pandas"), quick()).fit(FRAME, RATINGS)
    assert model[-1].n_features_in_ == 18
    assert model[-1].feature_names_in_[-1] == "onehotencoder__speaker_bert"
    assert model.predict(FRAME).shape == (240, 2)
    transformed = model[:-1].transform(FRAME)
    assert model[-1].select_annotator(transformed, RATINGS.keep_annotators(["source_003"])) in model[-1].annotators_


def test_steps_that_want_plain_targets_take_the_consensus():
    one = Ratings(RATINGS.indptr, RATINGS.codes, RATINGS.values[:, 0], annotators=RATINGS.annotators)
    model = make_pipeline(SelectKBest(f_regression, k=5), quick()).fit(X, one)
    assert model[-1].n_features_in_ == 5
    assert len(model[-1].annotators_) == RATINGS.n_annotators


def test_targets_may_be_transformed():
    model = TransformedTargetRegressor(quick(), transformer=MinMaxScaler((1, 7))).fit(X, VALUES)
    assert model.predict(X).shape == (240, 2)
    assert ccc_score(VALUES, model.predict(X)) > 0


def test_it_votes_beside_other_regressors():
    model = VotingRegressor([("ridge", Ridge()), ("heads", quick())]).fit(X, VALUES[:, 0])
    expected = (Ridge().fit(X, VALUES[:, 0]).predict(X) + quick().fit(X, VALUES[:, 0]).predict(X)) / 2
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-6)


# ---------------------------------------------------------------------- splitting and searching


def test_ratings_are_split_with_their_samples():
    parts = train_test_split(X, RATINGS, GROUPS, test_size=0.25, random_state=0)
    assert parts[2] == RATINGS[train_test_split(np.arange(240), test_size=0.25, random_state=0)[0]]
    assert quick().fit(parts[0], parts[2], groups=parts[4]).score(parts[1], parts[3]) > -1


def test_cross_validation_fits_each_fold_on_its_own_ratings():
    results = cross_validate(
        quick(on_unknown="consensus"), X, RATINGS, groups=GROUPS, cv=GroupKFold(3), scoring=ccc_scorers,
        return_estimator=True,
    )  # fmt: skip
    for fold, (train, _) in enumerate(GroupKFold(3).split(X, groups=GROUPS)):
        alone = quick().fit(X[train], RATINGS[train])
        np.testing.assert_array_equal(results["estimator"][fold].heads_, alone.heads_)
    assert np.isfinite(results["test_ccc_individual"]).all()


def test_predictions_of_all_folds_make_up_the_whole():
    predicted = cross_val_predict(quick(), X, VALUES, cv=KFold(3))
    for train, test in KFold(3).split(X):
        np.testing.assert_allclose(predicted[test], quick().fit(X[train], VALUES[train]).predict(X[test]), atol=1e-6)


def test_a_grid_search_over_a_pipeline_prefers_what_trains():
    model = make_pipeline(StandardScaler(), quick(max_epochs=10, early_stopping=False))
    search = GridSearchCV(model, {f"{STEP}__lr": [1e-7, 0.05]}, cv=GroupKFold(2), error_score="raise")
    search.fit(X, RATINGS, groups=GROUPS)
    assert search.best_params_ == {f"{STEP}__lr": 0.05}
    assert search.best_estimator_[-1].annotators_.tolist() == RATINGS.annotators.tolist()


# ---------------------------------------------------------------------- workers


def threads_of_torch(estimator, X, y):
    """Return, as a score, the threads that torch uses where the scoring runs."""
    return torch.get_num_threads()


def test_workers_give_the_numbers_of_a_single_process():
    scores = [
        cross_validate(quick(), X, RATINGS, cv=2, n_jobs=n_jobs, error_score="raise")["test_score"] for n_jobs in (1, 2)
    ]
    np.testing.assert_allclose(*scores, atol=1e-6)


def test_workers_do_not_take_more_threads_than_there_are_cores():
    results = cross_validate(quick(), X, RATINGS, cv=2, n_jobs=2, scoring=threads_of_torch, error_score="raise")
    assert 2 * max(results["test_score"]) <= max(joblib.cpu_count(), 2)


# ---------------------------------------------------------------------- metadata


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def requesting(**changes):
    return quick(**changes).set_fit_request(annotators=True, groups=True)


def expected_heads(rows, groups=None):
    scaled = StandardScaler().fit_transform(X[rows])
    return quick().fit(scaled, VALUES[rows], annotators=WHO[rows], groups=groups).heads_


@pytest.mark.usefixtures("routing")
def test_annotators_and_groups_are_routed_to_fit_in_cross_validation():
    model = make_pipeline(StandardScaler(), requesting())
    results = cross_validate(
        model, X, VALUES, cv=GroupKFold(3), params={"annotators": WHO, "groups": GROUPS}, return_estimator=True
    )
    for fold, (train, _) in enumerate(GroupKFold(3).split(X, groups=GROUPS)):
        found = results["estimator"][fold][-1]
        assert found.annotators_.tolist() == ["ann", "bob", "cy"]
        np.testing.assert_array_equal(found.heads_, expected_heads(train, GROUPS[train]))


@pytest.mark.usefixtures("routing")
def test_annotators_and_groups_are_routed_to_fit_in_a_grid_search():
    model = make_pipeline(StandardScaler(), requesting())
    search = GridSearchCV(model, {f"{STEP}__lr": [0.05]}, cv=GroupKFold(3), error_score="raise")
    search.fit(X, VALUES, annotators=WHO, groups=GROUPS)
    np.testing.assert_array_equal(search.best_estimator_[-1].heads_, expected_heads(slice(None), GROUPS))


@pytest.mark.usefixtures("routing")
def test_the_annotator_to_predict_and_weights_to_score_by_are_routed():
    model = make_pipeline(StandardScaler(), requesting().set_predict_request(annotator=True))
    model.fit(X, VALUES, annotators=WHO)
    expected = model[-1].predict(model[:-1].transform(X), annotator="bob")
    np.testing.assert_array_equal(model.predict(X, annotator="bob"), expected)
    weighted = quick().set_fit_request(groups=False, sample_weight=False).set_score_request(sample_weight=True)
    weight = np.arange(240.0)
    found = cross_validate(weighted, X, VALUES, cv=2, params={"sample_weight": weight})["test_score"][0]
    fitted = quick().fit(X[120:], VALUES[120:])
    assert found == pytest.approx(fitted.score(X[:120], VALUES[:120], weight[:120]))


@pytest.mark.usefixtures("routing")
def test_a_mapper_gets_its_annotators_routed_too():
    mapper = AnnotatorMapper(FrozenEstimator(trained()), random_state=0).set_fit_request(annotators=True)
    results = cross_validate(
        mapper, X, VALUES, cv=3, params={"annotators": WHO}, return_estimator=True, error_score="raise"
    )
    assert results["estimator"][0].mapping_.index.tolist() == ["ann", "bob", "cy"]


def test_without_routing_annotators_and_groups_go_through_params():
    model = make_pipeline(StandardScaler(), quick())
    params = {f"{STEP}__annotators": WHO, f"{STEP}__groups": GROUPS}
    results = cross_validate(
        model, X, VALUES, groups=GROUPS, cv=GroupKFold(3), params=params, return_estimator=True, error_score="raise"
    )
    train, _ = next(GroupKFold(3).split(X, groups=GROUPS))
    np.testing.assert_array_equal(results["estimator"][0][-1].heads_, expected_heads(train, GROUPS[train]))
    search = GridSearchCV(model, {f"{STEP}__lr": [0.05]}, cv=GroupKFold(3), error_score="raise")
    search.fit(X, VALUES, groups=GROUPS, **{f"{STEP}__annotators": WHO})
    np.testing.assert_array_equal(search.best_estimator_[-1].heads_, expected_heads(slice(None)))


# ---------------------------------------------------------------------- persistence and pictures


def test_a_fresh_process_loads_models_that_predict_the_same(tmp_path):
    model = make_pipeline(StandardScaler(), quick()).fit(X, RATINGS)
    label = model[-1].select_annotator(*ratings_of(TARGET, "target_000"), calibration="affine")
    mapper = AnnotatorMapper(FrozenEstimator(model), random_state=0).fit(TARGET.X, TARGET.ratings)
    joblib.dump((model, mapper, X), tmp_path / "models.joblib")
    code = (
        "import joblib, numpy, sys\n"
        "model, mapper, X = joblib.load(sys.argv[1])\n"
        "print(model[-1].selected_annotator_)\n"
        "numpy.savez(sys.argv[2], model=model.predict(X), mapper=mapper.predict(X, annotator='target_003'))\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path / "models.joblib", tmp_path / "predicted.npz"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == label
    with np.load(tmp_path / "predicted.npz") as predicted:
        np.testing.assert_allclose(predicted["model"], model.predict(X), atol=1e-6)
        np.testing.assert_allclose(predicted["mapper"], mapper.predict(X, annotator="target_003"), atol=1e-6)


def test_estimators_show_what_was_set_as_text_and_as_html():
    model = make_pipeline(StandardScaler(), quick(n_hidden=8))
    mapper = AnnotatorMapper(FrozenEstimator(model.fit(X, RATINGS)), strategy="top-n")
    assert "n_hidden=8" in repr(model)
    assert "strategy='top-n'" in repr(mapper)
    for shown in (model, mapper, mapper.fit(X, RATINGS)):
        html = estimator_html_repr(shown)
        assert "AnnotatorMappedRegressor" in html
