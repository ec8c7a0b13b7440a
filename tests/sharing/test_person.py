import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.estimators import PersonRegressor
from sklearn_annoser.metrics import ccc_score
from sklearn_annoser.sharing import load, save
from tests.sharing.cases import MODELS, NEW, NEW_RATINGS, RATINGS, X_NEW, X, classes, fitted, mapper, one, regressor

PEOPLE = [name for name in MODELS if name not in ("net", "pipeline", "table")]


def predictions(model, data, **who):
    """Return all that a model predicts."""
    found = [model.predict(data, **who)]
    if hasattr(model, "predict_proba"):
        shares = model.predict_proba(data, **who)
        found += shares if isinstance(shares, list) else [shares]
    return found


def assert_equal(mine, theirs):
    for each, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(each, other)
        assert each.dtype == other.dtype


@pytest.mark.parametrize("name", PEOPLE)
def test_a_person_alone_predicts_the_same_to_the_last_bit(name, tmp_path):
    model, data = fitted(name)
    for annotator in (*model.annotators_[[0, -1]], None):
        person = model.of(annotator)
        expected = predictions(model, data, annotator=annotator)
        for each in (
            person,
            load(save(person, tmp_path / "person.skops")),
            pickle.loads(pickle.dumps(person)),
            clone(person),
        ):
            assert_equal(predictions(each, data), expected)
        own = person[-1] if isinstance(person, Pipeline) else person
        assert own.annotator_ == annotator
        assert own.outputs_ == model.outputs_
        assert person.n_features_in_ == model.n_features_in_
        assert getattr(person, "feature_names_in_", np.array([])).tolist() == (
            list(data.columns) if hasattr(data, "columns") else []
        )


@pytest.mark.parametrize("name", PEOPLE)
def test_nothing_of_anybody_else_is_in_it(name, tmp_path):
    model, _ = fitted(name)
    who = model.annotators_[-1]
    person = model.of(who)
    whole = pickle.dumps(person)
    others = [*model.annotators_.tolist(), *RATINGS.annotators.tolist()]
    assert str(who).encode() in whole
    assert [each for each in others if each != who and each.encode() in whole] == []
    own = person[-1] if isinstance(person, Pipeline) else person
    network = own._net.module_
    n_heads = network.members.heads.shape[1] if hasattr(network, "members") else len(network.heads)
    assert n_heads == 0
    assert not hasattr(own, "prior_")
    n_weights = sum(each.numel() for each in network.state_dict().values())
    assert len(whole) < 4 * n_weights + 30_000
    assert save(person, tmp_path / "person.skops").stat().st_size < 4 * n_weights + 60_000


def test_a_model_with_many_annotators_gives_small_people(tmp_path):
    heads = np.random.RandomState(0).normal(size=(3000, *one().heads_.shape[1:]))
    many = one().with_heads([f"somebody {number}" for number in range(3000)], heads)
    assert len(pickle.dumps(many)) > 10 * len(pickle.dumps(many.of("somebody 7")))


def test_an_unknown_annotator_is_an_error_that_names_near_ones():
    model, _ = fitted("mapper")
    with pytest.raises(ValueError, match=r"'target_03' is not in the fitted annotators. It has 20, for .*'target_003'"):
        model.of("target_03")
    with pytest.raises(ValueError, match="annotator 3 is not in"):
        model.of(3)
    with pytest.raises(ValueError, match="annotator must be a single label"):
        model.of(["target_003"])
    for unfitted in (regressor(), AnnotatorMapper(one())):
        with pytest.raises(NotFittedError):
            unfitted.of("target_003")


def test_somebody_who_is_not_trusted_has_no_model():
    model = mapper(one(), min_expected_score=1.0, fallback="nan").fit(X_NEW, NEW_RATINGS)
    with pytest.raises(ValueError, match="'target_003' is not trusted"):
        model.of(NEW)


def test_a_foreign_source_has_no_network_to_take_along():
    class Foreign(BaseEstimator):
        outputs_, prior_, annotators_ = one().outputs_, one().prior_, one().annotators_
        _unit_scale, _unit_heads = one()._unit_scale, one()._unit_heads
        n_features_in_ = X.shape[1]

        def fit(self, X, y):
            return self

        def __sklearn_is_fitted__(self):
            return True

        def iter_hidden(self, X):
            return one().iter_hidden(X)

    with pytest.raises(TypeError, match="a Foreign has no network that could be taken along"):
        mapper(Foreign()).fit(X_NEW, NEW_RATINGS).of(NEW)


def test_fit_and_clone_leave_a_person_as_they_are():
    person = fitted("blend")[0].of(NEW)
    rows, values = NEW_RATINGS.of(NEW)
    before = person.predict(X_NEW)
    scores = cross_val_score(person, X_NEW[rows], values, cv=2)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(person.fit(X).predict(X_NEW), before)
    with pytest.raises(NotFittedError):
        PersonRegressor().predict(X)
    with pytest.raises(NotFittedError):
        PersonRegressor().fit(X)


def test_a_person_is_scored_by_their_own_ratings():
    person = fitted("blend")[0].of(NEW)
    rows, values = NEW_RATINGS.of(NEW)
    expected = ccc_score(values, person.predict(X_NEW[rows]))
    assert person.score(X_NEW, NEW_RATINGS) == person.score(X_NEW[rows], values) == expected
    labels = classes()
    person = fitted("classifier")[0].of("source_002")
    rows, values = labels.of("source_002")
    assert person.score(X, labels) == np.mean(person.predict(X[rows]) == values)


def test_one_output_is_one_dimensional():
    model = regressor().fit(X, RATINGS.with_outputs(RATINGS.values[:, 0], ["one"]))
    assert model.predict(X).ndim == 1
    assert model.of("source_001").predict(X).shape == model.predict(X).shape


def test_wrong_features_are_refused_as_by_the_model():
    model, data = fitted("mapped table")
    person = model.of(NEW)
    with pytest.raises(ValueError, match="art"):
        person.predict(data.drop(columns="art"))
    with pytest.raises(ValueError, match=r"X has 2 features"):
        fitted("blend")[0].of(NEW).predict(X_NEW[:, :2])


def test_the_steps_of_a_pipeline_are_frozen_copies():
    source = make_pipeline(StandardScaler(), regressor()).fit(X, RATINGS)
    person = mapper(FrozenEstimator(source)).fit(X_NEW, NEW_RATINGS).of(NEW)
    before = person.predict(X_NEW)
    person.fit(X_NEW * 3, X_NEW[:, 0])
    source[0].fit(X * 100)
    np.testing.assert_array_equal(person.predict(X_NEW), before)


# ---------------------------------------------------------------------- as a torch module


@pytest.mark.parametrize("name", [name for name in PEOPLE if name != "mapped table"])
def test_the_module_of_a_person_says_the_same(name):
    model, data = fitted(name)
    person = model.of(model.annotators_[-1])
    with torch.no_grad():
        found = person.to_module()(torch.tensor(data, dtype=torch.float32))
    expected = predictions(person, data)[1:] or [person.predict(data).reshape(len(data), -1)]
    for each, other in zip(found if isinstance(found, tuple) else [found], expected, strict=True):
        np.testing.assert_allclose(each.numpy(), other, rtol=1e-5, atol=2e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning:torch", "ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")
@pytest.mark.parametrize("name", ["blend", "ordered"])
def test_a_person_goes_through_onnx(name, tmp_path):
    pytest.importorskip("onnxscript", reason="torch.onnx needs onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime", reason="without it the file cannot be run")
    model, data = fitted(name)
    module = model.of(model.annotators_[0]).to_module()
    path = tmp_path / "person.onnx"
    rows = torch.export.Dim("rows")
    torch.onnx.export(
        module, (torch.zeros(7, data.shape[1]),), path, input_names=["X"], dynamic_shapes=({0: rows},), verbose=False
    )
    session = onnxruntime.InferenceSession(path)
    for n in (1, 5, 100):
        X = data[:n].astype(np.float32)
        with torch.no_grad():
            expected = module(torch.from_numpy(X))
        for each, other in zip(
            session.run(None, {"X": X}), expected if isinstance(expected, tuple) else [expected], strict=True
        ):
            np.testing.assert_allclose(each, other.numpy(), rtol=1e-5, atol=1e-5)


def test_a_clipped_model_gives_clipped_persons(tmp_path):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 4))
    values = np.clip(np.round(4 + 3 * X[:, :1] + rng.normal(size=(60, 3)) / 2), 1, 7)
    ratings = Ratings.from_dense(values, annotators=["ann", "bob", "cat"], scale=(1, 7))
    model = AnnotatorMappedRegressor(clip=True, n_hidden=8, lr=0.1, max_epochs=15, random_state=0).fit(X, ratings)
    far = 10 * X
    expected = model.predict(far, annotator="ann")
    assert (expected.min(), expected.max()) == (1, 7)
    person = load(save(model.of("ann"), tmp_path / "ann.skops"))
    np.testing.assert_array_equal(person.predict(far), expected)
    with torch.no_grad():
        found = person.to_module()(torch.from_numpy(far.astype(np.float32))).numpy()[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
