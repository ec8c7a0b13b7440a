"""Enrollment: which samples to ask a new annotator about - few that stand for all, as the known heads see them.

Enrollment ratings serve to tell which head agrees best with a new annotator on *all* samples, and what the mean and the
spread of their ratings are. Samples on which the heads differ most tell the heads apart but are outliers, where all of
these estimates are biased. The samples suggested here are distributed as all are: in what the heads agree on, and, with
the same weight, in how they differ.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag
from scipy.spatial.distance import cdist

__all__ = ["comparison_axes", "representative_rows", "spread_rows"]

N_DISAGREEMENTS = 3  # axes on which heads differ
BLOCK_ROWS = 2048


def spread_rows(n_samples: int, n: int) -> np.ndarray:
    """Return `n` rows, evenly spread over all, or all rows if there are no more.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    n : int
        How many rows at most.

    Returns
    -------
    array of int, shape (min(n, n_samples),)
    """
    return np.linspace(0, n_samples - 1, min(n, n_samples)).round().astype(np.intp)


def comparison_axes(hidden: np.ndarray, heads: np.ndarray) -> np.ndarray:
    r"""Return the axes on which samples are compared: the mean of the heads, and their main disagreements.

    With heads :math:`W` and deviations :math:`D = W - \bar w`, centred hidden features :math:`H` have the consensus
    :math:`H \bar w` and the disagreements :math:`H D^\top`. From :math:`D^\top D = F F^\top` the distances between rows
    of :math:`H D^\top` are those between rows of :math:`H F`, however many heads there are. The axes are each output's
    consensus, with unit variance, and the first principal components of all outputs' disagreements, whose variance is
    1 for each output.

    Parameters
    ----------
    hidden : array, shape (n_samples, n_outputs, n_hidden)
        Hidden features of the samples.
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last: a constant does not matter here.

    Returns
    -------
    array, shape (n_outputs * n_hidden, n_axes)
        The coordinates of samples are ``hidden.reshape(n_samples, -1) @ axes``.
    """
    centred = (hidden - hidden.mean(axis=0)).astype(np.float64)
    means, factors = [], []
    for output in range(heads.shape[1]):
        weights = heads[:, output, :-1].astype(np.float64)
        mean = weights.mean(axis=0)
        weights -= mean
        values, vectors = np.linalg.eigh(weights.T @ weights)
        means.append(_scaled(mean[:, None], centred[:, output]))
        factors.append(_scaled(vectors * np.sqrt(np.maximum(values, 0)), centred[:, output]))
    deviations = block_diag(*factors)  # (n_outputs * n_hidden, n_outputs * n_hidden)
    spread = centred.reshape(len(centred), -1) @ deviations
    _, directions = np.linalg.eigh(spread.T @ spread)  # the main ones last
    return np.hstack([block_diag(*means), deviations @ directions[:, : -N_DISAGREEMENTS - 1 : -1]])


def _scaled(axes: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Scale axes so that the variances along them sum to 1; where nothing varies, leave nothing."""
    variance = np.square(hidden @ axes).sum(axis=1).mean()
    return axes / np.sqrt(variance) if variance > 1e-12 else np.zeros_like(axes)


def representative_rows(coordinates: np.ndarray, n: int, reference: np.ndarray) -> np.ndarray:
    r"""Choose samples, one after the other, so that those chosen are distributed as all are.

    Each next sample makes the energy distance to the reference least: among the samples `x` it has the smallest
    :math:`E|x - r| - \frac{1}{m} \sum_s |x - s|`, with `r` a random sample of the reference, and `s` those already
    chosen, `m - 1` in number. The first one is in the middle; every beginning of the order is a design of its own.

    Parameters
    ----------
    coordinates : array, shape (n_samples, n_axes)
        Where each sample is.
    n : int
        How many to choose, at most `n_samples`.
    reference : array, shape (n_reference, n_axes)
        Where the samples are that the chosen ones are to stand for.

    Returns
    -------
    array of int, shape (n,)
        Rows of `coordinates`, in the order in which they were chosen.

    References
    ----------
    Mak & Joseph, "Support points", Annals of Statistics 46(6A), 2018, doi:10.1214/17-AOS1629.
    """
    blocks = (coordinates[start : start + BLOCK_ROWS] for start in range(0, len(coordinates), BLOCK_ROWS))
    to_reference = np.concatenate([cdist(block, reference).mean(axis=1) for block in blocks])
    to_chosen = np.zeros(len(coordinates))
    chosen = np.empty(n, dtype=np.intp)
    for place in range(n):
        chosen[place] = np.argmin(to_reference - to_chosen / (place + 1))
        to_reference[chosen[place]] = np.inf  # never twice
        to_chosen += cdist(coordinates, coordinates[chosen[place], None])[:, 0]
    return chosen
