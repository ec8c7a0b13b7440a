"""Fine-tuning: from where a mapping has put new annotators, on with their enrollment ratings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sklearn_annoser.mapping._enroller import Mapping
from sklearn_annoser.mapping._posterior import Known
from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.ratings import Ratings

__all__ = ["FINE_TUNES", "fine_tuned_heads", "tune_heads"]

FINE_TUNES = (None, "head", "tower", "all")


def fine_tuned_heads(mapping: Mapping) -> Mapping:
    """Move the head of each new annotator who could be mapped, on hidden features that stay as they are.

    A blended head is where the ratings make one expect it, and stays.

    Parameters
    ----------
    mapping : Mapping
        Where the new annotators start, not calibrated.

    Returns
    -------
    Mapping
    """
    if mapping.is_moved:
        return mapping
    known = mapping.enroller.heads
    moved = tune_heads(mapping.hidden, mapping.heads, known, mapping.ratings, mapping.prior)
    heads = np.where(mapping.mapped[:, :, None], moved, mapping.heads).astype(known.dtype)
    return replace(mapping, heads=heads, is_moved=True)


def tune_heads(hidden: np.ndarray, start: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior) -> np.ndarray:
    r"""Move each new annotator's head from where it starts to where their ratings make one expect it.

    The head is :math:`w \sim N(c, V)` around its start :math:`c`, with the covariance `V` of :func:`blend_heads`, and
    is expected, given the ratings, to be

    .. math:: c + V H^\top (H V H^\top + \sigma^2 I)^{-1} (y - H c),

    averaged over a few variances :math:`\sigma^2` by their evidence: a ridge regression around the start.

    All other parameters are those of :func:`blend_heads`, with the same defaults.

    Parameters
    ----------
    start : array, shape (n_targets, n_outputs, n_hidden + 1)
        A head for each new annotator, the bias last.

    Returns
    -------
    array of float64, shape (n_targets, n_outputs, n_hidden + 1)
    """
    tuned = start.astype(np.float64)
    everyone = heads.mean(axis=0, dtype=np.float64)
    for output in range(heads.shape[1]):
        known = Known(heads[:, output], everyone[output], prior, output)
        given = np.flatnonzero(np.isfinite(ratings.values[:, output]))
        for target in np.unique(ratings.codes[given]):
            mine = given[ratings.codes[given] == target]
            known.centres = start[target, output][None]
            told = known.told_by(hidden[ratings.rows[mine], output], ratings.values[mine, output])
            tuned[target, output] += known.factor @ told.expected(np.ones(1), np.zeros(1, dtype=int))
    return tuned
