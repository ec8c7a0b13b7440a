"""CCC of predictions with every annotator, and with their consensus."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_annoser._validation import as_columns, check_finite_values, check_number
from sklearn_annoser.metrics._ccc import average_outputs, ccc_from_moments, ccc_score
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._checks import are_equal
from sklearn_annoser.ratings._classes import refuse_classes
from sklearn_annoser.ratings._outputs import in_order_of
from sklearn_annoser.ratings._samples import check_same_samples

__all__ = ["annotator_ccc", "consensus_ccc_score", "individual_ccc_score"]


def annotator_ccc(y_true: Ratings, y_pred: Any) -> pd.DataFrame:
    """CCC of each annotator over what they rated (-1 to 1, higher is better).

    Parameters
    ----------
    y_true : Ratings
        The ratings.
    y_pred : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions: Ratings with a value for each rating of `y_true`, as ``predict_ratings`` returns them, or one value
        a sample and output for all of its raters.

    Returns
    -------
    DataFrame, indexed by annotator
        A column for each output, NaN where there are fewer than two ratings of it, and `n_ratings`.

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.metrics import annotator_ccc
    >>> ratings = Ratings.from_dense([[1, 3], [2, 2], [3, 1]], annotators=["ann", "bob"])
    >>> annotator_ccc(ratings, [1, 2, 3])
         rating  n_ratings
    ann     1.0          3
    bob    -1.0          3
    """
    pred = _predicted_values(y_true, y_pred).astype(np.float64)
    codes, n_annotators = y_true.codes, y_true.n_annotators
    given = np.isfinite(y_true.values)

    def total(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(codes, column, n_annotators) for column in (values * given).T], axis=1)

    counts = total(np.ones(given.shape))

    def mean(values: np.ndarray) -> np.ndarray:
        return total(values) / np.maximum(counts, 1)

    true = np.where(given, y_true.values, 0).astype(np.float64)
    mean_true, mean_pred = mean(true), mean(pred)
    true, pred = true - mean_true[codes], pred - mean_pred[codes]
    scores = ccc_from_moments(mean_true, mean(true**2), mean_pred, mean(pred**2), mean(true * pred))
    scores[counts < 2] = np.nan
    table = pd.DataFrame(scores, index=y_true.annotators, columns=list(y_true.outputs))
    n_ratings = np.bincount(codes, minlength=n_annotators)
    table.insert(y_true.n_outputs, "n_ratings", n_ratings)  # unlike assign, this refuses an output of that name
    return table


def individual_ccc_score(
    y_true: Ratings, y_pred: Any, *, min_ratings: int = 2, multioutput: Any = "uniform_average"
) -> float | np.ndarray:
    """Mean over the annotators of each one's CCC (CCC_ind; -1 to 1, higher is better).

    Parameters
    ----------
    y_true : Ratings
        The ratings.
    y_pred : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions, as for :func:`annotator_ccc`.
    min_ratings : int, default=2
        Annotators with fewer ratings are left out.
    multioutput : {"uniform_average", "raw_values"} or array-like, shape (n_outputs,), default="uniform_average"
        How to combine outputs.

    Returns
    -------
    float, or array of shape (n_outputs,) for "raw_values"
        NaN, with a warning, if no annotator has enough ratings.

    References
    ----------
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar", 2025, https://arxiv.org/abs/2509.12295

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.metrics import individual_ccc_score
    >>> ratings = Ratings.from_dense([[1, 3], [2, 2], [3, 1]], annotators=["ann", "bob"])
    >>> print(individual_ccc_score(ratings, [1, 2, 3]))
    0.0
    """
    check_number("min_ratings", min_ratings, low=2, integer=True)
    table = annotator_ccc(y_true, y_pred)
    scores = table.loc[table["n_ratings"] >= min_ratings, list(y_true.outputs)].to_numpy()
    told = np.isfinite(scores).sum(axis=0)
    if not told.all():
        warnings.warn(
            f"no annotator has {min_ratings} ratings, so there is no individual CCC.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
    means = np.divide(np.nansum(scores, axis=0), told, out=np.full(len(told), np.nan), where=told > 0)
    return average_outputs(means, multioutput)


def consensus_ccc_score(y_true: Ratings, y_pred: Any, *, multioutput: Any = "uniform_average") -> float | np.ndarray:
    """CCC of the consensus with the mean prediction for the annotators who rated (CCC_con; -1 to 1, higher is better).

    With a prediction for each rating this uses who rated what, which a model of the consensus cannot: report
    ``ccc_score(ratings, model.predict(X))``, which is blind to the raters, beside it.

    Parameters
    ----------
    y_true : Ratings
        The ratings. Samples without any are left out.
    y_pred : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions, as for :func:`annotator_ccc`.
    multioutput : {"uniform_average", "raw_values"} or array-like, shape (n_outputs,), default="uniform_average"
        How to combine outputs.

    Returns
    -------
    float, or array of shape (n_outputs,) for "raw_values"

    Examples
    --------
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.metrics import consensus_ccc_score
    >>> ratings = Ratings.from_dense([[1, 2], [2, 3], [3, 4]])
    >>> print(consensus_ccc_score(ratings, [1.5, 2.5, 3.5]))
    1.0
    """
    values = _predicted_values(y_true, y_pred)
    values = np.where(np.isfinite(y_true.values), values, np.nan)
    return ccc_score(y_true, y_true.with_values(values), multioutput=multioutput)


def _predicted_values(y_true: Ratings, y_pred: Any) -> np.ndarray:
    """Return one predicted value for each rating and output of `y_true`, shape (n_ratings, n_outputs)."""
    if not isinstance(y_true, Ratings):
        raise TypeError(f"y_true must be Ratings, got {type(y_true).__name__}. For plain arrays use ccc_score.")
    refuse_classes("y_true", y_true)
    check_same_samples("y_pred", y_pred, y_true)
    y_pred = in_order_of(y_true, y_pred, "y_pred")
    if isinstance(y_pred, Ratings):
        same = y_pred.values.shape == y_true.values.shape and np.array_equal(y_pred.indptr, y_true.indptr)
        if not same or not are_equal(y_pred.annotators[y_pred.codes], y_true.annotators[y_true.codes]):
            raise ValueError(
                f"y_pred must have a value for each rating of y_true: {y_pred!r} is by other annotators or of other "
                f"samples than {y_true!r}."
            )
        return y_pred.values
    pred = as_columns(check_finite_values("y_pred", y_pred))
    if pred.shape != (y_true.n_samples, y_true.n_outputs):
        raise ValueError(
            f"y_pred must have shape {y_true.shape}, one value for each sample and output, got {pred.shape}."
        )
    return pred[y_true.rows]
