"""Predicting ratings with linear heads, a block of pairs at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sklearn_annoser.ratings import Ratings

__all__ = ["predict_heads", "predict_pairs", "predict_rated"]

BLOCK_ROWS = 2048
PRODUCT_ROWS = 128


def predict_heads(hidden: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Predict all heads on all samples.

    The matrix products all have the same number of rows, filled up with zeros, so that the last digit of a prediction
    does not depend on how many samples there are.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads, the bias last.

    Returns
    -------
    array, shape (n_samples, n_heads, n_outputs)
    """
    predicted = np.empty((len(hidden), *heads.shape[:2]), dtype=heads.dtype)
    full = np.zeros((PRODUCT_ROWS, hidden.shape[2]), dtype=hidden.dtype)
    for start in range(0, len(hidden), PRODUCT_ROWS):
        rows = slice(start, min(start + PRODUCT_ROWS, len(hidden)))
        n = rows.stop - start
        for output in range(heads.shape[1]):
            full[:n] = hidden[rows, output]
            predicted[rows, :, output] = (full @ heads[:, output, :-1].T)[:n] + heads[:, output, -1]
    return predicted


def predict_pairs(hidden: np.ndarray, heads: np.ndarray, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Predict (sample, head) pairs.

    All other parameters are those of :func:`predict_heads`, with the same defaults.

    Parameters
    ----------
    rows, codes : array of int, shape (n_pairs,)
        Sample and head of each pair.

    Returns
    -------
    array, shape (n_pairs, n_outputs)
    """
    predicted = np.empty((len(rows), heads.shape[1]), dtype=hidden.dtype)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        head = heads[codes[block]]
        predicted[block] = np.einsum("poh,poh->po", hidden[rows[block]], head[:, :, :-1]) + head[:, :, -1]
    return predicted


def predict_rated(
    blocks: Iterable[tuple[slice, np.ndarray]], heads: np.ndarray, ratings: Ratings, codes: np.ndarray
) -> np.ndarray:
    """Predict each rating with a head of its own, on hidden features that come in blocks.

    Parameters
    ----------
    blocks : iterable of (slice, array of shape (n_block, n_outputs, n_hidden))
        The samples of each block, in order, and their hidden features.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads, the bias last.
    ratings : Ratings
        Who rated which sample; the values are not looked at.
    codes : array of int, shape (n_ratings,)
        Head of each rating.

    Returns
    -------
    array, shape (n_ratings, n_outputs)

    Raises
    ------
    ValueError
        The blocks have more or fewer samples than `ratings`.
    """
    predicted = np.empty((ratings.n_ratings, heads.shape[1]), dtype=heads.dtype)
    n_seen = 0
    for rows, hidden in blocks:
        n_seen = rows.stop
        if n_seen > ratings.n_samples:
            break
        part = slice(ratings.indptr[rows.start], ratings.indptr[rows.stop])
        predicted[part] = predict_pairs(hidden, heads, ratings.rows[part] - rows.start, codes[part])
    if n_seen != ratings.n_samples:
        raise ValueError(f"X and ratings differ in length: ratings are of {ratings.n_samples} samples.")
    return predicted
