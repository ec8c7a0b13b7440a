"""What is left of ratings without their annotators' own mean and spread."""

from __future__ import annotations

import numpy as np


def centred(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return values less the mean of those with the same code; exactly 0 where these are all equal.

    Parameters
    ----------
    values : array, shape (n_ratings,)
        Values, without NaN.
    codes : array of int, shape (n_ratings,)
        Group of each value.

    Returns
    -------
    array of float64, shape (n_ratings,)
    """
    n = np.maximum(np.bincount(codes), 1)
    around = values - (np.bincount(codes, values) / n)[codes]
    low, high = np.full(len(n), np.inf), np.full(len(n), -np.inf)
    np.minimum.at(low, codes, values)
    np.maximum.at(high, codes, values)
    around[(high <= low)[codes]] = 0.0  # the mean of equal values may be a rounding error away
    return around


def standardize(values: np.ndarray, codes: np.ndarray, n_worth: float) -> np.ndarray:
    """Return values (n_ratings, n_outputs) less their annotator's mean and divided by their deviation."""
    standardized = np.full(values.shape, np.nan, dtype=values.dtype)
    for output, column in enumerate(values.T.astype(np.float64)):
        given = np.isfinite(column)
        if not given.any():
            continue
        who, own = codes[given], column[given]
        n = np.bincount(who)
        of_own, of_all = centred(own, who), centred(own, np.zeros_like(who))
        share = n_worth / np.maximum(n + n_worth, 1)
        own = of_own + (of_all - of_own) * share[who]
        squares = np.bincount(who, own**2)
        deviation = np.sqrt((squares + n_worth * np.mean(own**2)) / np.maximum(n + n_worth, 1))
        deviation[deviation == 0] = 1  # equal ratings stay equal
        standardized[given, output] = own / deviation[who]
    return standardized
