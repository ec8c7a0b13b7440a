"""A Gaussian process on what the consensus leaves: offset, slope and own taste of a rater."""

from __future__ import annotations

from itertools import product

import numpy as np

from _rivals.known import Episode, Known
from _rivals.tuning import Predict, tuned

SLOPES = (0.0, 0.03, 0.1, 0.3)  # variances, as shares of the variance of a rater's ratings
TASTES = (0.01, 0.03, 0.1, 0.3)
LENGTHS = (None, 0.5, 1.0, 2.0)  # of the kernel, in root mean squares of the features; None: a linear one


def gaussian_process(known: Known) -> Predict:
    """Serve with the shares and the length that make the enrollment ratings of known raters most likely."""
    episodes = [episode for episode in known.all_episodes() if episode.size == max(known.episodes)]
    choices = list(product(SLOPES, TASTES, LENGTHS))
    evidence = [sum(_evidence(episode, known, *choice) for episode in episodes) for choice in choices]
    best = choices[int(np.argmax(evidence))]
    return tuned(lambda episode: _posterior(episode, known, *best), [{}], known)


def _kernel(
    episode: Episode, known: Known, rows: np.ndarray, slope: float, taste: float, length: float | None
) -> np.ndarray:
    """Return the covariance of samples with the enrolled ones."""
    sight = episode.sight
    X, enrolled = sight.X[rows], sight.X[episode.rows]
    p, q = ((sight.consensus[each] - sight.centre) / max(sight.spread, 1e-9) for each in (rows, episode.rows))
    own = X @ enrolled.T
    if length is not None:
        distances = (X**2).sum(axis=1)[:, None] + (enrolled**2).sum(axis=1) - 2 * own
        own = np.exp(-distances / (2 * length**2))
    return known.offset_variance + known.variance * (slope * np.outer(p, q) + taste * own)


def _expected(episode: Episode, known: Known, rows: np.ndarray) -> np.ndarray:
    """Return what one expects of a rater whose ratings one has not seen."""
    sight = episode.sight
    return sight.centre + known.slope * (sight.consensus[rows] - sight.centre)


def _enrolled(
    episode: Episode, known: Known, slope: float, taste: float, length: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return covariance and residuals of the enrolled ratings."""
    covariance = _kernel(episode, known, episode.rows, slope, taste, length)
    noise = max(1 - slope - taste - known.slope**2 * episode.sight.spread**2 / known.variance, 0.2)
    covariance = covariance + noise * known.variance * np.eye(len(covariance))
    return covariance, episode.values - _expected(episode, known, episode.rows)


def _evidence(episode: Episode, known: Known, *choice: float | None) -> float:
    covariance, residuals = _enrolled(episode, known, *choice)  # type: ignore[arg-type]
    _, volume = np.linalg.slogdet(covariance)
    return float(-0.5 * (volume + residuals @ np.linalg.solve(covariance, residuals)))


def _posterior(episode: Episode, known: Known, *choice: float | None) -> np.ndarray:
    covariance, residuals = _enrolled(episode, known, *choice)  # type: ignore[arg-type]
    cross = _kernel(episode, known, episode.asked, *choice)  # type: ignore[arg-type]
    return _expected(episode, known, episode.asked) + cross @ np.linalg.solve(covariance, residuals)
