"""Ridge regression in closed form, from one pass over the features; the data tell how strong the penalty is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1024
PENALTIES = 10.0 ** np.arange(-4, 5, 0.5)  # times the mean eigenvalue of the standardized features
LEAST_FREEDOM = 0.01  # of the samples: what is left to judge by
NEGLIGIBLE = 1e-6  # of the largest eigenvalue of float32 features: noise of their last digits


def fit_ridge(X: NDArray[np.float32], y: np.ndarray, weight: np.ndarray | None = None) -> NDArray[np.float32]:
    r"""Fit a ridge regression for each output, with the penalty of the least generalized cross-validation error.

    Features are standardized, so their scales do not matter. From the eigenvectors of their Gram matrix, or of that of
    the samples if they are fewer, every penalty :math:`\alpha` is tried at no cost. The error is

    .. math:: n \sum_i (y_i - \hat y_i)^2 / (n - 1 - \sum_j \lambda_j / (\lambda_j + \alpha))^2

    Parameters
    ----------
    X : array of float32, shape (n_samples, n_features)
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
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, dtype=np.float64)
    found = np.zeros((X.shape[1] + 1, y.shape[1]))
    patterns, pattern = np.unique(np.isfinite(y), axis=1, return_inverse=True)
    for number, given in enumerate(patterns.T):  # outputs that the same samples have share the eigenvectors
        outputs, rows = np.flatnonzero(pattern.ravel() == number), np.flatnonzero(given & (weight > 0))
        if len(rows):
            found[:, outputs] = _Eigen(X, rows, weight[rows] / weight[rows].mean()).solve(y[rows][:, outputs])
    return found.astype(np.float32)


class _Eigen:
    """Eigenvectors of standardized features, of some samples with weights."""

    def __init__(self, X: NDArray[np.float32], rows: np.ndarray, weight: np.ndarray) -> None:
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

    def solve(self, y: np.ndarray) -> np.ndarray:
        """Return coefficients and intercepts, (n_features + 1, n_outputs)."""
        mean = np.average(y, axis=0, weights=self.weight)
        target = (y - mean) * np.sqrt(self.weight[:, None])
        products = sum((block.T @ target[at] for at, block in self._standardized()), np.float64(0))
        along = self.directions.T @ products / np.sqrt(self.values)[:, None]  # (n_values, n_outputs)
        penalty = self._best_penalty(along, (target**2).sum(axis=0)) if len(self.values) else 1.0
        shrunk = along * np.sqrt(self.values)[:, None] / (self.values[:, None] + penalty)
        coef = self.directions @ shrunk / self.scale[:, None]
        return np.vstack([coef, mean - self.mean @ coef])

    def _best_penalty(self, along: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Return the best penalty for each output, of targets with these parts along the eigenvectors."""
        n, penalties = len(self.rows), PENALTIES[:, None] * self.values.mean()
        left = penalties / (self.values + penalties)  # (n_penalties, n_values)
        beyond = np.maximum(total - (along**2).sum(axis=0), 0)
        freedom = (n - 1 - (1 - left).sum(axis=1))[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = (beyond + left**2 @ along**2) / freedom**2  # (n_penalties, n_outputs)
        return penalties[np.argmin(np.where(freedom > LEAST_FREEDOM * n, errors, np.inf), axis=0), 0]


def _positive_eigen(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive eigenvalues of a Gram matrix, and their eigenvectors."""
    values, vectors = np.linalg.eigh(gram)
    positive = values > NEGLIGIBLE * max(values[-1], 0)
    return values[positive], vectors[:, positive]
