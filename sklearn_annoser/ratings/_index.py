"""By what ratings are indexed: which rows of samples a key asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_annoser._validation import refuse_masks


def row_numbers(key: Any, n_samples: int) -> np.ndarray:
    """Turn an index, slice, mask or sequence of indices into row numbers."""
    # scikit-learn's splitters call y[rows, ...] on everything that has a shape.
    if isinstance(key, tuple):
        if not key or any(rest is not Ellipsis and not _is_full_slice(rest) for rest in key[1:]):
            raise IndexError(f"Ratings are indexed by sample, ratings[rows], got {key!r}.")
        key = key[0]
    if isinstance(key, slice):
        return np.arange(n_samples)[key]
    rows = np.asarray(refuse_masks("the rows of Ratings", key))
    if rows.shape == (0,):
        return np.empty(0, dtype=np.intp)
    if rows.ndim > 1 or rows.dtype.kind not in "iub" or (rows.ndim == 0 and rows.dtype == bool):
        raise IndexError(
            f"Ratings are indexed by a slice, integers or a boolean mask, got {type(key).__name__} with dtype "
            f"{rows.dtype} and shape {rows.shape}."
        )
    return np.atleast_1d(np.arange(n_samples)[rows])


def _is_full_slice(key: Any) -> bool:
    """Say whether a key is `:`, without comparing arrays."""
    return isinstance(key, slice) and key == slice(None)
