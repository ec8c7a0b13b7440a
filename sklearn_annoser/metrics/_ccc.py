"""What CCC is: of two columns, of every pair of columns, and the formula itself."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_consistent_length

from sklearn_annoser._validation import as_columns, check_finite_values, check_number, check_sample_weight
from sklearn_annoser.ratings import Ratings, ratings_by_annotator
from sklearn_annoser.ratings._classes import refuse_classes
from sklearn_annoser.ratings._outputs import in_order_of
from sklearn_annoser.ratings._samples import check_same_samples

__all__ = ["ccc_matrix", "ccc_score"]

EPS = np.finfo(np.float64).eps


def ccc_from_moments(
    mean_true: np.ndarray, var_true: np.ndarray, mean_pred: np.ndarray, var_pred: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Return Lin's concordance of broadcast moments; 0 if either side is constant, 1 if both are and equal."""
    # The mean of n equal floats may be off by a few units in the last place; what is left of them is no variance.
    noise_true, noise_pred = (4 * EPS * mean_true) ** 2, (4 * EPS * mean_pred) ** 2
    constant = (var_true <= noise_true) | (var_pred <= noise_pred)
    distance = (mean_true - mean_pred) ** 2
    denominator = var_true + var_pred + distance
    with np.errstate(divide="ignore", invalid="ignore"):
        ccc = 2 * covariance / denominator
    equal = (var_true <= noise_true) & (var_pred <= noise_pred) & (distance <= np.maximum(noise_true, noise_pred))
    return np.where(constant, equal.astype(np.float64), ccc)


def ccc_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    ddof: int = 0,
) -> float | np.ndarray:
    r"""Concordance correlation coefficient: agreement in order, in mean and in spread (-1 to 1, higher is better).

    .. math:: \mathrm{CCC} = \frac{2\,\mathrm{cov}(y, \hat y)}{\mathrm{var}(y) + \mathrm{var}(\hat y)
              + (\bar y - \bar{\hat y})^2}

    Correlation forgives a wrong mean or spread; concordance does not. If one side is constant there is nothing to agree
    with and the score is 0; if both are constant and equal it is 1, as for :func:`sklearn.metrics.r2_score`.

    Parameters
    ----------
    y_true, y_pred : array-like, shape (n_samples,) or (n_samples, n_outputs)
        Ratings and predictions. `Ratings` stand for their consensus; what nobody rated is left out. Outputs that both
        sides name are compared by name.
    sample_weight : array-like, shape (n_samples,), default=None
        Weight of each sample.
    multioutput : {"uniform_average", "raw_values"} or array-like, shape (n_outputs,), default="uniform_average"
        How to combine outputs: their mean, all of them, or a weighted mean.
    ddof : int, default=0
        0: population variances, as Lin printed it and audmetric computes it. 1: unbiased variances and covariance, as
        torchmetrics computes it.

    Returns
    -------
    float, or array of shape (n_outputs,) for "raw_values"
        NaN, with a warning, for fewer than two samples.

    Raises
    ------
    ValueError
        Shapes differ, values are not finite, weights are negative or all zero.

    References
    ----------
    L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45(1), 1989,
    https://doi.org/10.2307/2532051

    Examples
    --------
    >>> from sklearn_annoser.metrics import ccc_score
    >>> print(ccc_score([1, 2, 3], [1, 2, 3]))
    1.0
    >>> round(ccc_score([1, 2, 3], [2, 3, 4]), 6)  # cov = var = 2/3, means 1 apart: (4/3) / (4/3 + 1)
    0.571429
    """
    check_number("ddof", ddof, low=0, high=1, integer=True)
    true, pred = _check_pair(y_true, y_pred)
    weight = np.ones(len(true)) if sample_weight is None else check_sample_weight(sample_weight, len(true))
    given = np.isfinite(true) & np.isfinite(pred)
    if not given.all():
        columns = zip(true.T, pred.T, given.T, strict=True)
        each = [ccc_score(t[own], p[own], sample_weight=weight[own], ddof=ddof) for t, p, own in columns]
        return average_outputs(np.array(each), multioutput)
    n_used = int(np.count_nonzero(weight))
    if n_used < 2:
        warnings.warn("CCC is not defined for fewer than two samples.", UndefinedMetricWarning, stacklevel=2)
        return average_outputs(np.full(true.shape[1], np.nan), multioutput)

    true, pred, weight = true[weight > 0], pred[weight > 0], weight[weight > 0]  # 0 times a huge square is no number
    weight = weight / weight.sum()
    mean_true, mean_pred = weight @ true, weight @ pred
    true, pred = true - mean_true, pred - mean_pred  # centred first: a large offset must not eat the digits
    correction = n_used / (n_used - ddof)
    scores = ccc_from_moments(
        mean_true,
        weight @ true**2 * correction,
        mean_pred,
        weight @ pred**2 * correction,
        weight @ (true * pred) * correction,
    )
    return average_outputs(scores, multioutput)


def ccc_matrix(y_true: Any, y_pred: Any) -> np.ndarray:
    """CCC of every column of truth with every column of predictions, at once (-1 to 1, higher is better).

    Parameters
    ----------
    y_true : Ratings, or array-like of shape (n_samples,) or (n_samples, n_true)
        New annotators. Ratings: each annotator is a column, compared on what they rated.
    y_pred : array-like, shape (n_samples, n_pred) or (n_samples, n_pred, n_outputs)
        Predictions, for example of every known annotator; the last axis is needed for Ratings of several outputs.

    Returns
    -------
    array of float, shape (n_true, n_pred), or (n_true, n_pred, n_outputs) for three-dimensional `y_pred`
        NaN, with a warning, where there are fewer than two samples. Constants are scored as by :func:`ccc_score`.

    Examples
    --------
    >>> from sklearn_annoser.metrics import ccc_matrix
    >>> ccc_matrix([1, 2, 3], [[1, 3], [2, 2], [3, 1]])
    array([[ 1., -1.]])
    """
    pred = check_finite_values("y_pred", y_pred, max_ndim=3)
    if pred.ndim < 2:
        raise ValueError(f"y_pred must have shape (n_samples, n_pred[, n_outputs]), got {pred.shape}.")
    cube = pred if pred.ndim == 3 else pred[:, :, None]
    if isinstance(y_true, Ratings):
        true = refuse_classes("y_true", y_true)
    else:
        columns = as_columns(check_finite_values("y_true", y_true))
        check_consistent_length(columns, pred)
        if not columns.size:
            raise ValueError("y_true and y_pred are empty: CCC needs at least two samples.")
        true = Ratings.from_dense(np.repeat(columns[:, :, None], cube.shape[2], axis=2))
    check_consistent_length(true, pred)
    check_same_samples("y_pred", y_pred, y_true)
    if true.n_outputs != cube.shape[2]:
        raise ValueError(f"y_true has {true.n_outputs} outputs, but y_pred has {cube.shape[2]}.")

    rows, values = true.rows, true.values
    ratings_of = ratings_by_annotator(true)
    if min(map(len, ratings_of)) < 2:
        warnings.warn("CCC is not defined for fewer than two samples.", UndefinedMetricWarning, stacklevel=2)
    scores = np.full((true.n_annotators, *cube.shape[1:]), np.nan)
    for annotator, mine in enumerate(ratings_of):
        for output in range(true.n_outputs):
            given = mine[np.isfinite(values[mine, output])]
            if len(given) >= 2:
                one = slice(output, output + 1)
                scores[annotator, :, one] = ccc_of_columns(values[given, one], cube[rows[given], :, one])
    return scores if pred.ndim == 3 else scores[:, :, 0]


def ccc_of_columns(true: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Return the CCC of one annotator's ratings with all columns of predictions.

    `true` has shape (n_samples, n_outputs), `pred` (n_samples, n_pred, n_outputs), the result (n_pred, n_outputs).
    """
    n = len(true)
    mean_true, mean_pred = true.mean(axis=0, dtype=np.float64), pred.mean(axis=0, dtype=np.float64)
    true = true - mean_true
    pred = pred - mean_pred  # float64 from here on, whatever the network's type was
    return ccc_from_moments(
        mean_true,
        (true**2).mean(axis=0),
        mean_pred,
        np.einsum("npo,npo->po", pred, pred) / n,
        np.einsum("no,npo->po", true, pred) / n,
    )


def average_outputs(scores: np.ndarray, multioutput: Any) -> float | np.ndarray:
    """Combine the outputs' scores as scikit-learn's regression metrics do."""
    if isinstance(multioutput, str):
        if multioutput == "raw_values":
            return scores
        if multioutput != "uniform_average":
            options = "'uniform_average', 'raw_values' or one weight for each output"
            raise ValueError(f"multioutput must be {options}, got {multioutput!r}.")
        return float(scores.mean())
    weights = check_finite_values("multioutput", multioutput, max_ndim=1)
    if weights.shape != scores.shape or (weights < 0).any() or not weights.any():
        raise ValueError(
            f"multioutput must have one weight for each of {len(scores)} outputs, none negative and not all zero, got "
            f"{multioutput!r}."
        )
    return float(np.average(scores, weights=weights))


def _check_pair(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction as float64 arrays, (n_samples, n_outputs): finite but for what Ratings lack."""
    pair = {"y_true": y_true, "y_pred": in_order_of(y_true, y_pred, "y_pred")}
    true, pred = (as_columns(_plain(name, values)).astype(np.float64, copy=False) for name, values in pair.items())
    check_consistent_length(true, pred)
    check_same_samples("y_pred", y_pred, y_true)
    if not true.size:
        raise ValueError("y_true and y_pred are empty: CCC needs at least two samples.")
    if true.shape != pred.shape:
        raise ValueError(f"y_true has {true.shape[1]} outputs, but y_pred has {pred.shape[1]}.")
    return true, pred


def _plain(name: str, values: Any) -> np.ndarray:
    """Return an array: of Ratings their consensus."""
    refuse_classes(name, values)
    return values.consensus() if isinstance(values, Ratings) else check_finite_values(name, values)
