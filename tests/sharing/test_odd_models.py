"""Models as people have them: searches, encoders in tables, callbacks, parameters of numpy."""

import json
import pickle
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import EarlyStopping, EpochTimer, LRScheduler

from sklearn_annoser import MultiHeadNet, TextEncoder
from sklearn_annoser.metrics import ccc_scorers
from sklearn_annoser.sharing import load, save, trusted_types
from tests.encoders.conftest import save_text
from tests.sharing.cases import NEW_RATINGS, RATINGS, SOURCE, X_NEW, X, frame, mapper, one, regressor

STEP = "annotatormappedregressor"


def utterances(data):
    return frame(data).assign(text=[f"how {word} this" for word in np.resize(["so", "much", "day"], len(data))])


def test_an_encoder_in_a_column_transformer_and_other_files_later(tmp_path):
    folder = Path(save_text(tmp_path / "model"))
    encoder = TextEncoder(folder, cache_dir=tmp_path / "cache")
    columns = make_column_transformer((encoder, "text"), (OneHotEncoder(), ["art"]), remainder="drop")
    model = make_pipeline(columns, regressor()).fit(utterances(X), RATINGS)
    path = save(model, tmp_path / "model.skops")
    for twin in (load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(utterances(X)), model.predict(utterances(X)))
        assert isinstance(twin[0].transformers_[0][1].model, str)  # a Path is of one system
    person = mapper(model).fit(utterances(X_NEW), NEW_RATINGS).of("target_001")
    save(person, tmp_path / "person.skops")
    expected = model.predict(utterances(X))
    moved = folder.rename(tmp_path / "elsewhere")
    config = json.loads((moved / "config.json").read_text())
    twin = load(path)
    twin[0].transformers_[0][1].set_params(model=moved)
    np.testing.assert_array_equal(twin.predict(utterances(X)), expected)
    (moved / "config.json").write_text(json.dumps(config | {"more": 1}))
    with pytest.raises(ValueError, match="is not the one that the encoder was fitted with"):
        twin.predict(utterances(X))


def searches():
    pipeline, grid = make_pipeline(StandardScaler(), regressor()), {f"{STEP}__lr": [0.01, 0.02]}
    yield GridSearchCV(pipeline, grid, cv=KFold(2)).fit(X, RATINGS)
    scored = GridSearchCV(pipeline, grid, cv=GroupKFold(2), scoring=ccc_scorers, refit=False)
    scored.set_params(refit=False, error_score="raise").fit(X, RATINGS, groups=SOURCE.groups)
    yield scored
    yield GridSearchCV(mapper(FrozenEstimator(one())), {"strategy": ["joint", "blend"]}, cv=2).fit(X_NEW, NEW_RATINGS)


def test_searches_are_saved_with_what_they_found(tmp_path):
    for search in searches():
        twin = load(save(search, tmp_path / "search.skops"))
        assert list(twin.cv_results_) == list(search.cv_results_)
        if search.refit:
            np.testing.assert_array_equal(twin.predict(X_NEW), search.predict(X_NEW))
            assert twin.best_params_ == search.best_params_


def test_callbacks_are_types_of_others(tmp_path):
    timed = regressor(callbacks=[("timer", EpochTimer()), EarlyStopping(monitor="train_loss")]).fit(X, RATINGS)
    with pytest.warns(UserWarning, match="will have to trust types of others"):
        path = save(timed, tmp_path / "model.skops")
    with pytest.raises(ValueError, match=r"not trusted: \['builtins.print', 'skorch.callbacks.logging.EpochTimer"):
        load(path)
    trusted = ["builtins.print", EpochTimer, EarlyStopping]
    twin = load(path, trusted=trusted)
    np.testing.assert_array_equal(
        twin.partial_fit(X, RATINGS).heads_, pickle.loads(pickle.dumps(timed)).partial_fit(X, RATINGS).heads_
    )
    held = regressor(callbacks=[LRScheduler("StepLR", step_size=2)]).fit(X, RATINGS)
    with pytest.raises(ValueError, match=r"callbacks=\[.*LRScheduler.* cannot be saved"):
        save(held, path)
    person = load(save(held.of("source_001"), path))  # has no callbacks
    np.testing.assert_array_equal(person.predict(X), held.predict(X, annotator="source_001"))


@pytest.mark.parametrize(
    "model",
    [
        lambda: mapper(make_pipeline(StandardScaler(), PCA(4), regressor()).fit(X, RATINGS)).fit(X_NEW, NEW_RATINGS),
        lambda: regressor(random_state=np.random.RandomState(3)).fit(X, RATINGS),
        lambda: regressor(lr=np.float64(0.02), n_hidden=np.int64(5)).fit(X, RATINGS),
        lambda: regressor().fit(X, RATINGS.consensus()),
        lambda: regressor().fit(X, RATINGS, validation=np.arange(120) % 4 == 0),
        lambda: mapper(one(), fine_tune="all").fit(X_NEW, NEW_RATINGS),
    ],
)
def test_odd_models_say_the_same(model, tmp_path):
    model = model()
    np.testing.assert_array_equal(load(save(model, tmp_path / "a.skops")).predict(X_NEW), model.predict(X_NEW))


def test_a_net_with_an_optimizer_of_others_goes_on_where_it_was(tmp_path):
    data = X.astype(np.float32)
    net = MultiHeadNet(
        max_epochs=2, lr=0.01, optimizer=torch.optim.Adam, module__n_hidden=4, train_split=None, pretrain_epochs=0
    ).fit(data, RATINGS)
    with pytest.warns(UserWarning, match="torch.optim.adam.Adam"):
        path = save(net, tmp_path / "net.skops")
    twin = load(path, trusted=[torch.optim.Adam])
    for each in (net, twin):
        torch.manual_seed(0)
        each.partial_fit(data, RATINGS)
    np.testing.assert_array_equal(twin.predict(data), net.predict(data))
    assert len(twin.history) == len(net.history) == 4


@pytest.mark.parametrize("name", trusted_types())
def test_every_type_on_the_list_is_there(name):
    module, _, last = name.rpartition(".")
    assert getattr(import_module(module), last).__module__ == module
