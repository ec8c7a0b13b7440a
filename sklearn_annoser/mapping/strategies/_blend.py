"""Blending: a new annotator's head as a compromise between what is known of annotators and what they have shown.

Before anybody new has rated anything, their head is expected to be the mean of the known heads. The ratings of all new
annotators together tell how their corpus differs; each one's own ratings move their head from there.
"""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping._crossed import CrossedModel
from sklearn_annoser.mapping._known import Known
from sklearn_annoser.mapping._left_out import predict_left_out
from sklearn_annoser.mapping.strategies._strategy import Strategy
from sklearn_annoser.ratings import Ratings


class Blend(Strategy):
    """The head that all known heads, everybody's ratings and a new annotator's own make one expect."""

    ranks = False
    moves_mean = True

    def combine(self, known: Known, chosen: np.ndarray | None, hidden: np.ndarray, ratings: Ratings) -> np.ndarray:
        """Return the blended heads."""
        return blend_heads(hidden, known, ratings)

    def left_out(self, known: Known, hidden: np.ndarray, ratings: Ratings) -> np.ndarray:
        """Return predictions of all ratings, each without it, in closed form."""
        predicted = np.full(ratings.values.shape, np.nan)
        for output, axes in enumerate(known.axes):
            model = CrossedModel(axes, hidden[:, output], ratings, known.needed_prior, output)
            predicted[model.given, output] = predict_left_out(model)
        return predicted


def blend_heads(hidden: np.ndarray, known: Known, ratings: Ratings) -> np.ndarray:
    r"""Blend what is known of all heads with what the new annotators have shown, all of them and each.

    A rating is the consensus of the known heads, with a slope and an offset; plus what the corpus of the new annotators
    has of its own, on the principal components of the hidden features; plus what a person has of their own, on these
    and on the ways in which the known heads differ; plus an effect of the sample that annotators have in common; plus
    noise: :class:`~sklearn_annoser.mapping.CrossedModel`. How strong consensus and corpus are is averaged over a few
    values with the probabilities that all ratings together give them. One new annotator alone is the special case in
    which corpus and person cannot be told apart. With few samples to tell it by, the corpus counts for little.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    known : Known
        The known heads, and what they make one expect.
    ratings : Ratings
        Enrollment ratings of the samples.

    Returns
    -------
    array of float64, shape (n_targets, n_outputs, n_hidden + 1)
        What all have in common for a target without ratings.

    References
    ----------
    S. R. Searle, G. Casella and C. E. McCulloch, "Variance Components", Wiley, 1992, chapter 7,
    https://doi.org/10.1002/9780470316856
    """
    blended = np.empty((ratings.n_annotators, *known.heads.shape[1:]))
    for output, axes in enumerate(known.axes):
        blended[:, output] = CrossedModel(axes, hidden[:, output], ratings, known.needed_prior, output).heads()
    return blended
