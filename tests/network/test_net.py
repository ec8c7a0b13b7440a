import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, EarlyStopping

from sklearn_annoser import Ratings
from sklearn_annoser.network import RatingsDataset, ValidationSplit
from tests.network.cases import (
    GROUPS,
    RATINGS,
    TRUTH,
    Recorder,
    X,
    assert_equal_weights,
    equal_weights,
    fit,
    make_net,
    weights_of,
)
from tests.oracles_network import plain_ccc, plain_predictions

# ---------------------------------------------------------------------- learning


@pytest.fixture(scope="module")
def learned():
    return fit(max_epochs=60, lr=0.1, groups=GROUPS)


def test_each_head_learns_the_annotator_that_was_planted(learned):
    predicted = learned.predict_annotators(X)
    ccc = np.array([[[plain_ccc(t, p) for p in predicted[:, :, k].T] for t in TRUTH[:, :, k].T] for k in range(2)])
    own = ccc[:, np.arange(4), np.arange(4)]
    assert own.min() > 0.8
    assert (ccc.argmax(axis=2) == np.arange(4)).all()  # and nobody else better


def test_predictions_are_those_of_the_module(learned):
    everyone = Ratings.from_dense(TRUTH)
    expected = plain_predictions(learned.module_, X, everyone).reshape(TRUTH.shape)
    np.testing.assert_allclose(learned.predict_annotators(X), expected, atol=1e-5)
    np.testing.assert_allclose(learned.predict(X), expected.mean(axis=1), atol=1e-5)


def test_hidden_features_come_in_blocks(learned):
    blocks = list(learned.hidden_blocks(X, block_rows=100))
    assert [rows for rows, _ in blocks] == [slice(0, 100), slice(100, 160)]
    assert [hidden.shape for _, hidden in blocks] == [(100, 2, 16), (60, 2, 16)]
    whole = next(learned.hidden_blocks(X))[1]
    np.testing.assert_allclose(np.concatenate([hidden for _, hidden in blocks]), whole, atol=1e-6)


def test_the_consensus_head_learns_the_consensus_beside_the_annotators():
    net = fit(max_epochs=60, lr=0.1, consensus_head=True)
    predicted = net.predict_annotators(X)
    assert predicted.shape == (160, 5, 2)
    consensus = np.nan_to_num(RATINGS.consensus())
    ccc = [plain_ccc(consensus[:, 0], predicted[:, head, 0]) for head in range(5)]
    assert np.argmax(ccc) == 4
    np.testing.assert_allclose(net.predict(X), predicted[:, :4].mean(axis=1), atol=1e-5)  # the mean of annotators only


def test_another_loss_of_torch_works():
    net = fit(criterion=torch.nn.MSELoss, max_epochs=60, lr=0.1)
    predicted = net.predict_annotators(X)[RATINGS.rows, RATINGS.codes]
    assert np.mean((predicted - RATINGS.values) ** 2) < 0.5 * RATINGS.values.var()


# ---------------------------------------------------------------------- pre-training


def test_every_annotator_starts_from_the_head_of_the_consensus():
    net = fit(pretrain_epochs=3, max_epochs=1, train_split=None, batch_size=200, lr=0.0)
    heads = net.module_.stacked_heads()
    assert torch.equal(heads, heads[:1].expand_as(heads))
    assert not torch.equal(*(fit(pretrain_epochs=0, max_epochs=1, lr=0.0).module_.stacked_heads()[:2]))


def test_pretraining_learns_the_consensus():
    class Start(Callback):
        def on_train_begin(self, net, **kwargs):
            net.consensus_ = net.predict(X)

    net = fit(pretrain_epochs=60, max_epochs=1, lr=0.1, callbacks=[Start()], train_split=None)
    rated = np.diff(RATINGS.indptr) > 0
    assert plain_ccc(RATINGS.consensus()[rated, 0], net.consensus_[rated, 0]) > 0.8


def test_pretraining_does_not_see_the_validation_samples(monkeypatch):
    seen = []
    monkeypatch.setattr(RatingsDataset, "as_consensus", lambda self, method=RatingsDataset.as_consensus: (
        seen.append(self.rows),
        method(self),
    )[1])  # fmt: skip
    fit(groups=GROUPS)
    train = ValidationSplit().rows(160, GROUPS)[0]
    assert set(seen[0]) <= set(train)


def test_the_main_training_starts_with_a_fresh_optimizer():
    class Velocity(Callback):
        def on_train_begin(self, net, **kwargs):
            net.states_ = len(net.optimizer_.state)

    assert fit(pretrain_epochs=3, callbacks=[Velocity()]).states_ == 0


# ---------------------------------------------------------------------- early stopping and learning rate


@pytest.mark.parametrize("lr", [0.3, 0.05])
def test_early_stopping_keeps_the_weights_of_the_best_epoch(lr):
    recorder = Recorder()
    net = fit(max_epochs=200, lr=lr, patience=4, callbacks=[recorder])
    losses = net.history[:, "valid_loss"]
    best = dict(net.callbacks_)["early_stopping"].best_epoch_ - 1
    assert len(losses) < 200
    assert len(losses) == best + 1 + 4
    assert losses[best] <= min(losses) * 1.001  # skorch passes over gains below one in ten thousand
    assert_equal_weights(weights_of(net), recorder.weights[best])


def test_a_plateau_lowers_the_learning_rate():
    net = fit(max_epochs=12, lr=1e-7, lr_patience=2, pretrain_epochs=0)
    assert net.history[0]["event_lr"] == pytest.approx(1e-7)
    assert net.history[-1]["event_lr"] <= 1.01e-8


def test_without_a_split_everything_is_trained_on_to_the_end():
    recorder = Recorder()
    net = fit(train_split=None, max_epochs=6, callbacks=[recorder], groups=GROUPS)
    assert len(net.history) == 6
    assert "valid_loss" not in net.history[-1]
    assert "early_stopping" not in dict(net.callbacks_)
    assert_equal_weights(weights_of(net), recorder.weights[-1])


def test_skorch_parameters_reach_the_default_callbacks():
    net = fit(callbacks__early_stopping__patience=2, callbacks__plateau=None, max_epochs=300, lr=0.3)
    assert len(net.history) < 300
    assert "plateau" not in dict(net.callbacks_)
    assert dict(net.callbacks_)["early_stopping"].patience == 2


@pytest.mark.parametrize("train_split", [None, ValidationSplit()])
def test_the_users_own_early_stopping_is_no_interruption(train_split):
    stop = EarlyStopping("train_loss", patience=2, threshold=10.0)
    assert len(fit(callbacks=[stop], train_split=train_split, max_epochs=20).history) == 3


# ---------------------------------------------------------------------- parameters


def test_clone_has_the_same_parameters_and_no_training():
    net = fit(patience=7, optimizer__momentum=0.5)
    twin = clone(net)
    assert not twin.initialized_
    assert (twin.patience, twin.lr, twin.get_params()["optimizer__momentum"]) == (7, 0.05, 0.5)
    assert {"pretrain_epochs", "consensus_head", "patience", "lr_patience", "train_split"} <= set(twin.get_params())


def test_setting_a_parameter_of_the_module_rebuilds_it():
    net = make_net().set_params(module__dropout=0.5, module__n_hidden=8)
    net.fit(X, RATINGS)
    assert net.module_.trunk[0].p == 0.5
    net.set_params(module__n_hidden=4)
    assert net.module_.stacked_heads().shape == (4, 2, 5)


def test_setting_the_learning_rate_of_a_trained_net_takes_effect():
    net = fit().set_params(lr=0.0, optimizer__momentum=0.0)
    before = weights_of(net)
    net.partial_fit(X, RATINGS)
    assert_equal_weights(weights_of(net), before)


def test_the_sizes_of_the_data_win_over_those_of_the_module():
    net = fit(module__n_annotators=17, module__n_outputs=1)
    assert net.module_.stacked_heads().shape == (4, 2, 17)


def test_no_second_copy_of_the_weights_is_kept():
    assert dict(fit().callbacks_)["early_stopping"].best_model_weights_ is None


def test_fit_starts_anew_unless_warm_start_is_set():
    for warm_start, n_epochs in ((False, 3), (True, 6)):
        assert len(fit(warm_start=warm_start).fit(X, RATINGS).history) == n_epochs


def test_equal_seeds_give_equal_weights():
    first, again, other = (weights_of(fit(seed=seed, module__dropout=0.2)) for seed in (0, 0, 1))
    assert_equal_weights(first, again)
    assert not equal_weights(first, other)


# ---------------------------------------------------------------------- what predicts and what was trained on


def test_the_number_of_features_must_be_that_of_the_training():
    net = fit()
    with pytest.raises(ValueError, match="X has 5 features, but the net was trained on 6"):
        net.predict(X[:, :5])
    with pytest.raises(ValueError, match=r"the net was made for {'n_features': 6.*but the data have {'n_features': 5"):
        net.partial_fit(X[:, :5], RATINGS)


@pytest.mark.parametrize("method", ["predict", "predict_annotators"])
def test_predicting_before_training_is_refused(method):
    with pytest.raises(NotFittedError, match="not initialized yet"):
        getattr(make_net(), method)(X)
