"""Small corpora for the tests of mapping: hidden features, known heads, and ratings of new annotators."""

import numpy as np

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import Enroller, learn_prior
from tests.oracles_network import predictions_of


def enrol(hidden, heads, ratings, *, rng=None, **options):
    """Map the annotators of some ratings."""
    return Enroller(heads, **options).enrol(hidden, ratings, rng=rng)


ALL_STRATEGIES = ["joint", "separate", "top-n", "blend", "all", "random"]


def make_case(counts, n_known=6, n_outputs=2, n_hidden=4, seed=0, dtype=np.float64):
    """Hidden features, heads, and ratings of targets who rated `counts` samples each."""
    rng = np.random.RandomState(seed)
    n_samples = max(*counts, 1) + 3
    hidden = np.maximum(rng.normal(size=(n_samples, n_outputs, n_hidden)), 0).astype(dtype)
    heads = rng.normal(size=(n_known, n_outputs, n_hidden + 1)).astype(dtype)
    values = np.full((n_samples, len(counts), n_outputs), np.nan)
    for target, count in enumerate(counts):
        rows = rng.choice(n_samples, size=count, replace=False)
        values[rows, target] = rng.normal(size=(count, n_outputs))
    return hidden, heads, Ratings.from_dense(values)


def make_prior(n_outputs=2, n_hidden=4, seed=5):
    """What a source corpus of other samples tells."""
    hidden, heads, ratings = make_case([20, 30, 25, 15], n_outputs=n_outputs, n_hidden=n_hidden, seed=seed)
    return learn_prior([hidden], heads.mean(axis=0), ratings, ratings)


PRIOR = make_prior()


def planted(hidden, heads, chosen, n_ratings=20, noise=0.02, seed=0):
    """Ratings of targets each of whom rates as one of the heads says."""
    rng = np.random.RandomState(seed)
    values = np.full((len(hidden), len(chosen), heads.shape[1]), np.nan)
    for target, head in enumerate(chosen):
        rows = rng.choice(len(hidden), size=n_ratings, replace=False)
        values[rows, target] = predictions_of(hidden[rows], heads[head])
        values[rows, target] += rng.normal(scale=noise, size=(n_ratings, heads.shape[1]))
    return Ratings.from_dense(values)


def mapped_predictions(hidden, result, target):
    return predictions_of(hidden, result.heads[target].astype(np.float64))
