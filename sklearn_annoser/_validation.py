"""Checks used at the public doors: each returns what it checked, or raises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd


def check_option(name: str, value: Any, options: Collection[Any]) -> Any:
    """Return `value` if it is one of `options`."""
    # A bare `in` would compare arrays element by element.
    if not any(value is option or (isinstance(value, str) and value == option) for option in options):
        raise ValueError(f"{name} must be one of {list(options)}, got {value!r}.")
    return value


def check_number(
    name: str, value: Any, *, low: float = -np.inf, high: float = np.inf, integer: bool = False, open_low: bool = False
) -> Any:
    """Return `value` if it is a finite number between `low` and `high`."""
    kind, what = (Integral, "an integer") if integer else (Real, "a number")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {what}, got {value!r} of type {type(value).__name__}.")
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}.")
    if not (low < number if open_low else low <= number) or not number <= high:
        bounds = [f"{'>' if open_low else '>='} {low:g}"] if low > -np.inf else []
        bounds += [f"<= {high:g}"] if high < np.inf else []
        raise ValueError(f"{name} must be {' and '.join(bounds)}, got {value!r}.")
    return value


def check_labels(name: str, labels: Any) -> np.ndarray:
    """Return labels as a new 1-D array of one kind (all strings or all numbers), none missing."""
    # As objects: numpy would make the string "nan" of a missing label, and "1" of a number among strings.
    array = np.asarray(labels, dtype=object)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}.")
    missing = pd.isna(array)
    if missing.any():
        where = int(missing.argmax())
        raise ValueError(f"{name} must not be missing, got {array[where]!r} at position {where}.")
    kind = pd.api.types.infer_dtype(array)
    if kind == "string":
        return array.astype(str)
    if kind in ("integer", "floating", "mixed-integer-float", "boolean", "empty"):
        return np.array(array.tolist())
    n_text = sum(isinstance(label, str) for label in array)
    found = f"{n_text} of {len(array)} are strings" if n_text else f"these are {kind}"
    raise TypeError(
        f"{name} must be all strings or all numbers: {found}. Convert them first, for example with .astype(str)."
    )


def check_finite_values(name: str, values: Any, *, max_ndim: int = 2, allow_nan: bool = False) -> np.ndarray:
    """Return `values` as a floating array (float32 stays float32) without infinity, and without NaN unless allowed."""
    array = np.asarray(values)
    if array.dtype.kind in "OUST":
        array = _to_float(name, np.asarray(values, dtype=object))
    elif array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one row a sample or rating, got a single number.")
    if array.ndim > max_ndim:
        raise ValueError(f"{name} must have at most {max_ndim} dimensions, got shape {array.shape}.")
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if bad.any():
        where = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at position {where}.")
    return array


def _to_float(name: str, array: np.ndarray) -> np.ndarray:
    """Turn an object array of numbers into floats, None and NA into NaN; text is refused, with its place."""
    for position, value in enumerate(array.ravel()):
        if not (isinstance(value, Real) or value is None or value is pd.NA):
            where = tuple(int(index) for index in np.unravel_index(position, array.shape))
            raise TypeError(f"{name} must be numbers, got {value!r} at position {where}.")
    return np.where(pd.isna(array), np.nan, array).astype(np.float64)


def as_columns(array: np.ndarray) -> np.ndarray:
    """Return a 1-D array as one column, a 2-D array as it is."""
    return array[:, None] if array.ndim == 1 else array


def check_known(what: str, labels: Sequence[Any] | np.ndarray, known: np.ndarray, where: str) -> np.ndarray:
    """Return the positions of `labels` in `known`, or say which label is not there."""
    labels = check_labels(what, labels)
    codes = pd.Index(known).get_indexer(pd.Index(labels))
    if (codes < 0).any():
        unknown = labels[codes < 0].tolist()
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise ValueError(
            f"{what} {unknown[0]!r}{more} is not in {where}. It has {len(known)}, for example {known[:3].tolist()}."
        )
    return codes


def check_sample_weight(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Return sample weights that are finite, not negative and not all zero."""
    weight = check_finite_values("sample_weight", sample_weight, max_ndim=1).astype(np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},), got {weight.shape}.")
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight must not be negative and not all zero.")
    return weight
