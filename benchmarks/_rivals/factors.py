"""Collaborative filtering: biases and a few factors of raters and samples, by alternating ridges.

It reads what no other row does: known raters' ratings of the very samples that a new one is to be predicted on.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from _rivals.known import Episode, Known, Sight
from _rivals.tuning import Predict, tuned

N_ROUNDS = 8
GRID = [
    {"rank": rank, "penalty": penalty, "content": content}
    for rank, penalty, content in product((0, 1, 2), (1.0, 3.0, 10.0), (False, True))
]


def collaborative_filtering(known: Known) -> Predict | None:
    """Serve with the factors of the samples; None if no known rater has rated the new samples."""
    if known.new.others is None:
        return None
    remembered: dict[tuple[Any, ...], np.ndarray] = {}

    def predict(episode: Episode, **parameters: Any) -> np.ndarray:
        key = (episode.sight.fold, *parameters.values())
        if key not in remembered:
            remembered[key] = _sample_factors(episode.sight, known.slope, **parameters)
        return _serve(remembered[key], episode, parameters["penalty"])

    return tuned(predict, GRID, known)


def _sample_factors(sight: Sight, slope: float, rank: int, penalty: float, content: bool) -> np.ndarray:
    """Return of each sample its bias, beside what its features say where `content` is asked for, and its factors."""
    table, n_samples = sight.others, len(sight.X)
    assert table is not None
    told = slope * (sight.consensus - sight.centre) * content
    n_raters = int(table.codes.max()) + 1
    rest = table.values - told[table.rows]
    rest = rest - (np.bincount(table.codes, rest) / np.maximum(np.bincount(table.codes), 1))[table.codes]
    raters = np.hstack([np.ones((n_raters, 1)), np.random.RandomState(0).normal(size=(n_raters, rank))])
    for _ in range(N_ROUNDS if rank else 1):
        samples = _ridges(table.rows, raters[table.codes], rest, n_samples, penalty)
        factors = samples[:, 1:]
        if rank:
            left = rest - samples[table.rows, 0]
            own = _ridges(table.codes, factors[table.rows], left, n_raters, _noise(factors, penalty))
            raters[:, 1:] = own / np.maximum(np.sqrt((own**2).mean(axis=0)), 1e-9)
    samples[:, 0] += told
    return samples


def _noise(factors: np.ndarray, penalty: float) -> float:
    """Return the penalty of raters, whose factors have variance 1, if `penalty` is that of the samples."""
    return max(penalty * float(factors.var()), 1e-6) if factors.size else 1.0


def _ridges(places: np.ndarray, A: np.ndarray, y: np.ndarray, n_places: int, penalty: float) -> np.ndarray:
    """Solve a ridge regression for each place."""
    width = A.shape[1]
    gram, moment = np.zeros((n_places, width, width)), np.zeros((n_places, width))
    np.add.at(gram, places, A[:, :, None] * A[:, None, :])
    np.add.at(moment, places, A * y[:, None])
    return np.linalg.solve(gram + penalty * np.eye(width), moment[:, :, None])[:, :, 0]


def _serve(samples: np.ndarray, episode: Episode, penalty: float) -> np.ndarray:
    """Return the rater's mean, the samples' biases and what the rater makes of the factors."""
    enrolled, asked = samples[episode.rows], samples[episode.asked]
    rest = episode.values - enrolled[:, 0]
    mean, factors = rest.mean(), enrolled[:, 1:]
    gram = factors.T @ factors + _noise(samples[:, 1:], penalty) * np.eye(factors.shape[1])
    return mean + asked[:, 0] + asked[:, 1:] @ np.linalg.solve(gram, factors.T @ (rest - mean))
