"""Principal components of the features: in what samples differ most, whatever annotators say of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from sklearn_annoser._features import Features
from sklearn_annoser.network._ridge import BLOCK_ROWS, NEGLIGIBLE

N_CONTENT = 128


def fit_content(X: np.ndarray | Features, rows: np.ndarray, n_components: int = N_CONTENT) -> NDArray[np.float32]:
    """Return how features become their leading principal components, no more than there are.

    The components keep their relative variances, which sum to 1. They come from the Gram matrix of the features, or
    from that of the samples if they are fewer.

    Parameters
    ----------
    X : array of float32, or Features, shape (n_samples, n_features)
        Features. They are read in blocks; samples fewer than features are copied.
    rows : array of int, shape (n_rows,)
        The samples that count.
    n_components : int, default=N_CONTENT
        Most components.

    Returns
    -------
    array of float32, shape (n_features + 1, n_components)
        What the features are multiplied with, and what is then added in the last row.
    """
    mean = sum(block.sum(0, dtype=np.float64) for block in _blocks(X, rows)) / len(rows)
    if len(rows) > X.shape[1]:
        gram = sum((_products(block - mean) for block in _blocks(X, rows)), np.zeros(()))
        values, directions = _leading(gram, n_components)
    else:
        samples = np.concatenate([block - mean for block in _blocks(X, rows)])
        values, vectors = _leading(samples @ samples.T, n_components)
        directions = samples.T @ vectors / np.sqrt(values)
    if not len(values):
        return np.zeros((X.shape[1] + 1, 0), dtype=np.float32)
    largest = np.abs(directions).argmax(axis=0)
    sign = np.sign(directions[largest, np.arange(len(values))])  # else it is an accident of the solver
    directions = directions * sign / np.sqrt(values.sum() / len(rows))
    return np.vstack([directions, -mean @ directions]).astype(np.float32)


def _blocks(X: np.ndarray | Features, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Walk over some samples."""
    for start in range(0, len(rows), BLOCK_ROWS):
        yield X[rows[start : start + BLOCK_ROWS]]


def _products(block: np.ndarray) -> np.ndarray:
    """Return the products of the features of a block, which float32 is enough for; sums of many blocks are float64."""
    block = block.astype(np.float32)
    return (block.T @ block).astype(np.float64)


def _leading(gram: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues of a Gram matrix that are more than noise, and their eigenvectors."""
    values, vectors = eigh(gram, subset_by_index=[max(len(gram) - n, 0), len(gram) - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    positive = values > NEGLIGIBLE * max(values[0], 0)
    return values[positive], vectors[:, positive]
