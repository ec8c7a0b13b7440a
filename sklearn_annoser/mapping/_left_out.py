"""Leave-one-out of the crossed model in closed form: what all other ratings make one expect of each."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve

from sklearn_annoser.mapping import _crossed
from sklearn_annoser.mapping._crossed import CrossedModel, Told

__all__ = ["predict_left_out"]


def predict_left_out(model: CrossedModel) -> np.ndarray:
    r"""Predict each rating by what all other ratings tell, but for means.

    With the covariance :math:`K` of all ratings and their residuals :math:`r`, a rating differs from what all others
    make one expect by :math:`e_i = (K^{-1} r)_i / (K^{-1})_{ii}`. The probability of a correlation and of a shift
    without the rating is the one with it, divided by the density of :math:`e_i`. What the mean of an annotator's other
    ratings says is no part of the prediction: it falls where the rating that is left out rises.

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
    S. Sundararajan and S. S. Keerthi, "Predictive approaches for choosing hyperparameters in Gaussian processes",
    Neural Computation 13, 2001, https://doi.org/10.1162/08997660151134343
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
    covariances = [told.covariance(told.variances[shift]) for shift in shifts]
    predicted, density = np.empty(items.shape), np.empty(items.shape)
    response, of_items = _item_tables(told, model.n_shared_items)
    for _, places, inverse in model.blocks(told.correlation):
        pulled = inverse.times(np.moveaxis(residuals[:, places], 0, -1))
        alone, mine = inverse.diagonal_of_all(), model.item[places]
        # What the weights and the items of these persons learn from each rating.
        to_weights = inverse.times(model.features[places][:, :, : told.n_shared])
        to_items = inverse.times(np.eye(places.shape[1]) * (mine >= 0)[:, :, None])
        by_items = to_items @ of_items[mine[:, :, None], mine[:, None, :]]
        for row, covariance in enumerate(covariances):
            moved = (to_weights - to_items @ response[mine]) @ covariance
            moved_items = by_items - moved @ np.swapaxes(response[mine], 1, 2)
            precision = alone - (moved * to_weights).sum(axis=2) - (moved_items * to_items).sum(axis=2)
            error = pulled[:, :, row] / precision
            # Means take from this rating what the person's own, that of all and the item do.
            own = to_weights[:, :, 0] - (moved @ to_weights.sum(axis=1)[:, :, None])[:, :, 0]
            own -= (moved_items @ to_items.sum(axis=1)[:, :, None])[:, :, 0]
            taken = model.own[0] * own + moved[:, :, 0] + np.diagonal(moved_items, axis1=1, axis2=2)
            beside = model.own[0] * pulled[:, :, row].sum(axis=1)[:, None] + weights[row, 0] + items[row, places]
            predicted[row, places] = model.values[places] - error - (beside - error * taken)
            density[row, places] = 0.5 * (np.log(precision) - precision * error**2)
    return predicted, density


def _item_tables(told: Told, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how items respond to weights, and their covariance given these; the last row is of nobody's item."""
    response, covariance = np.zeros((n_items + 1, told.n_shared)), np.zeros((n_items + 1, n_items + 1))
    if n_items:
        response[:-1] = told.response[:, :-1]
        covariance[:-1, :-1] = cho_solve(told.item_factor, np.eye(n_items))
    return response, covariance
