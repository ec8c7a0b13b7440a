"""Ratings of two outputs, not all of which were rated."""

import numpy as np

from sklearn_annoser import Ratings


def with_gaps(n_samples=60):
    rng = np.random.RandomState(3)
    values = rng.normal(size=(n_samples, 1, 1)) + rng.normal(size=(n_samples, 5, 2))
    values[rng.uniform(size=values.shape) < 0.3] = np.nan
    return Ratings.from_dense(values, outputs=["activation", "valence"])


def alone(ratings, name):
    output = ratings.outputs.index(name)
    given = np.isfinite(ratings.values[:, output])
    return ratings.keep_ratings(given).with_outputs(ratings.values[given][:, [output]], [name])


def one_output_unrated():
    values = np.random.RandomState(0).normal(size=(40, 4, 2))
    values[:, :, 1] = np.nan
    values[0, 0, 1] = 1.0
    return Ratings.from_dense(values, outputs=["activation", "valence"])[1:]
