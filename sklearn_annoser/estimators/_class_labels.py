"""Labels on their way to a classifier: columns of outputs, the classes of each in their order, positions in these."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._validation import as_columns, check_known, check_labels
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._checks import check_unique
from sklearn_annoser.ratings._classes import categories_of
from sklearn_annoser.ratings._outputs import match_outputs, output_order


def check_labels_of(y: Ratings, n_samples: int, outputs: tuple[str, ...] | None = None) -> Ratings:
    """Return Ratings of these samples with the outputs that are expected, in their order."""
    if outputs is not None and y.n_outputs != len(outputs):
        what = "one output, the class" if len(outputs) == 1 else f"{len(outputs)} outputs, {list(outputs)}"
        raise ValueError(f"y must have {what}, got {y.n_outputs}: {list(y.outputs)}.")
    if len(y) != n_samples:
        raise ValueError(f"X has {n_samples} samples, but y has ratings of {len(y)}.")
    return y if outputs is None or len(outputs) == 1 else match_outputs(y, outputs, "y")


def in_order(y: Any, outputs: tuple[str, ...]) -> Any:
    """Return a table of labels with its columns in the order of the outputs; what has no names is as it is."""
    if not hasattr(y, "columns") or len(outputs) == 1:
        return y
    return y.iloc[:, output_order([str(column) for column in y.columns], outputs, "y")]


def warn_if_undeclared(y: Ratings) -> None:
    """Warn of Ratings that scikit-learn would average: classes that are not declared, on which annotators differ."""
    if y.classes is not None:
        return
    differs = as_columns(y.consensus())[y.rows] != y.values
    if (differs & np.isfinite(y.values)).any():
        warnings.warn(
            "y does not say that its values are classes. They are learned as such, but np.asarray(y), as scikit-learn "
            "takes it in cross_val_predict, StratifiedKFold and accuracy_score, is their mean. Declare them with "
            "classes=True when you make the Ratings, or with y.with_values(y.values, classes=True).",
            stacklevel=4,
        )


def order_of(y: Any, ordered: Any) -> np.ndarray | None:
    """Return the order of classes that was given, or that y has of itself; None is that of sorting."""
    if not isinstance(ordered, (bool, np.bool_)):
        order = check_labels("ordered", ordered)
        check_unique("ordered", order)
        return order
    if not ordered:
        return None
    return y.classes if isinstance(y, Ratings) else categories_of(y)


def columns_of(labels: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return where each output is labelled, and the labels there, of labels (n,) or (n, n_outputs)."""
    columns = as_columns(np.asarray(labels)).T
    found = []
    for column in columns:
        given = ~pd.isna(column)
        found.append((given, check_labels("y", column[given]) if column.dtype == object else column[given]))
    return found


def learn_classes(labels: Any, order: np.ndarray | None, outputs: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the classes of each output, sorted or in an order, and the positions of labels in them, -1 for none."""
    columns, found = columns_of(labels), []
    codes = np.full((len(columns[0][0]), len(columns)), -1)
    for output, (given, own) in enumerate(columns):
        what = "y" if len(columns) == 1 else f"output {outputs[output]!r} of y"
        if order is None:
            classes, codes[given, output] = np.unique(own, return_inverse=True)
        else:
            places = check_known("label", own, order, "the order of the classes")
            used, codes[given, output] = np.unique(places, return_inverse=True)
            classes = order[used]
        if len(classes) < 2:
            some = f"one class only, {classes.tolist()[0]!r}" if len(classes) else "no labels"
            raise ValueError(f"{what} has {some}: there is nothing to tell apart.")
        found.append(classes)
    return found, codes


def encode(labels: Any, classes: list[np.ndarray]) -> np.ndarray:
    """Return the position of each label among the classes of its output, (n, n_outputs), -1 where there is none."""
    columns = columns_of(labels)
    codes = np.full((len(columns[0][0]), len(columns)), -1)
    for output, (given, own) in enumerate(columns):
        codes[given, output] = check_known("label", own, classes[output], "the fitted classes")
    return codes


def one_hot(codes: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return a column for each class of each output, 1 where it is the label, NaN where there is none."""
    blocks = []
    for code, size in zip(codes.T, sizes, strict=True):
        block = (code[:, None] == np.arange(size)).astype(np.float32)
        block[code < 0] = np.nan
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
