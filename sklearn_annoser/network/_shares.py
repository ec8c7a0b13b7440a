"""What each part of a committee counts for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

LEARNED_SHARE = 0.5  # the other half is equal for all
LEAST_SPREAD = 1e-6  # of predictions for ratings from -1 to 1: less is rounding
MOST_SLOPE = 10.0  # few samples may look alike to a part, which others do not


def committee_shares(
    predicted: Sequence[np.ndarray],
    sizes: Sequence[int],
    consensus: np.ndarray | None = None,
    learned_share: float = LEARNED_SHARE,
) -> np.ndarray:
    """Return how much each group of a committee counts; all of them sum to 1.

    One part is equal for each single member. The other is learned: the non-negative weights by which the groups'
    predictions come nearest to the consensus of samples that they were not trained on.

    Parameters
    ----------
    predicted : sequence of arrays, shape (n_samples, n_outputs)
        Mean prediction of each group of members.
    sizes : sequence of int
        Number of members in each group.
    consensus : array, shape (n_samples, n_outputs), default=None
        Consensus of the samples, NaN where there is none. None: all is equal.
    learned_share : float, default=LEARNED_SHARE
        How much of the weights is learned.

    Returns
    -------
    array, shape (n_groups,)
    """
    equal = np.array(sizes) / sum(sizes)
    if consensus is None:
        return equal
    given = np.isfinite(consensus)
    columns = [_centred(each, given)[given] for each in predicted]
    weights, _ = nnls(np.stack(columns, axis=1), _centred(consensus, given)[given])
    if not weights.sum() > 0:
        return equal
    return learned_share * weights / weights.sum() + (1 - learned_share) * equal


def standardized_shares(
    predicted: Sequence[np.ndarray], sizes: Sequence[int], consensus: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring all groups to the mean and spread of the first, and return how much each then counts.

    Parameters
    ----------
    predicted : sequence of arrays, shape (n_outputs, n_samples)
        Mean prediction of each group of members.
    sizes, consensus
        As in :func:`committee_shares`.

    Returns
    -------
    shares : array, shape (n_groups,)
        They sum to 1.
    slope, offset : arrays, shape (n_outputs, n_groups)
        What the predictions of each group are multiplied with, and what is then added.
    """
    parts = np.stack(predicted, axis=1)  # (n_outputs, n_groups, n_samples)
    mean, spread = parts.mean(axis=2), parts.std(axis=2)
    slope = np.divide(spread[:, :1], spread, out=np.zeros_like(spread), where=spread > LEAST_SPREAD)
    slope = np.minimum(slope, MOST_SLOPE)
    offset = mean[:, :1] - slope * mean
    moved = parts * slope[:, :, None] + offset[:, :, None]
    return committee_shares(moved.transpose(1, 2, 0), sizes, consensus), slope, offset


def _centred(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return values less the mean of those given of each output."""
    values = np.where(given, values, 0).astype(np.float64)
    return values - values.sum(axis=0) / np.maximum(given.sum(axis=0), 1)
