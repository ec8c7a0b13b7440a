"""Blending: a new annotator's head as a compromise between what is known of annotators and what they have shown.

Before anybody new has rated anything, their head is expected to be the mean of the known heads. The ratings of all new
annotators together tell how their corpus differs; each one's own ratings move their head from there.
"""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping._crossed import Axes, CrossedModel
from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.mapping.strategies._strategy import Strategy
from sklearn_annoser.ratings import Ratings


class Blend(Strategy):
    """The head that all known heads, everybody's ratings and a new annotator's own make one expect."""

    ranks = False
    moves_mean = True

    def combine(
        self, heads: np.ndarray, chosen: np.ndarray | None, hidden: np.ndarray, ratings: Ratings, prior: Prior | None
    ) -> np.ndarray:
        """Return the blended heads."""
        if prior is None:
            raise ValueError('strategy="blend" and calibration need a prior.')
        return blend_heads(hidden, heads, ratings, prior)


def blend_heads(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior) -> np.ndarray:
    r"""Blend what is known of all heads with what the new annotators have shown, all of them and each.

    A rating is the consensus of the known heads, with a slope and an offset; plus what the corpus of the new annotators
    has of its own, on the principal components of the hidden features; plus what a person has of their own, on these
    and on the ways in which the known heads differ; plus an effect of the sample that annotators have in common; plus
    noise: :class:`~sklearn_annoser.mapping.CrossedModel`. How strong consensus and corpus are is averaged over a few
    values with the probabilities that all ratings together give them. One new annotator alone is the special case in
    which corpus and person cannot be told apart. With few samples to tell it by, the corpus counts for little.

    All other parameters are those of :func:`score_heads`, with the same defaults.

    Parameters
    ----------
    prior : Prior
        What is known of samples and annotators.

    Returns
    -------
    array of float64, shape (n_targets, n_outputs, n_hidden + 1)
        What all have in common for a target without ratings.

    References
    ----------
    S. R. Searle, G. Casella and C. E. McCulloch, "Variance Components", Wiley, 1992, chapter 7,
    https://doi.org/10.1002/9780470316856
    """
    blended = np.empty((ratings.n_annotators, *heads.shape[1:]))
    for output in range(heads.shape[1]):
        axes = Axes.of(heads[:, output], prior, output)
        blended[:, output] = CrossedModel(axes, hidden[:, output], ratings, prior, output).heads()
    return blended
