"""Drift: whether an annotator's ratings move away from the others' while they rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sklearn_annoser._validation import check_finite_values, check_labels, check_number
from sklearn_annoser.annotators._agreement import check_ratings, is_shared, iter_outputs, others_mean
from sklearn_annoser.ratings import Ratings

__all__ = ["annotator_drift"]


def annotator_drift(
    ratings: Ratings, order: Any = None, *, groups: Any = None, min_ratings: int = 30, alpha: float = 0.05
) -> pd.DataFrame:
    r"""Find annotators whose ratings move away from the others' while they rate.

    An annotator's deviation is their rating less the mean of the others who rated the sample. Its least-squares slope
    over the annotator's own ratings, from 0 for the first to 1 for the last, is by how much the deviation changed. The
    standard error is the jackknife's, robust against unequal variances and against correlation within `groups`. The p
    values of all annotators and outputs are corrected together (Benjamini and Hochberg): if nobody drifts, somebody's
    `p_corrected` is below `alpha` in about a share of `alpha` of the corpora.

    Two things look like drift. One who drifts moves the mean of the others, who seem to drift the other way, the more
    the fewer rated a sample. And where the samples themselves get better along the order, so does the deviation of one
    who uses more of the scale than the others.

    Parameters
    ----------
    ratings : Ratings
        The ratings. Samples with a single rating are left out.
    order : array-like, shape (n_ratings,) or (n_samples,), default=None
        What sorts each annotator's ratings, such as their time, one a rating in the order of ``ratings.values``; or one
        a sample, if all rated in the same order. None: the order of the samples, which says something only if they were
        rated in it.
    groups : array-like, shape (n_samples,), default=None
        Group of each sample, such as its speaker, within which deviations are correlated.
    min_ratings : int, default=30
        Annotators with fewer ratings (or groups, if given) are left out.
    alpha : float, default=0.05
        Level of the confidence interval, as the share that it misses, and of `drifts`.

    Returns
    -------
    DataFrame
        A row for each annotator and output: `annotator`, `output`, `n_ratings`, `slope` with the interval `low` to
        `high`, `p`, `p_corrected`, and `drifts`, whether that is below `alpha`. The interval is not corrected.

    References
    ----------
    Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B
    57(1), 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.annotators import annotator_drift
    >>> values = np.random.default_rng(0).normal(size=(100, 8))
    >>> values[:, 5] += np.linspace(0, 3, 100)  # milder from rating to rating
    >>> table = annotator_drift(Ratings.from_dense(values))
    >>> table.loc[table["drifts"], "annotator"].tolist()
    [5]
    """
    check_ratings(ratings)
    check_number("min_ratings", min_ratings, low=4, integer=True)
    check_number("alpha", alpha, low=0, high=1, open_low=True)
    keys = _check_order(order, ratings)
    groups = np.arange(ratings.n_samples) if groups is None else _check_groups(groups, ratings)
    labels, rows = ratings.annotators.tolist(), []
    for name, given, own in iter_outputs(ratings):
        shared = own.keep_ratings(is_shared(own))
        own_keys, own_groups = keys[given][is_shared(own)], groups[shared.rows]
        deviations = shared.values[:, 0] - others_mean(shared)[:, 0]
        for code, mine in _by_code(shared.codes, np.lexsort((own_keys, shared.codes))):
            if len(np.unique(own_groups[mine])) >= min_ratings:
                position = _unit(stats.rankdata(own_keys[mine]))  # what has one time has one place
                line = _slope_line(position, deviations[mine], own_groups[mine], alpha)
                rows.append((code, {"annotator": labels[code], "output": name, "n_ratings": len(mine)} | line))
    columns = ["annotator", "output", "n_ratings", "slope", "low", "high", "p"]
    by_annotator = sorted(rows, key=lambda row: row[0])
    table = pd.DataFrame([line for _, line in by_annotator], columns=columns)
    corrected = stats.false_discovery_control(table["p"]) if len(table) else np.empty(0)
    return table.assign(p_corrected=corrected, drifts=corrected < alpha)


def _by_code(codes: np.ndarray, order: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return each code that occurs with the positions that have it, in the given order."""
    found, starts = np.unique(codes[order], return_index=True)
    return list(zip(found.tolist(), np.split(order, starts[1:]) if len(found) else [], strict=True))


def _unit(position: np.ndarray) -> np.ndarray:
    """Scale positions to 0 for the first and 1 for the last."""
    span = np.ptp(position)
    return (position - position.min()) / (span if span else 1)


def _slope_line(position: np.ndarray, values: np.ndarray, groups: np.ndarray, alpha: float) -> dict[str, float]:
    """Return the least-squares slope of values, its confidence interval and its p value."""
    _, group = np.unique(groups, return_inverse=True)
    x = position - position.mean()
    n_groups = int(group.max()) + 1
    squares = np.bincount(group, x * x)
    # The error is a sum of squares with these weights: Satterthwaite's degrees of freedom, fewer than groups.
    df = max(squares.sum() ** 2 / (squares @ squares) - 1, 1.0) if squares.any() else 1.0
    limit = stats.t.ppf(1 - alpha / 2, df)
    y = values - values.mean()
    sums = np.stack([np.bincount(group, weights) for weights in (np.ones(len(x)), x, y, x * x, x * y)])
    slope = _slope(sums.sum(axis=1))
    without = _slope(sums.sum(axis=1, keepdims=True) - sums)  # the jackknife: each group left out once
    error = np.sqrt((n_groups - 1) / n_groups * ((without - slope) ** 2).sum())
    return {
        "slope": float(slope),
        "low": slope - limit * error,
        "high": slope + limit * error,
        "p": _p_value(float(slope), float(error), df),
    }


def _slope(sums: np.ndarray) -> np.ndarray:
    """Return the least-squares slope from sums of 1, x, y, x x and x y; NaN if all x are equal."""
    n, x, y, xx, xy = sums
    square = n * xx - x * x
    square = np.where(square > 1e-9 * n * n, square, np.nan)  # x is within 0 and 1: less is what rounding leaves
    return (n * xy - x * y) / square


def _p_value(slope: float, error: float, df: float) -> float:
    """Return the two-sided p value of a slope; 1 if it has no error because all was done at one time."""
    if np.isnan(error):
        return 1.0
    if error == 0:  # nothing is left to chance
        return float(slope == 0)
    return float(2 * stats.t.sf(abs(slope) / error, df))


def _check_order(order: Any, ratings: Ratings) -> np.ndarray:
    """Return what sorts the ratings, one a rating."""
    if order is None:
        return ratings.rows
    if np.ndim(order) == 1:
        order = pd.Series(order)
        if isinstance(order.dtype, pd.DatetimeTZDtype):
            order = order.dt.tz_convert(None)
    keys = np.asarray(order)
    if keys.dtype.kind in "mM":  # times
        if np.isnat(keys).any():
            raise ValueError(f"order must be times, but {int(np.isnat(keys).sum())} of {len(keys)} are missing (NaT).")
        keys = keys.astype(np.int64)
    keys = check_finite_values("order", keys, max_ndim=1)
    if len(keys) not in (ratings.n_ratings, ratings.n_samples):
        raise ValueError(
            f"order must have one value for each of the {ratings.n_ratings} ratings, or of the {ratings.n_samples} "
            f"samples, got {len(keys)}."
        )
    return keys if len(keys) == ratings.n_ratings else keys[ratings.rows]


def _check_groups(groups: Any, ratings: Ratings) -> np.ndarray:
    """Return the group of each sample as a number."""
    labels = check_labels("groups", groups)
    if len(labels) != ratings.n_samples:
        raise ValueError(f"groups must have one label for each of the {ratings.n_samples} samples, got {len(labels)}.")
    return np.unique(labels, return_inverse=True)[1]
