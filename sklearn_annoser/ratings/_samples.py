"""Whether ratings and what comes with them are of the same samples, in the same order."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd


def check_same_samples(name: str, X: Any, ratings: Any) -> None:
    """Raise if the labels of X (its index, or the samples of Ratings) are those of other rows of the ratings.

    Labels that have nothing in common are no evidence: an index may count rows while the samples have names. Labels
    that count rows are evidence only if the others are the same numbers in another order.
    """
    index, samples = _labels(X), _labels(ratings)
    if index is None or samples is None or len(index) != len(samples):
        return
    ours, theirs = [str(label) for label in index.tolist()], [str(label) for label in samples.tolist()]
    if ours == theirs:
        return
    known = set(ours)
    n_common = sum(label in known for label in theirs)
    count_rows = [str(row) for row in range(len(ours))] in (ours, theirs)
    if n_common == 0 or (count_rows and n_common < len(theirs)):
        return
    where = next(place for place, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    raise ValueError(
        f"{name} and the ratings are not of the same samples in the same order: row {where} of {name} is "
        f"{ours[where]!r}, the ratings there are of {theirs[where]!r}. Ratings.from_long(..., samples={name}.index) "
        f"puts them in its order; {name}.reset_index(drop=True) drops an index that does not name samples."
    )


def _labels(data: Any) -> Any:
    """Return the labels of the rows of a pandas object or of Ratings, or None."""
    return data.index if isinstance(data, (pd.DataFrame, pd.Series)) else getattr(data, "samples", None)


def warn_of_order(rows: np.ndarray, samples: np.ndarray) -> None:
    """Warn if a table does not say in which order its samples are: neither in one piece each, nor sorted."""
    in_pieces = np.count_nonzero(np.diff(rows)) + 1 > len(samples)
    if in_pieces and (samples[1:] < samples[:-1]).any():
        warnings.warn(
            "the rows of the table are in no order of samples, so the samples are in the order of their first rating: "
            f"{', '.join(map(repr, samples[:3].tolist()))}, ... Give samples= in the order of the rows of X.",
            stacklevel=3,
        )
