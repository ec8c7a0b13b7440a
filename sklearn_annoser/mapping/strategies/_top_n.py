"""The mean of a few of the best annotators."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping.strategies._strategy import Strategy, for_all_outputs


class TopN(Strategy):
    """The mean of the `n_heads` annotators with the best sums of the outputs' scores serves all outputs."""

    several = True

    def choose(self, scores: np.ndarray, rng: np.random.RandomState | None = None) -> np.ndarray:
        """Return the best ones, or all if there are no more; a stable order, so that equal scores go to the first."""
        order = np.argsort(-scores.sum(axis=2), axis=1, kind="stable")
        return for_all_outputs(order[:, : self.n_heads], scores.shape[2])
