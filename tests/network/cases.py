"""A small problem of four annotators, nets for it, and callbacks that watch or interrupt them."""

import numpy as np
import torch
from skorch.callbacks import Callback

from sklearn_annoser import Ratings
from sklearn_annoser.network import MultiHeadNet

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
