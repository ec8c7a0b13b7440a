"""Ridges: one of the rater's own, and the consensus with the rater's mean and spread."""

from __future__ import annotations

import numpy as np

from _rivals.known import Episode, Known
from _rivals.tuning import Predict, tuned

OWN = [{"alpha": alpha} for alpha in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)]
MATCHED = [{"worth_of_mean": worth} for worth in (0.0, 0.3, 1.0, 3.0, 10.0)]


def own_ridge(known: Known) -> Predict:
    """Ridge regression on the enrollment ratings alone."""

    def predict(episode: Episode, alpha: float) -> np.ndarray:
        X, asked = episode.sight.X[episode.rows], episode.sight.X[episode.asked]
        middle, mean = X.mean(axis=0), episode.values.mean()
        X, asked = X - middle, asked - middle
        weights = np.linalg.solve(X @ X.T + alpha * np.eye(len(X)), episode.values - mean)
        return mean + asked @ (X.T @ weights)

    return tuned(predict, OWN, known)


def matched_consensus(known: Known) -> Predict:
    """Ridge regression of the source's consensus, moved to the rater's mean; the spread is matched as for all."""

    def predict(episode: Episode, worth_of_mean: float) -> np.ndarray:
        n = len(episode.rows)
        moved = (episode.values - episode.enrolled).mean() * n / (n + worth_of_mean)
        return episode.predicted + moved

    return tuned(predict, MATCHED, known)
