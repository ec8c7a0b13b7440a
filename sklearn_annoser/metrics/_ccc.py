"""Concordance of predictions with one annotator, every annotator, their consensus; distances of distributions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import rel_entr
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import make_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length

from sklearn_annoser._validation import as_columns, check_finite_values, check_number, check_sample_weight
from sklearn_annoser.ratings import Ratings

__all__ = [
    "annotator_ccc",
    "ccc_matrix",
    "ccc_score",
    "ccc_scorer",
    "ccc_scorers",
    "consensus_ccc_score",
    "consensus_ccc_scorer",
    "individual_ccc_score",
    "individual_ccc_scorer",
    "jensen_shannon_divergence",
    "total_variation_distance",
]

EPS = np.finfo(np.float64).eps
MAX_NDIM = 32  # of numpy 1


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
        Ratings and predictions. `Ratings` stand for their consensus.
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
    n_used = int(np.count_nonzero(weight))
    if n_used < 2:
        warnings.warn("CCC is not defined for fewer than two samples.", UndefinedMetricWarning, stacklevel=2)
        return _average_outputs(np.full(true.shape[1], np.nan), multioutput)

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
    return _average_outputs(scores, multioutput)


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
        true = y_true
    else:
        columns = as_columns(check_finite_values("y_true", y_true))
        check_consistent_length(columns, pred)
        if not columns.size:
            raise ValueError("y_true and y_pred are empty: CCC needs at least two samples.")
        true = Ratings.from_dense(np.repeat(columns[:, :, None], cube.shape[2], axis=2))
    check_consistent_length(true, pred)
    if true.n_outputs != cube.shape[2]:
        raise ValueError(f"y_true has {true.n_outputs} outputs, but y_pred has {cube.shape[2]}.")

    order = np.argsort(true.codes, kind="stable")
    ends = np.bincount(true.codes, minlength=true.n_annotators).cumsum()
    rows, values = true.rows[order], true.values[order]
    if (np.diff(ends, prepend=0) < 2).any():
        warnings.warn("CCC is not defined for fewer than two samples.", UndefinedMetricWarning, stacklevel=2)
    scores = np.full((true.n_annotators, *cube.shape[1:]), np.nan)
    for annotator, (start, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        for output in range(true.n_outputs):
            given = start + np.flatnonzero(np.isfinite(values[start:end, output]))
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
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar: Modeling Annotators for Cross-Corpus Speech Emotion
    Recognition", 2025, https://arxiv.org/abs/2509.12295

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
    return _average_outputs(means, multioutput)


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
    true, pred = (as_columns(ratings.consensus()).T for ratings in (y_true, y_true.with_values(values)))
    rated = np.isfinite(true)
    scores = [ccc_score(*own) for own in ((true[k][rated[k]], pred[k][rated[k]]) for k in range(len(true)))]
    return _average_outputs(np.array(scores), multioutput)


def total_variation_distance(p: Any, q: Any) -> np.ndarray:
    r"""Total variation of distributions on a grid: the share of the mass in other cells (0 to 1, lower is better).

    .. math:: \mathrm{TV}(p, q) = \frac{1}{2} \sum_{\mathrm{cells}} |p - q|

    0 if the distributions are equal, 1 if they share no cell. It does not see how far apart cells are.

    Parameters
    ----------
    p, q : array-like, shape (n_samples, ...cells)
        Mass in the cells of a grid of any number of dimensions, not negative; each row is divided by its sum.

    Returns
    -------
    array of float, shape (n_samples,)

    Raises
    ------
    ValueError
        Shapes differ, masses are negative or not finite, a row has no mass.

    Examples
    --------
    >>> from sklearn_annoser.metrics import total_variation_distance
    >>> total_variation_distance([[1, 1, 2], [1, 0, 0]], [[2, 1, 1], [0, 0, 1]])
    array([0.25, 1.  ])
    """
    p, q = _check_distributions(p, q)
    return np.abs(p - q).sum(axis=1) / 2


def jensen_shannon_divergence(p: Any, q: Any, *, base: float = 2) -> np.ndarray:
    r"""Jensen-Shannon divergence of distributions on a grid (0 to 1 for the logarithm to base 2, lower is better).

    .. math:: \mathrm{JSD}(p, q) = \frac{1}{2} \sum_{\mathrm{cells}} p \log \frac{p}{m}
              + \frac{1}{2} \sum_{\mathrm{cells}} q \log \frac{q}{m}, \quad m = \frac{p + q}{2}

    0 if the distributions are equal; the logarithm of 2 to `base`, its largest value, if they share no cell: 1 for
    base 2, 0.693 for base e. It is the square of :func:`scipy.spatial.distance.jensenshannon`, which is a distance.

    Parameters
    ----------
    p, q : array-like, shape (n_samples, ...cells)
        Mass in the cells of a grid of any number of dimensions, not negative; each row is divided by its sum.
    base : float, default=2
        Base of the logarithm, above 1; ``np.e`` for nats.

    Returns
    -------
    array of float, shape (n_samples,)

    Raises
    ------
    ValueError
        Shapes differ, masses are negative or not finite, a row has no mass.

    References
    ----------
    J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37(1), 1991,
    https://doi.org/10.1109/18.61115

    Examples
    --------
    >>> from sklearn_annoser.metrics import jensen_shannon_divergence
    >>> jensen_shannon_divergence([[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [0, 0, 1]])
    array([0., 1.])
    """
    check_number("base", base, low=1, open_low=True)
    p, q = _check_distributions(p, q)
    # p log(p / m) = rel_entr(2p, 2m) / 2: a half of the smallest float would be 0, and the logarithm infinite.
    nats = (rel_entr(2 * p, p + q) + rel_entr(2 * q, p + q)).sum(axis=1) / 4
    return nats.clip(0, np.log(2)) / np.log(base)


def _check_distributions(p: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 of shape (n_samples, n_cells) whose rows sum to 1."""
    p, q = (check_finite_values(name, values, max_ndim=MAX_NDIM) for name, values in (("p", p), ("q", q)))
    if p.shape != q.shape:
        raise ValueError(f"p and q must have the same shape, got {p.shape} and {q.shape}.")
    if p.ndim < 2:
        raise ValueError(f"p and q must have shape (n_samples, ...cells), got {p.shape}. One distribution is p[None].")
    return _normalize("p", p), _normalize("q", q)


def _normalize(name: str, values: np.ndarray) -> np.ndarray:
    """Return rows of mass, flat and divided by their sum."""
    if (values < 0).any():
        where = tuple(int(index) for index in np.argwhere(values < 0)[0])
        raise ValueError(f"{name} must not be negative, got {values[where]} at position {where}.")
    mass = values.reshape(len(values), np.prod(values.shape[1:], dtype=int)).astype(np.float64)
    total = mass.sum(axis=1, keepdims=True)
    if not total.all():
        raise ValueError(f"row {int((total == 0).argmax())} of {name} has no mass: leave it out of p and q.")
    return mass / total


def _predicted_values(y_true: Ratings, y_pred: Any) -> np.ndarray:
    """Return one predicted value for each rating and output of `y_true`, shape (n_ratings, n_outputs)."""
    if not isinstance(y_true, Ratings):
        raise TypeError(f"y_true must be Ratings, got {type(y_true).__name__}. For plain arrays use ccc_score.")
    if isinstance(y_pred, Ratings):
        same = y_pred.values.shape == y_true.values.shape and np.array_equal(y_pred.indptr, y_true.indptr)
        if not same or not np.array_equal(y_pred.annotators[y_pred.codes], y_true.annotators[y_true.codes]):
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


def _check_pair(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction as finite float64 arrays of the same shape (n_samples, n_outputs)."""
    true, pred = (
        check_finite_values(name, values).astype(np.float64, copy=False)
        for name, values in (("y_true", y_true), ("y_pred", y_pred))
    )
    check_consistent_length(true, pred)
    true, pred = as_columns(true), as_columns(pred)
    if not true.size:
        raise ValueError("y_true and y_pred are empty: CCC needs at least two samples.")
    if true.shape != pred.shape:
        raise ValueError(f"y_true has {true.shape[1]} outputs, but y_pred has {pred.shape[1]}.")
    return true, pred


def _average_outputs(scores: np.ndarray, multioutput: Any) -> float | np.ndarray:
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


def _predict_for(estimator: Any, X: Any, y: Any) -> Any:
    """Predict each rating of `y` if the estimator knows annotators, else each sample."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    # A search and a pipeline hide the method of the estimator inside.
    if isinstance(estimator, Pipeline) and hasattr(estimator[-1], "predict_ratings"):
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        estimator = estimator[-1]
    return estimator.predict_ratings(X, y) if hasattr(estimator, "predict_ratings") else estimator.predict(X)


def individual_ccc_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Score an estimator by CCC_ind, for ``scoring=`` of scikit-learn (-1 to 1, higher is better).

    Parameters
    ----------
    estimator : fitted estimator
        If it (or what is inside a pipeline or a search) has ``predict_ratings``, each rating is predicted for its
        annotator, else each sample for all of its raters.
    X : features, shape (n_samples, n_features)
        Features of the samples.
    y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
        The truth; for a plain array this is :func:`ccc_score`.

    Returns
    -------
    float
    """
    if not isinstance(y, Ratings):
        return float(ccc_score(y, estimator.predict(X)))
    return float(individual_ccc_score(y, _predict_for(estimator, X, y)))


def consensus_ccc_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Score an estimator by CCC_con, for ``scoring=`` of scikit-learn (-1 to 1, higher is better).

    Parameters
    ----------
    estimator : fitted estimator
        If it (or what is inside a pipeline or a search) has ``predict_ratings``, each rating is predicted for its
        annotator, else each sample for all of its raters.
    X : features, shape (n_samples, n_features)
        Features of the samples.
    y : Ratings, or array-like of shape (n_samples,) or (n_samples, n_outputs)
        The truth; for a plain array this is :func:`ccc_score`.

    Returns
    -------
    float
    """
    if not isinstance(y, Ratings):
        return float(ccc_score(y, estimator.predict(X)))
    return float(consensus_ccc_score(y, _predict_for(estimator, X, y)))


ccc_scorer = make_scorer(ccc_score)
"""Scorer of ``predict(X)`` against the consensus, blind to who rated."""

ccc_scorers = {
    "ccc_individual": individual_ccc_scorer,
    "ccc_consensus": consensus_ccc_scorer,
    "ccc_rater_blind": ccc_scorer,
}
"""All three, for the `scoring=` of cross_validate."""
