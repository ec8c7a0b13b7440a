"""Annotators whose heads are given, not learned, on features that are their own hidden ones."""

import numpy as np

from sklearn_annoser.estimators import AnnotatorPredictor
from sklearn_annoser.estimators._unit_scale import UnitScale


class Linear(AnnotatorPredictor):
    """Annotators whose heads see the features themselves."""

    def __init__(self, heads):
        self.heads = heads

    def fit(self):
        self._unit_heads = np.asarray(self.heads)
        self._unit_scale = UnitScale.identity(self._unit_heads.shape[1])
        self.annotators_ = np.array([f"ann_{index:03d}" for index in range(len(self.heads))])
        self.outputs_ = tuple(["activation", "valence"][: self._unit_heads.shape[1]])
        return self

    def iter_hidden(self, X):
        for start in range(0, len(X), 64):
            block = X[start : start + 64]
            yield slice(start, start + len(block)), np.stack([block] * len(self.outputs_), axis=1)


def linear(weights, n_outputs=1):
    """Return a model of annotators with the given weights, without bias, the same for each output."""
    heads = np.concatenate([weights, np.zeros((len(weights), 1))], axis=1)[:, None].repeat(n_outputs, axis=1)
    return Linear(heads).fit()


def people(n_annotators, seed, n_features=20, groups=1, apart=0.0):
    """Return normally distributed weights, in groups so far apart, and each one's group."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(groups, n_features))
    group = np.arange(n_annotators) % groups
    spread = 1 / np.sqrt(1 + np.arange(n_features))
    return (rng.normal(size=(n_annotators, n_features)) + centres[group]) * spread, group


def equal_heads():
    """Return six annotators who say the same everywhere, and four, of whom two do and the other two do."""
    heads = np.zeros((4, 1, 7))
    heads[2:, 0, -1] = 1
    return Linear(np.ones((6, 1, 7))).fit(), Linear(heads).fit()
