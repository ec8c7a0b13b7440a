"""Ratings that are classes: positions in a list of labels, of which there is a plurality and no mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._validation import as_objects, check_known, check_labels, find_labels
from sklearn_annoser.ratings._checks import check_unique


def encode(name: str, values: Any, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as positions in the classes, NaN where they are missing, and the classes; True: those there are.

    These are sorted; those of ordered categoricals are in their order.
    """
    order = categories_of(values)
    array = as_objects(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one row a sample or rating, got a single label.")
    given = ~pd.isna(array)
    labels = check_labels(name, array[given])
    if classes is True:
        classes = np.unique(labels)
        if order is not None:
            classes = order[find_labels(order, classes) >= 0]
    else:
        classes = check_labels("classes", classes)
    check_unique("classes", classes)
    codes = np.full(array.shape, np.nan)
    codes[given] = check_known(f"{name}: label", labels, classes, "`classes`")
    return codes, classes


def categories_of(values: Any) -> np.ndarray | None:
    """Return the categories of ordered categoricals, each once, in the order of all columns; None of anything else."""
    columns = [values[name] for name in values] if isinstance(values, pd.DataFrame) else [values]
    kinds: list[Any] = [getattr(column, "dtype", None) for column in columns]
    if not kinds or not all(isinstance(kind, pd.CategoricalDtype) and kind.ordered for kind in kinds):
        return None
    each = [check_labels("categories", kind.categories) for kind in kinds]
    everything = pd.unique(np.concatenate(each))
    for own in each:
        if (np.diff(find_labels(own, everything)) < 0).any():
            raise ValueError(f"columns have the same categories in different orders, {own.tolist()} is one of them.")
    return everything


def check_classes(classes: Any, values: np.ndarray, scale: Any) -> np.ndarray | None:
    """Return classes, each once, if all values are positions in them, or None."""
    if classes is None:
        return None
    classes = check_labels("classes", classes)
    check_unique("classes", classes)
    if scale is not None:
        raise ValueError(f"Ratings of classes have no scale, got {scale!r}.")
    bad = ~(np.isin(values, np.arange(len(classes))) | np.isnan(values))
    if bad.any():
        raise ValueError(
            f"values must be positions in the {len(classes)} classes, whole numbers from 0, got {values[bad][0]:g}. "
            "Ratings.from_long(..., classes=True) takes the labels themselves."
        )
    return classes


def decode(codes: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Return the labels that positions stand for, as objects with None where some are NaN; numbers as they are."""
    if classes is None:
        return codes
    given = np.isfinite(codes)
    if given.all():
        return classes[codes.astype(np.intp)]
    labels = np.full(codes.shape, None, dtype=object)
    labels[given] = classes[codes[given].astype(np.intp)].astype(object)
    return labels


def labels_of(ratings: Any) -> np.ndarray:
    """Return the class of each rating: its label, or its value where the classes are not declared.

    Of several outputs they are columns, None or NaN where one is not rated.
    """
    if ratings.classes is not None:
        return ratings.labels
    return ratings.values[:, 0] if ratings.n_outputs == 1 else ratings.values


def refuse_classes(name: str, ratings: Any) -> Any:
    """Return `ratings`, or anything else, unless they are Ratings of classes."""
    if getattr(ratings, "classes", None) is not None and hasattr(ratings, "annotators"):
        some = ratings.classes[:3].tolist()
        raise TypeError(
            f"{name} must be ratings that are numbers, got Ratings of the classes {some}{', ...' * (len(some) == 3)}. "
            "AnnotatorMappedClassifier learns these; `labels` has the class of each rating."
        )
    return ratings
