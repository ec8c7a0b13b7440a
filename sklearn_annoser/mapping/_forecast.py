"""Forecast: how well a mapping will predict ratings yet unseen, told from the enrollment ratings alone.

The CCC is a correlation times an agreement of means and spreads. The correlation is measured on enrollment ratings that
had no part in the mapping, and weighed against what the source corpus and the other new annotators make one expect; how
well means and spreads are known follows from the number of ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_annoser.mapping._enroller import Mapping
from sklearn_annoser.mapping._predict import predict_pairs
from sklearn_annoser.mapping._prior import MOST, Prior
from sklearn_annoser.ratings import centred, count_by_output, shuffled_places

__all__ = ["Forecast", "forecast_scores"]

STRANGERS = -0.2, 0.2  # what Fisher's z is off by, for annotators of another corpus: mean and deviation
ANNOTATORS = 0.15  # deviation of Fisher's z between the annotators of a corpus
FOLD_RATINGS = 5  # in a fold, as many as there are
N_DRAWS = 1000  # of the CCC of one annotator; the same for everyone, so that equal annotators get equal forecasts


@dataclass(frozen=True, slots=True)
class Forecast:
    """The CCC that some mappings are expected to have, (n_targets, n_outputs) each.

    Parameters
    ----------
    score : array, shape (n_targets, n_outputs)
        Expected CCC.
    low, high : array, shape (n_targets, n_outputs)
        Bounds of the interval that holds it with the probability asked for.
    """

    score: np.ndarray
    low: np.ndarray
    high: np.ndarray


def forecast_scores(
    mapping: Mapping, *, n_folds: int = 5, level: float = 0.8, n_unseen: Any = None, rng: np.random.RandomState
) -> Forecast:
    r"""Forecast the CCC of mapped annotators on ratings that they have not given yet.

    1. The enrollment ratings are split in folds; each fold is predicted by a mapping of the others. The correlation
       within folds, with `d` degrees of freedom, has Fisher's :math:`z = \operatorname{artanh} r`, of variance
       :math:`1 / (d - 2)`.
    2. Before, one expects :math:`z \sim N(z_0 + \delta, 0.15^2)`: :math:`z_0` is that of the known annotators on
       samples that were not trained on; :math:`\delta \sim N(-0.2, 0.2^2)`, the same for all annotators of a target
       corpus, is what a prediction loses with strangers on another corpus. Both are normal, so is what one expects
       after.
    3. The CCC is :math:`\rho\, 2 / (v + 1 / v + u^2)`, with `v` the ratio of the spreads of predictions and ratings
       and `u` the difference of their means, scaled by both. What is not known of them - the variance of a spread is
       :math:`1 / 2(c + n - 1)`, see :func:`~sklearn_annoser.mapping.calibrate_heads` - is drawn at random.

    Parameters
    ----------
    mapping : Mapping
        How the annotators were mapped with all their ratings.
    n_folds : int, default=5
        Most folds; there are fewer if they would have fewer than five ratings, and none with fewer than five.
    level : float, default=0.8
        Probability that the interval holds the CCC.
    n_unseen : int or array of int, shape (n_targets, n_outputs), default=None
        Number of unseen ratings that the CCC is of; the fewer, the more it differs by chance. None: more than count.
    rng : RandomState
        Source of the folds.

    Returns
    -------
    Forecast

    References
    ----------
    R. A. Fisher, "On the probable error of a coefficient of correlation deduced from a small sample", Metron 1, 1921
    """
    z, precision = _out_of_fold(mapping, n_folds, rng)
    z, variance = _expected_z(z, precision, mapping.prior)
    draws = np.random.RandomState(0).normal(size=(6, N_DRAWS, 1, 1))
    n_unseen = np.inf if n_unseen is None else n_unseen
    unseen = np.maximum(np.broadcast_to(np.asarray(n_unseen, dtype=np.float64), z.shape), 1)
    rho = np.tanh(z + np.sqrt(variance) * draws[0])
    agreement = _agreement(mapping, rho, unseen, draws[2:])
    if np.isfinite(unseen).any():
        rho = np.tanh(np.arctanh(rho) + draws[1] / np.sqrt(np.maximum(unseen - 3, 1)))
    ccc = rho * agreement  # (n_draws, n_targets, n_outputs)
    low, high = np.quantile(ccc, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Forecast(ccc.mean(axis=0), low, high)


def _out_of_fold(mapping: Mapping, n_folds: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return Fisher's z of ratings and the predictions of mappings without them, and its precision; 0 without any."""
    ratings = mapping.ratings
    shape = ratings.n_annotators, ratings.n_outputs
    counts = np.bincount(ratings.codes, minlength=ratings.n_annotators)
    n_own = np.where(counts >= FOLD_RATINGS, np.clip(counts // FOLD_RATINGS, 2, n_folds), 0)
    own = n_own[ratings.codes]
    fold = np.where(own > 0, shuffled_places(ratings, rng) % np.maximum(own, 1), -1)
    products, freedom = np.zeros((3, *shape)), np.zeros(shape)
    for number in range(int(n_own.max(initial=0))):
        held = fold == number
        others = mapping.heads_without(held, rng)
        predicted = predict_pairs(mapping.hidden, others, ratings.rows[held], ratings.codes[held])
        for output in range(ratings.n_outputs):
            true = ratings.values[held, output].astype(np.float64)
            given = np.isfinite(true)
            codes = ratings.codes[held][given]
            pair = centred(true[given], codes), centred(predicted[given, output].astype(np.float64), codes)
            for which, (one, other) in enumerate(((0, 1), (0, 0), (1, 1))):
                products[which, :, output] += np.bincount(codes, pair[one] * pair[other], shape[0])
            freedom[:, output] += np.maximum(np.bincount(codes, minlength=shape[0]) - 1, 0)
    covariance, *squares = products
    scale = np.sqrt(squares[0] * squares[1])
    telling = (scale > 0) & (freedom > 2)
    correlation = np.divide(covariance, scale, out=np.zeros(shape), where=telling)
    return np.arctanh(np.clip(correlation, -MOST, MOST)), np.where(telling, freedom - 2, 0.0)


def _expected_z(z: np.ndarray, precision: np.ndarray, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each annotator's true z, given those measured of all."""
    start = np.arctanh(np.clip(prior.correlation, -MOST, MOST))
    between = ANNOTATORS**2
    weight = precision / (1 + between * precision)  # of what an annotator tells of the corpus
    shift_variance = 1 / (STRANGERS[1] ** -2 + weight.sum(axis=0))
    shift = shift_variance * (STRANGERS[0] * STRANGERS[1] ** -2 + (weight * (z - start)).sum(axis=0))
    share = between * weight  # of an annotator's own z in what is expected of them
    expected = start + shift
    return expected + share * (z - expected), between * (1 - share) + (1 - share) ** 2 * shift_variance


def _agreement(mapping: Mapping, rho: np.ndarray, unseen: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return draws of the agreement of means and spreads, (n_draws, n_targets, n_outputs); 1 is perfect."""
    prior, head = mapping.prior, mapping.heads.astype(np.float64)
    centre = np.einsum("toh,oh->to", head, prior.mean)
    square = np.einsum("toh,ohk,tok->to", head, prior.second, head, optimize=True)
    spread = np.sqrt(np.maximum(square - centre**2, 1e-12))
    slope, moved = np.ones(spread.shape), np.zeros(spread.shape)
    if mapping.enroller.calibration is None:  # means and spreads are off by what a calibration would have done
        calibrated = mapping.calibrated()
        slope, offset = calibrated.slope, calibrated.offset
        moved = centre * (slope - 1) + offset
    n = count_by_output(mapping.ratings)
    own = slope * spread  # what the ratings' deviation is expected to be
    unexplained = np.sqrt(1 - rho**2)  # what is drawn by chance beside the predictions, as a share of the deviation
    log_ratio = np.log(slope) + draws[0] / np.sqrt(2 * (prior.n_worth + np.maximum(n - 1, 0)))
    off = moved / own + draws[1] / np.sqrt(prior.variance / prior.offset_variance + n / unexplained**2)
    if np.isfinite(unseen).any():
        log_ratio = log_ratio + unexplained * draws[2] / np.sqrt(unseen)
        off = off + unexplained * draws[3] / np.sqrt(unseen)
    return 2 / (np.exp(log_ratio) + np.exp(-log_ratio) + off**2 * slope)
