import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring, ProgressBar
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split

from sklearn_annoser import Ratings
from sklearn_annoser.network import (
    CCCLoss,
    EpochBar,
    LazySGD,
    MultiHeadNet,
    RatingsDataset,
    ValidationSplit,
    mixture_divergence,
    seeded,
)
from tests.oracles_network import plain_ccc, plain_loss, plain_predictions

RNG = np.random.RandomState(0)
X = RNG.normal(size=(160, 6)).astype(np.float32)
DIRECTIONS = RNG.normal(size=(6, 4, 2))
TRUTH = np.tanh(np.einsum("nf,fao->nao", X, DIRECTIONS) / 2)  # what each of four annotators says of two outputs
GROUPS = np.arange(160) // 8


def make_ratings(share=0.5, noise=0.05):
    values = np.clip(TRUTH + RNG.normal(scale=noise, size=TRUTH.shape), -1, 1)
    values[np.random.RandomState(1).uniform(size=values.shape[:2]) > share] = np.nan
    return Ratings.from_dense(values)


RATINGS = make_ratings()


def make_net(**kwargs):
    settings = {"max_epochs": 3, "lr": 0.05, "pretrain_epochs": 1, "module__n_hidden": 16, "module__dropout": 0.0}
    return MultiHeadNet(**settings | kwargs)


def fit(seed=0, groups=None, ratings=RATINGS, **kwargs):
    torch.manual_seed(seed)
    return make_net(**kwargs).fit(X, ratings, groups=groups)


def weights_of(net):
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def assert_equal_weights(first, second):
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def equal_weights(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


class Recorder(Callback):
    """Writes down which hook was called in which epoch, and the weights at the end of each epoch."""

    def __init__(self):
        self.calls, self.weights = [], []

    def on_train_begin(self, net, **kwargs):
        self.calls.append("train begins")

    def on_epoch_begin(self, net, **kwargs):
        self.calls.append("epoch begins")

    def on_epoch_end(self, net, **kwargs):
        self.calls.append("epoch ends")
        self.weights.append(weights_of(net))

    def on_train_end(self, net, **kwargs):
        self.calls.append("train ends")


class InterruptAt(Callback):
    """What Ctrl-C does, in the first batch of an epoch or at its end."""

    def __init__(self, epoch, where="batch"):
        self.epoch, self.where = epoch, where

    def on_batch_end(self, net, training=False, **kwargs):
        if training and self.where == "batch" and net.history[-1, "epoch"] == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_end(self, net, **kwargs):
        if self.where == "epoch" and net.history[-1, "epoch"] == self.epoch:
            raise KeyboardInterrupt


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


def test_skorch_parameters_reach_the_default_callbacks():
    net = fit(callbacks__early_stopping__patience=2, callbacks__plateau=None, max_epochs=300, lr=0.3)
    assert len(net.history) < 300
    assert "plateau" not in dict(net.callbacks_)
    assert dict(net.callbacks_)["early_stopping"].patience == 2


@pytest.mark.parametrize("train_split", [None, ValidationSplit()])
def test_the_users_own_early_stopping_is_no_interruption(train_split):
    stop = EarlyStopping("train_loss", patience=2, threshold=10.0)
    assert len(fit(callbacks=[stop], train_split=train_split, max_epochs=20).history) == 3


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


def test_checkpoint_saves_what_load_params_reads(tmp_path):
    checkpoint = Checkpoint(monitor="valid_loss_best", dirname=tmp_path)
    net = fit(callbacks=[checkpoint], max_epochs=8)
    sizes = {"module__n_features": 6, "module__n_annotators": 4, "module__n_outputs": 2}
    loaded = make_net(**sizes).initialize()
    loaded.load_params(checkpoint=checkpoint)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    loaded.partial_fit(X, RATINGS)  # with the optimizer's state


def test_the_progress_bars_run_and_pickle(capsys):
    net = fit(callbacks=[ProgressBar(), EpochBar()], max_epochs=4)
    assert "epochs: 100%" in capsys.readouterr().err
    pickle.dumps(net)


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


@pytest.mark.parametrize(("n_threads", "expected"), [(1, 1), (3, 3), (None, 2)])
def test_threads_are_those_asked_for_and_given_back(n_threads, expected):
    class Count(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.add(torch.get_num_threads())

    seen, before = set(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(n_threads=n_threads, callbacks=[Count()], max_epochs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {expected}


def test_no_second_copy_of_the_weights_is_kept():
    assert dict(fit().callbacks_)["early_stopping"].best_model_weights_ is None


def test_fit_starts_anew_unless_warm_start_is_set():
    for warm_start, n_epochs in ((False, 3), (True, 6)):
        assert len(fit(warm_start=warm_start).fit(X, RATINGS).history) == n_epochs


def test_equal_seeds_give_equal_weights():
    first, again, other = (weights_of(fit(seed=seed, module__dropout=0.2)) for seed in (0, 0, 1))
    assert_equal_weights(first, again)
    assert not equal_weights(first, other)


def test_seeded_draws_from_its_seed_and_gives_back_the_state_of_torch():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    draws = []
    for _ in range(2):
        with seeded(3, "cpu"):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)
    assert torch.equal(torch.rand(2), expected)


# ---------------------------------------------------------------------- interruption


@pytest.mark.parametrize("where", ["batch", "epoch"])
def test_an_interrupted_training_keeps_the_best_weights_so_far(where):
    recorder = Recorder()
    with pytest.warns(UserWarning, match=r"interrupted after [23] of at most 10 epochs; the best weights so far"):
        net = fit(max_epochs=10, callbacks=[recorder, InterruptAt(3, where)])
    best = dict(net.callbacks_)["early_stopping"].best_epoch_ - 1
    assert best in (0, 1)
    assert_equal_weights(weights_of(net), recorder.weights[best])
    assert len(net.history) == {"batch": 2, "epoch": 3}[where]  # no record of the broken epoch


def test_an_interrupted_training_without_validation_is_that_of_the_dense_optimizer_so_far():
    nets = []
    for optimizer in (LazySGD, torch.optim.SGD):
        with pytest.warns(UserWarning, match="interrupted"):
            nets.append(
                fit(
                    optimizer=optimizer,
                    optimizer__momentum=0.9,
                    batch_size=2,
                    train_split=None,
                    callbacks=[InterruptAt(2)],
                    ratings=RATINGS.keep_annotators([0, 1, 2, 3]),
                )
            )
    for name, value in weights_of(nets[0]).items():
        torch.testing.assert_close(value, weights_of(nets[1])[name], rtol=1e-3, atol=1e-5)


def test_an_interruption_in_the_first_epoch_is_passed_on():
    with pytest.raises(KeyboardInterrupt, match="before the end of the first epoch"):
        fit(callbacks=[InterruptAt(1)])


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interruption_of_the_pretraining_is_passed_on(epoch):
    class Interrupted(CCCLoss):
        n_calls = 0

        def forward(self, y_pred, y_true):
            Interrupted.n_calls += 1
            if Interrupted.n_calls == (epoch - 1) * 4 + 2:  # the second of four batches of 40 samples
                raise KeyboardInterrupt
            return super().forward(y_pred, y_true)

    with pytest.raises(KeyboardInterrupt, match="before the annotators' heads were trained"):
        fit(criterion=Interrupted, pretrain_epochs=3, batch_size=40, train_split=None)
    assert Interrupted.n_calls == (epoch - 1) * 4 + 2


def test_an_interruption_of_a_second_training_counts_its_own_epochs():
    net = fit(max_epochs=5, callbacks=[InterruptAt(7)])
    with pytest.warns(UserWarning, match="interrupted after 1 of at most 5 epochs"):
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


def test_the_number_of_features_must_be_that_of_the_training():
    net = fit()
    with pytest.raises(ValueError, match="X has 5 features, but the net was trained on 6"):
        net.predict(X[:, :5])
    with pytest.raises(ValueError, match=r"the net was made for {'n_features': 6.*but the data have {'n_features': 5"):
        net.partial_fit(X[:, :5], RATINGS)


@pytest.mark.parametrize("n_annotators", [2, 7])
def test_training_on_needs_the_same_annotators(n_annotators):
    values = RNG.uniform(-1, 1, size=(160, n_annotators, 2))
    with pytest.raises(
        ValueError, match=rf"but the data have .*'n_annotators': {n_annotators}.*Call fit to start anew"
    ):
        fit().partial_fit(X, Ratings.from_dense(values))


@pytest.mark.parametrize("method", ["predict", "predict_annotators"])
def test_predicting_before_training_is_refused(method):
    with pytest.raises(NotFittedError, match="not initialized yet"):
        getattr(make_net(), method)(X)


def test_an_optimizer_of_sparse_gradients_only_is_refused_by_torch():
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients, please consider Adam"):
        fit(optimizer=torch.optim.SparseAdam)


def test_a_training_that_fails_leaves_a_bar_that_pickles(capsys):
    class Broken(CCCLoss):
        def forward(self, y_pred, y_true):
            raise RuntimeError("broken")

    bar = EpochBar()
    with pytest.raises(RuntimeError, match="broken"):
        fit(criterion=Broken, callbacks=[bar], pretrain_epochs=0)
    bar.bar_.close()
    assert isinstance(pickle.loads(pickle.dumps(bar)), EpochBar)


# ---------------------------------------------------------------------- variances

VARIANCES = {"variance_heads": True, "max_grad_norm": 1.0}
NOISE = np.array([0.05, 0.5, 0.05, 0.5])


def noisy_case(n_raters):
    """Ratings by annotators of one opinion of whom every second is careless; so many rate each sample."""
    rng = np.random.RandomState(2)
    features = rng.normal(size=(1000, 6)).astype(np.float32)
    opinion = np.tanh(features @ DIRECTIONS[:, 0] / 2)[:, None]  # (n_samples, 1, n_outputs)
    values = opinion + rng.normal(scale=NOISE[:, None], size=(1000, 4, 2))
    values[rng.uniform(size=(1000, 4)).argsort(axis=1) >= n_raters] = np.nan
    return features, Ratings.from_dense(values)


def deviations(net, features=X):
    """Standard deviation of each annotator's ratings as the net predicts it, (n_samples, n_annotators, n_outputs)."""
    heads = net.module_.stacked_variance_heads().numpy()
    hidden = np.concatenate([hidden for _, hidden in net.hidden_blocks(features)])
    return np.exp((np.einsum("noh,aoh->nao", hidden, heads[:, :, :-1]) + heads[:, :, -1]) / 2)


@pytest.mark.parametrize("consensus_head", [False, True])
@pytest.mark.parametrize("n_raters", [1, 2])
def test_careless_annotators_get_the_larger_variance(n_raters, consensus_head):
    features, ratings = noisy_case(n_raters)
    torch.manual_seed(0)
    net = make_net(max_epochs=60, consensus_head=consensus_head, **VARIANCES).fit(features, ratings)
    found = deviations(net, features)[:, :4].mean(axis=0)  # (n_annotators, n_outputs)
    assert found[NOISE > 0.1].min() > 2 * found[NOISE < 0.1].max()
    if n_raters > 1:  # of a single rating the clamp hides large errors
        np.testing.assert_allclose(found, np.repeat(NOISE[:, None], 2, axis=1), rtol=0.5)


def whole_loss(net, rows):
    """Loss of some samples at once: of their ratings, of the consensus if it is learned, and the mean divergence."""
    rows = rows[np.diff(RATINGS.indptr)[rows] > 0]
    ratings, mean = RATINGS[rows], net.predict_annotators(X[rows])
    log_variance = 2 * np.log(deviations(net)[rows])
    pairs = [values[ratings.rows, ratings.codes] for values in (mean, log_variance)]
    loss = plain_loss(pairs[0], ratings.values)
    if net.consensus_head:
        loss += plain_loss(mean[:, 4], ratings.consensus())
    return loss + mixture_divergence(*map(torch.tensor, (*pairs, ratings.values, ratings.rows))).mean().item()


@pytest.mark.parametrize("consensus_head", [False, True])
def test_the_losses_have_the_mean_divergence_of_all_samples(consensus_head):
    net = fit(max_epochs=1, iterator_valid__batch_size=7, consensus_head=consensus_head, **VARIANCES)
    assert net.history[0]["valid_loss"] == pytest.approx(whole_loss(net, ValidationSplit().rows(160)[1]), abs=1e-5)
    # One batch, a tiny step: the loss before it is that after it.
    tiny = {"batch_size": 200, "lr": 1e-9, "pretrain_epochs": 0, "train_split": None}
    net = fit(max_epochs=1, consensus_head=consensus_head, **tiny, **VARIANCES)
    assert net.history[0]["train_loss"] == pytest.approx(whole_loss(net, np.arange(160)), abs=1e-5)


@pytest.mark.parametrize("pretrain_epochs", [0, 2])
def test_variances_start_as_that_of_all_ratings_in_training(pretrain_epochs):
    net = fit(lr=0.0, max_epochs=1, pretrain_epochs=pretrain_epochs, groups=GROUPS, **VARIANCES)
    train = RATINGS[ValidationSplit().rows(160, GROUPS)[0]]
    expected = np.broadcast_to(train.values.std(axis=0), (160, 4, 2))
    np.testing.assert_allclose(deviations(net), expected, rtol=1e-5)


def test_a_net_with_variances_ends_where_the_dense_optimizer_would():
    lazy, dense = (
        fit(optimizer=optimizer, optimizer__momentum=0.9, train_split=None, max_epochs=5, **VARIANCES)
        for optimizer in (LazySGD, torch.optim.SGD)
    )
    for name, value in weights_of(lazy).items():
        torch.testing.assert_close(value, weights_of(dense)[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("max_grad_norm", [None, 1e-3])
def test_gradients_are_no_longer_than_asked_for(max_grad_norm):
    class Norm(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            squares = (p.grad.to_dense().square().sum() for _, p in named_parameters if p.grad is not None)
            norms.append(float(sum(squares)) ** 0.5)

    norms = []
    fit(max_epochs=1, pretrain_epochs=0, callbacks=[Norm()], max_grad_norm=max_grad_norm)
    assert max(norms) > 0.1 if max_grad_norm is None else max(norms) == pytest.approx(1e-3, rel=1e-2)


def test_a_net_with_variances_pickles_and_goes_on():
    net = fit(**VARIANCES)
    again = pickle.loads(pickle.dumps(net))
    for each in (net, again):
        torch.manual_seed(0)
        each.partial_fit(X, RATINGS)
    assert_equal_weights(weights_of(again), weights_of(net))


def test_replaced_heads_have_the_mean_variance():
    net = fit(max_epochs=20, lr=0.1, consensus_head=True, **VARIANCES)
    heads, variances = (each.clone() for each in (net.module_.stacked_heads(), net.module_.stacked_variance_heads()))
    net.replace_heads(heads[[2, 0]].numpy())
    assert torch.equal(net.module_.stacked_heads(), heads[[2, 0, 4]])
    torch.testing.assert_close(net.module_.stacked_variance_heads()[:2], variances[:4].mean(0).expand(2, -1, -1))
    assert torch.equal(net.module_.stacked_variance_heads()[2], variances[4])


@pytest.mark.parametrize("name", ["consensus_head", "variance_heads"])
def test_training_on_from_a_net_with_other_heads_is_refused(name):
    with pytest.raises(ValueError, match=rf"cannot train on from a net with .*'{name}': True.*'{name}': False"):
        make_net().fit_from(fit(**{name: True}), X, RATINGS)
