"""What the ratings of a sample come to: their mean, or the class with most votes."""

from __future__ import annotations

import numpy as np


def means(rows: np.ndarray, values: np.ndarray, n_samples: int) -> np.ndarray:
    """Return the mean of each sample's values, (n_samples, n_outputs), NaN where there are none."""
    found = np.full((n_samples, values.shape[1]), np.nan)
    for output, column in enumerate(values.T):
        given = np.isfinite(column)
        counts = np.bincount(rows[given], minlength=n_samples)
        sums = np.bincount(rows[given], column[given], n_samples)
        np.divide(sums, counts, out=found[:, output], where=counts > 0)
    return found


def plurality(rows: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the class that most ratings of each sample have, the first of several, (n_samples,); NaN without any.

    `values` (n_ratings,) are positions in the classes or NaN, `shape` is the number of samples and of classes.
    """
    given = np.isfinite(values)
    found = np.full(shape[0], np.nan)
    cells, votes = np.unique(rows[given] * shape[1] + values[given].astype(np.intp), return_counts=True)
    order = np.lexsort((-cells, votes))  # what is written last stays: most votes, of several the first class
    found[cells[order] // shape[1]] = cells[order] % shape[1]
    return found


def check_everywhere(consensus: np.ndarray, outputs: tuple[str, ...]) -> None:
    """Raise, and say what to do, if a sample has no consensus, (n_samples, n_outputs), in some output."""
    missing = np.isnan(consensus)
    unrated = np.flatnonzero(missing.all(axis=1))
    if len(unrated):
        raise ValueError(
            f"{len(unrated)} of {len(consensus)} samples have no rating (the first is at position {unrated[0]}), "
            "so there is no consensus to use as an array. Keep the rated ones: "
            'rated = (ratings.counts("sample") > 0).to_numpy(); X[rated], ratings[rated].'
        )
    if missing.any():
        row, output = np.argwhere(missing)[0]
        raise ValueError(
            f"{int(missing.any(axis=1).sum())} samples have no rating of some output (the first is "
            f"{outputs[output]!r} at position {row}), so there is no consensus to use as an array. Keep those "
            "with all of them: rated = np.isfinite(ratings.consensus()).all(axis=1); X[rated], ratings[rated]."
        )
