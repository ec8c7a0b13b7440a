"""Thresholds between ordered classes: what they say of a score, and those of a new annotator from a few labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

__all__ = ["ThresholdPrior", "fit_thresholds", "ordered_log_proba"]

DOUBT = 2  # the number of known annotators that the guesses below count for
LEVEL_VARIANCE = 1.0  # of how high annotators label, in logits
GAP_VARIANCE = 0.25  # of the logarithm of how wide their classes are
LOG_GAPS = (-15.0, 6.0)  # as the network has them


def ordered_log_proba(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    r"""Return the log-probability of ordered classes, :math:`P(y \le k) = \operatorname{sigmoid}(\theta_k - s)`.

    Parameters
    ----------
    scores : array, shape (...)
        The scores.
    thresholds : array, shape (..., n_classes - 1)
        What cuts each of them, rising; the leading axes are broadcast.

    Returns
    -------
    array of float64, shape (..., n_classes)

    References
    ----------
    P. McCullagh, "Regression Models for Ordinal Data", J. R. Stat. Soc. B 42, 1980,
    https://doi.org/10.1111/j.2517-6161.1980.tb01109.x

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_annoser.mapping import ordered_log_proba
    >>> np.exp(ordered_log_proba(np.zeros(1), np.array([-1.0, 1.0]))).round(3)
    array([[0.269, 0.462, 0.269]])
    """
    below = thresholds - np.asarray(scores, dtype=np.float64)[..., None]  # (..., n_classes - 1)
    found = np.zeros((*below.shape[:-1], below.shape[-1] + 1))
    found[..., :-1] += log_expit(below)
    found[..., 1:] += log_expit(-below)
    found[..., 1:-1] += np.log(-np.expm1(-np.diff(thresholds)))
    return found


@dataclass(frozen=True, slots=True)
class ThresholdPrior:
    """How annotators differ in the use of ordered classes: a normal distribution of level and log gaps.

    The level is how far the mean score lies above the middle of the thresholds; the gaps are between these.

    Parameters
    ----------
    mean : array, shape (n_classes - 1,)
        The mean, the level first.
    covariance : array, shape (n_classes - 1, n_classes - 1)
        Their covariance.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def learn(cls, levels: np.ndarray, thresholds: np.ndarray) -> ThresholdPrior:
        """Learn the distribution of known annotators, where a guess counts for two more of them.

        Parameters
        ----------
        levels : array, shape (n_annotators,)
            Mean score of each, above the middle of their thresholds.
        thresholds : array, shape (n_annotators, n_classes - 1)
            Their thresholds.

        Returns
        -------
        ThresholdPrior
        """
        known = np.column_stack([levels, np.log(np.diff(thresholds))]).astype(np.float64)
        guess = np.diag([LEVEL_VARIANCE] + [GAP_VARIANCE] * (known.shape[1] - 1))
        centred = known - known.mean(axis=0)
        covariance = (centred.T @ centred + DOUBT * guess) / (len(known) - 1 + DOUBT)
        return cls(known.mean(axis=0), covariance)

    def towards(self, level: float, thresholds: np.ndarray) -> ThresholdPrior:
        """Return the prior half-way to the thresholds of a head that was chosen, in part by chance, for its labels.

        Parameters
        ----------
        level : float
            Mean score of that head.
        thresholds : array, shape (n_classes - 1,)
            Its thresholds.

        Returns
        -------
        ThresholdPrior
        """
        chosen = np.concatenate([[level], np.log(np.diff(thresholds))])
        return replace(self, mean=(self.mean + chosen) / 2)


def fit_thresholds(
    scores: np.ndarray, codes: np.ndarray, prior: ThresholdPrior, level: float
) -> tuple[float, np.ndarray]:
    r"""Fit the thresholds of a new annotator to a few labels: the most probable ones, given the prior.

    With level and log gaps :math:`u \sim N(\mu, \Sigma)` this minimizes
    :math:`-\sum_i \log P(y_i \mid s_i, u) + \frac{1}{2} (u - \mu)^\top \Sigma^{-1} (u - \mu)` from :math:`\mu`.
    Without labels :math:`u = \mu`; a class that was not used becomes narrow, never empty.

    Parameters
    ----------
    scores : array, shape (n,)
        Scores of the labelled samples.
    codes : array of int, shape (n,)
        Position of each label's class.
    prior : ThresholdPrior
        What known annotators make one expect.
    level : float
        Mean of the scores over the population.

    Returns
    -------
    shift : float
        To add to all scores.
    thresholds : array, shape (n_classes - 1,)
        Centred thresholds for the shifted scores.
    """
    precision = np.linalg.inv(prior.covariance)

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        away = found - prior.mean
        value, gradient = _negative_log_likelihood(scores + (found[0] - level), codes, found[1:])
        return value + away @ precision @ away / 2, gradient + precision @ away

    best = minimize(loss, prior.mean, jac=True, method="BFGS").x
    return float(best[0] - level), centred_thresholds(best[1:])[0]


def centred_thresholds(log_gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds (n_classes - 1,) around 0, and the widths of the classes between them."""
    widths = np.exp(np.clip(log_gaps, *LOG_GAPS))
    rising = np.concatenate([[0.0], widths.cumsum()])
    return rising - rising.mean(), widths


def _negative_log_likelihood(scores: np.ndarray, codes: np.ndarray, log_gaps: np.ndarray) -> tuple[float, np.ndarray]:
    """Return minus the log likelihood of labels, and its gradient by the level and the log gaps."""
    thresholds, widths = centred_thresholds(log_gaps)
    value = -ordered_log_proba(scores, thresholds)[np.arange(len(codes)), codes].sum()
    classes = np.arange(len(thresholds))
    # By each threshold: upwards where it is the upper end of the label's class, downwards where it is the lower one.
    up = np.where(codes[:, None] == classes, expit(scores[:, None] - thresholds), 0.0)
    down = np.where(codes[:, None] == classes + 1, expit(thresholds - scores[:, None]), 0.0)
    by_threshold = (down - up).sum(axis=0)  # of minus the log likelihood
    moved = np.tri(len(thresholds), len(widths), -1)  # which thresholds lie above a gap
    moved -= moved.mean(axis=0) if len(widths) else 0.0
    counts = np.bincount(codes, minlength=len(thresholds) + 1)[1:-1]
    by_gap = widths * (by_threshold @ moved) - counts * widths / np.expm1(widths)
    return float(value), np.concatenate([[-by_threshold.sum()], by_gap])
