"""A training that is interrupted or goes on."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from sklearn_annoser import Ratings
from sklearn_annoser.network import CCCLoss, LazySGD, ValidationSplit
from tests.network.cases import (
    GROUPS,
    RATINGS,
    RNG,
    TRUTH,
    InterruptAt,
    Recorder,
    X,
    assert_equal_weights,
    fit,
    make_net,
    weights_of,
)
from tests.oracles_network import plain_ccc

# ---------------------------------------------------------------------- interruption


@pytest.mark.parametrize("where", ["batch", "epoch"])
def test_an_interrupted_training_keeps_the_best_weights_so_far(where):
    recorder = Recorder()
    net = make_net(max_epochs=10, callbacks=[recorder, InterruptAt(3, where)])
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted after [23] of at most 10 epochs; the best weights"):
        net.fit(X, RATINGS)
    best = dict(net.callbacks_)["early_stopping"].best_epoch_ - 1
    assert best in (0, 1)
    assert_equal_weights(weights_of(net), recorder.weights[best])
    assert len(net.history) == {"batch": 2, "epoch": 3}[where]  # no record of the broken epoch


def test_an_interrupted_training_without_validation_is_that_of_the_dense_optimizer_so_far():
    nets = []
    for optimizer in (LazySGD, torch.optim.SGD):
        settings = {"optimizer": optimizer, "optimizer__momentum": 0.9, "batch_size": 2, "train_split": None}
        settings["pretrain_epochs"] = 0  # the concordance of two ratings multiplies what is rounded
        nets.append(make_net(callbacks=[InterruptAt(2)], **settings))
        torch.manual_seed(0)
        with pytest.raises(KeyboardInterrupt, match="interrupted after 1 of"):
            nets[-1].fit(X, RATINGS.keep_annotators([0, 1, 2, 3]))
    for name, value in weights_of(nets[0]).items():
        torch.testing.assert_close(value, weights_of(nets[1])[name], rtol=1e-3, atol=1e-5)


def test_an_interruption_in_the_first_epoch_is_passed_on():
    net = make_net(callbacks=[InterruptAt(1)])
    with pytest.raises(KeyboardInterrupt, match="before the end of the first epoch"):
        net.fit(X, RATINGS)
    with pytest.raises(NotFittedError, match="call fit"):
        net.predict(X)


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interruption_of_the_pretraining_is_passed_on(epoch):
    class Interrupted(CCCLoss):
        n_calls = 0

        def forward(self, y_pred, y_true):
            Interrupted.n_calls += 1
            if Interrupted.n_calls == (epoch - 1) * 4 + 2:  # the second of four batches of 40 samples
                raise KeyboardInterrupt
            return super().forward(y_pred, y_true)

    net = make_net(criterion=Interrupted, pretrain_epochs=3, batch_size=40, train_split=None)
    with pytest.raises(KeyboardInterrupt, match="before the annotators' heads were trained"):
        net.fit(X, RATINGS)
    with pytest.raises(NotFittedError, match="call fit"):
        net.predict(X)
    assert Interrupted.n_calls == (epoch - 1) * 4 + 2


def test_an_interruption_of_a_second_training_counts_its_own_epochs():
    net = fit(max_epochs=5, callbacks=[InterruptAt(7)])
    with pytest.raises(KeyboardInterrupt, match="interrupted after 1 of at most 5 epochs"):
        net.partial_fit(X, RATINGS)
    assert len(net.history) == 6


# ---------------------------------------------------------------------- training on


def test_partial_fit_goes_on_without_pretraining():
    net = fit(max_epochs=4)
    net.partial_fit(X, RATINGS)
    assert len(net.history) == 8
    assert net.history[-1]["train_loss"] < net.history[0]["train_loss"]


def test_partial_fit_starts_a_net_that_was_never_fitted():
    net = make_net().partial_fit(X, RATINGS, groups=GROUPS)
    assert net.predict_annotators(X).shape == (160, 4, 2)


@pytest.mark.parametrize("train_split", [None, ValidationSplit()])
def test_train_epoch_is_one_epoch_on_everything(train_split):
    recorder = Recorder()
    net = fit(train_split=train_split, max_epochs=4, callbacks=[recorder])
    parameters = net.get_params()
    net.train_epoch(X, RATINGS)
    assert len(net.history) == 5
    assert "valid_loss" not in net.history[-1]
    assert recorder.calls[-4:] == ["train begins", "epoch begins", "epoch ends", "train ends"]
    assert (net.max_epochs, net.train_split) == (parameters["max_epochs"], parameters["train_split"])
    assert net.fit(X, RATINGS).history[-1]["train_loss"] < 1


@pytest.mark.parametrize("consensus_head", [False, True])
def test_train_epoch_adds_heads_for_new_annotators(consensus_head):
    net = fit(max_epochs=30, consensus_head=consensus_head)
    values = np.concatenate([TRUTH, TRUTH[:, :2]], axis=1)  # two more who rate like the first two
    heads = net.module_.stacked_heads().clone()
    net.train_epoch(X, Ratings.from_dense(values), n_new=2)
    assert net.module_.n_annotators == 6 + consensus_head
    moved = (net.module_.stacked_heads()[4:6] - heads[:4].mean(0)).abs().amax(dim=(1, 2))
    assert (moved > 0).all()
    for _ in range(60):
        net.train_epoch(X, Ratings.from_dense(values))
    ccc = [plain_ccc(TRUTH[:, new, 0], net.predict_annotators(X)[:, 4 + new, 0]) for new in range(2)]
    assert min(ccc) > 0.8


@pytest.mark.parametrize("consensus_head", [False, True])
def test_heads_that_are_added_leave_the_others_and_the_consensus_in_their_place(consensus_head):
    net = fit(consensus_head=consensus_head).set_params(lr=0.0)
    before = net.module_.stacked_heads().clone()
    net.train_epoch(X, Ratings.from_dense(np.concatenate([TRUTH, TRUTH[:, :2]], axis=1)), n_new=2)
    after = net.module_.stacked_heads()
    assert torch.equal(after[:4], before[:4])
    torch.testing.assert_close(after[4:6], before[:4].mean(0).expand(2, -1, -1))
    assert torch.equal(after[6:], before[4:])


def test_weights_and_optimizer_may_be_saved_and_loaded(tmp_path):
    net = fit()
    net.save_params(f_params=tmp_path / "weights.pt", f_optimizer=tmp_path / "optimizer.pt")
    other = make_net(module__n_features=6, module__n_annotators=4, module__n_outputs=2).initialize()
    other.load_params(f_params=tmp_path / "weights.pt", f_optimizer=tmp_path / "optimizer.pt")
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    for each in (net, other):
        torch.manual_seed(0)
        each.partial_fit(X, RATINGS)
    assert_equal_weights(weights_of(net), weights_of(other))


@pytest.mark.parametrize("n_annotators", [2, 7])
def test_training_on_needs_the_same_annotators(n_annotators):
    values = RNG.uniform(-1, 1, size=(160, n_annotators, 2))
    with pytest.raises(
        ValueError, match=rf"but the data have .*'n_annotators': {n_annotators}.*Call fit to start anew"
    ):
        fit().partial_fit(X, Ratings.from_dense(values))


@pytest.mark.parametrize("name", ["consensus_head", "variance_heads"])
def test_training_on_from_a_net_with_other_heads_is_refused(name):
    with pytest.raises(ValueError, match=rf"cannot train on from a net with .*'{name}': True.*'{name}': False"):
        make_net().fit_from(fit(**{name: True}), X, RATINGS)
