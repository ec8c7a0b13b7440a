"""The best annotator for each output, who may be another one each time."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping.strategies._strategy import Strategy


class Separate(Strategy):
    """For each output the annotator with its best score serves."""

    by_output = True

    def choose(self, scores: np.ndarray, rng: np.random.RandomState | None = None) -> np.ndarray:
        """Return the best one of each output, of equal ones the first."""
        return scores.argmax(axis=1)[:, :, None]
