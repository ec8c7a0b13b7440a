"""Digests: what decides a result, as text that is equal only if all of it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType
from typing import Any

import joblib
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator

from sklearn_annoser.ratings import Ratings

SILENT = ("verbose",)  # parameters that decide nothing
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
RATINGS = ("indptr", "codes", "_values", "annotators", "outputs", "samples", "scale", "classes")
CODE = ("co_code", "co_consts", "co_names", "co_varnames")


def digest(value: Any) -> str:
    """Return a hash of the content of a value: arrays, tables, Ratings, estimators, functions, and nests of them."""
    hasher = blake2b(digest_size=16)
    _feed(hasher, value)
    return hasher.hexdigest()


def _feed(hasher: Any, value: Any) -> None:
    """Feed a hasher with the kind of a value and its content, so that no two values read alike."""
    value = value.item() if isinstance(value, np.generic) and value.dtype.kind in "biufUS" else value
    if isinstance(value, PLAIN):
        _write(hasher, type(value).__name__, repr(value).encode("utf-8", "backslashreplace"))
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufcmM":
        _write(hasher, f"array {value.dtype.str} {value.shape}", b"")
        for start in range(0, len(value) if value.ndim else 1, 4096):  # X is large: no copy of all of it
            hasher.update(np.ascontiguousarray(value[start : start + 4096] if value.ndim else value).tobytes())
    elif isinstance(value, np.ndarray | pd.Index):  # labels: how wide they are stored says nothing
        _feed_parts(hasher, f"array {value.shape}", np.asarray(value, dtype=object).ravel().tolist())
    elif isinstance(value, Mapping):
        _feed_parts(hasher, "mapping", [part for item in value.items() for part in item])
    elif isinstance(value, list | tuple | range):
        _feed_parts(hasher, "sequence", list(value))
    elif isinstance(value, set | frozenset):
        _feed_parts(hasher, "set", sorted(digest(part) for part in value))
    else:
        _feed_parts(hasher, *_parts(value))


def _parts(value: Any) -> tuple[str, list[Any]]:
    """Return the kind of an object, and its content as simpler values."""
    if isinstance(value, Ratings):
        return "Ratings", [getattr(value, name) for name in RATINGS]
    if isinstance(value, pd.DataFrame):
        return "DataFrame", [part for name, column in value.items() for part in (name, column.to_numpy())]
    if isinstance(value, pd.Series):
        return "Series", [value.to_numpy()]
    if sparse.issparse(value):
        rows = sparse.csr_array(value)
        rows.sum_duplicates()
        return "sparse", [rows.shape, rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)]
    if isinstance(value, type):
        return "class", [value.__module__, value.__qualname__]
    if isinstance(value, FunctionType):  # by what it does: all lambdas have one name
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return "function", [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells]
    if isinstance(value, CodeType):
        return "code", [getattr(value, name) for name in CODE]
    if isinstance(value, partial):
        return "partial", [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return "method", [value.__func__, value.__self__]
    if isinstance(value, np.random.RandomState):
        return "RandomState", list(value.get_state())
    if isinstance(value, BaseEstimator):  # with what it has learned, if it is frozen
        own = sorted((name, part) for name, part in vars(value).items() if name not in SILENT)
        return "estimator", [type(value), *own]
    if hasattr(value, "__array__"):
        return "array-like", [np.asarray(value)]
    try:
        return "object", [type(value), joblib.hash(value)]
    except Exception as error:  # whatever pickle may raise
        raise TypeError(
            f"{value!r} cannot be told from others of its kind, so that an experiment with it cannot be gone on with: "
            f"{error}"
        ) from error


def _feed_parts(hasher: Any, kind: str, parts: list[Any]) -> None:
    """Feed a hasher with a kind of value and its parts."""
    _write(hasher, f"{kind} {len(parts)}", b"")
    for part in parts:
        _feed(hasher, part)


def _write(hasher: Any, kind: str, content: bytes) -> None:
    """Feed a hasher with text whose length stands before it."""
    hasher.update(f"{kind} {len(content)}:".encode())
    hasher.update(content)
