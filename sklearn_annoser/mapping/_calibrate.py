"""Calibration: a slope and an offset that give predictions the mean and the spread of a new annotator's ratings."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.ratings import Ratings, rated_outputs

__all__ = ["CALIBRATIONS", "calibrate_heads", "rating_deviations"]

CALIBRATIONS = (None, "affine")
BLOCK_ROWS = 2048


def calibrate_heads(
    hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior, *, with_offset: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    r"""Find a slope and an offset that give each new annotator's predictions the mean and spread of their ratings.

    The CCC of predictions whose correlation with the ratings is :math:`\rho` is greatest, and equal to :math:`\rho`, if
    they have the mean and the variance of the ratings. Both are estimated from `n` ratings and from what is known of
    annotators. The variance is that of an inverse-gamma prior worth :math:`c` ratings,

    .. math:: \hat s^2 = \frac{c s_0^2 + \sum_i (y_i - \bar y)^2}{c + n - 1},

    and the mean is that of the predictions over the population, plus the mean residual shrunk by the variance
    :math:`\tau^2` of the annotators' means,

    .. math:: \frac{n \tau^2}{n \tau^2 + s_0^2 / 2} (\bar y - \bar p).

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_targets, n_outputs, n_hidden + 1)
        A head for each new annotator, the bias last.
    ratings : Ratings
        Enrollment ratings of the samples.
    prior : Prior
        What is known of samples and annotators.
    with_offset : bool, default=True
        Whether to move the mean as well, which a blended head has done.

    Returns
    -------
    slope, offset : array, shape (n_targets, n_outputs)
        Of the predictions. 1 and 0 where predictions are constant.
    """
    slope, offset = np.ones(heads.shape[:2]), np.zeros(heads.shape[:2])
    deviation = rating_deviations(ratings, prior)
    for output, (codes, values, n_targets) in enumerate(rated_outputs(ratings)):
        head = heads[:, output].astype(np.float64)
        given = np.isfinite(ratings.values[:, output])
        n = np.bincount(codes, minlength=n_targets)
        predicted = _predicted(hidden[:, output], head, ratings.rows[given], codes)
        trust = n * prior.offset_variance[output]
        moved = np.bincount(codes, values - predicted, n_targets) / np.maximum(n, 1)
        moved *= trust / (trust + prior.variance[output] / 2) if with_offset else 0.0
        centre, spread = predicted_moments(head, prior, output)
        slope[:, output] = np.divide(deviation[:, output], spread, out=np.ones(n_targets), where=spread > 0)
        offset[:, output] = centre * (1 - slope[:, output]) + moved
    return slope, offset


def rating_deviations(ratings: Ratings, prior: Prior) -> np.ndarray:
    """Estimate the standard deviation of each annotator's ratings, as :func:`calibrate_heads` says.

    Parameters
    ----------
    ratings : Ratings
        Some of their ratings.
    prior : Prior
        What is known of annotators.

    Returns
    -------
    array, shape (n_annotators, n_outputs)
    """
    deviation = np.empty((ratings.n_annotators, ratings.n_outputs))
    for output, (codes, values, n_annotators) in enumerate(rated_outputs(ratings)):
        n = np.bincount(codes, minlength=n_annotators)
        centred = values - (np.bincount(codes, values, n_annotators) / np.maximum(n, 1))[codes]
        n_worth = prior.n_worth[output]
        squares = n_worth * prior.variance[output] + np.bincount(codes, centred**2, n_annotators)
        deviation[:, output] = np.sqrt(squares / (n_worth + np.maximum(n - 1, 0)))
    return deviation


def _predicted(hidden: np.ndarray, head: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return what heads of float64, (n_heads, n_hidden + 1), predict of their samples, (n_ratings,)."""
    predicted = head[codes, -1]
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        predicted[block] += np.einsum("rh,rh->r", hidden[rows[block]], head[codes[block], :-1])
    return predicted


def predicted_moments(head: np.ndarray, prior: Prior, output: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation over the samples of what heads, (n_heads, n_hidden + 1), predict; 0 of a constant."""
    centre = head @ prior.mean[output]
    square = np.einsum("th,hk,tk->t", head, prior.second[output], head, optimize=True)
    spread = np.sqrt(np.maximum(square - centre**2, 0))
    return centre, np.where(spread > 1e-4 * np.sqrt(np.maximum(square, 0)), spread, 0.0)  # rounding leaves less
