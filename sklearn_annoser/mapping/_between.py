"""How much the annotators of a corpus differ in how well they are predicted: deviations of Fisher's z between them."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.ratings import Ratings, centred

__all__ = ["DEVIATIONS", "MOST", "evidence_of_z", "expected_z", "likely_deviations", "measured_z"]

DEVIATIONS = np.array([0.02, 0.04, 0.08, 0.16, 0.32])  # of Fisher's z between the annotators of a corpus
ENOUGH = 6  # degrees of freedom: with fewer z is too far from normal to tell a deviation between annotators from chance
MOST = 0.99  # correlation: beyond it Fisher's z means nothing


def measured_z(predicted: np.ndarray, ratings: Ratings, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Fisher's z of each annotator's ratings and predictions within groups, and its precision.

    Parameters
    ----------
    predicted : array, shape (n_ratings, n_outputs)
        Predictions of the ratings, NaN where there is none.
    ratings : Ratings
        The ratings.
    groups : array of int, shape (n_ratings,)
        Ratings of which means do not count, each of a single annotator.

    Returns
    -------
    z, precision : array, shape (n_annotators, n_outputs)
        0 where nothing is told.
    """
    z, precision = np.zeros((2, ratings.n_annotators, ratings.n_outputs))
    for output, (values, told) in enumerate(zip(ratings.values.T, predicted.T, strict=True)):
        given = np.isfinite(values) & np.isfinite(told)
        _, own = np.unique(groups[given], return_inverse=True)
        codes, n = ratings.codes[given], ratings.n_annotators
        values, told = centred(values[given].astype(np.float64), own), centred(told[given].astype(np.float64), own)
        covariance, *squares = (
            np.bincount(codes, one * other, n) for one, other in ((values, told), (values, values), (told, told))
        )
        n_groups = np.bincount(codes[np.unique(own, return_index=True)[1]], minlength=n)
        freedom = np.bincount(codes, minlength=n) - n_groups
        scale = np.sqrt(squares[0] * squares[1])
        telling = (scale > 0) & (freedom > 2)
        correlation = np.divide(covariance, scale, out=np.zeros(n), where=telling)
        z[:, output] = np.arctanh(np.clip(correlation, -MOST, MOST))
        precision[:, output] = np.where(telling, freedom - 2, 0.0)
    return z, precision


def likely_deviations(predicted: np.ndarray, ratings: Ratings) -> np.ndarray:
    """Return how probable known annotators make each deviation for the annotators of another corpus.

    New annotators differ by as much as known ones, or by twice as much, since it differs, too, what their few ratings
    tell of them and how the corpus suits them: half of each probability goes one deviation up, and then all is spread
    over those beside it.

    Parameters
    ----------
    predicted : array, shape (n_ratings, n_outputs)
        Predictions of their ratings, best of samples that were not trained on.
    ratings : Ratings
        Their ratings.

    Returns
    -------
    array, shape (n_outputs, n_deviations)
    """
    z, precision = measured_z(predicted, ratings, ratings.codes)
    weight = np.maximum(precision.sum(axis=0), 1)
    apart = z - (precision * z).sum(axis=0) / weight  # from what they have in common, whatever that is
    evidence = np.array([evidence_of_z(apart, precision, each**2, np.inf) for each in DEVIATIONS])
    likely = np.exp(evidence - evidence.max(axis=0))
    likely /= likely.sum(axis=0)
    up = np.concatenate([np.zeros_like(likely[:1]), likely[:-2], likely[-2:].sum(axis=0, keepdims=True)])
    likely = (likely + up) / 2
    padded = np.pad(likely, [(1, 1), (0, 0)], mode="edge")
    return np.asarray((padded[:-2] / 4 + likely / 2 + padded[2:] / 4).T)


def evidence_of_z(z: np.ndarray, precision: np.ndarray, between: float, shift: float) -> np.ndarray:
    """Return the logarithm of how probable z are with a variance between annotators, (n_outputs,), but for a constant.

    All z, (n_annotators, n_outputs), are told from what is expected of them, but for a common shift of some deviation.
    """
    precision = np.where(precision >= ENOUGH, precision, 0.0)
    weight = precision / (1 + between * precision)
    total = np.maximum(shift**-2.0 + weight.sum(axis=0), np.finfo(float).tiny)
    extent = np.log(total) + np.log1p(between * precision).sum(axis=0)
    return np.asarray(0.5 * ((weight * z).sum(axis=0) ** 2 / total - (weight * z**2).sum(axis=0) - extent))


def expected_z(z: np.ndarray, precision: np.ndarray, between: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of what each annotator's z is expected to be, given all that were measured."""
    weight = precision / (1 + between * precision)  # of what an annotator tells of the corpus
    shift_variance = 1 / (shift**-2.0 + weight.sum(axis=0))
    moved = shift_variance * (weight * z).sum(axis=0)
    share = between * weight  # of an annotator's own z in what is expected of them
    return moved + share * (z - moved), between * (1 - share) + (1 - share) ** 2 * shift_variance
