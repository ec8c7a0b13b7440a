"""Training that did not learn, or did not come to its end, says so; any other is quiet."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from sklearn_annoser import AnnotatorMappedClassifier, AnnotatorMappedRegressor, Ratings
from sklearn_annoser.network import CrossEntropy
from tests.network.cases import X, fit, make_net, make_ratings

MANY = make_ratings(share=0.9)  # 144 ratings of the validation samples, or so


def told(**settings):
    """Return what a training warns of."""
    ratings = settings.pop("ratings", MANY)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(ratings=ratings, **settings)
    return [str(each.message) for each in caught if each.category is ConvergenceWarning]


def test_a_training_that_learns_is_quiet():
    assert told(max_epochs=200, lr=0.3, patience=2) == []


@pytest.mark.parametrize("settings", [{"lr": 1e-8, "pretrain_epochs": 0}, {"lr": 1e-9, "criterion": torch.nn.MSELoss}])
def test_a_training_that_learned_nothing_names_features_and_learning_rate(settings):
    (message,) = told(max_epochs=60, patience=2, **settings)
    assert "next to nothing" in message
    assert "StandardScaler" in message
    assert f"lr={settings['lr']}" in message


def test_ratings_that_nothing_tells_of_are_nothing_to_learn():
    noise = MANY.with_values(np.random.RandomState(0).uniform(-1, 1, size=MANY.values.shape))
    assert len(told(ratings=noise, lr=1e-3, max_epochs=60, patience=2)) == 1


def test_a_few_validation_ratings_cannot_tell():
    assert told(ratings=make_ratings(share=0.2), lr=1e-8, pretrain_epochs=0, max_epochs=60, patience=2) == []


def test_a_training_that_ends_at_max_epochs_while_it_was_learning_says_so():
    (message,) = told(lr=2e-3, max_epochs=30, patience=3, lr_patience=3)
    assert "ended at max_epochs=30 while the validation loss was still falling" in message
    assert "Raise max_epochs, or lr=0.002" in message


@pytest.mark.parametrize(
    "settings",
    [
        {"max_epochs": 29},  # shorter than ten times the patience: meant to be short
        {"train_split": None},
        {"callbacks__early_stopping": None},
    ],
)
def test_a_training_that_is_meant_to_be_short_or_has_no_early_stopping_is_quiet(settings):
    assert told(**({"lr": 2e-3, "max_epochs": 30, "patience": 3, "lr_patience": 3} | settings)) == []


def test_partial_fit_is_quiet():
    net = make_net(lr=2e-3, max_epochs=30, patience=3)
    net.partial_fit(X, MANY)


def test_labels_are_compared_with_their_shares():
    shares = np.eye(2)[(X[:, 0] > 0).astype(int)]
    labels = Ratings.from_dense(np.repeat(shares[:, None], 4, axis=1))
    net = fit(ratings=labels, criterion=CrossEntropy, max_epochs=40, lr=0.3)
    assert net.gain(net.get_split_datasets(X, labels)[1]) > 0.5
    assert told(ratings=labels, criterion=CrossEntropy, max_epochs=40, lr=0.3, patience=2) == []
    flat = fit(ratings=labels, criterion=CrossEntropy, max_epochs=1, lr=1e-8, pretrain_epochs=0)
    assert flat.gain(flat.get_split_datasets(X, labels)[1]) < 0.1


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gain_of_the_default_loss_is_the_concordance(weighted):
    weight = np.where(np.arange(160) % 3, 1.0, 2.0) if weighted else None
    net = make_net(max_epochs=30, lr=0.1).fit(X, MANY, sample_weight=weight)
    valid = net.get_split_datasets(net.get_dataset(X, MANY, weight))[1]
    assert net.gain(valid) == pytest.approx(1 - min(net.history[:, "valid_loss"]), abs=0.02)


def test_estimators_warn_too():
    order = np.random.RandomState(0).permutation(160)
    model = AnnotatorMappedRegressor(n_hidden=16, lr=1e-8, pretrain_epochs=0, patience=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="next to nothing"):
        model.fit(X[order], MANY)
    label = np.where(X[:, 0] > 0, "a", "b")
    AnnotatorMappedClassifier(n_hidden=16, lr=0.1, patience=3, max_epochs=60, random_state=0).fit(X, label)
