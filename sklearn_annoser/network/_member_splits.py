"""What the networks of a committee are drawn from, and which samples each keeps apart for its validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_annoser.network._data import ValidationSplit


def member_seeds(seed: int, n_networks: int) -> list[int]:
    """Return the seed of each network of a committee, the first of which has the committee's.

    The next ones are those that an estimator draws whose `random_state` is one of the numbers that follow.
    """
    states = [(seed + number) % 2**32 for number in range(1, n_networks)]
    return [seed, *(int(np.random.RandomState(state).randint(2**31 - 1)) for state in states)]


def member_splits(split: Any, seeds: Sequence[int]) -> list[Any]:
    """Return the split of each network: each draws its own, but all share one that is given."""
    if not isinstance(split, ValidationSplit) or split.chosen is not None:
        return [split] * len(seeds)
    return [split, *(ValidationSplit(split.fraction, seed) for seed in seeds[1:])]


def unseen_by(valid: Sequence[np.ndarray], n_samples: int) -> np.ndarray:
    """Return which samples each network has not been trained on, (n_samples, n_networks), from rows of each."""
    unseen = np.zeros((n_samples, len(valid)), dtype=bool)
    for network, rows in enumerate(valid):
        unseen[rows, network] = True
    return unseen


def mean_where(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean over networks that count for a sample: values (..., n_samples, n_networks); NaN for none."""
    n = counts.sum(axis=1)
    total = (values * counts).sum(axis=-1)
    return np.divide(total, n, out=np.full_like(total, np.nan), where=n > 0)
