import io
import json
import pickle
import re
import warnings
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import LRScheduler

import sklearn_annoser
from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper, MultiHeadNet, Ratings
from sklearn_annoser.sharing import load, save, trusted_types
from tests.sharing.cases import MODELS, NEW, NEW_RATINGS, QUICK, RATINGS, X_NEW, X, fitted, mapper, regressor

WARM = {"regressor", "consensus and variance", "aggregate", "committee", "no ridge"}


def everything(model, data):
    """Return all that a model says of some samples."""
    found = [model.predict(data)]
    if hasattr(model, "mapping_"):
        found += [model.predict_annotators(data), model.mapping_]
    if hasattr(model, "classes_"):
        found += [model.predict_proba(data), model.predict(data, annotator=model.annotators_[-1])]
    for name in ("history_", "selection_", "expected_score_", "heads_", "annotators_"):
        found += [getattr(model, name)] if hasattr(model, name) and not isinstance(model, MultiHeadNet) else []
    return found


def assert_same(mine, theirs):
    """Compare all that two models say, to the last bit."""
    for one, other in zip(mine, theirs, strict=True):
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, other)
        else:
            for each, twin in zip(
                *((part if isinstance(part, list) else [part]) for part in (one, other)), strict=True
            ):
                np.testing.assert_array_equal(each, twin)
                assert each.dtype == twin.dtype


def through_file(model, folder):
    return load(save(model, folder / "model.skops"))


def through_pickle(model, folder):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("way", [through_file, through_pickle])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_the_same_after_it_was_away(name, way, tmp_path):
    model, data = fitted(name)
    assert_same(everything(way(model, tmp_path), data), everything(model, data))


@pytest.mark.parametrize("name", MODELS)
def test_no_file_needs_other_types_than_ours(name):
    data = skops.io.dumps(fitted(name)[0])
    assert set(skops.io.get_untrusted_types(data=data)) <= set(trusted_types())
    skops.io.loads(data, trusted=trusted_types())


@pytest.mark.parametrize("name", sorted(WARM))
def test_a_loaded_model_goes_on_as_the_other_would(name, tmp_path):
    model = through_pickle(fitted(name)[0], None).partial_fit(X, RATINGS)  # now weights are moving
    twin = through_file(model, tmp_path)
    for each in (model, twin):
        each.partial_fit(X[:50], RATINGS[:50])
    np.testing.assert_array_equal(twin.heads_, model.heads_)
    assert twin.n_iter_ == model.n_iter_


@pytest.mark.parametrize("name", ["committee", "mapper", "mapped table"])
def test_a_loaded_model_is_cloned_and_fitted_anew(name, tmp_path):
    model, data = fitted(name)
    twin = through_file(model, tmp_path)
    empty = clone(twin) if name == "committee" else clone(twin).set_params(estimator=twin.estimator)
    assert not hasattr(empty, "annotators_")
    again = empty.fit(X, RATINGS) if name == "committee" else empty.fit(data, NEW_RATINGS)
    np.testing.assert_array_equal(again.predict_annotators(data), model.predict_annotators(data))


def test_a_loaded_regressor_enrols_somebody_new(tmp_path):
    model, _ = fitted("committee")
    twin = through_file(model, tmp_path)
    rows, values = NEW_RATINGS.of("target_001")
    for each in (twin, through_pickle(model, None)):
        each.select_annotator(X_NEW[rows], values, strategy="blend", calibration="affine")
    fresh = through_pickle(model, None)
    fresh.select_annotator(X_NEW[rows], values, strategy="blend", calibration="affine")
    np.testing.assert_array_equal(twin.predict(X), fresh.predict(X))


def test_models_that_were_never_fitted(tmp_path):
    for model in (AnnotatorCommittee(n_hidden=7), AnnotatorMapper(regressor()), MultiHeadNet(lr=0.5)):
        twin = through_file(model, tmp_path)
        assert type(twin) is type(model)
        assert twin.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    assert twin.lr == 0.5
    assert not twin.initialized_


@pytest.mark.parametrize("label", [str, lambda n: n, lambda n: n + 0.5, lambda n: f"Zoë {n} 李"])
def test_labels_stay_what_they_are(label, tmp_path):
    names = {name: label(number) for number, name in enumerate(RATINGS.annotators.tolist())}
    ratings = Ratings(
        RATINGS.indptr, RATINGS.codes, RATINGS.values, annotators=[names[each] for each in RATINGS.annotators.tolist()]
    )
    model = regressor().fit(X, ratings)
    twin = through_file(mapper(model).fit(X, ratings), tmp_path)
    assert twin.annotators_.tolist() == ratings.annotators.tolist()
    assert twin.annotators_.dtype == ratings.annotators.dtype
    assert set(twin.mapping_.source) <= set(ratings.annotators.tolist())
    assert all(type(each) is type(label(1)) for each in twin.mapping_.source)
    assert through_file(ratings, tmp_path) == ratings


# ---------------------------------------------------------------------- whole or not at all


def test_what_fails_leaves_the_file_that_was_there(tmp_path):
    path = save(regressor(), tmp_path / "models" / "größe.skops")
    before = path.read_bytes()
    callback = LRScheduler()
    with pytest.raises(ValueError, match=r"callbacks=.* cannot be saved"):
        save(regressor(callbacks=[("a", callback), ("b", (each for each in "ab"))]), path)
    with pytest.raises(ValueError, match="a lambda, or something defined inside a function"):
        save(make_pipeline(FunctionTransformer(lambda x: x), regressor()), path)
    with pytest.raises(ValueError, match="must be a file, got the folder"):
        save(regressor(), tmp_path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["größe.skops"]


# ---------------------------------------------------------------------- what files may say


class Halved(BaseEstimator):
    """Somebody else's step."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X / 2


def test_types_of_others_are_named_and_can_be_trusted(tmp_path):
    model = make_pipeline(Halved(), regressor())
    with pytest.warns(UserWarning, match=r"will have to trust types of others: trusted=\['tests.sharing.test_saved.H"):
        path = save(model, tmp_path / "model.skops")
    with pytest.raises(ValueError, match=r"not trusted: \['tests.sharing.test_saved.Halved'\].*trusted="):
        load(path)
    for trusted in ([Halved], ["tests.sharing.test_saved.Halved"], {Halved}):
        assert isinstance(load(path, trusted=trusted)[0], Halved)
    for trusted in (True, "tests.sharing.test_saved.Halved", None, Halved):
        with pytest.raises(TypeError, match="trusted must be a list of types"):
            load(path, trusted=trusted)
    with pytest.raises(TypeError, match="must hold types, or their names, got 3"):
        load(path, trusted=[3])


def test_a_model_of_others_is_loaded_too(tmp_path):
    model = Ridge().fit(X, RATINGS)
    np.testing.assert_array_equal(load(save(model, tmp_path / "a.skops")).coef_, model.coef_)


def damaged(path):
    """Walk over files that are not what they were, and what is said of them."""
    whole = path.read_bytes()
    rng = np.random.RandomState(0)
    yield b"", "no archive"
    yield whole[: len(whole) // 2], "no archive"
    yield whole[:-30], "no archive"
    yield pickle.dumps(regressor()), "no archive"
    yield b"PK\x03\x04 or so", "no archive"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("about.txt", "nothing")
    yield buffer.getvalue(), "an archive, but of something else"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", "[1, 2")
    yield buffer.getvalue(), "damaged, or holds no model"
    for _ in range(60):
        changed = bytearray(whole)
        for place in rng.randint(len(whole), size=20):
            changed[place] = rng.randint(256)
        yield bytes(changed), "damaged"


def what_comes_of(path, data):
    """Return what the model in a file predicts, or what is said of the file."""
    try:
        return load(path).predict(data)
    except ValueError as error:
        return str(error)


def test_damaged_and_foreign_files_are_named_as_such_and_never_something_else(tmp_path):
    model, data = fitted("mapper")
    path = save(model, tmp_path / "model.skops")
    expected = model.predict(data)
    for content, said in list(damaged(path)):
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = what_comes_of(path, data)
        if isinstance(found, str):
            assert repr(str(path)) in found
            assert said in found or said == "damaged"
        else:  # what was changed is no part of it
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.skops")
    with pytest.raises(ValueError, match="must be a file, got the folder"):
        load(tmp_path)
    joblib.dump(model, path)
    with pytest.raises(ValueError, match="A pickle is read by joblib"):
        load(path)


def rewritten(path, **changes):
    """Write the entries of an archive anew, some of them with other content."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            change = changes.get(name.partition(".")[0])
            archive.writestr(name, change(part) if change else part)


def test_a_newer_version_is_told(tmp_path, monkeypatch):
    path = save(regressor(**QUICK), tmp_path / "model.skops")
    load(path)
    now = re.escape(sklearn_annoser.__version__)
    monkeypatch.setattr(sklearn_annoser, "__version__", "0.0.9.dev1")
    with pytest.warns(UserWarning, match=rf"was saved by sklearn_annoser {now}, this is 0\.0\.9\.dev1: update"):
        load(path)
    rewritten(path, schema=lambda text: text.replace(b"_regressor", b"_of_the_future"))
    with pytest.raises(ValueError, match=r"not trusted: \['sklearn_annoser.estimators._of_the_future.*update"):
        load(path)
    monkeypatch.undo()
    rewritten(path, sklearn_annoser=lambda text: b"{}")
    with pytest.raises(ValueError, match="is cut off, damaged"):
        load(path)


def test_a_file_by_skops_alone_is_loaded(tmp_path):
    skops.io.dump(regressor(n_hidden=9), tmp_path / "a.skops")
    assert load(tmp_path / "a.skops").n_hidden == 9
    with zipfile.ZipFile(save(regressor(), tmp_path / "b.skops")) as archive:
        assert set(json.loads(archive.read("sklearn_annoser.json"))) >= {"sklearn_annoser", "torch", "scikit-learn"}


def test_a_model_of_a_gpu_that_is_not_here_works_on_the_cpu(tmp_path):
    model = through_pickle(fitted("committee")[0], None)
    model.device = model.net_.net.device = "cuda:7"
    twin = through_file(model, tmp_path)
    assert (twin.device, twin.net_.net.device) == ("cuda:7", "cpu")
    np.testing.assert_array_equal(twin.predict(X), fitted("committee")[0].predict(X))
    net = through_pickle(fitted("net")[0], None)
    net.device = "cuda:7"
    assert through_file(net, tmp_path).device == "cpu"


def test_the_new_annotator_is_still_served(tmp_path):
    model, data = fitted("mapper")
    np.testing.assert_array_equal(
        through_file(model, tmp_path).predict(data, annotator=NEW), model.predict(data, annotator=NEW)
    )
