"""What a strategy is: a rule by which known heads become the head of a new annotator."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sklearn_annoser.mapping._known import Known
from sklearn_annoser.ratings import Ratings


class Strategy:
    """A rule by which known heads become the head of a new annotator.

    A subclass chooses known heads, whose mean is the new one; or it chooses nobody in particular and says in `combine`
    how all of them count. What it is like stands in its class attributes.

    Parameters
    ----------
    n_heads : int, default=5
        How many heads a strategy averages that averages some.
    """

    ranks: ClassVar[bool] = True  # by the heads' scores, so that ratings have to differ to tell heads apart
    uses_ratings: ClassVar[bool] = True  # False: the heads would be the same with other ratings
    by_output: ClassVar[bool] = False  # each output is served on its own, perhaps by another annotator
    several: ClassVar[bool] = False  # those who serve are named as a tuple
    moves_mean: ClassVar[bool] = False  # to where the ratings are, so that no calibration need do it

    def __init__(self, n_heads: int = 5) -> None:
        self.n_heads = n_heads

    def choose(self, scores: np.ndarray, rng: np.random.RandomState | None = None) -> np.ndarray | None:
        """Choose known heads for each new annotator.

        Parameters
        ----------
        scores : array, shape (n_targets, n_heads, n_outputs)
            Score of each head for each new annotator, higher is better.
        rng : RandomState, default=None
            For what is drawn at random.

        Returns
        -------
        array of int, shape (n_targets, n_outputs, n_chosen), or None
            Best first; None for nobody in particular.
        """
        return None

    def combine(self, known: Known, chosen: np.ndarray | None, hidden: np.ndarray, ratings: Ratings) -> np.ndarray:
        """Make a head for each new annotator: the mean of those chosen, or of all.

        Parameters
        ----------
        known : Known
            The known heads, and what they make one expect.
        chosen : array of int, shape (n_targets, n_outputs, n_chosen), or None
            What `choose` returned.
        hidden : array, shape (n_samples, n_outputs, n_hidden)
            Hidden features of the enrollment samples.
        ratings : Ratings
            Enrollment ratings of the samples.

        Returns
        -------
        array of float64, shape (n_targets, n_outputs, n_hidden + 1)
        """
        if chosen is None:
            return np.repeat(known.heads.mean(axis=0, dtype=np.float64)[None], ratings.n_annotators, axis=0)
        return known.heads[chosen, np.arange(known.heads.shape[1])[:, None]].mean(axis=2, dtype=np.float64)

    def left_out(self, known: Known, hidden: np.ndarray, ratings: Ratings) -> np.ndarray | None:
        """Predict each rating without it, if there is a shorter way than to make the heads again.

        Parameters
        ----------
        known : Known
            The known heads, and what they make one expect.
        hidden : array, shape (n_samples, n_outputs, n_hidden)
            Hidden features of the enrollment samples.
        ratings : Ratings
            Enrollment ratings of the samples.

        Returns
        -------
        array, shape (n_ratings, n_outputs), or None
            Predictions, but for a constant of each annotator and output; NaN where there is no rating.
        """
        return None


def for_all_outputs(chosen: np.ndarray, n_outputs: int) -> np.ndarray:
    """Let one choice, (n_targets, n_chosen), serve every output: (n_targets, n_outputs, n_chosen)."""
    return np.repeat(chosen[:, None, :], n_outputs, axis=1)
