"""Anybody: what mapping has to beat."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping.strategies._strategy import Strategy, for_all_outputs


class Random(Strategy):
    """An annotator serves who is drawn at random, each with the same probability."""

    ranks = False
    uses_ratings = False

    def choose(self, scores: np.ndarray, rng: np.random.RandomState | None = None) -> np.ndarray:
        """Return a draw for each new annotator."""
        n_targets, n_known, n_outputs = scores.shape
        rng = np.random.RandomState() if rng is None else rng
        return for_all_outputs(rng.randint(n_known, size=(n_targets, 1)), n_outputs)
