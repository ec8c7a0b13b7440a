"""The callbacks of skorch do what they say, or are refused by name before the training."""

import json
import pickle
import re

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    BatchScoring,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ProgressBar,
    TrainEndCheckpoint,
    Unfreezer,
)
from torch.optim.lr_scheduler import OneCycleLR

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.network import RatingsDataset, ValidationSplit
from tests.network.cases import RATINGS, InterruptAt, X, assert_equal_weights, fit, make_net, weights_of

SIZES = {"module__n_features": 6, "module__n_annotators": 4, "module__n_outputs": 2}
LEARNING = {"max_epochs": 60, "lr": 0.3, "patience": 3}  # it goes on for a while after its best epoch


def mean_error(net, dataset, y):
    """Score each rating by its own prediction."""
    return float(np.mean((net.forward(dataset).detach().numpy() - y) ** 2))


def changed(net, other):
    """Return which parts of the module differ."""
    after = weights_of(other)
    return {name.split(".")[0] for name, value in weights_of(net).items() if not torch.equal(value, after[name])}


# ---------------------------------------------------------------------- those that work


@pytest.mark.parametrize("on_train", [False, True])
def test_epoch_scoring_scores_each_rating(on_train):
    net = fit(callbacks=[EpochScoring(mean_error, name="mse", on_train=on_train)], lr=1e-9)
    parts = net.get_split_datasets(X, RATINGS)
    rows = parts[not on_train].rows
    ratings = RATINGS[rows]
    predicted = net.predict_annotators(X[rows])[ratings.rows, ratings.codes]
    assert net.history[-1]["mse"] == pytest.approx(np.mean((predicted - ratings.values) ** 2), rel=1e-4)


def test_batch_scoring_scores_batches_of_the_training():
    scoring = BatchScoring(lambda net, batch, y: float(len(y)), name="ratings", on_train=True)
    assert fit(callbacks=[scoring], batch_size=200).history[-1]["ratings"] > 150


@pytest.mark.parametrize("options", [{}, {"load_best": True}, {"use_safetensors": True, "f_optimizer": None}])
def test_a_checkpoint_has_the_best_weights(options, tmp_path):
    net = fit(callbacks=[Checkpoint(dirname=tmp_path, **options)], **LEARNING)
    loaded = make_net(**SIZES).initialize()
    loaded.load_params(tmp_path / "params.pt", use_safetensors="use_safetensors" in options)
    best = min(range(len(net.history)), key=lambda epoch: net.history[epoch, "valid_loss"])
    assert net.history[best, "valid_loss_best"]
    np.testing.assert_allclose(loaded.predict(X), net.predict(X), atol=5e-3)  # early stopping passes over tiny gains


def test_the_checkpoint_at_the_end_has_the_weights_that_are_kept(tmp_path):
    net = fit(callbacks=[TrainEndCheckpoint(dirname=tmp_path)], **LEARNING)
    assert net.history[-1, "valid_loss"] > min(net.history[:, "valid_loss"])
    loaded = make_net(**SIZES).initialize()
    loaded.load_params(tmp_path / "train_end_params.pt")
    assert_equal_weights(weights_of(loaded), weights_of(net))


def test_the_checkpoint_at_the_end_of_an_interrupted_training_has_its_best_weights(tmp_path):
    net = make_net(callbacks=[InterruptAt(3), TrainEndCheckpoint(dirname=tmp_path)], max_epochs=10)
    with pytest.raises(KeyboardInterrupt, match="interrupted after 2"):
        net.fit(X, RATINGS)
    loaded = make_net(**SIZES).initialize()
    loaded.load_params(tmp_path / "train_end_params.pt")
    assert_equal_weights(weights_of(loaded), weights_of(net))
    assert len(json.loads((tmp_path / "train_end_history.json").read_text())) == 2


def test_a_training_may_start_from_a_checkpoint(tmp_path):
    checkpoint = Checkpoint(dirname=tmp_path, f_optimizer=None)
    net = fit(callbacks=[checkpoint], max_epochs=10, lr=0.1)
    other = fit(callbacks=[LoadInitState(checkpoint)], max_epochs=1, lr=1e-9, seed=5)
    np.testing.assert_allclose(other.predict(X), net.predict(X), atol=1e-4)


def test_a_learning_rate_follows_its_schedule():
    net = fit(callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.5)], max_epochs=4, lr=0.08)
    assert net.history[:, "event_lr"] == pytest.approx([0.08, 0.04, 0.02, 0.01])


def test_a_learning_rate_may_change_in_each_step_and_the_net_ends_where_the_dense_optimizer_would():
    nets = [
        fit(
            optimizer=optimizer,
            optimizer__momentum=0.9,
            callbacks=[LRScheduler(OneCycleLR, max_lr=0.1, total_steps=500, step_every="batch")],
            train_split=None,
            batch_size=16,
        )
        for optimizer in (make_net().optimizer, torch.optim.SGD)
    ]
    for name, value in weights_of(nets[0]).items():
        torch.testing.assert_close(value, weights_of(nets[1])[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("pattern", "frozen"), [("trunk*", "trunk"), ("towers*", "towers"), ("heads", "heads")])
def test_what_is_frozen_stays(pattern, frozen):
    settings = {"pretrain_epochs": 0, "optimizer__weight_decay": 0.1}
    start = fit(max_epochs=1, **(settings | {"lr": 1e-20}))
    assert changed(start, fit(callbacks=[Freezer(pattern)], **settings)) == {"trunk", "towers", "heads"} - {frozen}
    later = fit(callbacks=[Freezer(pattern), Unfreezer(pattern, at=2)], **settings)
    assert changed(start, later) == {"trunk", "towers", "heads"}


@pytest.mark.parametrize("patterns", [["*"], ["trunk*", "towers*", "heads"]])
@pytest.mark.parametrize("pretrain_epochs", [0, 1])
def test_a_net_of_which_all_is_frozen_says_what_is_left_to_do(patterns, pretrain_epochs):
    frozen = re.escape(f"Freezer has frozen all that match {patterns}. Leave one")
    with pytest.raises(ValueError, match=f"no weight left to train: {frozen}"):
        fit(callbacks=[Freezer(patterns)], pretrain_epochs=pretrain_epochs)


def test_a_module_that_was_frozen_by_hand_says_so_too():
    net = fit(max_epochs=1)
    net.module_.requires_grad_(False)
    with pytest.raises(ValueError, match="no weight left to train: all have requires_grad=False"):
        net.partial_fit(X, RATINGS)


def test_an_initializer_sets_the_weights():
    net = fit(callbacks=[Initializer("heads", torch.nn.init.zeros_)], lr=1e-9, max_epochs=1)
    assert abs(net.module_.heads).max() < 1e-6


def test_the_progress_bar_counts_all_batches(capsys):
    net = fit(callbacks=[ProgressBar(detect_notebook=False)], max_epochs=1, batch_size=10)
    train, valid = net.get_split_datasets(X, RATINGS)
    n_batches = len(net.get_iterator(train, training=True)) + len(net.get_iterator(valid))
    assert f"/{n_batches} [" in capsys.readouterr().err


def test_the_users_early_stopping_keeps_its_own_best_weights():
    stop = EarlyStopping(monitor="train_loss", patience=50, load_best=True)
    net = fit(callbacks=[stop], max_epochs=20, lr=0.1, callbacks__early_stopping=None)
    assert stop.best_epoch_ == 1 + int(np.argmin(net.history[:, "train_loss"]))


@pytest.mark.parametrize("callbacks", ["disable", [EpochTimer], [("timer", EpochTimer())]])
def test_callbacks_may_be_none_at_all_classes_or_named(callbacks):
    net = fit(callbacks=callbacks)
    assert len(net.history) == 3
    assert len(pickle.loads(pickle.dumps(net)).partial_fit(X, RATINGS, epochs=1).history) == 4


def test_callbacks_that_monitor_the_validation_rest_in_a_single_epoch(tmp_path):
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=2, random_state=0, callbacks=[Checkpoint(dirname=tmp_path)])
    model.fit(X, RATINGS).partial_fit(X, RATINGS)
    model.fine_tune(X, RATINGS)


# ---------------------------------------------------------------------- those that are refused


@pytest.mark.parametrize(
    ("callback", "way_out"),
    [
        (GradientNormClipping(1.0), r"GradientNormClipping\) cannot clip .* MultiHeadNet\(max_grad_norm=...\) does"),
        (EpochScoring("r2"), r"EpochScoring\) has scoring='r2'.* net.forward\(dataset\) predicts each"),
        (EpochScoring(None), r"EpochScoring\) has scoring=None"),
        (BatchScoring("r2", on_train=True), r"BatchScoring\) has scoring='r2'"),
        (BatchScoring(mean_error), "cannot score batches of the validation. EpochScoring scores all"),
        (InputShapeSetter(), r"InputShapeSetter\) is not needed"),
    ],
)
def test_what_cannot_work_is_refused_by_name_with_the_way_out(callback, way_out):
    with pytest.raises(ValueError, match=way_out):
        fit(callbacks=[callback])


def test_gradients_of_another_optimizer_can_be_clipped():
    fit(callbacks=[GradientNormClipping(1.0)], optimizer=torch.optim.SGD)


@pytest.mark.parametrize("callback", [Checkpoint(), EarlyStopping(), LRScheduler("StepLR", step_size=1)])
def test_monitoring_a_validation_that_there_is_not_is_refused(callback):
    if isinstance(callback, LRScheduler):
        fit(callbacks=[callback], train_split=None)
        return
    with pytest.raises(ValueError, match=rf"{type(callback).__name__}\) monitors 'valid_loss.*early_stopping=True"):
        fit(callbacks=[callback], train_split=None)


@pytest.mark.parametrize("callback", [print, 3, ("name", print)])
def test_what_is_no_callback_is_refused(callback):
    with pytest.raises(TypeError, match="callbacks must be a list of skorch callbacks"):
        fit(callbacks=[callback])


# ---------------------------------------------------------------------- the rest of skorch's contract


def test_partial_fit_takes_a_number_of_epochs():
    net = fit(max_epochs=2)
    assert len(net.partial_fit(X, RATINGS, epochs=3).history) == 5
    assert len(make_net().partial_fit(X, RATINGS, epochs=1).history) == 1


def test_forward_predicts_each_rating_of_a_dataset():
    net = fit()
    dataset = RatingsDataset(X, RATINGS)
    ratings = RATINGS[dataset.rows]
    expected = net.predict_annotators(X[dataset.rows])[ratings.rows, ratings.codes]
    np.testing.assert_allclose(net.forward(dataset).numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(net.predict(dataset), net.predict(X[dataset.rows]))
    with pytest.raises(TypeError, match="y must be Ratings, got NoneType"):
        net.forward(X)


def test_there_are_no_probabilities():
    assert not hasattr(fit(), "predict_proba")
    with pytest.raises(AttributeError, match="see predict and predict_annotators"):
        fit().predict_proba(X)


@pytest.mark.parametrize("name", ["consensus_head", "variance_heads"])
def test_another_kind_of_heads_needs_another_fit(name):
    net = fit().set_params(**{name: True})
    with pytest.raises(ValueError, match="call fit"):
        net.predict(X)
    assert net.fit(X, RATINGS).predict(X).shape == (160, 2)


def test_a_dataset_must_be_made_for_the_net():
    with pytest.raises(ValueError, match="the RatingsDataset has consensus_head=False, the net True"):
        make_net(consensus_head=True).fit(RatingsDataset(X, RATINGS))
    with pytest.raises(ValueError, match="sample_weight goes into the RatingsDataset"):
        make_net().fit(RatingsDataset(X, RATINGS), sample_weight=np.ones(160))


def test_validation_ratings_must_be_by_the_same_annotators():
    other = RatingsDataset(X[:20], RATINGS[:20].keep_annotators([1, 2]))
    with pytest.raises(ValueError, match="must know the same annotators"):
        make_net(train_split=lambda dataset, y=None, **kwargs: (dataset, other)).fit(X, RATINGS)


@pytest.mark.parametrize("split", [None, ValidationSplit()])
def test_all_or_nothing_is_nothing_if_it_fails(split):
    net = fit(train_split=split)
    before, history = weights_of(net), list(net.history)

    def fails():
        with net.all_or_nothing():
            net.train_epoch(X, RATINGS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert_equal_weights(weights_of(net), before)
    assert list(net.history) == history
    net.train_epoch(X, RATINGS)
    assert not torch.equal(before["heads"], weights_of(net)["heads"])
