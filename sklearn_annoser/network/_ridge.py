"""Ridge regression in closed form, from one pass over the features; the data tell how strong the penalty is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sklearn_annoser._features import Features

BLOCK_ROWS = 1024
PENALTIES = 10.0 ** np.arange(-4, 5, 0.5)  # times the mean eigenvalue of the standardized features
LEAST_FREEDOM = 0.01  # of the samples: what is left to judge by
NEGLIGIBLE = 1e-6  # of the largest eigenvalue of float32 features: noise of their last digits


def fit_ridge(X: np.ndarray | Features, y: np.ndarray, weight: np.ndarray | None = None) -> NDArray[np.float32]:
    r"""Fit a ridge regression for each output, with the penalty of the least generalized cross-validation error.

    Features are standardized, so their scales do not matter. From the eigenvectors of their Gram matrix, or of that of
    the samples if they are fewer, every penalty :math:`\alpha` is tried at no cost. The error is

    .. math:: n \sum_i (y_i - \hat y_i)^2 / (n - 1 - \sum_j \lambda_j / (\lambda_j + \alpha))^2

    Parameters
    ----------
    X : array of float32, or Features, shape (n_samples, n_features)
        Features. They are read in blocks; samples fewer than features are copied.
    y : array, shape (n_samples, n_outputs)
        Targets, NaN where there are none.
    weight : array, shape (n_samples,), default=None
        Weight of each sample. None: 1.

    Returns
    -------
    array of float32, shape (n_features + 1, n_outputs)
        Coefficients, the intercept last.
    """
    found = np.zeros((X.shape[1] + 1, y.shape[1]))
    for outputs, eigen, given in _solvers(X, y, weight):
        found[:, outputs] = eigen.solve(given)
    return found.astype(np.float32)


def fit_tuned_ridge(
    X: np.ndarray | Features,
    y: np.ndarray,
    weight: np.ndarray | None,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[NDArray[np.float32], np.ndarray]:
    """Fit a ridge regression for each output, with the penalty of the least squared error on validation samples.

    Leaving out single samples makes too little of the penalty where samples come in groups whose members are alike.
    Here a ridge is fitted on the training samples of every split, with all penalties; then one on all samples.

    Parameters
    ----------
    X, y, weight : arrays, or None
        As in :func:`fit_ridge`.
    splits : sequence of tuple of arrays of int
        Rows of training and of validation samples.

    Returns
    -------
    coef : array of float32, shape (n_features + 1, n_outputs)
        Coefficients, the intercept last.
    predicted : array, shape (n_samples, n_outputs)
        What ridges predicted of their validation samples, on average; NaN for samples that are in none.
    """
    importance = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    errors, tried = np.zeros((len(PENALTIES), y.shape[1])), []
    for train, valid in splits:
        kept = np.full(y.shape, np.nan)
        kept[train] = y[train]
        found = np.zeros((len(PENALTIES), X.shape[1] + 1, y.shape[1]))
        for outputs, eigen, given in _solvers(X, kept, weight):
            found[:, :, outputs] = eigen.path(given)
        tried.append(np.concatenate([_predict(X[rows], found) for rows in _parts(valid)], axis=1))
        errors += np.nansum(importance[valid, None] * (tried[-1] - y[valid]) ** 2, axis=1)
    best = len(PENALTIES) - 1 - errors[::-1].argmin(axis=0)  # where nothing tells them apart, the strongest
    total, n = np.zeros(y.shape), np.zeros(len(X))
    for (_, valid), predicted in zip(splits, tried, strict=True):
        total[valid] += predicted[best, :, np.arange(y.shape[1])].T
        n[valid] += 1
    coef = np.zeros((X.shape[1] + 1, y.shape[1]))
    for outputs, eigen, given in _solvers(X, y, weight):
        coef[:, outputs] = eigen.solve(given, PENALTIES[best[outputs]])
    return coef.astype(np.float32), np.where(n[:, None] > 0, total / np.maximum(n, 1)[:, None], np.nan)


def _solvers(
    X: np.ndarray | Features, y: np.ndarray, weight: np.ndarray | None
) -> Iterator[tuple[np.ndarray, _Eigen, np.ndarray]]:
    """Walk over outputs that the same samples have, which share the eigenvectors, and their targets."""
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    patterns, pattern = np.unique(np.isfinite(y), axis=1, return_inverse=True)
    for number, given in enumerate(patterns.T):
        outputs, rows = np.flatnonzero(pattern.ravel() == number), np.flatnonzero(given & (weight > 0))
        if len(rows):
            yield outputs, _Eigen(X, rows, weight[rows] / weight[rows].mean()), y[rows][:, outputs]


def _predict(X: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Return predictions by several ridges, (n_ridges, n_samples, n_outputs)."""
    return X.astype(np.float64) @ coef[:, :-1] + coef[:, -1:]


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Walk over rows in blocks; there is one at least."""
    for start in range(0, max(len(rows), 1), BLOCK_ROWS):
        yield rows[start : start + BLOCK_ROWS]


class _Eigen:
    """Eigenvectors of standardized features, of some samples with weights."""

    def __init__(self, X: np.ndarray | Features, rows: np.ndarray, weight: np.ndarray) -> None:
        self.X, self.rows, self.weight = X, rows, weight
        total = sum((each * self.weight[at, None]).sum(0, dtype=np.float64) for at, each in self._blocks())
        self.mean = total / len(rows)
        squares = sum(((each - self.mean) ** 2 * self.weight[at, None]).sum(0) for at, each in self._blocks())
        self.scale = np.sqrt(squares / len(rows))
        self.scale[self.scale <= 1e-6 * np.abs(self.mean)] = np.inf  # a constant tells nothing
        if len(rows) > X.shape[1]:
            gram = sum((each.T @ each).astype(np.float64) for _, each in self._standardized())
            self.values, self.directions = _positive_eigen(gram)
        else:
            samples = np.concatenate([each for _, each in self._standardized()]).astype(np.float64)
            self.values, vectors = _positive_eigen(samples @ samples.T)
            self.directions = samples.T @ vectors / np.sqrt(self.values)

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over the features of the samples."""
        for start in range(0, len(self.rows), BLOCK_ROWS):
            at = slice(start, start + BLOCK_ROWS)
            yield at, self.X[self.rows[at]]

    def _standardized(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over standardized features, times the root of the weight, so that plain products are weighted ones."""
        for at, block in self._blocks():
            scaled = (block - self.mean) / self.scale * np.sqrt(self.weight[at, None])
            yield at, scaled.astype(np.float32)

    def solve(self, y: np.ndarray, penalty: np.ndarray | None = None) -> np.ndarray:
        """Return coefficients and intercepts, (n_features + 1, n_outputs).

        The penalty of each output is in units of the mean eigenvalue. None: the best by generalized cross-validation.
        """
        along, total, mean = self._along(y)
        if penalty is None:
            penalty = self._best_penalty(along, total)
        return self._shrunk(along, penalty, mean)

    def path(self, y: np.ndarray) -> np.ndarray:
        """Return coefficients and intercepts for every penalty, (n_penalties, n_features + 1, n_outputs)."""
        along, _, mean = self._along(y)
        return np.stack([self._shrunk(along, np.full(len(mean), penalty), mean) for penalty in PENALTIES])

    def _along(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return targets along the eigenvectors, (n_values, n_outputs), their sums of squares, and their means."""
        mean = np.average(y, axis=0, weights=self.weight)
        target = (y - mean) * np.sqrt(self.weight[:, None])
        products = sum((block.T @ target[at] for at, block in self._standardized()), np.float64(0))
        return self.directions.T @ products / np.sqrt(self.values)[:, None], (target**2).sum(axis=0), mean

    def _shrunk(self, along: np.ndarray, penalty: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Return coefficients and intercepts with a penalty for each output."""
        if len(self.values):
            penalty = penalty * self.values.mean()
        shrunk = along * np.sqrt(self.values)[:, None] / (self.values[:, None] + penalty)
        coef = self.directions @ shrunk / self.scale[:, None]
        return np.vstack([coef, mean - self.mean @ coef])

    def _best_penalty(self, along: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return the best penalty for each output, of targets with these parts along the eigenvectors."""
        if not len(self.values):
            return np.ones_like(total)
        n, penalties = len(self.rows), PENALTIES[:, None] * self.values.mean()
        left = penalties / (self.values + penalties)  # (n_penalties, n_values)
        beyond = np.maximum(total - (along**2).sum(axis=0), 0)
        freedom = (n - 1 - (1 - left).sum(axis=1))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = (beyond + left**2 @ along**2) / freedom**2  # (n_penalties, n_outputs)
        return PENALTIES[np.argmin(np.where(freedom > LEAST_FREEDOM * n, errors, np.inf), axis=0)]


def _positive_eigen(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive eigenvalues of a Gram matrix, and their eigenvectors."""
    values, vectors = np.linalg.eigh(gram)
    positive = values > NEGLIGIBLE * max(values[-1], 0)
    return values[positive], vectors[:, positive]
