import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from skorch.callbacks import Callback, Checkpoint, EpochScoring
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split

from sklearn_annoser.network import LazySGD, RatingsDataset, ValidationSplit
from tests.network.cases import GROUPS, RATINGS, Recorder, X, assert_equal_weights, fit, make_net, weights_of
from tests.oracles_network import plain_loss, plain_predictions

# ---------------------------------------------------------------------- losses


@pytest.mark.parametrize("consensus_head", [False, True])
def test_the_validation_loss_is_that_of_all_validation_ratings_at_once(consensus_head):
    net = fit(max_epochs=1, consensus_head=consensus_head, iterator_valid__batch_size=7)
    rows = ValidationSplit().rows(160)[1]
    ratings = RATINGS[rows]
    loss = plain_loss(plain_predictions(net.module_, X[rows], ratings), ratings.values) if not consensus_head else None
    if consensus_head:
        predicted, rated = net.predict_annotators(X), rows[np.diff(ratings.indptr) > 0]
        loss = plain_loss(predicted[rows[ratings.rows], ratings.codes], ratings.values)
        loss += plain_loss(predicted[rated, 4], RATINGS.consensus()[rated])
    assert net.history[0]["valid_loss"] == pytest.approx(loss, abs=1e-5)


def test_each_rating_counts_once_in_the_training_loss():
    # One batch, a tiny step: the loss before it is that after it.
    net = fit(max_epochs=1, batch_size=200, lr=1e-9, pretrain_epochs=0, train_split=None)
    loss = plain_loss(plain_predictions(net.module_, X, RATINGS), RATINGS.values)
    assert net.history[0]["train_loss"] == pytest.approx(loss, abs=1e-5)


# ---------------------------------------------------------------------- optimizers


def test_the_net_ends_where_the_dense_optimizer_would():
    lazy, dense = (
        fit(optimizer=optimizer, optimizer__momentum=0.9, train_split=None, max_epochs=5)
        for optimizer in (LazySGD, torch.optim.SGD)
    )
    for name, value in weights_of(lazy).items():
        torch.testing.assert_close(value, weights_of(dense)[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
def test_other_optimizers_of_torch_get_dense_gradients(optimizer):
    net = fit(optimizer=optimizer, lr=0.005, max_epochs=5)
    assert not net.module_.heads.grad.is_sparse
    assert net.history[-1]["train_loss"] < net.history[0]["train_loss"]


def test_predictions_within_an_epoch_are_those_of_the_dense_optimizer():
    class Peek(Callback):
        def on_batch_end(self, net, **kwargs):
            peeks.append(net.predict_annotators(X[:3]))

    runs = []
    for optimizer in (LazySGD, torch.optim.SGD):
        peeks = []
        fit(optimizer=optimizer, optimizer__momentum=0.9, batch_size=2, max_epochs=1, callbacks=[Peek()])
        runs.append(np.stack(peeks))
    np.testing.assert_allclose(*runs, rtol=1e-3, atol=1e-5)


def test_an_optimizer_of_sparse_gradients_only_is_refused_by_torch():
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients, please consider Adam"):
        fit(optimizer=torch.optim.SparseAdam)


# ---------------------------------------------------------------------- splits


def test_validation_groups_are_whole(monkeypatch):
    seen = {}

    class Keep(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.update(train=set(GROUPS[dataset_train.rows]), valid=set(GROUPS[dataset_valid.rows]))

    fit(groups=GROUPS, callbacks=[Keep()])
    assert len(seen["valid"]) == 5  # a quarter of 20
    assert not seen["train"] & seen["valid"]


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_groups_need_no_routing_where_metadata_are_routed(groups):
    with config_context(enable_metadata_routing=True):
        routed = fit(groups=groups)
    assert_equal_weights(weights_of(routed), weights_of(fit(groups=groups)))


@pytest.mark.parametrize("kind", ["ValidSplit", "predefined_split"])
def test_splits_of_skorch_work(kind):
    if kind == "ValidSplit":
        split, n_valid = ValidSplit(4), len(np.flatnonzero(np.diff(RATINGS.indptr))) // 4
    else:
        split, n_valid = predefined_split(RatingsDataset(X[:10], RATINGS[:10])), 10
    net = fit(train_split=split)
    assert len(net.get_split_datasets(X, RATINGS)[1]) == pytest.approx(n_valid, abs=1)
    assert "valid_loss" in net.history[-1]


# ---------------------------------------------------------------------- callbacks, history, printing


def test_user_callbacks_are_called_in_the_last_epoch_too():
    recorder = Recorder()
    net = fit(max_epochs=100, lr=0.3, patience=3, callbacks=[recorder])
    n_epochs = len(net.history)
    assert 3 < n_epochs < 100  # early stopping left the last epoch by an exception
    assert recorder.calls == ["train begins", *["epoch begins", "epoch ends"] * n_epochs, "train ends"]


def test_a_custom_score_may_predict_in_each_epoch():
    def score(net, dataset, y=None):
        return float(net.predict(dataset.X).mean())

    scoring = EpochScoring(score, name="mean", use_caching=False)
    net = fit(callbacks=[scoring], module__dropout=0.5)
    assert len(net.history[:, "mean"]) == 3
    assert net.history[-1]["mean"] == pytest.approx(net.predict(X).mean(), abs=0.2)


def test_predicting_in_each_batch_changes_nothing():
    class Peek(Callback):
        def on_batch_end(self, net, **kwargs):
            net.predict_annotators(X[:3])

    for_itself, watched = (fit(module__dropout=0.5, callbacks=callbacks) for callbacks in (None, [Peek()]))
    for name, value in weights_of(for_itself).items():
        torch.testing.assert_close(value, weights_of(watched)[name], rtol=1e-4, atol=1e-6)


def test_checkpoint_saves_what_load_params_reads(tmp_path):
    checkpoint = Checkpoint(monitor="valid_loss_best", dirname=tmp_path)
    net = fit(callbacks=[checkpoint], max_epochs=8)
    sizes = {"module__n_features": 6, "module__n_annotators": 4, "module__n_outputs": 2}
    loaded = make_net(**sizes).initialize()
    loaded.load_params(checkpoint=checkpoint)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    loaded.partial_fit(X, RATINGS)  # with the optimizer's state


def test_verbose_prints_a_line_for_each_epoch_of_the_main_training(capsys):
    fit(verbose=1, pretrain_epochs=5)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]
    assert "valid_loss" in lines[0]


def test_by_default_nothing_is_printed(capsys):
    fit(max_epochs=100, lr=0.3, patience=3)
    assert capsys.readouterr().out == ""


def test_the_history_keeps_no_single_batches():
    net = fit()
    assert [epoch["batches"] for epoch in net.history] == [[], [], []]
    assert {"train_loss", "valid_loss", "dur", "event_lr"} <= set(net.history[-1])


def test_a_pickled_net_is_small_and_goes_on():
    net = fit(max_epochs=4, batch_size=2, patience=30)
    n_bytes = sum(4 * parameter.numel() for parameter in net.module_.parameters())
    stored = pickle.dumps(net)
    assert len(stored) < 2 * n_bytes + 30_000  # weights, velocity, and little besides
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    for each in (net, again):
        torch.manual_seed(0)
        each.partial_fit(X, RATINGS)
    assert_equal_weights(weights_of(again), weights_of(net))


def test_a_deep_copy_is_independent():
    net = fit()
    copy, before = deepcopy(net), weights_of(net)
    copy.partial_fit(X, RATINGS)
    assert_equal_weights(weights_of(net), before)


# ---------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    "convert",
    [torch.from_numpy, np.float64, pd.DataFrame, lambda x: x.tolist(), lambda x: torch.from_numpy(x).double()],
)
def test_features_may_be_arrays_frames_lists_or_tensors(convert):
    torch.manual_seed(0)
    net = make_net().fit(convert(X), RATINGS)
    np.testing.assert_allclose(net.predict(convert(X)), fit().predict(X), atol=1e-5)


def test_a_dataset_may_be_given_instead():
    torch.manual_seed(0)
    net = make_net().fit(RatingsDataset(X, RATINGS), groups=GROUPS)
    assert_equal_weights(weights_of(net), weights_of(fit(groups=GROUPS)))


def test_the_device_may_be_left_to_the_user():
    assert_equal_weights(weights_of(fit(device=None)), weights_of(fit(device="cpu")))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_must_be_finite_in_fit_and_in_predict(bad):
    broken = X.copy()
    broken[3, 2] = bad
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        make_net().fit(broken, RATINGS)
    net = fit()
    for predict in (net.predict, net.predict_annotators):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
            predict(broken)


def test_features_and_ratings_must_be_of_the_same_samples():
    with pytest.raises(ValueError, match="X has 159 samples, but y has ratings of 160"):
        make_net().fit(X[1:], RATINGS)


def test_y_must_be_ratings():
    with pytest.raises(TypeError, match=r"y must be Ratings, got ndarray. Ratings.from_rows makes them"):
        make_net().fit(X, X[:, 0])
