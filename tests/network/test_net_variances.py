"""Nets that learn the variance of every annotator's ratings too."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_annoser import Ratings
from sklearn_annoser.network import LazySGD, ValidationSplit, mixture_divergence
from tests.network.cases import DIRECTIONS, GROUPS, RATINGS, X, assert_equal_weights, fit, make_net, weights_of
from tests.oracles_network import plain_loss

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
