"""What several Ratings have to have in common to become one, and what becomes of their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sklearn_annoser._validation import check_labels, find_labels
from sklearn_annoser.ratings._checks import are_equal, check_unique


def check_joinable(ratings: Any) -> tuple[list[Any], np.ndarray | None]:
    """Return Ratings as a list, and the classes of all of them; raise if they do not belong together."""
    if hasattr(ratings, "annotators") or not isinstance(ratings, Iterable):
        raise TypeError(f"ratings must be a sequence of Ratings, got {type(ratings).__name__}: give [one, other].")
    parts = list(ratings)
    if not parts:
        raise ValueError("ratings must be at least one Ratings, got an empty sequence.")
    for place, part in enumerate(parts):
        if not hasattr(part, "annotators") or not hasattr(part, "codes"):
            raise TypeError(f"ratings must be Ratings, got {type(part).__name__} at position {place}.")
    first = parts[0]
    for place, part in enumerate(parts):
        if sorted(part.outputs) != sorted(first.outputs):
            raise ValueError(
                f"ratings must have the same outputs, got {list(first.outputs)} and, at position {place}, "
                f"{list(part.outputs)}. If they are the same: .with_outputs(ratings.values, {list(first.outputs)})."
            )
        own = None if part.scale is None else part.scale[[part.outputs.index(output) for output in first.outputs]]
        if not are_equal(own, first.scale):
            raise ValueError(
                f"ratings must be on the same scale, got {_told(first.scale)} and, at position {place}, {_told(own)}. "
                "ratings.rescaled() takes each to -1 to 1."
            )
        if (part.samples is None) != (first.samples is None):
            raise ValueError("ratings must all have labels of samples, or none of them: give samples= to all.")
        if part.samples is not None:
            check_unique(f"samples at position {place}", part.samples)
        if (part.classes is None) != (first.classes is None):
            raise ValueError(
                "ratings must all be numbers, or all classes: .with_values(..., classes=True) declares them."
            )
    return parts, None if first.classes is None else _joined_classes([part.classes for part in parts])


def _told(scale: np.ndarray | None) -> Any:
    """Return a scale as text."""
    return None if scale is None else scale.tolist()


def _joined_classes(each: Sequence[np.ndarray]) -> np.ndarray:
    """Return all classes, in the order that all agree on, or sorted if each is."""
    if all(are_equal(classes, each[0]) for classes in each):
        return each[0]
    if len({classes.dtype.kind for classes in each}) > 1 or any((classes[1:] < classes[:-1]).any() for classes in each):
        raise ValueError(
            "ratings must have the same classes in the same order, or sorted ones, got "
            f"{[classes.tolist() for classes in each]}. Give classes= when they are made."
        )
    return np.unique(np.concatenate(each))


def joined_codes(name: str, labels: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return for each of several lists of labels their places among all labels, and these, each once."""
    kinds = {own.dtype.kind for own in labels}
    if "b" in kinds and len(kinds) > 1:  # True would be 1
        raise TypeError(f"{name} must not be booleans in some and others elsewhere: convert them with .astype(str).")
    union = check_labels(name, list(dict.fromkeys(label for own in labels for label in own.tolist())))
    return [find_labels(own, union) for own in labels], union


def values_of(part: Any, outputs: Sequence[str], classes: np.ndarray | None) -> np.ndarray:
    """Return values in the order of the outputs, and as positions in the classes of all."""
    values = part._values[:, [part.outputs.index(output) for output in outputs]]
    if classes is None:
        return values
    places = find_labels(part.classes, classes).astype(np.float64)
    given = np.isfinite(values)
    found = np.full(values.shape, np.nan)
    found[given] = places[values[given].astype(np.intp)]
    return found
