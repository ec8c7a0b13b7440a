"""The prior of a fitted estimator: what its training samples make one expect of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_annoser.estimators._training import ONE_NETWORK
from sklearn_annoser.mapping import Prior, learn_prior
from sklearn_annoser.ratings import Ratings

BLOCK_ROWS = 1024


def fitted_prior(model: Any, X: np.ndarray, unit: Ratings, valid: Sequence[np.ndarray]) -> Prior:
    """Learn what to expect of new annotators, from samples that were not trained on, if there are, and ratings.

    Parameters
    ----------
    model : AnnotatorMappedRegressor
        Fitted.
    X : array of float32, shape (n_samples, n_features)
        Features of all samples.
    unit : Ratings
        Their ratings, from -1 to 1.
    valid : sequence of arrays of int
        Rows of the samples that each network was not trained on. In a committee those count that one or more networks
        have not seen: what these predict of them tells how well ratings are predicted.

    Returns
    -------
    Prior
    """
    from sklearn_annoser.network import as_tensor
    from sklearn_annoser.network._member_splits import unseen_by

    unseen = np.unique(np.concatenate(valid)) if len(valid) else np.arange(len(X))
    parts = np.split(unseen, np.arange(BLOCK_ROWS, len(unseen), BLOCK_ROWS))  # X is large: no copy of many rows
    blocks = (hidden for rows in parts for _, hidden in model.net_.hidden_blocks(as_tensor(X[rows])))
    head, told = model._unit_heads.mean(axis=0), unit[unseen]
    if model._fitted_makeup == ONE_NETWORK:
        return learn_prior(blocks, head, told, unit)
    predicted = None
    if len(valid):
        by = unseen_by(valid, len(X))
        predicted = np.concatenate([model.net_.predict_unseen(as_tensor(X[rows]), by[rows]) for rows in parts])
    return learn_prior(blocks, head, told, unit, predicted=predicted, n_content=model.net_.n_content).light()
