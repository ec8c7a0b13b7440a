"""The prior of a fitted estimator: what its training samples make one expect of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sklearn_annoser._features import Features
from sklearn_annoser.estimators._training import ONE_NETWORK
from sklearn_annoser.mapping import Prior, learn_own_content, learn_prior
from sklearn_annoser.ratings import Ratings

BLOCK_ROWS = 1024


def fitted_prior(model: Any, X: np.ndarray | Features, unit: Ratings, valid: Sequence[np.ndarray]) -> Prior:
    """Learn what to expect of new annotators, from samples that were not trained on, if there are, and ratings.

    Parameters
    ----------
    model : AnnotatorMappedRegressor
        Fitted.
    X : array of float32, or Features, shape (n_samples, n_features)
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

    def hidden_of(rows: np.ndarray) -> Iterator[np.ndarray]:
        for part in _parts(rows):
            yield from (hidden for _, hidden in model.net_.hidden_blocks(as_tensor(X[part])))

    unseen = np.unique(np.concatenate(valid)) if len(valid) else np.arange(len(X))
    learned: dict[str, Any] = {}
    if model._fitted_makeup != ONE_NETWORK:
        learned["n_content"] = model.net_.n_content
        if len(valid):
            by = unseen_by(valid, len(X))
            told = [model.net_.predict_unseen(as_tensor(X[rows]), by[rows]) for rows in _parts(unseen)]
            learned["predicted"] = np.concatenate(told)
    prior = learn_prior(hidden_of(unseen), model._unit_heads.mean(axis=0), unit[unseen], unit, **learned)
    if model._fitted_makeup != ONE_NETWORK:
        prior = replace(prior.light(), individual_share=model.net_.module_.individual_share)
    return replace(prior, own_content=learn_own_content(hidden_of, model._unit_heads, prior, unit))


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    """Return a few rows at a time: X is large, and there shall be no copy of many."""
    return np.split(rows, np.arange(BLOCK_ROWS, len(rows), BLOCK_ROWS))
