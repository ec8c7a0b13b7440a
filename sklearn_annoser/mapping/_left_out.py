"""Leave-one-out of the crossed model in closed form: what all other ratings make one expect of each."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping import _crossed
from sklearn_annoser.mapping._crossed import CrossedModel, Told

__all__ = ["predict_left_out"]


def predict_left_out(model: CrossedModel) -> np.ndarray:
    r"""Predict each rating by what all other ratings tell, but for means.

    With the covariance :math:`K` of all ratings and their residuals :math:`r`, a rating differs from what all others make
    one expect by :math:`e_i = (K^{-1} r)_i / (K^{-1})_{ii}`. The probability of a correlation and of a shift without the
    rating is the one with it, divided by the density of :math:`e_i`. What the mean of an annotator's other ratings says
    is left out of the prediction: it would fall where the rating rises. The effects of items that several rated are taken
    as they are.

    Parameters
    ----------
    model : CrossedModel
        Ratings and what is known of them.

    Returns
    -------
    array, shape (n_ratings,)
        Predictions of the ratings in the order of `model.values`. They lack the mean, a constant of each annotator.

    References
    ----------
    S. Sundararajan and S. S. Keerthi, "Predictive approaches for choosing hyperparameters in Gaussian processes", Neural
    Computation 13, 2001, https://doi.org/10.1162/08997660151134343
    """
    predicted, density, probability = [], [], []
    for told, chances in zip(*model.told(), strict=True):
        shifts = np.flatnonzero(chances > _crossed.NEGLIGIBLE)
        if len(shifts):
            found = _for_shifts(model, told, shifts)
            predicted.append(found[0])
            density.append(found[1])
            probability.append(chances[shifts])
    logs = np.log(np.concatenate(probability))[:, None] - np.concatenate(density)
    weights = np.exp(logs - logs.max(axis=0))
    return np.asarray((weights * np.concatenate(predicted)).sum(axis=0) / weights.sum(axis=0))


def _for_shifts(model: CrossedModel, told: Told, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions of ratings left out, and the log of their densities, (n_shifts, n_ratings) each."""
    weights = np.array([told.solved[shift][1] for shift in shifts])
    items = np.array([np.append(told.items(each), 0.0)[model.item] for each in weights])
    residuals = model.residuals(told.correlation) - weights @ model.features[:, : told.n_shared].T - items
    covariances = [told.covariance_given_items(told.variances[shift]) for shift in shifts]
    predicted, density = np.empty(items.shape), np.empty(items.shape)
    for _, places, inverse in model.blocks(told.correlation):
        response = inverse.times(model.features[places][:, :, : told.n_shared])
        pulled = inverse.times(np.moveaxis(residuals[:, places], 0, -1))
        everyone, of_person = told.precision_given_items[0], response.sum(axis=1)[:, :, None]
        diagonal = inverse.diagonal_of_all()
        for row, covariance in enumerate(covariances):
            spread = response @ covariance
            precision = diagonal - (spread * response).sum(axis=2)
            error = pulled[:, :, row] / precision
            # What the mean takes from this rating: the person's own, and that of all.
            own = model.own[0] * (response[:, :, 0] - (spread @ of_person)[:, :, 0])
            common = told.variances[shifts[row]][0] * (response[:, :, 0] - spread @ everyone)
            mean = model.own[0] * pulled[:, :, row].sum(axis=1)[:, None] + weights[row, 0] - error * (own + common)
            predicted[row, places] = model.values[places] - items[row, places] - error - mean
            density[row, places] = 0.5 * (np.log(precision) - precision * error**2)
    return predicted, density
