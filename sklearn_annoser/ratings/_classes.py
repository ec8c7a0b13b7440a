"""Ratings that are classes: positions in a list of labels, of which there is a plurality and no mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._validation import as_objects, check_known, check_labels
from sklearn_annoser.ratings._checks import check_unique


def encode(name: str, values: Any, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as positions in the classes, NaN where they are missing, and the classes; True: those there are."""
    array = as_objects(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array with one row a sample or rating, got a single label.")
    given = ~pd.isna(array)
    labels = check_labels(name, array[given])
    classes = np.unique(labels) if classes is True else check_labels("classes", classes)
    check_unique("classes", classes)
    codes = np.full(array.shape, np.nan)
    codes[given] = check_known(f"{name}: label", labels, classes, "`classes`")
    return codes, classes


def check_classes(classes: Any, values: np.ndarray, scale: Any) -> np.ndarray | None:
    """Return classes, each once, if all values are positions in them, or None."""
    if classes is None:
        return None
    classes = check_labels("classes", classes)
    check_unique("classes", classes)
    if values.shape[1] != 1 or scale is not None:
        raise ValueError(f"Ratings of classes have one output and no scale, got {values.shape[1]} and {scale!r}.")
    bad = ~np.isin(values[:, 0], np.arange(len(classes)))
    if bad.any():
        raise ValueError(
            f"values must be positions in the {len(classes)} classes, whole numbers from 0, got {values[bad][0, 0]:g}. "
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
    """Return the class of each rating: its label, or its value where the classes are not declared."""
    return ratings.values[:, 0] if ratings.classes is None else ratings.labels


def refuse_classes(name: str, ratings: Any) -> Any:
    """Return `ratings`, or anything else, unless they are Ratings of classes."""
    if getattr(ratings, "classes", None) is not None and hasattr(ratings, "annotators"):
        some = ratings.classes[:3].tolist()
        raise TypeError(
            f"{name} must be ratings that are numbers, got Ratings of the classes {some}{', ...' * (len(some) == 3)}. "
            "AnnotatorMappedClassifier learns these; `labels` has the class of each rating."
        )
    return ratings
