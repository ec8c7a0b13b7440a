"""Features that are there already: .npz, .npy, .csv or .parquet, and which row is of which sample."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_annoser.command_line._tables import PARQUET, SAMPLE_NAMES, columns_of, find_column, frame_of, read_columns
from sklearn_annoser.datasets import CorpusError
from sklearn_annoser.datasets._cells import Source
from sklearn_annoser.datasets._files import BadLines


def read_features(
    path: Path, options: argparse.Namespace, *, labels: Sequence[str] | None = None
) -> tuple[list[str] | None, np.ndarray]:
    """Return the labels of features and these; None for rows that are in the order of `labels`."""
    if not path.is_file():
        raise FileNotFoundError(f"--features: there is no file {str(path)!r}.")
    if path.suffix.lower() == ".npy":
        return _of_rows(path, options, labels)
    known, X = _of_arrays(path, options) if path.suffix.lower() == ".npz" else _of_table(path, options)
    twice = pd.Index(known).duplicated()
    if twice.any():
        raise CorpusError(f"{path.name}: the features of {known[int(twice.argmax())]!r} are there twice.")
    bad = ~np.isfinite(X).all(axis=1)
    if bad.any():
        raise CorpusError(f"{path.name}: the features of {known[int(bad.argmax())]!r} are not all finite numbers.")
    return known, X


def _of_rows(
    path: Path, options: argparse.Namespace, labels: Sequence[str] | None
) -> tuple[list[str] | None, np.ndarray]:
    """Return the rows of a file without labels, which must be those of the table of samples."""
    try:
        X = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{str(path)!r} cannot be read: {error}") from error
    if X.ndim != 2 or X.dtype.kind not in "fiu":
        raise CorpusError(f"{str(path)!r} must have numbers of shape (samples, features), got {X.dtype} {X.shape}.")
    if labels is None and options.samples is None:
        return [str(row) for row in range(len(X))], X
    if options.samples is None:
        raise ValueError(
            f"{path.name} does not say which row is of which sample: give --samples TABLE, with a row a sample in "
            "the same order, or a .npz, .csv or .parquet that has the labels."
        )
    is_table = labels is None
    if labels is None:
        columns = columns_of(options.samples, options, SAMPLE_NAMES)
        label = find_column(columns, options.sample, SAMPLE_NAMES, f"{options.samples.name}: samples", "--sample")
        labels = read_columns(options.samples, [label], options)[label].tolist()
    if len(X) != len(labels):
        raise CorpusError(f"{path.name} has {len(X)} rows, {options.samples.name} {len(labels)} samples.")
    return (list(labels) if is_table else None), X


def _of_arrays(path: Path, options: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Return the labels and features of a .npz: of its one array of two dimensions, or of those that are named."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{str(path)!r} cannot be read: {error}") from error
    wide = [name for name, array in arrays.items() if array.ndim >= 2 and array.dtype.kind in "fiu"]
    chosen = options.arrays or wide
    wrong = [name for name in chosen if name not in wide]
    if wrong or not chosen:
        raise CorpusError(f"{path.name} has no features {wrong or ''}: of two dimensions or more are {wide}.")
    if len(chosen) > 1 and not options.arrays:
        raise ValueError(f"{path.name} has several arrays, {chosen}: which are the features? Say it with --arrays.")
    n = len(arrays[chosen[0]])
    if any(len(arrays[name]) != n for name in chosen):
        raise CorpusError(f"{path.name}: the arrays {chosen} differ in length.")
    flat = [name for name, array in arrays.items() if array.shape == (n,) and array.dtype.kind in "UiS"]
    if len(flat) != 1:
        raise CorpusError(f"{path.name} must have one array with a label for each of {n} rows, it has {flat}.")
    labels = arrays[flat[0]]
    known = [each.decode() if isinstance(each, bytes) else str(each) for each in labels.tolist()]
    return known, np.hstack([arrays[name].reshape(n, -1) for name in chosen]).astype(np.float32, copy=False)


def _of_table(path: Path, options: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Return the labels and features of a table: all columns but the one with the labels are numbers."""
    columns = columns_of(path, options, SAMPLE_NAMES)
    given = options.sample if options.sample in columns else None
    label = find_column(columns, given, SAMPLE_NAMES, f"{path.name}: of which sample is a row", "--sample")
    numbers = [name for name in columns if name != label]
    if not numbers:
        raise CorpusError(f"{path.name} has no column of features beside {label!r}.")
    source = frame_of(path, [label]) if path.suffix.lower() in PARQUET else path
    frame = Source("features", [label], numbers).read(source, BadLines("raise")).frame
    try:
        X = frame[numbers].to_numpy(dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise CorpusError(f"{path.name}: all columns but {label!r} must be numbers: {error}.") from error
    return [str(each) for each in frame[label]], X
