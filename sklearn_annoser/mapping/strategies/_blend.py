"""Blending: a new annotator's head as a compromise between what is known of annotators and what they have shown.

Before a new annotator has rated anything, their head is expected to be the mean of the known heads, give or take what
the known heads differ by. Their ratings move it from there.
"""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping._posterior import Known
from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.mapping.strategies._strategy import Strategy
from sklearn_annoser.ratings import Ratings, ratings_by_annotator

NEGLIGIBLE = 1e-10  # probability of a known head, beside that of the likeliest


class Blend(Strategy):
    """The head that all known heads and the ratings make one expect."""

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
    r"""Blend what is known of all heads with what each new annotator has shown.

    A new annotator is either somebody of their own or much like one of the known annotators, each with probability a
    half. Somebody of their own has a head :math:`w \sim N(m, V)` around the mean :math:`m` of the known heads; `V` is
    their covariance, and a variance in every direction of the hidden features and of the bias besides. Somebody like
    annotator :math:`a` has :math:`w \sim N(w_a, 0.3 V)`. With ratings :math:`y = H w + \varepsilon`,
    :math:`\varepsilon \sim N(0, \sigma^2)`, a head around :math:`c` with covariance `C` is expected to be

    .. math:: c + C H^\top (H C H^\top + \sigma^2 I)^{-1} (y - H c),

    a ridge regression around `c`. All of these, and a few variances :math:`\sigma^2`, are averaged with the
    probabilities that the ratings give them, those of all outputs together: the evidence
    :math:`N(y; H c, H C H^\top + \sigma^2 I)` times the probability before.

    All other parameters are those of :func:`score_heads`, with the same defaults.

    Parameters
    ----------
    prior : Prior
        What is known of samples and annotators.

    Returns
    -------
    array of float64, shape (n_targets, n_outputs, n_hidden + 1)
        The mean of all heads for a target without ratings.

    References
    ----------
    C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006, chapters 2.1
    and 5.4, https://gaussianprocess.org/gpml
    """
    everyone = heads.mean(axis=0, dtype=np.float64)
    blended = np.repeat(everyone[None], ratings.n_annotators, axis=0)
    known = [Known(heads[:, output], everyone[output], prior, output) for output in range(heads.shape[1])]
    for target, mine in enumerate(ratings_by_annotator(ratings)):
        given = np.isfinite(ratings.values[mine])
        told = [
            known[output].told_by(hidden[ratings.rows[mine[own]], output], ratings.values[mine[own], output])
            for output, own in enumerate(given.T)
            if own.any()
        ]
        if told:
            likely = known[0].log_prior + sum(np.logaddexp.reduce(one.evidence, axis=0) for one in told)
            likely = np.exp(likely - likely.max())
            some = np.flatnonzero(likely > NEGLIGIBLE)
            likely = likely[some] / likely[some].sum()
            moved = iter(told)
            for output, own in enumerate(given.T):
                blended[target, output] = likely @ known[output].centres[some]
                if own.any():
                    blended[target, output] += known[output].factor @ next(moved).expected(likely, some)
    return blended
