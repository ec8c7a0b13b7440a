"""Checks used at the public doors: each returns what it checked, or raises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

ARRAY_LIKE = ("__array__", "__array_interface__", "__arrow_c_stream__", "__dataframe__", "toarray")
MAX_PADDED = 2**26  # characters that an array of strings of one width takes, 256 MB


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
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = np.inf
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}.")
    if not (low < number if open_low else low <= number) or not number <= high:
        bounds = [f"{'>' if open_low else '>='} {low:g}"] if low > -np.inf else []
        bounds += [f"<= {high:g}"] if high < np.inf else []
        raise ValueError(f"{name} must be {' and '.join(bounds)}, got {value!r}.")
    return value


def check_labels(name: str, labels: Any) -> np.ndarray:
    """Return labels as a new 1-D array of one kind (all strings or all numbers), none missing, each as it was given."""
    array = as_objects(name, labels)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}.")
    missing = pd.isna(array)
    if missing.any():
        where = int(missing.argmax())
        raise ValueError(f"{name} must not be missing, got {array[where]!r} at position {where}.")
    kind = pd.api.types.infer_dtype(array)
    if kind == "string":
        return _as_text(name, array)
    if kind in ("integer", "floating", "mixed-integer-float", "boolean", "empty"):
        return _as_exact(name, array, kind)
    n_text = sum(isinstance(label, str) for label in array)
    found = f"{n_text} of {len(array)} are strings" if n_text else f"these are {kind}"
    raise TypeError(
        f"{name} must be all strings or all numbers: {found}. Convert them first, for example with .astype(str)."
    )


def as_objects(name: str, values: Any) -> np.ndarray:
    """Return an array of the objects themselves, None where they are masked."""
    # As objects: numpy would make the string "nan" of a missing label, and "1" of a number among strings.
    values = _with_masks(values)
    try:
        array = np.array(values, dtype=object)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be an array, rows of one length: {error}") from error
    if np.ma.isMaskedArray(values):
        array[np.ma.getmaskarray(values)] = None
    return array


def _as_text(name: str, array: np.ndarray) -> np.ndarray:
    """Return strings with one fixed width; as objects where the padding would be huge."""
    texts = [str.__str__(label) for label in array]  # str() of an Enum that is a string gives another string
    # pandas takes two such labels for one, and numpy cuts NUL off at the end.
    if not _is_plain("".join(texts)):
        where = next(position for position, text in enumerate(texts) if not _is_plain(text))
        raise ValueError(
            f"{name} must be text without NUL characters and lone surrogates, got {texts[where]!r} at position "
            f"{where}. A file that was read in the wrong encoding has such labels."
        )
    if max(map(len, texts)) * len(texts) > MAX_PADDED:
        array[:] = texts
        return array
    return np.array(texts)


def _is_plain(text: str) -> bool:
    """Say whether all libraries keep a text as it is."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _as_exact(name: str, array: np.ndarray, kind: str) -> np.ndarray:
    """Return numbers in the narrowest of int64, uint64 and floats that has all of them exactly."""
    numbers = array.tolist()
    if kind == "integer":
        low, high = min(numbers), max(numbers)
        if low >= -(2**63) and high < 2**64 and (low >= 0 or high < 2**63):
            return np.array([int(number) for number in numbers], dtype=np.int64 if high < 2**63 else np.uint64)
        exact = None
    else:
        exact = np.array(numbers)
    if exact is None or exact.dtype.kind not in "fb" or exact.itemsize > 8 or exact.tolist() != numbers:
        raise ValueError(
            f"{name} must be numbers that 64 bits hold exactly: two different ones would become one. Convert them to "
            "strings first, for example with .astype(str)."
        )
    return exact


def check_finite_values(name: str, values: Any, *, max_ndim: int = 2, allow_nan: bool = False) -> np.ndarray:
    """Return `values` as a floating array (float32 stays float32) without infinity, and without NaN unless allowed.

    What is masked is missing, as None, NA and NaN are.
    """
    array = _as_floats(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one row a sample or rating, got a single number.")
    if array.ndim > max_ndim:
        raise ValueError(f"{name} must have at most {max_ndim} dimensions, got shape {array.shape}.")
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if bad.any():
        where = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at position {where}.")
    return array


def _as_floats(name: str, values: Any) -> np.ndarray:
    """Return numbers as float32 or float64, NaN where they are missing or masked."""
    values = _with_masks(values)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} must be an array of numbers, rows of one length: {error}") from error
    if array.dtype.kind in "OUST":
        array = _to_float(name, as_objects(name, values))
    elif array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if np.ma.is_masked(values):
        array = np.where(np.ma.getmaskarray(values), np.nan, array).astype(array.dtype, copy=False)
    return array


def _has_masks(values: Any) -> bool:
    """Say whether a list has masked arrays or masked numbers in it."""
    return isinstance(values, (list, tuple)) and any(np.ma.isMaskedArray(each) or _has_masks(each) for each in values)


def _with_masks(values: Any) -> Any:
    """Return a list as a masked array if there are masks in it, which numpy would drop."""
    if not _has_masks(values):
        return values
    array: Any = np.ma.array(values, dtype=object)
    single = np.array([each is np.ma.masked for each in array.data.ravel()])  # of lists in lists np.ma drops them too
    return np.ma.array(array.data, mask=np.ma.getmaskarray(array) | single.reshape(array.shape))


def refuse_masks(name: str, values: Any) -> Any:
    """Return `values` unless something in them is masked, for arrays that scikit-learn takes without their mask."""
    if _has_masks(values) or np.ma.is_masked(values):
        raise ValueError(f"{name} must not be masked: leave out those samples, or fill them in with .filled(...).")
    return values


def is_array_like(values: Any) -> bool:
    """Say whether something has rows that end: numpy would walk over whatever has items, as a torch Dataset has."""
    return isinstance(values, (list, tuple)) or any(hasattr(values, name) for name in ARRAY_LIKE)


def check_array_like(name: str, values: Any) -> Any:
    """Return `values` if scikit-learn can take them as they are meant: rows of features, none of them masked."""
    if not is_array_like(values):
        raise TypeError(
            f"{name} must be an array, a DataFrame or a list with a row for each sample, got {type(values).__name__}. "
            "Of a dataset, a generator or a dict collect the features of all samples in one array."
        )
    return refuse_masks(name, values)


def _to_float(name: str, array: np.ndarray) -> np.ndarray:
    """Turn an object array of numbers into floats, what is missing into NaN; text is refused, with its place."""
    floats = np.full(array.size, np.nan)
    for position, value in enumerate(array.ravel()):
        try:
            if isinstance(value, (Real, Decimal, np.bool_)):
                floats[position] = float(value)
            elif value is not None and value is not pd.NA:
                raise TypeError
        except (OverflowError, TypeError, ValueError) as error:  # 10**400, text, a signalling NaN
            where = tuple(int(index) for index in np.unravel_index(position, array.shape))
            what, kind = ("numbers", TypeError) if isinstance(error, TypeError) else ("finite", ValueError)
            raise kind(f"{name} must be {what}, got {value!r:.80} at position {where}.") from error
    return floats.reshape(array.shape)


def as_columns(array: np.ndarray) -> np.ndarray:
    """Return a 1-D array as one column, a 2-D array as it is."""
    return array[:, None] if array.ndim == 1 else array


def find_labels(labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the positions of labels in `known`, -1 for those that are not there; 2.0**53 is not 2**53 + 1."""
    if labels.dtype.kind == known.dtype.kind or labels.dtype.kind in "UO":
        return pd.Index(known).get_indexer(pd.Index(labels))
    if "b" in labels.dtype.kind + known.dtype.kind:  # True is not 1
        return np.full(len(labels), -1)
    # pandas would compare as floats.
    places = {label: place for place, label in enumerate(known.tolist())}
    return np.array([places.get(label, -1) for label in labels.tolist()], dtype=np.intp)


def check_known(what: str, labels: Sequence[Any] | np.ndarray, known: np.ndarray, where: str) -> np.ndarray:
    """Return the positions of `labels` in `known`, or say which label is not there."""
    labels = check_labels(what, labels)
    codes = find_labels(labels, known)
    if (codes < 0).any():
        unknown = labels[codes < 0].tolist()
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        alike = next((label for label in known.tolist() if str(label) == str(unknown[0])), None)
        hint = "" if alike is None else f" {alike!r} is, of type {type(alike).__name__}: convert one of them."
        near = [known.tolist()[place] for place in _near(str(unknown[0]), [str(label) for label in known.tolist()])]
        raise ValueError(
            f"{what} {unknown[0]!r}{more} is not in {where}. It has {len(known)}, for example "
            f"{near or known[:3].tolist()}."
            f"{hint}"
        )
    return codes


def _near(label: str, known: list[str]) -> list[int]:
    """Return the positions of the labels that are most like one, at most three."""
    return [known.index(each) for each in get_close_matches(label, known)]


def check_groups(groups: Any, n_samples: int) -> np.ndarray | None:
    """Return the group of each sample, none missing, or None."""
    if groups is None:
        return None
    labels = check_labels("groups", groups)
    if len(labels) != n_samples:
        raise ValueError(f"groups must have one label for each of {n_samples} samples, got {len(labels)}.")
    return labels


def check_sample_weight(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Return sample weights that are finite, not negative and not all zero."""
    weight = check_finite_values("sample_weight", sample_weight, max_ndim=1).astype(np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},), got {weight.shape}.")
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight must not be negative and not all zero.")
    return weight
