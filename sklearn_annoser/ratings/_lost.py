"""Ratings that became an array on their way to an estimator, which then cannot know who rated.

Meta-estimators such as a voting or a bagging regressor, and functions such as `cross_val_predict`, make an array of
everything that they are given as y. The array of Ratings is their consensus, of classes the plurality. An estimator
that is given an array can ask here whether something that is running now, and calls it, has made that array of
Ratings. What a user makes an array of is nobody's business.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import deque
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from sklearn_annoser.ratings._ratings import Ratings

MOST_REMEMBERED = 16
MOST_CALLERS = 100


class Mark:
    """Lies in the place of a call's trace function, and is gone when the call is: ids of frames are used again."""

    def __call__(self, *event: object) -> Mark:
        return self


# Ratings that were made arrays lately, and the calls in which that happened; none is kept alive for it.
_made_arrays: deque[tuple[weakref.ref[Ratings], weakref.WeakSet[Mark]]] = deque(maxlen=MOST_REMEMBERED)


def remember_array(ratings: Ratings) -> None:
    """Remember that Ratings by several annotators have become an array in a call of scikit-learn or an estimator."""
    if ratings.n_annotators < 2:
        return
    calls = _running_calls()
    for frame in calls:
        if frame.f_trace is None:  # else a debugger watches this call
            frame.f_trace = Mark()
    if calls:
        marks = weakref.WeakSet(frame.f_trace for frame in calls if isinstance(frame.f_trace, Mark))
        _made_arrays.append((weakref.ref(ratings), marks))


def warn_of_lost(ratings: Ratings, estimator: object) -> None:
    """Warn that an estimator was given the consensus of Ratings, and tell the way that keeps who rated."""
    kind, given = ("consensus", "values") if ratings.classes is None else ("plurality", "labels")
    warnings.warn(
        f"y is the {kind} of Ratings by {ratings.n_annotators} annotators, who are lost: something between them and "
        f"{type(estimator).__name__}, such as a voting or bagging estimator, has made an array of them. Give each "
        f"rating a row of its own, X[ratings.rows] and ratings.{given}, with "
        "annotators=ratings.annotators[ratings.codes] by metadata routing; or put this estimator outside. If "
        f"the {kind} is meant, give ratings.consensus().",
        stacklevel=5,
    )


def lost_ratings(y: np.ndarray) -> Ratings | None:
    """Return the Ratings that an array was made of by a call that is running, if any."""
    if not _made_arrays or not (running := [frame.f_trace for frame in _running_calls() if frame.f_trace]):
        return None
    columns = y.reshape(len(y), -1).T
    for made_of, made_in in reversed(_made_arrays):
        ratings = made_of()
        if ratings is None or not any(mark in made_in for mark in running):
            continue
        consensus = ratings.consensus()
        consensus = consensus.reshape(len(consensus), -1).T
        if all(any(_comes_of(column, own) for own in consensus) for column in columns):
            return ratings
    return None


def _running_calls() -> list[FrameType]:
    """Return the calls of scikit-learn's functions and of other estimators' methods that are running."""
    found = []
    frame = sys._getframe(1)
    for _ in range(MOST_CALLERS):
        if frame.f_back is None:
            break
        frame = frame.f_back
        home = frame.f_globals.get("__name__", "")
        owner = frame.f_locals.get("self") if frame.f_code.co_varnames[:1] == ("self",) else None
        is_estimator = isinstance(owner, BaseEstimator) and not type(owner).__module__.startswith("sklearn_annoser.")
        if home.startswith("sklearn.") or is_estimator:
            found.append(frame)
    return found


def _comes_of(column: np.ndarray, consensus: np.ndarray) -> bool:
    """Tell whether values may be some of a consensus, or their codes, or all of it on another scale."""
    values, places = np.unique(column, return_inverse=True)
    known, own = np.unique(consensus, return_inverse=True)
    if {*values.tolist()} <= {*known.tolist(), *range(len(known))}:
        return True
    # The same order and the same ties: a transformation that rises, or falls, makes one of the other.
    return len(column) == len(consensus) and bool((places == own).all() or (places.max() - places == own).all())
