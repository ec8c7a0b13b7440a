"""One annotator for all outputs: the mapping rule of the paper.

J. Tavernor and E. Mower Provost, "More Similar than Dissimilar: Modeling Annotators for Cross-Corpus Speech Emotion
Recognition", 2025, https://arxiv.org/abs/2509.12295
"""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping.strategies._strategy import Strategy, for_all_outputs


class Joint(Strategy):
    """The annotator with the best sum of the outputs' scores serves all outputs."""

    def choose(self, scores: np.ndarray, rng: np.random.RandomState | None = None) -> np.ndarray:
        """Return the best one, of equal ones the first."""
        best = [each.sum(axis=1).argmax() for each in scores]  # one by one: a sum for all would be half of the scores
        return for_all_outputs(np.array(best)[:, None], scores.shape[2])
