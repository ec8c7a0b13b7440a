"""Correlation within annotators: what is left of a prediction if mean and spread are left to a calibration."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.ratings import Ratings, centred, rated_outputs


def within_correlation(predicted: np.ndarray, ratings: Ratings) -> np.ndarray:
    """Return the correlation of ratings and predictions around each annotator's means, all annotators together.

    Parameters
    ----------
    predicted : array, shape (n_ratings, n_outputs)
        Predictions of the ratings.
    ratings : Ratings
        The ratings; an output may be missing.

    Returns
    -------
    array, shape (n_outputs,)
        -1 to 1, higher is better; 0 where no annotator's ratings or predictions differ.
    """
    found = np.zeros(ratings.n_outputs)
    for output, (codes, values, _) in enumerate(rated_outputs(ratings)):
        given = np.isfinite(ratings.values[:, output])
        pairs = np.stack([centred(values, codes), centred(predicted[given, output].astype(np.float64), codes)])
        products = pairs @ pairs.T
        if products[0, 0] > 0 and products[1, 1] > 0:
            found[output] = products[0, 1] / np.sqrt(products[0, 0] * products[1, 1])
    return found
