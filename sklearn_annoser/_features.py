"""Features of many samples, of which no more than a few rows at a time are made float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sklearn_annoser._validation import check_array_like

BLOCK_VALUES = 2**20  # that are looked at together


class Features:
    """Rows of an array of real numbers, which are handed out as C-contiguous float32; the array itself is not copied.

    Parameters
    ----------
    stored : array, shape (n_stored, n_features)
        Numbers of any dtype and in any memory order, also on disk.
    rows : array of int, shape (n_samples,), default=None
        Which of its rows are the samples. None: all.
    """

    def __init__(self, stored: np.ndarray, rows: np.ndarray | None = None) -> None:
        self.stored, self.rows = stored, rows
        self.shape = (len(stored) if rows is None else len(rows), stored.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some samples, given as a slice or an array."""
        return np.ascontiguousarray(self.stored[rows if self.rows is None else self.rows[rows]], dtype=np.float32)


def is_streamed(X: Any) -> bool:
    """Say whether features are an array of real numbers that cannot be used as it is: of another dtype or order."""
    if type(X) not in (np.ndarray, np.memmap) or X.dtype.kind not in "fiub":
        return False
    return not (X.dtype == np.float32 and X.flags.c_contiguous and X.flags.aligned)


def select_rows(X: np.ndarray | Features, rows: np.ndarray) -> Features:
    """Return some samples, by their positions or as bools, of features that are not copied for it."""
    if isinstance(X, Features):
        return Features(X.stored, np.arange(len(X))[rows] if X.rows is None else X.rows[rows])
    return Features(X, np.arange(len(X))[rows])


def check_features(X: np.ndarray, **names: Any) -> Features:
    """Return features that are streamed, all finite as float32; `names` are what `check_array` calls them by."""
    features, infinite = Features(X), None
    for rows in blocks_of(features):
        try:
            check_array(X[rows], dtype=np.float32, **names)
        except ValueError as error:
            if np.isnan(X[rows]).any():  # which scikit-learn tells of first
                raise
            infinite = infinite or error
    if infinite is not None:
        raise infinite
    return features


def blocks_of(X: Features) -> Iterator[slice]:
    """Walk over blocks of rows."""
    step = max(1, BLOCK_VALUES // X.shape[1])
    return (slice(start, start + step) for start in range(0, len(X), step))


def validate_features(estimator: Any, X: Any, *y: Any, **checks: Any) -> Any:
    """Return what :func:`sklearn.utils.validation.validate_data` does, but for X that is streamed as `Features`."""
    if isinstance(X, Features):  # which have been checked by another estimator
        return validate_data(estimator, X, *y, **checks | {"skip_check_array": True})
    check_array_like("X", X)
    if checks.get("skip_check_array") or not is_streamed(X):
        return validate_data(estimator, X, *y, **checks)
    found = validate_data(estimator, X, *y, **checks | {"dtype": None, "order": None, "ensure_all_finite": False})
    X, *rest = found if y else (found,)
    features = check_features(X, estimator=estimator, input_name="X")
    return (features, *rest) if y else features
