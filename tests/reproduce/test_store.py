"""What an experiment has stored is read only if it is whole and its own, and runs nothing."""

import errno
import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.reproduce import _files, load_model
from sklearn_annoser.reproduce._models import decode, encode
from sklearn_annoser.reproduce._store import Store

RAN = []


class Bomb:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return RAN.append, ("it ran",)


def small(variant="individual"):
    settings = {"n_hidden": 4, "lr": 0.02, "max_epochs": 2, "random_state": 0, "variant": variant}
    return make_pipeline(PCA(5, svd_solver="randomized", random_state=0), AnnotatorMappedRegressor(**settings))


def fitted(source, variant="individual"):
    model = small(variant)
    return model.fit(source.X, source.ratings)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out", {"estimator": "this"})


def never():
    raise AssertionError("it is there")


def test_a_table_comes_back_as_it_was():
    table = pd.DataFrame(
        {
            "annotator": np.array([1, "one", True, 2.5, "\udc80\n"], dtype=object),
            "source": np.array([None, "a", ("a", "b"), ("a",), None], dtype=object),
            "ccc": [np.nan, 0.1, 1 / 3, -0.0, 1e-300],
            "fold": np.arange(5),
        }
    )
    again = decode(json.loads(json.dumps(encode(table, {}))), {})
    pd.testing.assert_frame_equal(again, table)
    assert [type(each) for each in again["annotator"]] == [type(each) for each in table["annotator"]]
    assert again["source"][0] is None


@pytest.mark.parametrize("variant", ["individual", "individual+consensus+variance", "aggregate"])
def test_a_model_comes_back_to_the_last_bit(store, corpora, variant):
    source, target = corpora
    model = fitted(source, variant)
    store.model("m", model, source, lambda: model)
    again = store.model("m", model, source, never)
    assert again is not model
    np.testing.assert_array_equal(again[-1].heads_, model[-1].heads_)
    X = model[:-1].transform(target.X)
    np.testing.assert_array_equal(again[-1].predict(X), model[-1].predict(X))
    pd.testing.assert_frame_equal(again[-1].history_, model[-1].history_)
    for each in (model, again):  # trained on from there
        each[-1].set_params(warm_start=True).fit(X, target.ratings)
    np.testing.assert_array_equal(again[-1].heads_, model[-1].heads_)


def test_steps_that_do_something_else_are_seen(store, corpora):
    source, target = corpora
    model = fitted(source)
    store.model("m", model, source, lambda: model)
    with pytest.warns(UserWarning, match="fitted again, do not make the features"):
        assert store.model("m", model, target, lambda: model) is model
    path = store.out / "models" / "m.npz"  # of the model and the target now
    with pytest.raises(ValueError, match="trained on other features"):
        load_model(path, model, source)
    with pytest.raises(ValueError, match="is no model of such an estimator"):
        load_model(path, model[-1].set_params(n_hidden=5), target)


def test_nothing_that_is_read_runs(store, corpora):
    source, _ = corpora
    model = fitted(source)
    store.model("m", model, source, lambda: model)
    path = store.out / "models" / "m.npz"
    about = dict(np.load(path))
    RAN.clear()
    pickled = pickle.dumps(Bomb())
    for content in (pickled, None):
        if content is None:  # a pickle inside, which numpy would run if it was told to
            np.savez(path, **{**about, "array.0": np.array([Bomb()], dtype=object)})
        else:
            path.write_bytes(content)
        with pytest.warns(UserWarning, match="is damaged, and made anew"):
            assert store.model("m", model, source, lambda: model) is model
        path.write_bytes(pickled)
        with pytest.raises(ValueError, match="is damaged"):
            load_model(path, model, source)
    (store.out / "results").mkdir()
    (store.out / "results" / "t.json").write_bytes(pickled)
    with pytest.warns(UserWarning, match="is damaged"):
        store.table("t", [], lambda: pd.DataFrame({"a": [1]}))
    assert RAN == []


def test_half_a_file_is_no_file(store, corpora):
    source, _ = corpora
    model, table = fitted(source), pd.DataFrame({"ccc": [0.25, 0.5]})
    store.model("m", model, source, lambda: model)
    store.table("t", [], lambda: table)
    rng = np.random.RandomState(0)
    for path, again in (
        (store.out / "models" / "m.npz", lambda: store.model("m", model, source, lambda: model)),
        (store.out / "results" / "t.json", lambda: store.table("t", [], lambda: table)),
    ):
        whole = path.read_bytes()
        for length in (0, len(whole) - 1, *rng.randint(len(whole), size=8)):
            path.write_bytes(whole[:length])
            with pytest.warns(UserWarning, match="is damaged, and made anew"):
                made = again()
            assert made is model or made.equals(table)
            assert len(path.read_bytes()) == len(whole)
        if path.suffix == ".npz":  # a bit that has flipped
            flipped = bytearray(whole)
            flipped[whole.index(b"module.heads") + 200] ^= 1
            path.write_bytes(flipped)
            with pytest.warns(UserWarning, match="is damaged"):
                again()


def test_a_file_of_another_experiment_is_not_taken(store, tmp_path):
    other = Store(tmp_path / "other", {"estimator": "that"})
    for each in (store, other):
        each.table("t", ["T", 0], lambda: pd.DataFrame({"ccc": [0.5]}))
    (other.out / "results" / "t.json").rename(store.out / "results" / "t.json")
    with pytest.raises(ValueError, match=r"t.json' is of another experiment. Choose another folder for out"):
        store.table("t", ["T", 0], never)
    other.table("t", ["T", 0], lambda: pd.DataFrame({"ccc": [0.5]}))
    with pytest.raises(ValueError, match="is of another experiment"):  # of another target
        other.table("t", ["t", 0], never)


def test_a_folder_that_says_nothing_of_its_experiment_is_refused(tmp_path):
    (tmp_path / "experiment.json").write_text('{"estimator": ')
    with pytest.raises(ValueError, match="cannot be read, so that nobody knows which experiment"):
        Store(tmp_path, {})
    (tmp_path / "experiment.json").write_text('{"options": {"n_folds": 5}, "estimator": "x"}')  # of version 0.1.0
    with pytest.raises(ValueError, match="has another experiment: its package version, estimator, options differ"):
        Store(tmp_path, {"package version": "2", "estimator": "y"})
    (tmp_path / "experiment.json").unlink()
    (tmp_path / "results.csv").touch()
    with pytest.raises(ValueError, match=r"has a results.csv, but nothing that says of which experiment"):
        Store(tmp_path, {})


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"the folder '.*file.*' of the experiment cannot be used: "):
            Store(out, {})


def test_on_a_full_disk_the_run_goes_on(store, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files.os, "replace", full)
    with pytest.warns(UserWarning, match=r"t.json' cannot be written: .*No space left on device. This run goes on"):
        table = store.table("t", [], lambda: pd.DataFrame({"ccc": [0.5]}))
    assert table["ccc"].tolist() == [0.5]
    assert list((store.out / "results").iterdir()) == []
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.table("t", [], lambda: pd.DataFrame({"ccc": [0.5]}))
