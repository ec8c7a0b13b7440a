"""Checks of the arrays that make up `Ratings`: each returns what it checked, or raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._validation import as_columns, check_labels, refuse_masks


def check_not_empty(values: np.ndarray) -> None:
    """Raise if a rating has no value at all."""
    empty = np.isnan(as_columns(values)).all(axis=1)
    if values.size and empty.any():
        raise ValueError(
            f"{int(empty.sum())} of {len(values)} ratings have no value (the first is at position {empty.argmax()}): "
            "they are NaN in every output. Leave them out."
        )


def check_structure(indptr: Any, codes: Any, n_ratings: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `indptr` and `codes` as integers if they describe `n_ratings` ratings in rows."""
    indptr, codes = np.asarray(refuse_masks("indptr", indptr)), np.asarray(refuse_masks("codes", codes))
    for name, array in (("indptr", indptr), ("codes", codes)):
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TypeError(f"{name} must be one-dimensional integers, got dtype {array.dtype}, shape {array.shape}.")
    if len(codes) != n_ratings:
        raise ValueError(f"there are {n_ratings} values, but {len(codes)} codes: give one code for each rating.")
    if not len(indptr) or indptr[0] != 0 or indptr[-1] != n_ratings or (np.diff(indptr) < 0).any():
        raise ValueError(f"indptr must rise from 0 to the number of ratings, {n_ratings}, got {indptr!r}.")
    return indptr.astype(np.int64), codes.astype(np.int64)


def check_codes(codes: np.ndarray, annotators: np.ndarray) -> None:
    """Raise unless all codes are positions in `annotators`."""
    if not 0 <= codes.min() <= codes.max() < len(annotators):
        raise ValueError(
            f"codes must be between 0 and {len(annotators) - 1}, the positions in annotators, got "
            f"{codes.min()} to {codes.max()}."
        )


def check_rated_once(rows: np.ndarray, codes: np.ndarray, annotators: np.ndarray) -> None:
    """Raise if an annotator rated a sample twice; the ratings are sorted by sample and annotator."""
    twice = np.flatnonzero((np.diff(rows) == 0) & (np.diff(codes) == 0))
    if len(twice):
        (who,) = annotators[codes[twice[:1]]].tolist()
        raise ValueError(
            f"annotator {who!r} rated the sample at position {rows[twice[0]]} twice. "
            'Ratings.from_long(..., duplicates="mean") averages such ratings.'
        )


def are_equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Say whether two arrays are equal, or both None."""
    if one is None or other is None:
        return one is other
    if one.dtype.kind == other.dtype.kind:
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one.tolist() == other.tolist()  # numpy would compare whole numbers and others as floats


def check_unique(name: str, labels: np.ndarray) -> None:
    """Raise if a label is there twice."""
    again = pd.Index(labels).duplicated()
    if again.any():
        raise ValueError(f"{name} must be unique, got {labels[again].tolist()[0]!r} twice.")


def check_outputs(outputs: Sequence[str] | None, n_outputs: int) -> tuple[str, ...]:
    """Return the outputs' names, unique strings, one for each column of values."""
    if outputs is None:
        return ("rating",) if n_outputs == 1 else tuple(f"rating_{index}" for index in range(n_outputs))
    names = tuple(outputs)
    if isinstance(outputs, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"outputs must be a sequence of strings, got {outputs!r}.")
    check_labels("outputs", names)  # text that all libraries keep
    if len(set(names)) != len(names):
        raise ValueError(f"outputs must have different names, got {list(names)}.")
    if len(names) != n_outputs:
        raise ValueError(f"there are {len(names)} output names, {list(names)}, for {n_outputs} columns of values.")
    return names
