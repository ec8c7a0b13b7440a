"""Forecast: how well a mapping will predict ratings yet unseen, told from the enrollment ratings alone.

The CCC is a correlation times an agreement of means and spreads. The correlation is measured on enrollment ratings that
had no part in the mapping, and weighed against what the source corpus and the other new annotators make one expect; how
well means and spreads are known follows from the number of ratings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_annoser.mapping._between import DEVIATIONS, MOST, evidence_of_z, expected_z, measured_z
from sklearn_annoser.mapping._crossed import CONSENSUS_DEVIATION
from sklearn_annoser.mapping._enroller import Mapping
from sklearn_annoser.mapping._predict import predict_pairs
from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.ratings import count_by_output, shuffled_places

__all__ = ["Forecast", "forecast_scores"]

FOLD_RATINGS = 5  # in a fold, as many as there are
BLOCK_TARGETS = 128  # whose draws are made together
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

    1. Each enrollment rating is predicted by what the others tell: by "blend" with all others, in closed form
       (:func:`~sklearn_annoser.mapping._left_out.predict_left_out`); by other strategies in folds, each with a mapping
       of the other folds. The correlation, within folds, with `d` degrees of freedom, has Fisher's
       :math:`z = \operatorname{artanh} r`, of variance :math:`1 / (d - 2)`.
    2. Before, one expects :math:`z \sim N(z_0 + \delta, \sigma^2)`: :math:`z_0` is that of the known annotators on
       samples that were not trained on; :math:`\delta \sim N(0, 0.4^2)`, the same for all annotators of a target
       corpus, is what the corpus differs by, as in the model behind "blend"; :math:`\sigma`, what its annotators
       differ by, is one of 0.02, 0.04 ... 0.32, with the probabilities that the known annotators and all measured z
       give them.
    3. The CCC is :math:`\rho\, 2 / (v + 1 / v + u^2)`, with `v` the ratio of the spreads of predictions and ratings
       and `u` the difference of their means, scaled by both. What is not known of them - the variance of a spread is
       :math:`1 / 2(c + n - 1)`, see :func:`~sklearn_annoser.mapping.calibrate_heads` - is drawn at random.

    Parameters
    ----------
    mapping : Mapping
        How the annotators were mapped with all their ratings.
    n_folds : int, default=5
        Most folds; there are fewer if they would have fewer than five ratings, and none with fewer than five. "blend"
        needs none.
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
    z, precision = _measured(mapping, n_folds, rng)
    draws = np.random.RandomState(0).normal(size=(6, N_DRAWS, 1, 1))
    n_unseen = np.inf if n_unseen is None else n_unseen
    unseen = np.maximum(np.broadcast_to(np.asarray(n_unseen, dtype=np.float64), z.shape), 1)
    scales = _scales(mapping)
    score, low, high = np.empty((3, *z.shape))
    for part in np.array_split(np.arange(len(z)), -(-len(z) // BLOCK_TARGETS)):
        rho = np.tanh(_draws_of_z(z, precision, mapping.prior, draws[0], part))
        agreement = _agreement(scales[:, part], mapping.prior, rho, unseen[part], draws[2:])
        if np.isfinite(unseen).any():
            rho = np.tanh(np.arctanh(rho) + draws[1] / np.sqrt(np.maximum(unseen[part] - 3, 1)))
        ccc = rho * agreement  # (n_draws, n_block, n_outputs)
        low[part], high[part] = np.quantile(ccc, [(1 - level) / 2, (1 + level) / 2], axis=0)
        score[part] = ccc.mean(axis=0)
    return Forecast(score, low, high)


def _measured(mapping: Mapping, n_folds: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return Fisher's z of ratings and the predictions without them, and its precision; 0 without any."""
    predicted, part = _left_out(mapping, n_folds, rng)
    return measured_z(predicted, mapping.ratings, mapping.ratings.codes * n_folds + part)


def _left_out(mapping: Mapping, n_folds: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions of ratings without them, NaN without any, and in which part of its annotator's each lies."""
    ratings, enroller = mapping.ratings, mapping.enroller
    predicted = enroller.rule.left_out(enroller.known, mapping.hidden, ratings)
    if predicted is not None:
        unmapped = ~mapping.mapped[ratings.codes]
        predicted[unmapped] = predict_pairs(mapping.hidden, mapping.heads, ratings.rows, ratings.codes)[unmapped]
        return predicted, np.zeros_like(ratings.codes)
    counts = np.bincount(ratings.codes, minlength=ratings.n_annotators)
    n_own = np.where(counts >= FOLD_RATINGS, np.clip(counts // FOLD_RATINGS, 2, n_folds), 0)[ratings.codes]
    fold = np.where(n_own > 0, shuffled_places(ratings, rng) % np.maximum(n_own, 1), -1)
    predicted = np.full(ratings.values.shape, np.nan)
    folds = [fold == number for number in range(int(n_own.max(initial=0)))]
    for held, heads in zip(folds, mapping.heads_without(folds, rng), strict=True):
        predicted[held] = predict_pairs(mapping.hidden, heads, ratings.rows[held], ratings.codes[held])
    return predicted, np.maximum(fold, 0)


def _draws_of_z(z: np.ndarray, precision: np.ndarray, prior: Prior, normal: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return draws of some annotators' true z, (n_draws, n_block, n_outputs), given those measured of all."""
    start = np.arctanh(np.clip(prior.correlation, -MOST, MOST))
    told = z - start, precision
    mean, variance = np.swapaxes([expected_z(*told, each**2, CONSENSUS_DEVIATION) for each in DEVIATIONS], 0, 1)
    evidence = np.array([evidence_of_z(*told, each**2, CONSENSUS_DEVIATION) for each in DEVIATIONS])
    with np.errstate(divide="ignore"):  # what the source rules out is not probable at all
        likely = np.log(prior.deviations.T) + evidence  # (n_deviations, n_outputs)
    likely = np.exp(likely - likely.max(axis=0))
    bounds = (likely / likely.sum(axis=0)).cumsum(axis=0)
    # Each draw is of one deviation, as many as it is probable; the golden ratio spreads them evenly.
    place = np.arange(1, len(normal) + 1) * (np.sqrt(5) - 1) / 2 % 1
    which = (place[:, None, None] > bounds[:-1]).sum(axis=1)  # (n_draws, n_outputs)
    outputs = np.arange(z.shape[1])
    pick = which[:, None, :], part[:, None], outputs
    return np.asarray(start + mean[pick] + np.sqrt(variance[pick]) * normal)


def _scales(mapping: Mapping) -> np.ndarray:
    """Return of each annotator spread, slope, what moves their mean, number of ratings, (4, n_targets, n_outputs)."""
    prior, head = mapping.prior, mapping.heads.astype(np.float64)
    centre = np.einsum("toh,oh->to", head, prior.mean)
    square = np.einsum("toh,ohk,tok->to", head, prior.second, head, optimize=True)
    spread = np.sqrt(np.maximum(square - centre**2, 1e-12))
    slope, moved = np.ones(spread.shape), np.zeros(spread.shape)
    if mapping.enroller.calibration is None:  # means and spreads are off by what a calibration would have done
        calibrated = mapping.calibrated()
        slope, offset = calibrated.slope, calibrated.offset
        moved = centre * (slope - 1) + offset
    return np.stack([spread, slope, moved, count_by_output(mapping.ratings)])


def _agreement(scales: np.ndarray, prior: Prior, rho: np.ndarray, unseen: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return draws of the agreement of means and spreads, (n_draws, n_block, n_outputs); 1 is perfect."""
    spread, slope, moved, n = scales
    own = slope * spread  # what the ratings' deviation is expected to be
    unexplained = np.sqrt(1 - rho**2)  # what is drawn by chance beside the predictions, as a share of the deviation
    log_ratio = np.log(slope) + draws[0] / np.sqrt(2 * (prior.n_worth + np.maximum(n - 1, 0)))
    off = moved / own + draws[1] / np.sqrt(prior.variance / prior.offset_variance + n / unexplained**2)
    if np.isfinite(unseen).any():
        log_ratio = log_ratio + unexplained * draws[2] / np.sqrt(unseen)
        off = off + unexplained * draws[3] / np.sqrt(unseen)
    return 2 / (np.exp(log_ratio) + np.exp(-log_ratio) + off**2 * slope)
