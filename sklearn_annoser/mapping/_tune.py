"""Fine-tuning: from where a mapping has put new annotators, on with their enrollment ratings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sklearn_annoser.mapping._blend import Prior, tune_heads
from sklearn_annoser.mapping._enroller import Mapping
from sklearn_annoser.ratings import Ratings

__all__ = ["FINE_TUNES", "fine_tuned_heads", "fine_tuned_network"]

FINE_TUNES = (None, "head", "tower", "all")


def fine_tuned_heads(
    mapping: Mapping, hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, prior: Prior
) -> Mapping:
    """Move the head of each new annotator who could be mapped, on hidden features that stay as they are.

    Parameters
    ----------
    mapping : Mapping
        Where the new annotators start, not calibrated.
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators.
    ratings : Ratings
        Enrollment ratings of the samples.
    prior : Prior
        What is known of samples and annotators.

    Returns
    -------
    Mapping
    """
    moved = tune_heads(hidden, mapping.heads, heads, ratings, prior)
    return replace(mapping, heads=np.where(mapping.mapped[:, :, None], moved, mapping.heads).astype(heads.dtype))


def fine_tuned_network(
    mapping: Mapping,
    source: Any,
    X: Any,
    ratings: Ratings,
    *,
    train: str,
    start_without: Callable[[np.ndarray], np.ndarray],
    groups: Any = None,
    seed: int = 0,
) -> tuple[Mapping, Any]:
    """Train a copy of the source network on, from the heads of a mapping, with the ratings of all new annotators.

    Parameters
    ----------
    mapping : Mapping
        Where the new annotators start, not calibrated.
    source : AnnotatorMappedRegressor
        Who knows the source annotators. It is not changed.
    X : array-like, shape (n_samples, n_features)
        Features of the enrollment samples.
    ratings : Ratings
        Enrollment ratings of the samples.
    train : {"tower", "all"}
        Heads and towers, or all weights.
    start_without : callable
        Given positions of samples, returns the heads of a mapping that has not seen their ratings.
    groups : array-like, shape (n_samples,), default=None
        Group of each sample, which is held out as a whole.
    seed : int, default=0
        Seed of the training.

    Returns
    -------
    mapping : Mapping
        With heads on the hidden features of the copy.
    tuned : AnnotatorMappedRegressor
        The copy, which knows the new annotators.
    """
    tuned = source.with_heads(ratings.annotators, mapping.heads).set_params(random_state=seed)
    tuned.fine_tune(X, ratings, train=train, groups=groups, start_without=start_without)
    return replace(mapping, heads=tuned.heads_), tuned
