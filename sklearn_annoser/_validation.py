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
    """Return `value` if it is a number between `low` and `high`."""
    kind, what = (Integral, "an integer") if integer else (Real, "a number")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        raise TypeError(f"{name} must be {what}, got {value!r} of type {type(value).__name__}.")
    number = float(value)
    if not (low < number if open_low else low <= number) or not number <= high:
        bounds = [f"{'>' if open_low else '>='} {low:g}"] if low > -np.inf else []
        bounds += [f"<= {high:g}"] if high < np.inf else []
        raise ValueError(f"{name} must be {' and '.join(bounds) or 'finite'}, got {value!r}.")
    return value


def check_labels(name: str, labels: Any) -> np.ndarray:
    """Return labels as a 1-D array of one kind (all strings or all numbers), none missing."""
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}.")
    original = np.asarray(labels, dtype=object)
    if original.size and pd.isna(original).any():
        where = int(np.flatnonzero(pd.isna(original))[0])
        raise ValueError(f"{name} must not be missing, got {original[where]!r} at position {where}.")
    n_text = sum(isinstance(label, str) for label in original)
    if n_text not in (0, len(original)):
        raise TypeError(
            f"{name} must be all strings or all numbers: {n_text} of {len(original)} are strings. Convert them first, "
            "for example with .astype(str)."
        )
    return original.astype(str) if n_text else array


def check_finite_values(name: str, values: Any, *, max_ndim: int = 2) -> np.ndarray:
    """Return `values` as a floating array (float32 stays float32) without NaN or infinity."""
    array = np.asarray(values)
    if array.dtype.kind in "OUST":
        array = _to_float(name, array)
    elif array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim > max_ndim:
        raise ValueError(f"{name} must have at most {max_ndim} dimensions, got shape {array.shape}.")
    if not np.isfinite(array).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at position {where}.")
    return array


def _to_float(name: str, array: np.ndarray) -> np.ndarray:
    """Turn an object array of numbers into floats; text is refused, with its place."""
    for position, value in enumerate(array.ravel()):
        if isinstance(value, str) or not (isinstance(value, Real) or value is None or value is pd.NA):
            where = tuple(int(index) for index in np.unravel_index(position, array.shape))
            raise TypeError(f"{name} must be numbers, got {value!r} at position {where}.")
    return pd.DataFrame(array.reshape(len(array), -1)).astype("float64").to_numpy().reshape(array.shape)


def check_scale(scale: Any, n_outputs: int) -> np.ndarray | None:
    """Return a declared rating scale as an (n_outputs, 2) array of lowest and highest rating, or None."""
    if scale is None:
        return None
    array = np.asarray(scale, dtype=np.float64)
    if array.shape == (2,):
        array = np.tile(array, (n_outputs, 1))
    if array.shape != (n_outputs, 2):
        raise ValueError(
            f"scale must be (low, high), or one such pair for each of the {n_outputs} outputs, got {scale!r}."
        )
    if not np.isfinite(array).all() or (array[:, 0] >= array[:, 1]).any():
        raise ValueError(f"scale must have low < high, both finite, got {scale!r}.")
    return array


def check_known(what: str, labels: Sequence[Any] | np.ndarray, known: np.ndarray, where: str) -> np.ndarray:
    """Return the positions of `labels` in `known`, or say which label is not there."""
    codes = pd.Index(known).get_indexer(pd.Index(np.asarray(labels)))
    if (codes < 0).any():
        unknown = [label.item() if hasattr(label, "item") else label for label in np.asarray(labels)[codes < 0]]
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise ValueError(
            f"{what} {unknown[0]!r}{more} is not in {where}. It has {len(known)}, for example {known[:3].tolist()}."
        )
    return codes
