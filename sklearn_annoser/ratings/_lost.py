"""Ratings that became an array on their way to an estimator, which then cannot know who rated.

Meta-estimators such as a voting or a bagging regressor make an array of everything that they are given as y. The array
of Ratings is their consensus. An estimator that is given an array can ask here whether the meta-estimator that calls it
has made it of Ratings. What a user makes an array of is nobody's business.
"""

from __future__ import annotations

import sys
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from sklearn_annoser.ratings._ratings import Ratings

MOST_REMEMBERED = 16
MOST_CALLERS = 100
ENOUGH_VALUES = 5  # different ones: fewer may be equal by chance

# Ratings that were made arrays lately, and the estimators in whose methods that happened; none is kept alive for it.
_made_arrays: deque[tuple[weakref.ref[Ratings], list[weakref.ref[Any]]]] = deque(maxlen=MOST_REMEMBERED)


def remember_array(ratings: Ratings) -> None:
    """Remember that Ratings by several annotators have become an array in a method of some estimator."""
    if ratings.n_annotators > 1 and (callers := _calling_estimators()):
        _made_arrays.append((weakref.ref(ratings), [weakref.ref(each) for each in callers]))


def lost_annotators(y: np.ndarray) -> int:
    """Return how many annotators an array lost that a caller made of Ratings, of a part or rescaled too; else 0."""
    if not _made_arrays or not (callers := _calling_estimators()):
        return 0
    columns = y.reshape(len(y), -1).T
    for made_of, makers in reversed(_made_arrays):
        ratings = made_of()
        if ratings is None or not any(maker() is caller for maker in makers for caller in callers):
            continue
        consensus = ratings.consensus().reshape(len(ratings), -1).T
        if all(any(_comes_of(column, own) for own in consensus) for column in columns):
            return ratings.n_annotators
    return 0


def _calling_estimators() -> list[BaseEstimator]:
    """Return the estimators of others whose methods are running, the innermost first."""
    found: list[BaseEstimator] = []
    frame = sys._getframe(1)
    for _ in range(MOST_CALLERS):
        if frame.f_back is None:
            break
        frame = frame.f_back
        owner = frame.f_locals.get("self") if frame.f_code.co_varnames[:1] == ("self",) else None
        if isinstance(owner, BaseEstimator) and not type(owner).__module__.startswith("sklearn_annoser."):
            found.append(owner)
    return found


def _comes_of(column: np.ndarray, consensus: np.ndarray) -> bool:
    """Tell whether values are some of a consensus, or all of it on another scale."""
    values = np.unique(column)
    if len(values) < ENOUGH_VALUES:
        return False
    if np.isin(values, consensus).all():
        return True
    if len(column) != len(consensus) or not np.isfinite(consensus).all():
        return False
    # The same order and the same ties: a transformation that rises, or falls, makes one of the other.
    ranks, own = (np.unique(each, return_inverse=True)[1] for each in (column, consensus))
    return bool((ranks == own).all() or (ranks.max() - ranks == own).all())
