"""Scoring: the concordance of every known head with every new annotator's ratings, by one matrix product."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from sklearn_annoser.metrics._ccc import ccc_from_moments
from sklearn_annoser.ratings import Ratings

__all__ = ["score_heads"]

BLOCK_ROWS, BLOCK_HEADS = 2048, 1024  # a block of predictions takes 8 MB, whatever the corpus
MOST_CONTENDERS = 512  # of the known heads: whoever is best on some of a person's ratings is one of these on all


def score_heads(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings) -> np.ndarray:
    r"""Score every known head on every new annotator's enrollment ratings (higher is better).

    The score is the CCC, or for a single rating minus the absolute error. The trunk has run once; from centred hidden
    features :math:`H` of one target the centred predictions of all heads are :math:`H W^\top`, their covariance with
    the ratings :math:`y` is :math:`(y^\top H) W^\top`, and their mean that of the hidden features times :math:`W^\top`:
    one matrix product gives all the moments.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the enrollment samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    ratings : Ratings
        Enrollment ratings of the samples.

    Returns
    -------
    array of float32, shape (n_targets, n_heads, n_outputs)
        0 for a target without ratings of an output, and where all of them are equal.
    """
    scores = np.empty((ratings.n_annotators, len(heads), heads.shape[1]), dtype=np.float32)
    for targets, block in scores_in_blocks(hidden, heads, ratings):
        scores[targets] = block
    return scores


def scores_in_blocks(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings) -> Iterator[tuple[slice, np.ndarray]]:
    """Walk over what `score_heads` returns in blocks of targets, (n_block, n_heads, n_outputs)."""
    order = np.argsort(ratings.codes, kind="stable")
    counts = np.bincount(ratings.codes, minlength=ratings.n_annotators)
    ends = counts.cumsum()
    for targets in _blocks_of_targets(counts):
        block = np.zeros((targets.stop - targets.start, len(heads), heads.shape[1]), dtype=np.float32)
        mine = order[(ends - counts)[targets][0] : ends[targets][-1]]
        for output in range(heads.shape[1]):
            given = mine[np.isfinite(ratings.values[mine, output])]
            own = np.bincount(ratings.codes[given] - targets.start, minlength=len(block))
            scored = np.flatnonzero(own)
            if len(scored):
                values, starts = ratings.values[given, output].astype(np.float64), (own.cumsum() - own)[scored]
                moments = _moments(hidden[ratings.rows[given], output], values, starts, own[scored])
                for start in range(0, len(heads), BLOCK_HEADS):
                    part = slice(start, start + BLOCK_HEADS)
                    block[scored, part, output] = _score_block(*moments, starts, heads[part, output], own[scored])
        yield targets, block


def score_one(hidden: np.ndarray, heads: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what `score_heads` does for one target, (n_heads, n_outputs), of (n_ratings, ...) features and values."""
    scores = np.zeros(heads.shape[:2], dtype=np.float32)
    start = np.zeros(1, dtype=np.intp)
    for output in range(heads.shape[1]):
        given = np.isfinite(values[:, output])
        if given.any():
            count = np.array([given.sum()])
            moments = _moments(hidden[given, output], values[given, output].astype(np.float64), start, count)
            scores[:, output] = _score_block(*moments, start, heads[:, output], count)[0]
    return scores


def contenders(scores: np.ndarray, *, by_output: bool, n: int) -> np.ndarray:
    """Return the heads, in order, that score best for one target, (n_heads, n_outputs); all if there are not more."""
    if len(scores) <= n:
        return np.arange(len(scores))
    rivals = scores.T if by_output else scores.sum(axis=1)[None]
    return np.unique(np.argpartition(rivals, -n, axis=1)[:, -n:])


def _blocks_of_targets(counts: np.ndarray) -> Iterator[slice]:
    """Walk over groups of targets, each with about BLOCK_ROWS ratings."""
    cuts = np.flatnonzero(np.diff(counts.cumsum() // BLOCK_ROWS)) + 1
    edges = [0, *cuts.tolist(), len(counts)] if len(counts) else []
    return itertools.starmap(slice, itertools.pairwise(edges))


def _moments(
    hidden: np.ndarray, values: np.ndarray, starts: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what each target contributes to the matrix product, and its ratings' mean and variance.

    The factor has the centred hidden features of all ratings, then for each target their mean, then their covariance
    with its ratings: (n_ratings + 2 n_targets, n_hidden).
    """
    n = counts[:, None]
    mean_hidden = np.add.reduceat(hidden, starts, axis=0, dtype=np.float64) / n
    mean_true = np.add.reduceat(values, starts) / counts
    centred = hidden - np.repeat(mean_hidden, counts, axis=0)
    true = values - np.repeat(mean_true, counts)
    covariance = np.add.reduceat(true[:, None] * centred, starts, axis=0) / n
    factor = np.concatenate([centred, mean_hidden, covariance]).astype(hidden.dtype)
    return factor, mean_true, np.add.reduceat(true**2, starts) / counts


def _score_block(
    factor: np.ndarray,
    mean_true: np.ndarray,
    var_true: np.ndarray,
    starts: np.ndarray,
    heads: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Return the score of a block of heads, (n_targets, n_heads)."""
    n_targets = len(counts)
    product = factor @ heads[:, :-1].T  # (n_ratings + 2 n_targets, n_heads)
    centred, mean_pred, covariance = np.split(product, [-2 * n_targets, -n_targets])
    mean_pred = mean_pred.astype(np.float64) + heads[:, -1]
    np.square(centred, out=centred)
    var_pred = np.add.reduceat(centred, starts, axis=0) / counts[:, None]
    ccc = ccc_from_moments(mean_true[:, None], var_true[:, None], mean_pred, var_pred, covariance)
    return np.where(counts[:, None] == 1, -np.abs(mean_pred - mean_true[:, None]), ccc)
